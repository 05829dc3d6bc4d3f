// SPDX-License-Identifier: GPL-2.0-only OR MIT
use crate::error::{check, check_blocked, text, Error, Result};
use crate::handle::{c_string, Vas, EINVAL};
use crate::sys;
use std::marker::PhantomData;
use std::mem::zeroed;
use std::os::raw::c_char;
use std::os::unix::io::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::{null, null_mut};
use std::time::Duration;

/// A range of guest memory, and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Aligned to the backing's page size.
    pub gpa: u64,
    /// Likewise, and not 0.
    pub size: u64,
    /// In the backing; `sys::VAS_OFFSET_GPA` when it is added: the gpa.
    pub offset: u64,
    /// 0: the RAM of the vas.
    pub backing: u32,
    /// `sys::VAS_REGION_*`.
    pub flags: u32,
    /// Chosen by the library.
    pub id: u64,
    /// Up to 23 bytes.
    pub name: String,
}

impl Region {
    /// RAM of the vas at the offset of its gpa.
    pub fn ram(gpa: u64, size: u64, name: &str) -> Region {
        let offset = sys::VAS_OFFSET_GPA;
        Region { gpa, size, offset, backing: 0, flags: 0, id: 0, name: name.into() }
    }

    pub(crate) fn from_raw(raw: &sys::vas_region) -> Region {
        Region {
            gpa: raw.gpa,
            size: raw.size,
            offset: raw.offset,
            backing: raw.backing,
            flags: raw.flags,
            id: raw.id,
            name: text(&raw.name),
        }
    }

    fn to_raw(&self) -> Result<sys::vas_region> {
        let mut name = [0; sys::VAS_REGION_NAME_LEN];
        if self.name.len() >= name.len() {
            return Err(Error::new(EINVAL, "the region's name is longer than 23 bytes"));
        }
        if self.flags & sys::VAS_REGION_LOCAL != 0 {
            // Memory of the process for which nobody vouches: vas_layout_add() itself takes it.
            return Err(Error::new(EINVAL, "local memory cannot be added by the safe functions"));
        }
        for (to, &from) in name.iter_mut().zip(c_string(&self.name)?.as_bytes()) {
            *to = from as c_char;
        }
        Ok(sys::vas_region {
            gpa: self.gpa,
            size: self.size,
            offset: self.offset,
            backing: self.backing,
            flags: self.flags,
            id: 0,
            hva: null_mut(),
            name,
        })
    }
}

/// A change of the layout, as a transaction of the owner's: [`Change::commit`], or it never was.
pub struct Change<'a> {
    raw: *mut sys::vas_layout, // so that it ends in the thread that began it
    vas: PhantomData<&'a Vas>,
}

impl Change<'_> {
    /// Adds a region, and returns its id.
    pub fn add(&mut self, region: &Region) -> Result<u64> {
        let mut id = 0;
        // SAFETY: a change in progress.
        check(unsafe { sys::vas_layout_add(self.raw, &region.to_raw()?, &mut id) })?;
        Ok(id)
    }

    /// Removes the region with this id.
    pub fn remove(&mut self, id: u64) -> Result<()> {
        // SAFETY: a change in progress.
        check(unsafe { sys::vas_layout_remove(self.raw, id) }).map(drop)
    }

    /// Gives it another size.
    pub fn resize(&mut self, id: u64, size: u64) -> Result<()> {
        // SAFETY: a change in progress.
        check(unsafe { sys::vas_layout_resize(self.raw, id, size) }).map(drop)
    }

    /// Gives it another place.
    pub fn move_to(&mut self, id: u64, gpa: u64) -> Result<()> {
        // SAFETY: a change in progress.
        check(unsafe { sys::vas_layout_move(self.raw, id, gpa) }).map(drop)
    }

    /// Makes the change for everyone or for no one, once no section uses the old layout.
    pub fn commit(self, timeout: Duration) -> Result<()> {
        let raw = self.raw;
        std::mem::forget(self);
        // SAFETY: a change in progress, which this ends.
        check_blocked(|who| unsafe { sys::vas_layout_commit(raw, nanoseconds(timeout), who) })
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        // SAFETY: a change in progress, which this ends.
        unsafe { sys::vas_layout_abort(self.raw) }
    }
}

impl Vas {
    /// The layout, sorted by gpa.
    pub fn regions(&self) -> Result<Vec<Region>> {
        Ok(self.0.handle.regions()?.iter().map(Region::from_raw).collect())
    }

