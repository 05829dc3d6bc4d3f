// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What is a vas's own behind vm-memory's traits: layouts that change, ROM, freezes, observers.

use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use vas::{sys, Options, Region, Vas};
use vm_memory::{
    Bytes, GuestAddress, GuestAddressSpace, GuestMemory, GuestMemoryError, GuestMemoryRegion,
};

const MIB: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(60);

fn owner() -> Vas {
    let owner = Vas::create(&Options { limit: 1 << 30, ..Options::default() }).unwrap();
    owner.region_add(&Region::ram(0, MIB, "ram")).unwrap();
    owner
}

fn at(gpa: u64) -> GuestAddress {
    GuestAddress(gpa)
}

/// As in a device of rust-vmm's: nothing of it knows what the memory is.
fn reads<M: GuestAddressSpace>(memory: &M, gpa: u64) -> Option<u64> {
    memory.memory().read_obj(at(gpa)).ok()
}

#[test]
fn the_next_guard_has_the_new_layout() {
    let owner = owner();
    let peer = Vas::bind(&owner, 0).unwrap();
    assert_eq!((reads(&peer, 0), reads(&peer, 8 * MIB)), (Some(0), None));
    let id = owner.region_add(&Region::ram(8 * MIB, MIB, "more")).unwrap();
    assert_eq!(reads(&peer, 8 * MIB), Some(0));
    assert_eq!(peer.memory().num_regions(), 2);
    owner.write(8 * MIB, &[1; 8]).unwrap();
    owner.region_remove(id).unwrap();
    assert_eq!(reads(&peer, 8 * MIB), None);
    assert_eq!(peer.memory().num_regions(), 1);
}

#[test]
fn a_change_waits_for_a_guard_and_its_clones() {
    let owner = owner();
    let id = owner.region_add(&Region::ram(8 * MIB, MIB, "more")).unwrap();
    let peer = Vas::bind(&owner, 0).unwrap();
    let (inside, wait_inside) = channel();
    let (leave, wait_leave) = channel::<()>();
    let thread = thread::spawn(move || {
        let first = peer.memory();
        let guard = first.clone();
        drop(first);
        let slice = guard.get_slice(at(8 * MIB), 8).unwrap();
        inside.send(()).unwrap();
        wait_leave.recv().unwrap();
        slice.write_obj(5u64, 0).unwrap();
        assert_eq!(guard.read_obj::<u64>(at(8 * MIB)).unwrap(), 5);
    });
    wait_inside.recv().unwrap();
    let mut change = owner.change().unwrap();
    change.remove(id).unwrap();
    assert!(change.commit(Duration::from_millis(10)).unwrap_err().blocker.is_some());
    leave.send(()).unwrap();
    thread.join().unwrap();
    owner.region_remove(id).unwrap();
}

/// What a guard has stays, though others of its process have seen a newer layout.
#[test]
fn a_guard_reads_while_there_is_a_newer_view() {
    let owner = owner();
    let id = owner.region_add(&Region::ram(8 * MIB, MIB, "goes")).unwrap();
    owner.write(8 * MIB, &[1; 8]).unwrap();
    let peer = Vas::bind(&owner, 0).unwrap();
    let memory = peer.memory();
    assert_eq!(memory.read_obj::<u64>(at(8 * MIB)).unwrap(), 0x0101010101010101);
    owner.region_add(&Region::ram(16 * MIB, MIB, "more")).unwrap();
    let mut change = owner.change().unwrap();
    change.remove(id).unwrap();
    assert!(change.commit(Duration::from_millis(10)).is_err());
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(reads(&peer, 16 * MIB), Some(0))).join().unwrap();
    });
    assert_eq!(memory.num_regions(), 2);
    assert_eq!(memory.read_obj::<u64>(at(8 * MIB)).unwrap(), 0x0101010101010101);
    memory.write_obj(2u64, at(8 * MIB)).unwrap();
    assert_eq!(memory.read_obj::<u64>(at(8 * MIB)).unwrap(), 2);
    drop(memory);
    assert_eq!(peer.memory().num_regions(), 3);
}

#[test]
fn a_guard_outlives_the_handle_that_gave_it() {
    let owner = owner();
    owner.write(0, &[1; 8]).unwrap();
    let guard = Vas::bind(&owner, 0).unwrap().memory();
    assert_eq!(guard.read_obj::<u64>(at(0)).unwrap(), 0x0101010101010101);
    assert_eq!(owner.info().unwrap().nr_binders, 2);
    drop(guard);
    assert_eq!(owner.info().unwrap().nr_binders, 1);
}

