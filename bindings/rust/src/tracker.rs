// SPDX-License-Identifier: GPL-2.0-only OR MIT
use crate::error::{check, check_blocked, Error, Result};
use crate::handle::{c_string, Handle, Vas};
use crate::layout::nanoseconds;
use crate::sys;
use crate::DirtyWord;
use std::marker::PhantomData;
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::time::Duration;

/// One consumer of the dirty log, with a log of its own. Detached when dropped.
pub struct Tracker {
    raw: *mut sys::vas_tracker, // not Sync: for one thread at a time
    _handle: Arc<Handle>,
}

// SAFETY: it may move between threads.
unsafe impl Send for Tracker {}

impl Tracker {
    /// Opens an epoch: everything written so far is in its harvests, or was in an earlier one's.
    pub fn begin(&mut self) -> Result<Epoch<'_>> {
        // SAFETY: a tracker.
        check(unsafe { sys::vas_tracker_begin(self.raw) })?;
        Ok(Epoch { raw: self.raw, tracker: PhantomData })
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        // SAFETY: a tracker, of a handle that is not closed yet.
        unsafe { sys::vas_tracker_detach(self.raw) }
    }
}

/// An open epoch. Dropped without [`Epoch::commit`], its pages count as dirty still.
pub struct Epoch<'a> {
    raw: *mut sys::vas_tracker,
    tracker: PhantomData<&'a mut Tracker>,
}

impl Epoch<'_> {
    /// Takes up to `max` words of dirty pages from `*gpa` on, and moves `*gpa` to where the next
    /// call goes on; at `end` all were taken. Copy the pages now.
    pub fn harvest(&mut self, gpa: &mut u64, end: u64, max: usize) -> Result<&[DirtyWord]> {
        let mut words = null();
        // SAFETY: a tracker; the list is good until its next harvest, which borrows the epoch
        // again.
        let nr = unsafe { sys::vas_tracker_harvest(self.raw, gpa, end, max, &mut words) };
        if nr < 0 {
            return Err(Error::last(nr as i32));
        }
        if nr == 0 {
            return Ok(&[]);
        }
        // SAFETY: so many words are there.
        Ok(unsafe { std::slice::from_raw_parts(words, nr as usize) })
    }

    /// The harvested pages are dealt with.
    pub fn commit(self) -> Result<()> {
        let raw = self.raw;
        std::mem::forget(self);
        // SAFETY: a tracker.
        check(unsafe { sys::vas_tracker_commit(raw) }).map(drop)
    }
}

impl Drop for Epoch<'_> {
    fn drop(&mut self) {
        // SAFETY: a tracker. Where this fails, the tracker's end aborts the epoch.
        unsafe { sys::vas_tracker_abort(self.raw) };
    }
}

/// A vas whose writers are stopped. They go on when it is dropped.
pub struct Frozen<'a>(&'a Vas);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // SAFETY: a handle.
        unsafe { sys::vas_thaw(self.0.raw()) };
    }
}

impl Vas {
    /// Attaches a tracker: from here on every write is recorded. With `all`, all memory that was
    /// ever touched is dirty at first.
    pub fn tracker(&self, name: &str, all: bool) -> Result<Tracker> {
        let (name, mut raw) = (c_string(name)?, null_mut());
        let flags = if all { sys::VAS_TRACKER_ALL } else { 0 };
        // SAFETY: a handle, and a name that outlives the call.
        check(unsafe { sys::vas_tracker_attach(self.raw(), name.as_ptr(), flags, &mut raw) })?;
        Ok(Tracker { raw, _handle: self.0.handle.clone() })
    }

    /// Stops every writer, as the owner. vCPUs are the VMM's to stop before.
    pub fn freeze(&self, timeout: Duration) -> Result<Frozen<'_>> {
        // SAFETY: a handle.
        check_blocked(|who| unsafe { sys::vas_freeze(self.raw(), nanoseconds(timeout), who) })?;
        Ok(Frozen(self))
    }

    /// Waits until it is not frozen, as a writer does after `EAGAIN`.
    pub fn wait_thawed(&self, timeout: Duration) -> Result<()> {
        // SAFETY: a handle.
        check(unsafe { sys::vas_wait_thawed(self.raw(), nanoseconds(timeout)) }).map(drop)
    }
}
