// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Every method of vm-memory's traits, on a vas and on vm-memory's own GuestMemoryMmap, with the
//! same layout: what a user of the traits sees must be the same. What is a vas's own is in
//! space.rs.

#![allow(deprecated)] // streams, from vm-memory 0.13 on

use std::io::Cursor;
use std::sync::atomic::Ordering;
use vas::{Options, Region, Vas};
use vm_memory::bitmap::{AtomicBitmap, Bitmap};
use vm_memory::{
    Address, ByteValued, Bytes, FileOffset, GuestAddress, GuestAddressSpace, GuestMemory,
    GuestMemoryError as Error, GuestMemoryMmap, GuestMemoryRegion, MemoryRegionAddress,
    VolatileMemory,
};

/// Two that touch, a hole, and one more.
const LAYOUT: [(u64, u64); 3] = [(0x1000, 0x3000), (0x4000, 0x2000), (0x8000, 0x2000)];
const END: u64 = 0xa000;

const fn at(gpa: u64) -> GuestAddress {
    GuestAddress(gpa)
}

const fn within(offset: u64) -> MemoryRegionAddress {
    MemoryRegionAddress(offset)
}

fn owner() -> Vas {
    let owner = Vas::create(&Options { limit: 1 << 30, ..Options::default() }).unwrap();
    for (gpa, size) in LAYOUT {
        owner.region_add(&Region::ram(gpa, size, "ram")).unwrap();
    }
    owner
}

/// What is checked, on each.
macro_rules! on_both {
    ($($name:ident)*) => { $(
        mod $name {
            #[test]
            fn on_a_vas() {
                use super::*;
                super::$name(&*owner().memory());
            }

            #[test]
            fn on_mmap() {
                use super::*;
                let ranges = LAYOUT.map(|(gpa, size)| (at(gpa), size as usize));
                super::$name(&GuestMemoryMmap::<AtomicBitmap>::from_ranges(&ranges).unwrap());
            }
        }
    )* };
}

on_both! {
    regions_are_found addresses_are_checked copies_cross_regions copies_end_at_holes
    objects_are_copied streams_are_copied atomics_are_atomic slices_show_the_memory
    accesses_are_split an_access_has_its_region a_region_is_accessed_by_offset a_region_ends_where_it_ends a_region_has_its_streams
}

fn regions_are_found<M: GuestMemory>(memory: &M) {
    assert_eq!(memory.num_regions(), 3);
    let all: Vec<_> = memory.iter().map(|r| (r.start_addr().0, r.len())).collect();
    assert_eq!(all, LAYOUT);
    for (gpa, size) in LAYOUT {
        for offset in [0, 1, size / 2, size - 1] {
            let region = memory.find_region(at(gpa + offset)).unwrap();
            assert_eq!((region.start_addr(), region.last_addr()), (at(gpa), at(gpa + size - 1)));
            let (same, address) = memory.to_region_addr(at(gpa + offset)).unwrap();
            assert_eq!((same.start_addr(), address), (at(gpa), within(offset)));
        }
    }
    for gpa in [0, 0xfff, 0x6000, 0x7fff, END, 1 << 29, 1 << 40, u64::MAX] {
        assert!(memory.find_region(at(gpa)).is_none(), "{gpa:#x}");
        assert!(memory.to_region_addr(at(gpa)).is_none());
    }
    assert_eq!(memory.last_addr(), at(END - 1));
}

fn addresses_are_checked<M: GuestMemory>(memory: &M) {
    assert!(memory.address_in_range(at(0x1000)) && !memory.address_in_range(at(0x7000)));
    assert_eq!(memory.check_address(at(0x8000)), Some(at(0x8000)));
    assert_eq!(memory.check_address(at(END)), None);
    assert!(memory.check_range(at(0x1000), 0x5000));
    assert!(!memory.check_range(at(0x1000), 0x5001));
    assert!(!memory.check_range(at(0x7000), 1));
    assert_eq!(memory.checked_offset(at(0x1000), 0x4fff), Some(at(0x5fff)));
    assert_eq!(memory.checked_offset(at(0x1000), 0x5000), None);
    assert_eq!(memory.checked_offset(at(u64::MAX), 1), None);
}

