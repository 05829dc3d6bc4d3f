// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A vas as vm-memory's traits have guest memory.
//!
//! [`Vas`] is a [`GuestAddressSpace`], so it is what a device of rust-vmm's is activated with.
//! `memory()` enters a section and returns a guard that derefs to [`Memory`], a [`GuestMemory`]:
//! the layout at that time. As long as a guard lives, a change of the layout waits for it; so keep
//! none across a wait. It belongs to its thread:
//!
//! ```compile_fail
//! fn is_send<T: Send>() {}
//! is_send::<vas::MemoryGuard>();
//! ```
//!
//! What is written through the traits is marked in the dirty log by itself. Slices (`get_slice()`)
//! are of writable memory only, as they can be written: not of ROM, not for an observer, and not
//! while the vas is frozen. What reads and writes by copy has no such limits.
//!
//! A page that fails under `read()`, `write()`, `load()`, `store()` and their kind is an error of
//! the call. Under a slice it is not: vm-memory has no place for it.

use crate::error::{Error as VasError, Result as VasResult};
use crate::handle::{Handle, Vas};
use crate::section::{copy, enter, read, translate, write};
use crate::sys;
use std::cmp::min;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::mem::{align_of, size_of, zeroed};
use std::ops::Deref;
use std::ptr::NonNull;
use std::slice::Iter;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use vm_memory::bitmap::{Bitmap, BitmapSlice, WithBitmapSlice, BS};
use vm_memory::guest_memory::{GuestMemoryIterator, Result};
use vm_memory::{
    AtomicAccess, AtomicInteger, Bytes, FileOffset, GuestAddress, GuestAddressSpace, GuestMemory,
    GuestMemoryError, GuestMemoryRegion, GuestUsize, MemoryRegionAddress, VolatileSlice,
};

const EFAULT: i32 = 14;

/// The dirty log, from the gpa on at which it is asked to begin.
///
/// The log is of the whole vas, for any number of trackers: `mark_dirty()` is `vas_mark()`, and
/// `dirty_at()` is whether the page was marked since the last harvest; `false` while nobody tracks.
#[derive(Clone, Copy)]
pub struct Log<'a> {
    vas: *mut sys::vas,
    gpa: u64,
    section: PhantomData<&'a Region>,
}

impl<'a, 'b> WithBitmapSlice<'b> for Log<'a> {
    type S = Log<'a>;
}

impl BitmapSlice for Log<'_> {}

impl<'a> Bitmap for Log<'a> {
    #[inline(always)]
    fn mark_dirty(&self, offset: usize, len: usize) {
        // SAFETY: the section of the guard that this was borrowed from.
        unsafe { sys::vas_mark(self.vas, self.gpa.wrapping_add(offset as u64), len as u64) }
    }

    fn dirty_at(&self, offset: usize) -> bool {
        let page = self.gpa.wrapping_add(offset as u64) >> sys::VAS_PAGE_SHIFT;
        // SAFETY: as above.
        unsafe {
            let view = &*(*self.vas).head.view.load(Ordering::Acquire);
            page < view.nr_dirty && sys::is_marked(view, page)
        }
    }

    #[inline(always)]
    fn slice_at(&self, offset: usize) -> Log<'a> {
        Log { gpa: self.gpa.wrapping_add(offset as u64), ..*self }
    }
}

impl fmt::Debug for Log<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Log from gpa {:#x}", self.gpa)
    }
}

/// The log of a region: [`Log`], from the region's start on.
pub struct RegionLog(Log<'static>);

impl<'a> WithBitmapSlice<'a> for RegionLog {
    type S = Log<'a>;
}

impl Bitmap for RegionLog {
    fn mark_dirty(&self, offset: usize, len: usize) {
        self.0.mark_dirty(offset, len)
    }

    fn dirty_at(&self, offset: usize) -> bool {
        self.0.dirty_at(offset)
    }

    #[inline(always)]
    fn slice_at(&self, offset: usize) -> Log<'_> {
        self.0.slice_at(offset)
    }
}

