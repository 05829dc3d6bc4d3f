// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The bench's loops over rust-vmm's vm-memory, and over a vas by its traits, behind a C interface;
//! ../../peer.h says what each does.

use std::os::unix::io::BorrowedFd;
use std::slice;
use vas::Vas;
use vm_memory::bitmap::{AtomicBitmap, Bitmap};
use vm_memory::{
    Bytes, GuestAddress, GuestAddressSpace, GuestMemory, GuestMemoryMmap, GuestRegionMmap,
    MmapRegion,
};

type Memory = GuestMemoryMmap<()>;

const REFUSED: u64 = u64::MAX;

#[repr(C)]
pub struct Region {
    gpa: u64,
    size: u64,
}

#[repr(C)]
pub struct Gpas {
    gpas: *const u64,
    mask: u64,
    start: u64,
}

#[repr(C)]
pub struct Copy {
    at: Gpas,
    buf: *mut u8,
    len: usize,
}

/// Every region is mapped already, at `flat + gpa`; the crate is handed the pointers.
unsafe fn build(flat: *mut u8, regions: &[Region]) -> Option<Memory> {
    let mut list = Vec::with_capacity(regions.len());
    for r in regions {
        let mapping = MmapRegion::build_raw(
            flat.add(r.gpa as usize),
            r.size as usize,
            libc_prot::READ_WRITE,
            libc_prot::SHARED,
        );
        list.push(GuestRegionMmap::new(mapping.ok()?, GuestAddress(r.gpa)).ok()?);
    }
    Memory::from_regions(list).ok()
}

