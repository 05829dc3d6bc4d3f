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
use crate::section::{copy_from, copy_to, enter, read, translate, write};
use crate::sys;
use std::cell::Cell;
use std::cmp::min;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::mem::{align_of, size_of};
use std::ops::Deref;
use std::ptr::{null, null_mut, NonNull};
use std::slice::Iter;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use vm_memory::bitmap::{Bitmap, BitmapSlice, WithBitmapSlice, BS};
#[cfg(feature = "vm-memory")]
use vm_memory::guest_memory::GuestMemoryIterator;
use vm_memory::guest_memory::Result;
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
    file: *const FileOffset, // of the layout's; or null
    /// Of a copy that [`Memory::try_access`] lends: it is mapped as the cache has it until the
    /// section ends, and whoever reads leaves it to the lender to ask whether the memory was there.
    lent: bool,
    doubtful: Cell<bool>,
}

/// Are `len` bytes, and not none, at `start` among the first `size`?
#[inline(always)]
fn fits(size: u64, start: u64, len: usize) -> bool {
    start < size.saturating_sub((len as u64).wrapping_sub(1))
}

impl Region {
    /// No byte of memory.
    fn none(vas: *mut sys::vas) -> Region {
        Region {
            gpa: 0,
            size: 0,
            cache: sys::vas_cache { gpa: 0, size: 0, hva: null_mut(), serial: 0, prot: 0 },
            log: RegionLog(Log { vas, gpa: 0, section: PhantomData }),
            readonly: false,
            file: null(),
            lent: false,
            doubtful: Cell::new(false),
        }
    }

    /// In a section.
    fn new(vas: *mut sys::vas, raw: &sys::vas_region) -> Region {
        let mut region = Region {
            gpa: raw.gpa,
            size: raw.size,
            log: RegionLog(Log { vas, gpa: raw.gpa, section: PhantomData }),
            readonly: raw.flags & sys::VAS_REGION_READONLY != 0,
            ..Region::none(vas)
        };
        let cache = &mut region.cache;
        // SAFETY: a handle, in a section of this thread's.
        unsafe { sys::vas_cache_fill(vas, cache, raw.gpa, raw.size, sys::VAS_PROT_READ) };
        if cache.gpa != raw.gpa || cache.size != raw.size {
            cache.serial = 0; // the layout has just changed: such a view is never
        }
        region
    }

    /// Is it, in the view of this section, where the window has it?
    fn is_in_window(&self, base: *mut u8, serial: u64) -> bool {
        self.cache.serial == serial && self.cache.hva == base.wrapping_add(self.gpa as usize)
    }

    /// A copy to be lent.
    #[inline(always)]
    fn lend(&self, base: *mut u8) -> Region {
        let hva = base.wrapping_add(self.gpa as usize);
        Region {
            cache: sys::vas_cache { hva, ..self.cache },
            log: RegionLog(self.log.0),
            lent: true,
            doubtful: Cell::new(false),
            ..*self
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
        if !fits(self.size, addr.0, len) {
            return null_mut();
        }
        // SAFETY: the section of the guard that this was borrowed from.
        unsafe { sys::vas_translate_within(self.vas(), &self.cache, addr.0, prot) }
    }

    /// Of what was lent: all of `buf`, in few instructions, or nothing.
    #[inline(always)]
    fn read_lent(&self, buf: &mut [u8], addr: MemoryRegionAddress) -> bool {
        if !self.lent || !fits(self.size, addr.0, buf.len()) {
            return false;
        }
        // SAFETY: so many bytes of mapped memory, in a section.
        unsafe { copy_from(buf.as_mut_ptr(), self.cache.hva.add(addr.0 as usize), buf.len()) };
        self.doubtful.set(true);
        true
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
            unsafe { copy_to(to, buf.as_ptr(), buf.len()) };
            self.log.0.mark_dirty(addr.0 as usize, buf.len());
            if self.verify() {
                return Ok(buf.len());
            }
        }
        self.write_slow(buf, addr)
    }