/// A region of the layout.
pub struct Region {
    gpa: u64,
    size: u64,
    /// Of the whole region, where it is in one piece, as the layout was loaded.
    cache: sys::vas_cache,
    log: RegionLog,
    readonly: bool,
    file: Option<FileOffset>,
}

impl Region {
    /// In a section.
    fn new(vas: *mut sys::vas, raw: &sys::vas_region, file: Option<Arc<File>>) -> Region {
        // SAFETY: numbers and a pointer, for which 0 is a value.
        let mut cache: sys::vas_cache = unsafe { zeroed() };
        // SAFETY: a handle, in a section of this thread's.
        unsafe { sys::vas_cache_fill(vas, &mut cache, raw.gpa, raw.size, sys::VAS_PROT_READ) };
        if cache.gpa != raw.gpa || cache.size != raw.size {
            cache.serial = 0; // the layout has just changed: such a view is never
        }
        Region {
            gpa: raw.gpa,
            size: raw.size,
            cache,
            log: RegionLog(Log { vas, gpa: raw.gpa, section: PhantomData }),
            readonly: raw.flags & sys::VAS_REGION_READONLY != 0,
            file: file.map(|file| FileOffset::from_arc(file, raw.offset)),
        }
    }

    /// Is it ROM, which cannot be written?
    pub fn is_readonly(&self) -> bool {
        self.readonly
    }

    #[inline(always)]
    fn vas(&self) -> *mut sys::vas {
        self.log.0.vas
    }

    /// Where `addr` is, and how many bytes of the region begin there.
    fn place(&self, addr: MemoryRegionAddress) -> Result<(u64, u64)> {
        if addr.0 >= self.size {
            return Err(GuestMemoryError::InvalidBackendAddress);
        }
        Ok((self.gpa + addr.0, self.size - addr.0))
    }

    /// All `len` bytes at `addr` as a pointer, where the layout is still the one that was loaded;
    /// else, or where the region has not so many, null.
    #[inline(always)]
    fn pointer(&self, addr: MemoryRegionAddress, len: usize, prot: u32) -> *mut u8 {
        if addr.0 >= self.size || len as u64 > self.size - addr.0 {
            return std::ptr::null_mut();
        }
        // SAFETY: the section of the guard that this was borrowed from.
        unsafe { sys::vas_translate_within(self.vas(), &self.cache, addr.0, prot) }
    }