/// Two values of `<sys/mman.h>`, so that the libc crate need not be named for them.
mod libc_prot {
    pub const READ_WRITE: i32 = 3;
    pub const SHARED: i32 = 1;
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_open(
    flat: *mut u8,
    regions: *const Region,
    nr: usize,
) -> *mut Memory {
    match build(flat, slice::from_raw_parts(regions, nr)) {
        Some(memory) => Box::into_raw(Box::new(memory)),
        None => std::ptr::null_mut(),
    }
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_close(memory: *mut Memory) {
    drop(Box::from_raw(memory));
}

#[inline(always)]
fn load_slice(memory: &Memory, gpa: u64) -> Option<u64> {
    let slice = memory.get_slice(GuestAddress(gpa), 8).ok()?;
    // SAFETY: the slice is 8 bytes of mapped memory, and the bench aligns its words.
    Some(unsafe { (slice.as_ptr() as *const u64).read_volatile() })
}

#[inline(always)]
fn load_obj<M: GuestMemory>(memory: &M, gpa: u64) -> Option<u64> {
    memory.read_obj(GuestAddress(gpa)).ok()
}

#[inline(always)]
fn chase(mut load: impl FnMut(u64) -> Option<u64>, mut gpa: u64, nr: u64) -> u64 {
    for _ in 0..nr {
        match load(gpa) {
            Some(next) => gpa = next,
            None => return REFUSED,
        }
    }
    gpa
}

#[inline(always)]
unsafe fn gather(mut load: impl FnMut(u64) -> Option<u64>, at: &Gpas, nr: u64) -> u64 {
    let (gpas, mask) = (at.gpas, at.mask);
    let mut sum = 0u64;
    for i in at.start..at.start + nr {
        match load(*gpas.add((i & mask) as usize)) {
            Some(word) => sum = sum.wrapping_add(word),
            None => return REFUSED,
        }
    }
    sum
}

#[inline(always)]
unsafe fn read<M: GuestMemory>(memory: &M, copy: &Copy, nr: u64) -> u64 {
    let buf = slice::from_raw_parts_mut(copy.buf, copy.len);
    let (gpas, mask) = (copy.at.gpas, copy.at.mask);
    for i in copy.at.start..copy.at.start + nr {
        let gpa = *gpas.add((i & mask) as usize);
        if memory.read_slice(buf, GuestAddress(gpa)).is_err() {
            return REFUSED;
        }
    }
    0
}

#[inline(always)]
unsafe fn write<M: GuestMemory>(memory: &M, copy: &Copy, nr: u64) -> u64 {
    let buf = slice::from_raw_parts(copy.buf, copy.len);
    let (gpas, mask) = (copy.at.gpas, copy.at.mask);
    for i in copy.at.start..copy.at.start + nr {
        let gpa = *gpas.add((i & mask) as usize);
        if memory.write_slice(buf, GuestAddress(gpa)).is_err() {
            return REFUSED;
        }
    }
    0
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_chase(memory: &Memory, gpa: u64, nr: u64) -> u64 {
    chase(|gpa| load_slice(memory, gpa), gpa, nr)
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_gather(memory: &Memory, at: &Gpas, nr: u64) -> u64 {
    gather(|gpa| load_slice(memory, gpa), at, nr)
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_read(memory: &Memory, copy: &Copy, nr: u64) -> u64 {
    read(memory, copy, nr)
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_write(memory: &Memory, copy: &Copy, nr: u64) -> u64 {
    write(memory, copy, nr)
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_obj_chase(memory: &Memory, gpa: u64, nr: u64) -> u64 {
    chase(|gpa| load_obj(memory, gpa), gpa, nr)
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_obj_gather(memory: &Memory, at: &Gpas, nr: u64) -> u64 {
    gather(|gpa| load_obj(memory, gpa), at, nr)
}

/// A vas, by the same traits: a guard for each run.
#[no_mangle]
pub unsafe extern "C" fn vas_rust_open(fd: i32) -> *mut Vas {
    match Vas::bind(BorrowedFd::borrow_raw(fd), 0) {
        Ok(vas) => Box::into_raw(Box::new(vas)),
        Err(_) => std::ptr::null_mut(),
    }
}

#[no_mangle]
pub unsafe extern "C" fn vas_rust_close(vas: *mut Vas) {
    drop(Box::from_raw(vas));
}

#[no_mangle]
pub unsafe extern "C" fn vas_rust_chase(vas: &Vas, gpa: u64, nr: u64) -> u64 {
    let memory = vas.memory();
    chase(|gpa| load_obj(&*memory, gpa), gpa, nr)
}

#[no_mangle]
pub unsafe extern "C" fn vas_rust_gather(vas: &Vas, at: &Gpas, nr: u64) -> u64 {
    let memory = vas.memory();
    gather(|gpa| load_obj(&*memory, gpa), at, nr)
}

#[no_mangle]
pub unsafe extern "C" fn vas_rust_read(vas: &Vas, copy: &Copy, nr: u64) -> u64 {
    read(&*vas.memory(), copy, nr)
}

#[no_mangle]
pub unsafe extern "C" fn vas_rust_write(vas: &Vas, copy: &Copy, nr: u64) -> u64 {
    write(&*vas.memory(), copy, nr)
}

/// The same with a guard for each access.
#[no_mangle]
pub unsafe extern "C" fn vas_rust_each_chase(vas: &Vas, gpa: u64, nr: u64) -> u64 {
    chase(|gpa| load_obj(&*vas.memory(), gpa), gpa, nr)
}

#[no_mangle]
pub unsafe extern "C" fn vas_rust_each_gather(vas: &Vas, at: &Gpas, nr: u64) -> u64 {
    gather(|gpa| load_obj(&*vas.memory(), gpa), at, nr)
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_bitmap_open(bytes: usize) -> *mut AtomicBitmap {
    Box::into_raw(Box::new(AtomicBitmap::new(bytes, 4096)))
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_bitmap_close(bitmap: *mut AtomicBitmap) {
    drop(Box::from_raw(bitmap));
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_bitmap_mark(bitmap: &AtomicBitmap, at: &Gpas, nr: u64) -> u64 {
    let (gpas, mask) = (at.gpas, at.mask);
    for i in 0..nr {
        bitmap.mark_dirty(*gpas.add((i & mask) as usize) as usize, 8);
    }
    0
}

#[no_mangle]
pub unsafe extern "C" fn vm_memory_bitmap_reset(bitmap: &AtomicBitmap) {
    bitmap.reset();
}