    #[inline(always)]
    fn read(&self, buf: &mut [u8], addr: MemoryRegionAddress) -> Result<usize> {
        if self.read_lent(buf, addr) {
            return Ok(buf.len());
        }
        let from = self.pointer(addr, buf.len(), sys::VAS_PROT_READ);
        if !from.is_null() {
            // SAFETY: so many bytes of mapped memory, in a section.
            unsafe { copy_from(buf.as_mut_ptr(), from, buf.len()) };
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
        // SAFETY: null, or of the layout that the guard holds.
        unsafe { self.file.as_ref() }
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
        Ok(unsafe { slice(pointer, count, log) })
    }
}

/// # Safety
/// `pointer` is good for `len` bytes as long as the log is borrowed.
unsafe fn slice(pointer: *mut u8, len: usize, log: Log) -> VolatileSlice<Log> {
    #[cfg(feature = "vm-memory")]
    return VolatileSlice::with_bitmap(pointer, len, log);
    #[cfg(not(feature = "vm-memory"))]
    return VolatileSlice::with_bitmap(pointer, len, log, None);
}

/// The guest memory of a section: regions as they were when it was entered.
pub struct Memory {
    regions: Box<[Region]>,
    /// For each granule of gpa, modulo their number: a region that has a part of it and is in the
    /// window at `base + gpa`; or one that has nothing.
    table: Box<[NonNull<Region>]>,
    shift: u32,
    base: *mut u8,
    vas: *mut sys::vas,
    _none: Box<Region>,
    _files: Box<[FileOffset]>,
}

impl Memory {
    fn none(vas: *mut sys::vas) -> Memory {
        Memory::new(vas, Vec::new(), Vec::new(), null_mut(), 0)
    }

    /// Of the view with this number, which has its window at `base`.
    fn new(
        vas: *mut sys::vas,
        mut regions: Vec<Region>,
        files: Vec<(usize, FileOffset)>,
        base: *mut u8,
        serial: u64,
    ) -> Memory {
        let (owners, files): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let files = files.into_boxed_slice();
        for (owner, file) in owners.into_iter().zip(files.iter()) {
            regions[owner].file = file;
        }
        let regions = regions.into_boxed_slice();
        let none = Box::new(Region::none(vas));
        let end = regions.last().map_or(0, |region| region.gpa + region.size);
        let most = (regions.len() * 4).next_power_of_two().clamp(1024, 65536);
        let mut shift = sys::VAS_PAGE_SHIFT;
        while end >> shift >= most as u64 {
            shift += 1;
        }
        let mut table = vec![NonNull::from(&*none); most];
        // SAFETY: a handle. Where a page has failed already, each access is to be asked about.
        let is_sound = unsafe { !sys::vas_page_failed(vas) };
        for region in regions.iter().filter(|region| is_sound && region.is_in_window(base, serial))
        {
            for granule in region.gpa >> shift..=(region.gpa + region.size - 1) >> shift {
                table[granule as usize] = NonNull::from(region);
            }
        }
        let table = table.into_boxed_slice();
        Memory { regions, table, shift, base, vas, _none: none, _files: files }
    }

    /// The region of the window that is most likely to have `gpa`.
    #[inline(always)]
    fn likely(&self, gpa: u64) -> &Region {
        let granule = (gpa >> self.shift) as usize & (self.table.len() - 1);
        // SAFETY: less than the length, a power of two; of what self holds.
        unsafe { self.table.get_unchecked(granule).as_ref() }
    }

    #[inline(never)]
    fn search(&self, gpa: u64) -> Option<&Region> {
        let at = self.regions.partition_point(|region| region.gpa + region.size <= gpa);
        self.regions.get(at).filter(|region| region.gpa <= gpa)
    }

    /// Was the memory there that was read in haste?
    #[inline(always)]
    fn verify(&self) -> bool {
        // SAFETY: a handle.
        unsafe { !sys::vas_page_failed(self.vas) }
    }