#[test]
fn rom_is_read_and_not_written() {
    let owner = owner();
    let rom = Region { flags: sys::VAS_REGION_READONLY, ..Region::ram(8 * MIB, MIB, "rom") };
    owner.region_add(&rom).unwrap();
    let memory = owner.memory();
    let region = memory.find_region(at(8 * MIB)).unwrap();
    assert!(region.is_readonly() && !memory.find_region(at(0)).unwrap().is_readonly());
    assert_eq!(memory.read_obj::<u64>(at(8 * MIB)).unwrap(), 0);
    assert_eq!(memory.load::<u64>(at(8 * MIB), Ordering::Acquire).unwrap(), 0);
    let refused = |result| match result {
        Err(GuestMemoryError::IOError(error)) => {
            error.kind() == std::io::ErrorKind::PermissionDenied
        }
        _ => false,
    };
    assert!(refused(memory.write_obj(1u64, at(8 * MIB))));
    assert!(refused(memory.store(1u64, at(8 * MIB), Ordering::Release)));
    assert!(refused(memory.get_slice(at(8 * MIB), 8).map(drop)));
    assert!(region.get_host_address(vm_memory::MemoryRegionAddress(0)).is_ok());
}

#[test]
fn a_frozen_vas_is_not_written() {
    let owner = owner();
    let peer = Vas::bind(&owner, 0).unwrap();
    assert_eq!(reads(&peer, 0), Some(0));
    let frozen = owner.freeze(SECOND).unwrap();
    let memory = peer.memory();
    let refused = |result| match result {
        Err(GuestMemoryError::IOError(error)) => error.kind() == std::io::ErrorKind::WouldBlock,
        _ => false,
    };
    assert!(refused(memory.write_obj(1u64, at(0))));
    assert!(refused(memory.store(1u64, at(0), Ordering::Release)));
    assert!(refused(memory.get_slice(at(0), 8).map(drop)));
    assert_eq!(memory.read_obj::<u64>(at(0)).unwrap(), 0);
    drop(memory);
    drop(frozen);
    peer.memory().write_obj(1u64, at(0)).unwrap();
}

#[test]
fn an_observer_reads() {
    let owner = owner();
    let observer = Vas::observe(&owner).unwrap();
    owner.write(0x1000, &[2; 8]).unwrap();
    let memory = observer.memory();
    assert_eq!(memory.read_obj::<u64>(at(0x1000)).unwrap(), 0x0202020202020202);
    assert_eq!(memory.load::<u16>(at(0x1000), Ordering::Acquire).unwrap(), 0x0202);
    assert!(memory.write_obj(1u8, at(0)).is_err());
    assert!(memory.store(1u8, at(0), Ordering::Release).is_err());
    assert!(memory.get_slice(at(0), 1).is_err());
}

#[test]
fn a_handle_without_a_window_does_the_same() {
    let owner = owner();
    owner.region_add(&Region::ram(MIB, MIB, "next")).unwrap();
    let peer = Vas::bind(&owner, sys::VAS_BIND_NO_WINDOW).unwrap();
    let memory = peer.memory();
    memory.write_slice(&[3; 0x2000], at(MIB - 0x1000)).unwrap();
    assert_eq!(memory.read_obj::<u64>(at(MIB - 4)).unwrap(), 0x0303030303030303);
    assert_eq!(memory.get_slice(at(MIB), MIB as usize).unwrap().len(), MIB as usize);
}

#[test]
fn a_page_that_failed_is_an_error() {
    let file = tempfile();
    file.set_len(2 * 4096).unwrap();
    let owner = owner();
    let backing = owner.backing_add(&file).unwrap();
    let region = Region { offset: 0, backing, ..Region::ram(8 * MIB, 2 * 4096, "file") };
    owner.region_add(&region).unwrap();
    file.set_len(4096).unwrap();
    let memory = owner.memory();
    assert_eq!(memory.read_obj::<u64>(at(8 * MIB)).unwrap(), 0);
    assert!(memory.read_obj::<u64>(at(8 * MIB + 4096)).is_err());
    assert!(memory.load::<u64>(at(8 * MIB + 4096), Ordering::Acquire).is_err());
    assert!(memory.store(1u64, at(8 * MIB + 4096), Ordering::Release).is_err());
    assert!(memory.write_obj(1u64, at(8 * MIB + 4096)).is_err());
    memory.write_obj(1u64, at(8 * MIB)).unwrap();
    assert_eq!(memory.read_obj::<u64>(at(8 * MIB)).unwrap(), 1);
    // Who does not touch the page does not hear of it, before and after the next guard.
    assert!(memory.check_range(at(8 * MIB), 2 * 4096));
    assert!(memory.read_slice(&mut [0; 8192], at(8 * MIB)).is_err());
    drop(memory);
    let memory = owner.memory();
    assert!(memory.check_range(at(8 * MIB), 2 * 4096));
    assert_eq!(memory.read_obj::<u64>(at(8 * MIB)).unwrap(), 1);
    assert!(memory.read_obj::<u64>(at(8 * MIB + 4096)).is_err());
}