fn copies_cross_regions<M: GuestMemory>(memory: &M) {
    let bytes: Vec<u8> = (0..0x2000u32).map(|n| (n % 251) as u8).collect();
    memory.write_slice(&bytes, at(0x3000)).unwrap();
    let mut back = vec![0; 0x2000];
    memory.read_slice(&mut back, at(0x3000)).unwrap();
    assert_eq!(back, bytes);
    assert_eq!(memory.write(&bytes[..16], at(0x3ff8)).unwrap(), 16);
    assert_eq!(memory.read(&mut back[..16], at(0x3ff8)).unwrap(), 16);
    assert_eq!(back[..16], bytes[..16]);
    for len in 0..40 {
        for gpa in 0x3ff0..0x4002 {
            memory.write_slice(&bytes[..len], at(gpa)).unwrap();
            memory.read_slice(&mut back[..len], at(gpa)).unwrap();
            assert_eq!(back[..len], bytes[..len], "{len} at {gpa:#x}");
        }
    }
}

fn copies_end_at_holes<M: GuestMemory>(memory: &M) {
    let mut buf = [7; 16];
    assert_eq!(memory.write(&buf, at(0x5ff8)).unwrap(), 8);
    assert_eq!(memory.read(&mut buf, at(0x5ff8)).unwrap(), 8);
    let partial =
        |result| matches!(result, Err(Error::PartialBuffer { expected: 16, completed: 8 }));
    assert!(partial(memory.write_slice(&buf, at(0x5ff8))));
    assert!(partial(memory.read_slice(&mut buf, at(END - 8))));
    let nowhere = |result| matches!(result, Err(Error::InvalidGuestAddress(GuestAddress(0x6000))));
    assert!(nowhere(memory.write(&buf, at(0x6000)).map(drop)));
    assert!(nowhere(memory.read(&mut buf, at(0x6000)).map(drop)));
    assert!(nowhere(memory.read_slice(&mut buf, at(0x6000))));
    assert!(nowhere(memory.read_obj::<u64>(at(0x6000)).map(drop)));
    assert!(nowhere(memory.load::<u32>(at(0x6000), Ordering::Relaxed).map(drop)));
    assert!(nowhere(memory.store(0u32, at(0x6000), Ordering::Relaxed)));
    assert!(nowhere(memory.read_from(at(0x6000), &mut Cursor::new([0; 8]), 8).map(drop)));
    assert!(nowhere(memory.write_to(at(0x6000), &mut Vec::new(), 8).map(drop)));
    assert!(memory.read(&mut buf, at(u64::MAX)).is_err());
    assert_eq!(memory.read(&mut [], at(0x1000)).unwrap(), 0);
    assert_eq!(memory.write(&[], at(0x1000)).unwrap(), 0);
    assert!(memory.read(&mut [], at(0x6000)).is_err());
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
struct Object {
    a: u64,
    b: u32,
    c: u16,
    d: u8,
    e: u8,
    f: [u64; 4],
}

// SAFETY: numbers without padding.
unsafe impl ByteValued for Object {}

fn objects_are_copied<M: GuestMemory>(memory: &M) {
    let object = Object { a: !0 / 3, b: 5, c: 6, d: 7, e: 8, f: [1, 2, 3, 4] };
    for gpa in [0x1000, 0x1001, 0x3ffc, 0x9000] {
        memory.write_obj(object, at(gpa)).unwrap();
        assert_eq!(memory.read_obj::<Object>(at(gpa)).unwrap(), object);
        assert_eq!(memory.read_obj::<u64>(at(gpa)).unwrap(), object.a);
        memory.write_obj(0x1234u16, at(gpa)).unwrap();
        assert_eq!(memory.read_obj::<u16>(at(gpa)).unwrap(), 0x1234);
        assert_eq!(memory.read_obj::<u8>(at(gpa)).unwrap(), 0x34);
        memory.write_obj(0x12345678u32, at(gpa)).unwrap();
        assert_eq!(memory.read_obj::<u32>(at(gpa)).unwrap(), 0x12345678);
    }
    assert!(memory.read_obj::<u64>(at(0x5ffc)).is_err());
    assert!(memory.write_obj(0u64, at(0x5ffc)).is_err());
}

fn streams_are_copied<M: GuestMemory>(memory: &M) {
    let bytes: Vec<u8> = (0..0x5000u32).map(|n| (n % 253) as u8).collect();
    memory.read_exact_from(at(0x1000), &mut Cursor::new(&bytes), 0x5000).unwrap();
    let mut out = Vec::new();
    memory.write_all_to(at(0x1000), &mut out, 0x5000).unwrap();
    assert_eq!(out, bytes);
    assert_eq!(memory.read_from(at(0x8000), &mut Cursor::new(&bytes[..100]), 0x1000).unwrap(), 100);
    out.clear();
    assert_eq!(memory.write_to(at(0x5000), &mut out, 0x2000).unwrap(), 0x1000);
    assert_eq!(out, bytes[0x4000..]);
    let short = memory.read_exact_from(at(0x8000), &mut Cursor::new(&bytes[..100]), 0x1000);
    assert!(matches!(short, Err(Error::PartialBuffer { expected: 0x1000, completed: 100 })));
    let short = memory.write_all_to(at(0x5000), &mut out, 0x2000);
    assert!(matches!(short, Err(Error::PartialBuffer { expected: 0x2000, completed: 0x1000 })));
}

fn atomics_are_atomic<M: GuestMemory>(memory: &M) {
    memory.store(0x1122334455667788u64, at(0x2000), Ordering::Release).unwrap();
    assert_eq!(memory.load::<u64>(at(0x2000), Ordering::Acquire).unwrap(), 0x1122334455667788);
    memory.store(9u8, at(0x2001), Ordering::Relaxed).unwrap();
    memory.store(9i16, at(0x2002), Ordering::SeqCst).unwrap();
    memory.store(9u32, at(0x2004), Ordering::SeqCst).unwrap();
    assert_eq!(memory.load::<u64>(at(0x2000), Ordering::SeqCst).unwrap(), 0x900090988);
    for gpa in [0x2001, 0x2002, 0x2004] {
        assert!(memory.load::<u64>(at(gpa), Ordering::Relaxed).is_err(), "{gpa:#x}");
        assert!(memory.store(0u64, at(gpa), Ordering::Relaxed).is_err());
    }
}

fn slices_show_the_memory<M: GuestMemory>(memory: &M) {
    let slice = memory.get_slice(at(0x2000), 0x100).unwrap();
    slice.write_obj(0xabcdefu32, 0x10).unwrap();
    assert_eq!(memory.read_obj::<u32>(at(0x2010)).unwrap(), 0xabcdef);
    memory.write_obj(5u64, at(0x2020)).unwrap();
    assert_eq!(slice.get_ref::<u64>(0x20).unwrap().load(), 5);
    slice.get_array_ref::<u16>(0x40, 4).unwrap().copy_from(&[1, 2, 3, 4]);
    assert_eq!(memory.read_obj::<u64>(at(0x2040)).unwrap(), 0x4000300020001);
    let sub = slice.subslice(0x40, 4).unwrap();
    sub.store(0xffffu16, 2, Ordering::Relaxed).unwrap();
    assert_eq!(memory.read_obj::<u32>(at(0x2040)).unwrap(), 0xffff0001);
    assert_eq!(slice.len(), 0x100);
    assert_eq!(memory.get_slice(at(0x2000), 0).unwrap().len(), 0);
    assert!(memory.get_slice(at(0x3ff8), 16).is_err());
    assert!(memory.get_slice(at(0x6000), 1).is_err());
    let region = memory.find_region(at(0x8000)).unwrap();
    assert_eq!(region.as_volatile_slice().unwrap().len(), 0x2000);
    let hva = memory.get_host_address(at(0x2010)).unwrap();
    // SAFETY: mapped, and nobody else writes.
    assert_eq!(unsafe { hva.cast::<u32>().read_volatile() }, 0xabcdef);
    assert_eq!(
        region.get_host_address(within(8)).unwrap(),
        memory.get_host_address(at(0x8008)).unwrap()
    );
    assert!(memory.get_host_address(at(0x7000)).is_err());
    assert!(region.get_host_address(within(0x2000)).is_err());
}

fn accesses_are_split<M: GuestMemory>(memory: &M) {
    let mut calls = Vec::new();
    let done = memory.try_access(0x6000, at(0x2000), |offset, len, address, region| {
        calls.push((offset, len, address.0, region.start_addr().0));
        Ok(len)
    });
    assert_eq!(done.unwrap(), 0x4000);
    assert_eq!(calls, [(0, 0x2000, 0x1000, 0x1000), (0x2000, 0x2000, 0, 0x4000)]);

    calls.clear();
    let done = memory.try_access(0x30, at(0x2000), |offset, len, address, _| {
        calls.push((offset, len, address.0, 0));
        Ok(0x10)
    });
    assert_eq!(done.unwrap(), 0x30);
    assert_eq!(calls, [(0, 0x30, 0x1000, 0), (0x10, 0x20, 0x1010, 0), (0x20, 0x10, 0x1020, 0)]);

    let mut left = 1;
    let done = memory.try_access(0x30, at(0x2000), |_, _, _, _| {
        left -= 1;
        Ok(if left < 0 { 0 } else { 0x10 })
    });
    assert_eq!(done.unwrap(), 0x10);
    let failed =
        memory.try_access(0x30, at(0x2000), |_, _, _, _| Err(Error::HostAddressNotAvailable));
    assert!(matches!(failed, Err(Error::HostAddressNotAvailable)));
    let nowhere = memory.try_access(1, at(0x7000), |_, len, _, _| Ok(len));
    assert!(matches!(nowhere, Err(Error::InvalidGuestAddress(GuestAddress(0x7000)))));
}

fn an_access_has_its_region<M: GuestMemory>(memory: &M) {
    memory.write_slice(b"hello", at(0x4010)).unwrap();
    let done = memory.try_access(5, at(0x4010), |_, len, address, region| {
        assert_eq!((region.start_addr(), region.len()), (at(0x4000), 0x2000));
        let same = memory.find_region(at(0x4000)).unwrap();
        assert_eq!(region.file_offset().is_some(), same.file_offset().is_some());
        let mut text = [0; 5];
        region.read_slice(&mut text, address)?;
        assert_eq!(&text, b"hello");
        // Not only what was asked for.
        assert_eq!(region.read_obj::<u64>(within(0x1ff8))?, 0);
        assert_eq!(region.read(&mut [0; 16], within(0x1ff8))?, 8);
        assert_eq!(region.read(&mut [], within(0x2000))?, 0);
        assert!(region.read_obj::<u64>(within(0x2000)).is_err());
        assert!(region.read_obj::<u64>(within(u64::MAX)).is_err());
        region.write_slice(b"HE", address)?;
        region.store(b'L', within(0x12), Ordering::Relaxed)?;
        assert_eq!(region.load::<u16>(address, Ordering::Relaxed)?, u16::from_le_bytes(*b"HE"));
        assert_eq!(region.get_slice(address, len)?.len(), 5);
        Ok(len)
    });
    assert_eq!(done.unwrap(), 5);
    let mut text = [0; 5];
    memory.read_slice(&mut text, at(0x4010)).unwrap();
    assert_eq!(&text, b"HELlo");
}

fn a_region_is_accessed_by_offset<M: GuestMemory>(memory: &M) {
    let region = memory.find_region(at(0x4000)).unwrap();
    assert_eq!(
        (region.len(), region.start_addr(), region.last_addr()),
        (0x2000, at(0x4000), at(0x5fff))
    );
    region.write_slice(b"hello", within(0x10)).unwrap();
    let mut text = [0; 5];
    region.read_slice(&mut text, within(0x10)).unwrap();
    assert_eq!(&text, b"hello");
    memory.read_slice(&mut text, at(0x4010)).unwrap();
    assert_eq!(&text, b"hello");
    region.write_obj(1u64, within(0x20)).unwrap();
    assert_eq!(region.read_obj::<u64>(within(0x20)).unwrap(), 1);
    region.store(2u32, within(0x20), Ordering::Release).unwrap();
    assert_eq!(region.load::<u32>(within(0x20), Ordering::Acquire).unwrap(), 2);
    assert_eq!(region.check_address(within(0x1fff)), Some(within(0x1fff)));
    assert_eq!(region.check_address(within(0x2000)), None);
    assert!(region.address_in_range(within(0)) && !region.address_in_range(within(0x2000)));
    assert_eq!(region.checked_offset(within(0x1000), 0xfff), Some(within(0x1fff)));
    assert_eq!(region.checked_offset(within(0x1000), 0x1000), None);
    assert_eq!(region.to_region_addr(at(0x5000)), Some(within(0x1000)));
    assert_eq!(region.to_region_addr(at(0x8000)), None);
    assert_eq!(region.get_slice(within(0x10), 5).unwrap().len(), 5);
    assert!(matches!(region.get_slice(within(0x1fff), 2), Err(Error::InvalidBackendAddress)));
}

fn a_region_ends_where_it_ends<M: GuestMemory>(memory: &M) {
    let region = memory.find_region(at(0x4000)).unwrap();
    let mut buf = [1; 16];
    assert_eq!(region.write(&buf, within(0x1ff8)).unwrap(), 8);
    assert_eq!(region.read(&mut buf, within(0x1ff8)).unwrap(), 8);
    let partial =
        |result| matches!(result, Err(Error::PartialBuffer { expected: 16, completed: 8 }));
    assert!(partial(region.write_slice(&buf, within(0x1ff8))));
    assert!(partial(region.read_slice(&mut buf, within(0x1ff8))));
    let outside = |result| matches!(result, Err(Error::InvalidBackendAddress));
    for offset in [0x2000, u64::MAX] {
        assert!(outside(region.write(&buf, within(offset)).map(drop)));
        assert!(outside(region.read(&mut buf, within(offset)).map(drop)));
        assert!(outside(region.load::<u8>(within(offset), Ordering::Relaxed).map(drop)));
        assert!(outside(region.store(0u8, within(offset), Ordering::Relaxed)));
        assert_eq!(region.read(&mut [], within(offset)).unwrap(), 0);
        assert_eq!(region.write(&[], within(offset)).unwrap(), 0);
    }
    assert!(outside(region.load::<u64>(within(0x1ffc), Ordering::Relaxed).map(drop)));
    assert!(outside(region.load::<u64>(within(4), Ordering::Relaxed).map(drop)));
}

fn a_region_has_its_streams<M: GuestMemory>(memory: &M) {
    let region = memory.find_region(at(0x1000)).unwrap();
    let bytes: Vec<u8> = (0..0x3000u32).map(|n| (n % 241) as u8).collect();
    region.read_exact_from(within(0), &mut Cursor::new(&bytes), 0x3000).unwrap();
    let mut out = Vec::new();
    region.write_all_to(within(0), &mut out, 0x3000).unwrap();
    assert_eq!(out, bytes);
    assert_eq!(region.read_from(within(1), &mut Cursor::new([5; 9]), 100).unwrap(), 9);
    out.clear();
    assert_eq!(region.write_to(within(0), &mut out, 11).unwrap(), 11);
    assert_eq!(out, [0, 5, 5, 5, 5, 5, 5, 5, 5, 5, 10]);
    let short = region.read_exact_from(within(0), &mut Cursor::new([0; 9]), 10);
    assert!(matches!(short, Err(Error::IOError(_))));
    let full = region.write_all_to(within(0), &mut Cursor::new(&mut [0u8; 9][..]), 10);
    assert!(matches!(full, Err(Error::IOError(_))));
    let outside = |result| matches!(result, Err(Error::InvalidBackendAddress));
    assert!(outside(region.read_from(within(0x2fff), &mut Cursor::new([0; 9]), 2).map(drop)));
    assert!(outside(region.read_exact_from(within(u64::MAX), &mut Cursor::new([0; 9]), 2)));
    assert!(outside(region.write_to(within(0x2fff), &mut out, 2).map(drop)));
    assert!(outside(region.write_all_to(within(0x3000), &mut out, 1)));
}

/// Dirty bitmaps: a tracker's log, and an AtomicBitmap a region.
fn marks<M: GuestMemory>(memory: &M) {
    let dirty = |gpa| {
        let (region, address) = memory.to_region_addr(at(gpa)).unwrap();
        region.bitmap().dirty_at(address.raw_value() as usize)
    };
    let pages = || (1..10).filter(|page| !(6..8).contains(page)).filter(|page| dirty(page << 12));
    assert_eq!(pages().count(), 0);
    memory.write_obj(1u64, at(0x1ff8)).unwrap();
    memory.store(1u32, at(0x8000), Ordering::Relaxed).unwrap();
    memory.read_exact_from(at(0x3fff), &mut Cursor::new([0; 2]), 2).unwrap();
    assert_eq!(pages().collect::<Vec<_>>(), [1, 3, 4, 8]);
    memory.read_obj::<u64>(at(0x9000)).unwrap();
    memory.get_slice(at(0x9000), 8).unwrap();
    assert!(!dirty(0x9000));
    let slice = memory.get_slice(at(0x8ff0), 0x20).unwrap();
    slice.bitmap().mark_dirty(0x10, 1);
    assert!(dirty(0x9000) && slice.bitmap().dirty_at(0x10));
    let slice = memory.get_slice(at(0x2000), 0x20).unwrap();
    assert!(!slice.bitmap().dirty_at(0));
    slice.offset(0x10).unwrap().write_obj(1u8, 0).unwrap();
    assert!(dirty(0x2000) && slice.bitmap().slice_at(8).dirty_at(0));
    let region = memory.find_region(at(0x4000)).unwrap();
    region.bitmap().slice_at(0x1000).mark_dirty(0, 0x1000);
    assert!(dirty(0x5000));
}

#[test]
fn writes_are_marked_on_mmap() {
    let ranges = LAYOUT.map(|(gpa, size)| (at(gpa), size as usize));
    marks(&GuestMemoryMmap::<AtomicBitmap>::from_ranges(&ranges).unwrap());
}

#[test]
fn writes_are_marked_on_a_vas() {
    let owner = owner();
    let _tracker = owner.tracker("test", false).unwrap();
    marks(&*owner.memory());
}

#[test]
fn a_region_tells_its_file() {
    let owner = owner();
    let memory = owner.memory();
    let region = memory.find_region(at(0x4000)).unwrap();
    let file: &FileOffset = region.file_offset().unwrap();
    assert_eq!(file.start(), 0x4000);
    memory.write_slice(b"in the file", at(0x4010)).unwrap();
    let mut text = [0; 11];
    std::os::unix::fs::FileExt::read_exact_at(file.file(), &mut text, file.start() + 0x10).unwrap();
    assert_eq!(&text, b"in the file");
    // SAFETY: nothing is read by it.
    assert!(unsafe { region.as_slice() }.is_none() && unsafe { region.as_mut_slice() }.is_none());
    assert_eq!(region.is_hugetlbfs(), None);
}