    /// A page has failed, here or elsewhere: was it one of these?
    fn probe(&self, gpa: u64, len: usize) -> Result<()> {
        let mut buf = [0; PORTION];
        let mut done = 0;
        while done < len {
            let (at, step) = (gpa + done as u64, min(PORTION, len - done));
            // SAFETY: the section of the guard that this was borrowed from.
            unsafe { read(self.vas, at, &mut buf[..step]) }.map_err(|error| error_at(at, error))?;
            done += step;
        }
        Ok(())
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
        if done > 0 && !self.verify() {
            self.probe(addr.0, done)?;
        }
        if done > 0 && done >= count {
            return Ok(done);
        }
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

#[cfg(feature = "vm-memory")]
impl<'a> GuestMemoryIterator<'a, Region> for Memory {
    type Iter = Iter<'a, Region>;
}

#[allow(unknown_lints, refining_impl_trait)] // the iterator's type is no secret
impl GuestMemory for Memory {
    type R = Region;
    #[cfg(feature = "vm-memory")]
    type I = Memory;

    fn num_regions(&self) -> usize {
        self.regions.len()
    }

    #[inline(always)]
    fn find_region(&self, addr: GuestAddress) -> Option<&Region> {
        let region = self.likely(addr.0);
        if addr.0.wrapping_sub(region.gpa) < region.size {
            return Some(region);
        }
        self.search(addr.0)
    }

    /// As the trait does it. Most accesses are to one region in the window: they are so few
    /// instructions that what calls the traits has them inlined, as long as nothing else does.
    #[inline(always)]
    fn try_access<F>(&self, count: usize, addr: GuestAddress, mut f: F) -> Result<usize>
    where
        F: FnMut(usize, usize, MemoryRegionAddress, &Region) -> Result<usize>,
    {
        let region = self.likely(addr.0);
        let start = addr.0.wrapping_sub(region.gpa);
        let mut done = 0;
        if fits(region.size, start, count) {
            let region = region.lend(self.base);
            match f(0, count, MemoryRegionAddress(start), &region) {
                Ok(n) if n == count && (!region.doubtful.get() || self.verify()) => return Ok(n),
                Ok(0) => return Ok(0),
                Ok(n) => done = n,
                error => return error,
            }
        }
        self.access_pieces(done, count, addr, &mut f)
    }

    fn iter(&self) -> Iter<'_, Region> {
        self.regions.iter()
    }
}

/// A layout, which all guards share until this process has a new view.
pub(crate) struct Layout {
    memory: Memory,
    /// Of the view; 0 is none's.
    serial: u64,
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
        Layout { memory: Memory::none(handle.raw()), serial: 0, _handle: handle.clone() }
    }

    /// In a section.
    fn load(handle: &Arc<Handle>) -> VasResult<Layout> {
        let (serial, base) = view_of(handle.raw());
        let mut files: Vec<(u32, Option<Arc<File>>)> = Vec::new();
        let mut file_of = |backing: u32| {
            if let Some((_, file)) = files.iter().find(|(number, _)| *number == backing) {
                return file.clone();
            }
            let file = handle.backing_fd(backing).ok().map(|fd| Arc::new(File::from(fd)));
            files.push((backing, file.clone()));
            file
        };
        let raw = handle.regions()?;
        let regions = raw.iter().map(|raw| Region::new(handle.raw(), raw)).collect();
        let files = raw
            .iter()
            .enumerate()
            .filter(|(_, raw)| raw.flags & sys::VAS_REGION_LOCAL == 0)
            .filter_map(|(i, raw)| {
                file_of(raw.backing).map(|file| (i, FileOffset::from_arc(file, raw.offset)))
            })
            .collect();
        let memory = Memory::new(handle.raw(), regions, files, base, serial);
        Ok(Layout { memory, serial, _handle: handle.clone() })
    }
}

/// The view that the calling thread's section is in, or a newer one: its serial number, and where
/// its window is.
#[inline(always)]
fn view_of(vas: *mut sys::vas) -> (u64, *mut u8) {
    // SAFETY: a handle, and in a section, so that the view stays.
    let view = unsafe { &*(*vas).head.view.load(Ordering::Acquire) };
    (view.serial, view.base)
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
        MemoryGuard { layout, vas: vas.raw(), thread: null_mut() }
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
        // What was loaded with this view is mapped until the section ends, whatever comes.
        if guard.layout.serial != view_of(vas).0 {
            self.0.layout.store(Arc::new(Layout::load(&self.0.handle)?));
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