    /// As much of `buf` as the region has, with all that can happen.
    #[cold]
    #[inline(never)]
    fn read_slow(&self, buf: &mut [u8], addr: MemoryRegionAddress) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let (gpa, room) = self.place(addr)?;
        let len = min(room, buf.len() as u64) as usize;
        // SAFETY: the section of the guard that this was borrowed from.
        unsafe { read(self.vas(), gpa, &mut buf[..len]) }.map_err(|error| error_at(gpa, error))?;
        Ok(len)
    }

    #[cold]
    #[inline(never)]
    fn write_slow(&self, buf: &[u8], addr: MemoryRegionAddress) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let (gpa, room) = self.place(addr)?;
        let len = min(room, buf.len() as u64) as usize;
        // SAFETY: the section of the guard that this was borrowed from.
        unsafe { write(self.vas(), gpa, &buf[..len]) }.map_err(|error| error_at(gpa, error))?;
        Ok(len)
    }

    /// All `len` bytes at `addr` as a pointer.
    #[inline]
    fn translate(&self, addr: MemoryRegionAddress, len: usize, prot: u32) -> Result<*mut u8> {
        let pointer = self.pointer(addr, len, prot);
        if pointer.is_null() {
            return self.translate_slow(addr, len, prot);
        }
        Ok(pointer)
    }

    #[cold]
    #[inline(never)]
    fn translate_slow(&self, addr: MemoryRegionAddress, len: usize, prot: u32) -> Result<*mut u8> {
        let (gpa, room) = self.place(addr)?;
        if len as u64 > room {
            return Err(GuestMemoryError::InvalidBackendAddress);
        }
        // SAFETY: the section of the guard that this was borrowed from.
        unsafe { translate(self.vas(), gpa, len as u64, prot) }
            .map_err(|error| error_at(gpa, error))
    }

    fn translate_atomic<T: AtomicAccess>(
        &self,
        addr: MemoryRegionAddress,
        prot: u32,
    ) -> Result<*mut u8> {
        let pointer = self.translate(addr, size_of::<T>(), prot)?;
        if pointer as usize % align_of::<T::A>() != 0 {
            return Err(GuestMemoryError::InvalidBackendAddress);
        }
        Ok(pointer)
    }

    /// After an access by a pointer: was the memory there? If not so, or not known, a copy finds
    /// out.
    #[inline(always)]
    fn verify(&self) -> bool {
        // SAFETY: a handle.
        unsafe { !sys::vas_page_failed(self.vas()) }
    }

    /// In portions, so that no wait for `src` is in an access.
    fn fill_from<F: Read>(
        &self,
        addr: MemoryRegionAddress,
        count: usize,
        mut next: impl FnMut(&mut F, &mut [u8]) -> io::Result<usize>,
        src: &mut F,
    ) -> Result<usize> {
        let mut buf = [0; PORTION];
        let mut done = 0;
        while done < count {
            let want = min(PORTION, count - done);
            let got = next(src, &mut buf[..want]).map_err(GuestMemoryError::IOError)?;
            self.write_slice(&buf[..got], MemoryRegionAddress(addr.0 + done as u64))?;
            done += got;
            if got < want {
                break;
            }
        }
        Ok(done)
    }

    fn drain_to<F: Write>(
        &self,
        addr: MemoryRegionAddress,
        count: usize,
        mut next: impl FnMut(&mut F, &[u8]) -> io::Result<usize>,
        dst: &mut F,
    ) -> Result<usize> {
        let mut buf = [0; PORTION];
        let mut done = 0;
        while done < count {
            let want = min(PORTION, count - done);
            self.read_slice(&mut buf[..want], MemoryRegionAddress(addr.0 + done as u64))?;
            let got = next(dst, &buf[..want]).map_err(GuestMemoryError::IOError)?;
            done += got;
            if got < want {
                break;
            }
        }
        Ok(done)
    }

    fn check_range(&self, addr: MemoryRegionAddress, count: usize) -> Result<()> {
        match addr.0.checked_add(count as u64) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(GuestMemoryError::InvalidBackendAddress),
        }
    }
}

const PORTION: usize = 4096;

#[cold]
fn error_at(gpa: u64, error: VasError) -> GuestMemoryError {
    match error.errno() {
        EFAULT => GuestMemoryError::InvalidGuestAddress(GuestAddress(gpa + error.done as u64)),
        _ => GuestMemoryError::IOError(error.into()),
    }
}

fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Bytes<MemoryRegionAddress> for Region {
    type E = GuestMemoryError;

    #[inline(always)]
    fn write(&self, buf: &[u8], addr: MemoryRegionAddress) -> Result<usize> {
        let to = self.pointer(addr, buf.len(), sys::VAS_PROT_WRITE);
        if !to.is_null() {
            // SAFETY: so many bytes of mapped memory, in a section.
            unsafe { copy(to, buf.as_ptr(), buf.len()) };
            self.log.0.mark_dirty(addr.0 as usize, buf.len());
            if self.verify() {
                return Ok(buf.len());
            }
        }
        self.write_slow(buf, addr)
    }

    #[inline(always)]
    fn read(&self, buf: &mut [u8], addr: MemoryRegionAddress) -> Result<usize> {
        let from = self.pointer(addr, buf.len(), sys::VAS_PROT_READ);
        if !from.is_null() {
            // SAFETY: so many bytes of mapped memory, in a section.
            unsafe { copy(buf.as_mut_ptr(), from, buf.len()) };
            if self.verify() {
                return Ok(buf.len());
            }
        }
        self.read_slow(buf, addr)
    }

    #[inline]
    fn write_slice(&self, buf: &[u8], addr: MemoryRegionAddress) -> Result<()> {
        whole(self.write(buf, addr)?, buf.len())
    }

    #[inline]
    fn read_slice(&self, buf: &mut [u8], addr: MemoryRegionAddress) -> Result<()> {
        whole(self.read(buf, addr)?, buf.len())
    }

    fn read_from<F: Read>(
        &self,
        addr: MemoryRegionAddress,
        src: &mut F,
        count: usize,
    ) -> Result<usize> {
        self.check_range(addr, count)?;
        // What one read gives, as for any reader.
        self.fill_from(addr, min(count, PORTION), |src, buf| again(|| src.read(buf)), src)
    }

    fn read_exact_from<F: Read>(
        &self,
        addr: MemoryRegionAddress,
        src: &mut F,
        count: usize,
    ) -> Result<()> {
        self.check_range(addr, count)?;
        self.fill_from(addr, count, |src, buf| src.read_exact(buf).map(|()| buf.len()), src)
            .map(drop)
    }

    fn write_to<F: Write>(
        &self,
        addr: MemoryRegionAddress,
        dst: &mut F,
        count: usize,
    ) -> Result<usize> {
        self.check_range(addr, count)?;
        self.drain_to(addr, min(count, PORTION), |dst, buf| again(|| dst.write(buf)), dst)
    }

    fn write_all_to<F: Write>(
        &self,
        addr: MemoryRegionAddress,
        dst: &mut F,
        count: usize,
    ) -> Result<()> {
        self.check_range(addr, count)?;
        self.drain_to(addr, count, |dst, buf| dst.write_all(buf).map(|()| buf.len()), dst).map(drop)
    }

    fn store<T: AtomicAccess>(
        &self,
        val: T,
        addr: MemoryRegionAddress,
        order: Ordering,
    ) -> Result<()> {
        let pointer = self.translate_atomic::<T>(addr, sys::VAS_PROT_WRITE)?;
        // SAFETY: aligned, and so many bytes of the mapped file, which others change.
        unsafe { (*pointer.cast::<T::A>()).store(val.into(), order) };
        self.log.mark_dirty(addr.0 as usize, size_of::<T>());
        if !self.verify() {
            self.read_obj::<T>(addr)?;
        }
        Ok(())
    }

    fn load<T: AtomicAccess>(&self, addr: MemoryRegionAddress, order: Ordering) -> Result<T> {
        let pointer = self.translate_atomic::<T>(addr, sys::VAS_PROT_READ)?;
        // SAFETY: aligned, and so many bytes of the mapped file, which others change.
        let val = unsafe { (*pointer.cast::<T::A>()).load(order) };
        if !self.verify() {
            return self.read_obj(addr);
        }
        Ok(val.into())
    }
}

fn whole(completed: usize, expected: usize) -> Result<()> {
    if completed != expected {
        return Err(GuestMemoryError::PartialBuffer { expected, completed });
    }
    Ok(())
}

impl GuestMemoryRegion for Region {
    type B = RegionLog;

    #[inline(always)]
    fn len(&self) -> GuestUsize {
        self.size
    }

    #[inline(always)]
    fn start_addr(&self) -> GuestAddress {
        GuestAddress(self.gpa)
    }

    fn bitmap(&self) -> &RegionLog {
        &self.log
    }

    /// Good as long as the guard is.
    fn get_host_address(&self, addr: MemoryRegionAddress) -> Result<*mut u8> {
        self.translate(addr, 1, sys::VAS_PROT_READ)
    }

    /// None of memory that is local to a process, and where this process has no fd of the file.
    fn file_offset(&self) -> Option<&FileOffset> {
        self.file.as_ref()
    }

    fn get_slice(
        &self,
        offset: MemoryRegionAddress,
        count: usize,
    ) -> Result<VolatileSlice<BS<Self::B>>> {
        let log = self.log.slice_at(offset.0 as usize);
        let pointer = match count {
            0 => {
                self.check_range(offset, 0)?;
                NonNull::dangling().as_ptr()
            }
            _ => self.translate(offset, count, sys::VAS_PROT_WRITE)?,
        };
        // SAFETY: mapped for writing until the section ends, whose guard the slice borrows.
        Ok(unsafe { VolatileSlice::with_bitmap(pointer, count, log) })
    }
}