fn tempfile() -> std::fs::File {
    let path = std::env::temp_dir().join(format!("vas-rust-{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// Granules of the table that finds regions: many in one, one over many, none, far apart. An emulator's
/// maps cost by their size: it has all of it smaller.
#[test]
fn regions_are_found_in_any_layout() {
    let mut seed = 0x2545f4914f6cdd1du64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let bits = if std::env::var_os("TEST_EMULATED").is_some() { 12 } else { 22 };
    for _ in 0..30 {
        let options = Options { limit: 1 << (bits + 18), ..Options::default() };
        let owner = Vas::create(&options).unwrap();
        let mut change = owner.change().unwrap();
        let mut gpa = 0;
        for _ in 0..random(300) {
            let most = 1 << random(bits);
            gpa += random(2) * (random(most) + 1) * 4096;
            let size = (random(most) + 1) * 4096;
            change.add(&Region::ram(gpa, size, "")).unwrap();
            gpa += size;
        }
        change.commit(SECOND).unwrap();
        let memory = owner.memory();
        let regions = owner.regions().unwrap();
        assert_eq!(memory.num_regions(), regions.len());
        for region in &regions {
            let (first, end) = (region.gpa, region.gpa + region.size);
            for gpa in [first.wrapping_sub(1), first, first + region.size / 2, end - 1, end] {
                let expected = regions.iter().find(|r| r.gpa <= gpa && gpa - r.gpa < r.size);
                let found = memory.find_region(at(gpa)).map(|r| r.start_addr().0);
                assert_eq!(found, expected.map(|r| r.gpa), "{gpa:#x}");
            }
        }
    }
}

#[test]
fn devices_of_many_threads_follow_a_layout_that_changes() {
    let owner = owner();
    let (done, stop) = (&std::sync::atomic::AtomicBool::new(false), Ordering::Relaxed);
    thread::scope(|scope| {
        for number in 0..4u64 {
            let peer = Vas::bind(&owner, 0).unwrap();
            scope.spawn(move || {
                while !done.load(stop) {
                    let memory = peer.memory();
                    let count: u64 = memory.read_obj(at(number * 8)).unwrap();
                    memory.write_obj(count + 1, at(number * 8)).unwrap();
                    // Either there, or not there.
                    let _ = memory.write_obj(count, at(8 * MIB));
                }
                assert!(peer.memory().read_obj::<u64>(at(number * 8)).unwrap() > 0);
            });
        }
        for _ in 0..200 {
            let id = owner.region_add(&Region::ram(8 * MIB, MIB, "comes")).unwrap();
            owner.region_remove(id).unwrap();
        }
        for number in 0..4u64 {
            while owner.memory().read_obj::<u64>(at(number * 8)).unwrap() == 0 {
                thread::yield_now();
            }
        }
        done.store(true, stop);
    });
}

/// Those beyond a number have no thread of theirs at hand.
#[test]
fn any_number_of_handles_is_used_by_a_thread() {
    let owner = owner();
    let peers: Vec<_> = (0..40).map(|_| Vas::bind(&owner, 0).unwrap()).collect();
    let guards: Vec<_> = peers.iter().map(Vas::memory).collect();
    for (number, memory) in guards.iter().enumerate() {
        memory.write_obj(number as u64, at(number as u64 * 8)).unwrap();
        assert_eq!(memory.clone().read_obj::<u64>(at(number as u64 * 8)).unwrap(), number as u64);
    }
    let id = owner.regions().unwrap()[0].id;
    assert!(owner.region_remove(id).unwrap_err().blocker.is_some());
    drop(guards);
    owner.region_remove(id).unwrap();
}

#[test]
fn no_slot_for_a_thread_is_memory_without_regions() {
    let options = Options { limit: MIB, nr_slots: 64, ..Options::default() };
    let owner = Vas::create(&options).unwrap();
    owner.region_add(&Region::ram(0, MIB, "ram")).unwrap();
    let (inside, wait_inside) = channel();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..80 {
            let (leave, wait_leave) = channel::<()>();
            let (inside, owner) = (inside.clone(), &owner);
            let thread = scope.spawn(move || {
                let error = owner.try_memory().err();
                let reads = owner.memory().read_obj::<u8>(at(0)).is_ok();
                inside.send(()).unwrap();
                let _ = wait_leave.recv();
                assert_eq!(error.is_none(), reads);
                error
            });
            threads.push((leave, thread));
        }
        threads.iter().for_each(|_| wait_inside.recv().unwrap());
        let errors: Vec<_> = threads
            .into_iter()
            .filter_map(|(leave, thread)| {
                drop(leave);
                thread.join().unwrap()
            })
            .collect();
        assert!(!errors.is_empty() && errors.iter().all(|error| error.errno() == 11));
        assert!(errors[0].to_string().contains("slots"), "{}", errors[0]);
    });
}
