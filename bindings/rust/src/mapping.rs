// SPDX-License-Identifier: GPL-2.0-only OR MIT
use crate::error::{check, Result};
use crate::handle::{Handle, Vas};
use crate::sys;
use std::ptr::{null_mut, NonNull};
use std::sync::Arc;

/// What the owner asks of a mapping's holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nothing.
    None,
    /// The range goes away: drop the mapping.
    Unmap,
    /// Stop writing, then [`Mapping::quiesce`].
    Quiesce,
}

/// A map of a range that is good for longer than a section, and that every process sees as a pin.
pub struct Mapping {
    raw: *mut sys::vas_mapping,
    len: usize,
    _handle: Arc<Handle>,
}

// SAFETY: the functions of a mapping may be called from any thread.
unsafe impl Send for Mapping {}
// SAFETY: and from several at once; it ends when nobody borrows it.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Its first byte, for DMA, or for whatever takes a pointer; not good once the mapping is
    /// dropped.
    pub fn as_ptr(&self) -> NonNull<u8> {
        // SAFETY: a mapping; its address is not null.
        unsafe { NonNull::new_unchecked(sys::vas_mapping_addr(self.raw).cast()) }
    }

    /// In bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: there are no mappings of nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the owner asks. [`Vas::notify_fd`] tells when to look.
    pub fn request(&self) -> Request {
        // SAFETY: a mapping.
        match unsafe { sys::vas_mapping_request(self.raw) } {
            1 => Request::Unmap,
            2 => Request::Quiesce,
            _ => Request::None,
        }
    }

    /// Says that nothing writes through the mapping any more.
    pub fn quiesce(&self) -> Result<()> {
        // SAFETY: a mapping.
        check(unsafe { sys::vas_mapping_quiesce(self.raw) }).map(drop)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: a mapping, of a handle that is not closed yet.
        unsafe { sys::vas_mapping_destroy(self.raw) }
    }
}

impl Vas {
    /// Maps a range; `flags` are `sys::VAS_MAPPING_*`.
    pub fn map(&self, gpa: u64, len: usize, flags: u32) -> Result<Mapping> {
        let mut raw = null_mut();
        // SAFETY: a handle.
        check(unsafe { sys::vas_mapping_create(self.raw(), gpa, len as u64, flags, &mut raw) })?;
        Ok(Mapping { raw, len, _handle: self.0.handle.clone() })
    }
}