/// The guest memory of a section: regions as they were when it was entered.
pub struct Memory {
    regions: Box<[Region]>,
    /// Of each granule of gpa: the region that it has a part of, if that is one.
    only: Box<[Option<NonNull<Region>>]>,
    shift: u32,
}

impl Memory {
    fn new(regions: Vec<Region>) -> Memory {
        let regions = regions.into_boxed_slice();
        let end = regions.last().map_or(0, |region| region.gpa + region.size);
        let most = (regions.len() as u64 * 4).next_power_of_two().clamp(1024, 65536);
        let mut shift = sys::VAS_PAGE_SHIFT;
        while end >> shift >= most {
            shift += 1;
        }
        let mut only = vec![None; (end >> shift) as usize + 1];
        let mut next = 0; // the first granule that no region has a part of yet
        for region in regions.iter() {
            let last = (region.gpa + region.size - 1) >> shift;
            for granule in region.gpa >> shift..=last {
                only[granule as usize] = (granule >= next).then(|| NonNull::from(region));
            }
            next = last + 1;
        }
        Memory { regions, only: only.into_boxed_slice(), shift }
    }

    #[inline(never)]
    fn search(&self, gpa: u64) -> Option<&Region> {
        let at = self.regions.partition_point(|region| region.gpa + region.size <= gpa);
        self.regions.get(at).filter(|region| region.gpa <= gpa)
    }
}

type Access<'a> = &'a mut dyn FnMut(usize, usize, MemoryRegionAddress, &Region) -> Result<usize>;

impl Memory {
    /// The rest of an access: region by region, until there is a hole, or `f` has no more.
    #[cold]
    #[inline(never)]
    fn access_pieces(
        &self,
        mut done: usize,
        count: usize,
        addr: GuestAddress,
        f: Access,
    ) -> Result<usize> {
        while let Some(region) = self.find_region(GuestAddress(addr.0 + done as u64)) {
            let start = addr.0 + done as u64 - region.gpa;
            let len = min(region.size - start, (count - done) as u64) as usize;
            match f(done, len, MemoryRegionAddress(start), region)? {
                0 => return Ok(done),
                len => done += len,
            }
            if done >= count {
                return Ok(done);
            }
        }
        match done {
            0 => Err(GuestMemoryError::InvalidGuestAddress(addr)),
            _ => Ok(done),
        }
    }
}

impl<'a> GuestMemoryIterator<'a, Region> for Memory {
    type Iter = Iter<'a, Region>;
}

impl GuestMemory for Memory {
    type R = Region;
    type I = Memory;

    fn num_regions(&self) -> usize {
        self.regions.len()
    }

    #[inline(always)]
    fn find_region(&self, addr: GuestAddress) -> Option<&Region> {
        if let Some(region) = self.only.get((addr.0 >> self.shift) as usize)? {
            // SAFETY: one of self.regions, which stay where they are.
            let region = unsafe { region.as_ref() };
            if addr.0.wrapping_sub(region.gpa) < region.size {
                return Some(region);
            }
        }
        self.search(addr.0)
    }

    /// As the trait does it; most accesses are to one region, and inlined.
    #[inline(always)]
    fn try_access<F>(&self, count: usize, addr: GuestAddress, mut f: F) -> Result<usize>
    where
        F: FnMut(usize, usize, MemoryRegionAddress, &Region) -> Result<usize>,
    {
        if let Some(region) = self.find_region(addr) {
            let start = addr.0 - region.gpa;
            if count as u64 <= region.size - start {
                let done = f(0, count, MemoryRegionAddress(start), region)?;
                if done == count || done == 0 {
                    return Ok(done);
                }
                return self.access_pieces(done, count, addr, &mut f);
            }
        }
        self.access_pieces(0, count, addr, &mut f)
    }

    fn iter(&self) -> Iter<'_, Region> {
        self.regions.iter()
    }
}

/// A layout, which all guards share until there is a new one.
pub(crate) struct Layout {
    memory: Memory,
    generation: u64,
    _handle: Arc<Handle>,
}