    /// The region that holds gpa.
    pub fn region_at(&self, gpa: u64) -> Result<Region> {
        // SAFETY: numbers, bytes and a pointer, for which 0 is a value.
        let mut raw: sys::vas_region = unsafe { zeroed() };
        // SAFETY: a handle, and room for the answer.
        check(unsafe { sys::vas_region_at(self.raw(), gpa, &mut raw) })?;
        Ok(Region::from_raw(&raw))
    }

    /// Begins a change of the layout. Another thread's is waited for.
    pub fn change(&self) -> Result<Change<'_>> {
        let mut raw = null_mut();
        // SAFETY: a handle.
        check(unsafe { sys::vas_layout_begin(self.raw(), &mut raw) })?;
        Ok(Change { raw, vas: PhantomData })
    }

    /// Adds one region, and returns its id.
    pub fn region_add(&self, region: &Region) -> Result<u64> {
        let mut change = self.change()?;
        let id = change.add(region)?;
        change.commit(TIMEOUT)?;
        Ok(id)
    }

    /// Removes one region.
    pub fn region_remove(&self, id: u64) -> Result<()> {
        let mut change = self.change()?;
        change.remove(id)?;
        change.commit(TIMEOUT)
    }

    /// Gives the memory of a range back to the system: it reads as zeros from then on.
    pub fn discard(&self, gpa: u64, len: u64) -> Result<()> {
        // SAFETY: a handle.
        check_blocked(|who| unsafe { sys::vas_discard(self.raw(), gpa, len, who) })
    }

    /// Makes a file usable as a backing, and returns its number.
    pub fn backing_add(&self, fd: impl AsFd) -> Result<u32> {
        // SAFETY: a handle, and an open fd.
        check(unsafe { sys::vas_backing_add(self.raw(), fd.as_fd().as_raw_fd()) })
    }

    /// The same with a new memfd.
    pub fn backing_create(&self, name: &str, size: u64, flags: u32) -> Result<u32> {
        let c_name = c_string(name)?;
        let pointer = if name.is_empty() { null() } else { c_name.as_ptr() };
        // SAFETY: a handle, and a name that outlives the call.
        check(unsafe { sys::vas_backing_create(self.raw(), pointer, size, flags) })
    }

    /// Removes a backing in which no region lies.
    pub fn backing_remove(&self, backing: u32) -> Result<()> {
        // SAFETY: a handle.
        check(unsafe { sys::vas_backing_remove(self.raw(), backing) }).map(drop)
    }

    /// A duplicate of a backing's fd; of 0, of the file with the RAM.
    pub fn backing_fd(&self, backing: u32) -> Result<std::os::unix::io::OwnedFd> {
        self.0.handle.backing_fd(backing)
    }

    /// Gives this handle the fd of a backing that the layout names, and returns its number.
    pub fn backing_offer(&self, fd: impl AsFd) -> Result<u32> {
        // SAFETY: a handle, and an open fd.
        check(unsafe { sys::vas_backing_offer(self.raw(), fd.as_fd().as_raw_fd()) })
    }
}

impl crate::handle::Handle {
    pub(crate) fn regions(&self) -> Result<Vec<sys::vas_region>> {
        let mut regions = Vec::new();
        loop {
            let room = regions.capacity();
            // SAFETY: a handle, and room for so many.
            let nr = unsafe { sys::vas_regions(self.raw(), regions.as_mut_ptr(), room) };
            if nr < 0 {
                return Err(Error::last(nr as i32));
            }
            if nr as usize <= room {
                // SAFETY: so many were stored.
                unsafe { regions.set_len(nr as usize) };
                return Ok(regions);
            }
            regions.reserve(nr as usize);
        }
    }

    pub(crate) fn backing_fd(&self, backing: u32) -> Result<std::os::unix::io::OwnedFd> {
        // SAFETY: a handle, whose fd is open as long as that is.
        let fd = check(unsafe { sys::vas_backing_fd(self.raw(), backing) })?;
        // SAFETY: likewise.
        let fd = unsafe { BorrowedFd::borrow_raw(fd as i32) };
        fd.try_clone_to_owned()
            .map_err(|error| Error::new(error.raw_os_error().unwrap_or(EINVAL), &error.to_string()))
    }
}

/// `VAS_TIMEOUT_DEFAULT_NS`.
const TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) fn nanoseconds(timeout: Duration) -> u64 {
    timeout.as_nanos().try_into().unwrap_or(u64::MAX)
}