// SAFETY: the memory, whose regions must be used in a section, is reached by way of a guard only,
// which is its thread's; the rest is good for any thread.
unsafe impl Send for Layout {}
// SAFETY: likewise.
unsafe impl Sync for Layout {}

impl Layout {
    /// Of a handle that nobody has asked yet.
    pub(crate) fn none(handle: &Arc<Handle>) -> Layout {
        Layout { memory: Memory::new(Vec::new()), generation: 0, _handle: handle.clone() }
    }

    /// In a section.
    fn load(handle: &Arc<Handle>, generation: u64) -> VasResult<Layout> {
        let mut files: Vec<(u32, Option<Arc<File>>)> = Vec::new();
        let mut file_of = |backing: u32| {
            if let Some((_, file)) = files.iter().find(|(number, _)| *number == backing) {
                return file.clone();
            }
            let file = handle.backing_fd(backing).ok().map(|fd| Arc::new(File::from(fd)));
            files.push((backing, file.clone()));
            file
        };
        let regions = handle
            .regions()?
            .iter()
            .map(|raw| {
                let local = raw.flags & sys::VAS_REGION_LOCAL != 0;
                let file = if local { None } else { file_of(raw.backing) };
                Region::new(handle.raw(), raw, file)
            })
            .collect();
        Ok(Layout { memory: Memory::new(regions), generation, _handle: handle.clone() })
    }
}

/// A section, and the memory in it. Clones are of the same section.
pub struct MemoryGuard {
    layout: arc_swap::Guard<Arc<Layout>>,
    vas: *mut sys::vas,
    thread: *mut sys::vas_thread, // null: not entered, and there is no memory
}

impl MemoryGuard {
    /// Not in a section, and without a region.
    fn none(vas: &Vas) -> MemoryGuard {
        let layout = Arc::new(Layout::none(&vas.0.handle));
        let layout = arc_swap::Guard::from_inner(layout);
        MemoryGuard { layout, vas: vas.raw(), thread: std::ptr::null_mut() }
    }
}

impl Deref for MemoryGuard {
    type Target = Memory;

    #[inline(always)]
    fn deref(&self) -> &Memory {
        &self.layout.memory
    }
}

impl Clone for MemoryGuard {
    fn clone(&self) -> MemoryGuard {
        let layout = arc_swap::Guard::from_inner(Arc::clone(&self.layout));
        if !self.thread.is_null() {
            // SAFETY: in a section of this thread's; to nest cannot fail.
            let result = unsafe { sys::vas_enter_registered(self.vas, self.thread) };
            assert_eq!(result, 0, "a section in a section");
        }
        MemoryGuard { layout, ..*self }
    }
}

impl Drop for MemoryGuard {
    #[inline]
    fn drop(&mut self) {
        if !self.thread.is_null() {
            // SAFETY: entered, in this thread, and of a handle that the layout holds.
            unsafe { sys::vas_leave_registered(self.vas, self.thread) }
        }
    }
}

impl Vas {
    /// What [`GuestAddressSpace::memory`] does, with the reason if it cannot.
    #[inline]
    pub fn try_memory(&self) -> VasResult<MemoryGuard> {
        let (vas, thread) = (self.raw(), enter(&self.0.handle)?);
        let mut guard = MemoryGuard { layout: self.0.layout.load(), vas, thread };
        // SAFETY: a handle.
        let generation = unsafe { sys::vas_generation(vas) };
        if guard.layout.generation != generation {
            self.0.layout.store(Arc::new(Layout::load(&self.0.handle, generation)?));
            guard.layout = self.0.layout.load();
        }
        Ok(guard)
    }
}

impl GuestAddressSpace for Vas {
    type M = Memory;
    type T = MemoryGuard;

    /// Enters a section. Where it cannot (no slot for the thread is free), the memory has no
    /// regions, so that each access is an error; [`Vas::try_memory`] says why.
    #[inline]
    fn memory(&self) -> MemoryGuard {
        self.try_memory().unwrap_or_else(|_| MemoryGuard::none(self))
    }
}
