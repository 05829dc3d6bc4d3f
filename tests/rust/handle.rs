// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The safe functions beside vm-memory's.

use std::os::unix::io::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use vas::*;

const MIB: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(60);
const EFAULT: i32 = 14;
const EACCES: i32 = 13;
const EAGAIN: i32 = 11;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const EPERM: i32 = 1;

fn owner() -> Vas {
    let options = Options { limit: 1 << 30, name: "rust".into(), ..Options::default() };
    let owner = Vas::create(&options).unwrap();
    owner.region_add(&Region::ram(0, 16 * MIB, "ram")).unwrap();
    owner
}

#[test]
fn what_is_written_is_read_by_a_binder() {
    let owner = owner();
    let peer = Vas::bind(&owner, 0).unwrap();
    owner.write(0x1000, b"hello").unwrap();
    let mut text = [0; 5];
    peer.read(0x1000, &mut text).unwrap();
    assert_eq!(&text, b"hello");
    peer.poke(0x2000, b"poked").unwrap();
    owner.peek(0x2000, &mut text).unwrap();
    assert_eq!(&text, b"poked");
    peer.fill(0x3000, 7, 3).unwrap();
    owner.read(0x2fff, &mut text).unwrap();
    assert_eq!(text, [0, 7, 7, 7, 0]);
}

#[test]
fn info_says_who_one_is() {
    let owner = owner();
    let info = owner.info().unwrap();
    assert_eq!((info.name.as_str(), info.limit, info.nr_regions), ("rust", 1 << 30, 1));
    assert_eq!((info.role, info.owner_pid), (Role::Owner, std::process::id()));
    assert_eq!(Vas::bind(&owner, 0).unwrap().info().unwrap().role, Role::Binder);
    let observer = Vas::bind(owner.readonly_fd().unwrap(), 0).unwrap();
    assert_eq!(observer.info().unwrap().role, Role::Observer);
    assert_eq!(observer.write(0, b"no").unwrap_err().errno(), EACCES);
    assert_eq!(observer.region_add(&Region::ram(0, MIB, "")).unwrap_err().errno(), EPERM);
    assert!(version().starts_with("0."));
}

#[test]
fn an_error_says_why_and_how_far_it_came() {
    let owner = owner();
    let error = owner.read(16 * MIB - 3, &mut [0; 8]).unwrap_err();
    assert_eq!((error.errno(), error.done), (EFAULT, 3));
    assert!(error.to_string().contains("0x1000000"), "{error}");
    let error = Vas::create(&Options { limit: 5, ..Options::default() }).unwrap_err();
    assert_eq!(error.errno(), EINVAL);
    assert!(
        Vas::create(&Options { limit: MIB, name: "a\0b".into(), ..Options::default() }).is_err()
    );
}

#[test]
fn a_change_is_all_or_nothing() {
    let owner = owner();
    {
        let mut change = owner.change().unwrap();
        change.add(&Region::ram(32 * MIB, MIB, "gone")).unwrap();
    }
    assert_eq!(owner.regions().unwrap().len(), 1);
    let mut change = owner.change().unwrap();
    let more = change.add(&Region::ram(32 * MIB, MIB, "more")).unwrap();
    change.resize(more, 2 * MIB).unwrap();
    change.move_to(more, 64 * MIB).unwrap();
    change.commit(SECOND).unwrap();
    let region = owner.region_at(65 * MIB).unwrap();
    assert_eq!((region.gpa, region.size, region.name.as_str()), (64 * MIB, 2 * MIB, "more"));
    owner.region_remove(more).unwrap();
    assert_eq!(owner.region_at(65 * MIB).unwrap_err().errno(), 2);
    let local = Region { flags: sys::VAS_REGION_LOCAL, ..Region::ram(64 * MIB, MIB, "") };
    assert_eq!(owner.region_add(&local).unwrap_err().errno(), EINVAL);
}

#[test]
fn a_change_waits_for_sections_and_names_who_is_in_one() {
    let owner = owner();
    let id = owner.regions().unwrap()[0].id;
    let peer = Vas::bind(&owner, 0).unwrap();
    let (inside, wait_inside) = channel();
    let (leave, wait_leave) = channel::<()>();
    let thread = thread::spawn(move || {
        let section = peer.enter().unwrap();
        inside.send(()).unwrap();
        wait_leave.recv().unwrap();
        drop(section);
    });
    wait_inside.recv().unwrap();
    let mut change = owner.change().unwrap();
    change.remove(id).unwrap();
    let error = change.commit(Duration::from_millis(10)).unwrap_err();
    assert_eq!(error.errno(), EBUSY);
    let blocker = error.blocker.unwrap();
    assert_eq!((blocker.kind, blocker.pid), (BlockerKind::Section, std::process::id()));
    leave.send(()).unwrap();
    thread.join().unwrap();
    owner.region_remove(id).unwrap();
}

#[test]
fn a_section_translates_and_marks() {
    let owner = owner();
    let mut tracker = owner.tracker("test", false).unwrap();
    let section = owner.enter().unwrap();
    let again = owner.enter().unwrap();
    let pointer = section.translate(0x5000, 8, true).unwrap();
    // SAFETY: good for 8 bytes, in a section.
    unsafe { pointer.as_ptr().cast::<u64>().write_volatile(42) };
    section.mark(0x5000, 8);
    assert!(section.verify());
    drop(section);
    let mut word = [0; 8];
    again.read(0x5000, &mut word).unwrap();
    assert_eq!(u64::from_le_bytes(word), 42);
    assert!(again.translate(16 * MIB, 1, false).is_none());
    drop(again);
    assert_eq!(pages(&mut tracker), [5]);
}

/// The numbers of the pages that were written, by an epoch of their own.
fn pages(tracker: &mut Tracker) -> Vec<u64> {
    let mut epoch = tracker.begin().unwrap();
    let (mut gpa, mut pages) = (0, Vec::new());
    while gpa < 16 * MIB {
        for word in epoch.harvest(&mut gpa, 16 * MIB, 64).unwrap() {
            pages.extend((0..64).filter(|n| word.bits >> n & 1 != 0).map(|n| word.gpa / 4096 + n));
        }
    }
    epoch.commit().unwrap();
    pages.sort();
    pages.dedup();
    pages
}

#[test]
fn a_tracker_gives_what_was_written_and_again_if_it_was_not_dealt_with() {
    let owner = owner();
    let mut tracker = owner.tracker("test", false).unwrap();
    owner.write(3 * 4096 - 1, &[1, 2]).unwrap();
    {
        let mut epoch = tracker.begin().unwrap();
        assert_eq!(epoch.harvest(&mut 0, 16 * MIB, 64).unwrap().len(), 1);
    }
    assert_eq!(pages(&mut tracker), [2, 3]);
    assert!(pages(&mut tracker).is_empty());
    assert!(owner.info().unwrap().is_tracking);
    drop(tracker);
    assert!(!owner.info().unwrap().is_tracking);
    owner.write(0, b"x").unwrap();
    assert!(pages(&mut owner.tracker("all", true).unwrap()).contains(&0));
}

#[test]
fn a_frozen_vas_is_read_and_not_written() {
    let owner = owner();
    let frozen = owner.freeze(SECOND).unwrap();
    assert_eq!(owner.write(0, b"no").unwrap_err().errno(), EAGAIN);
    owner.read(0, &mut [0]).unwrap();
    assert!(owner.wait_thawed(Duration::from_millis(1)).is_err());
    drop(frozen);
    owner.wait_thawed(SECOND).unwrap();
    owner.write(0, b"yes").unwrap();
}

#[test]
fn a_mapping_is_a_pin_that_can_be_asked_back() {
    let owner = owner();
    let peer = Vas::bind(&owner, 0).unwrap();
    let mapping = peer.map(0x4000, 0x2000, sys::VAS_MAPPING_WRITE).unwrap();
    assert_eq!(
        (mapping.len(), mapping.is_empty(), mapping.request()),
        (0x2000, false, Request::None)
    );
    // SAFETY: good as long as the mapping is.
    unsafe { mapping.as_ptr().as_ptr().write_volatile(9) };
    let mut byte = [0];
    owner.read(0x4000, &mut byte).unwrap();
    assert_eq!((byte[0], owner.info().unwrap().nr_pins), (9, 1));
    let error = owner.region_remove(owner.regions().unwrap()[0].id).unwrap_err();
    assert_eq!(error.blocker.unwrap().kind, BlockerKind::Pin);
    assert_eq!(mapping.quiesce().unwrap_err().errno(), EAGAIN);
    drop(peer); // the mapping keeps the handle
    assert_eq!(owner.info().unwrap().nr_pins, 1);
    drop(mapping);
    assert_eq!(owner.info().unwrap().nr_pins, 0);
}

#[test]
fn search_finds_and_masks() {
    let owner = owner();
    owner.write(0x12345, b"needle").unwrap();
    assert_eq!(owner.search(0, 16 * MIB, b"needle", None).unwrap(), Some(0x12345));
    let found =
        owner.search(0, 16 * MIB, b"nEEdle", Some(&[0xff, 0, 0, 0xff, 0xff, 0xff])).unwrap();
    assert_eq!(found, Some(0x12345));
    assert_eq!(owner.search(0, 0x1000, b"needle", None).unwrap(), None);
    assert!(owner.search(0, 0x1000, b"needle", Some(&[1])).is_err());
}

#[test]
fn a_vas_is_sent_over_a_socket_with_its_backings() {
    let owner = owner();
    let backing = owner.backing_create("apart", MIB, 0).unwrap();
    let region = Region { offset: 0, backing, ..Region::ram(64 * MIB, MIB, "apart") };
    owner.region_add(&region).unwrap();
    assert!(owner.backing_fd(backing).unwrap().as_raw_fd() >= 0);
    owner.write(64 * MIB, b"there").unwrap();
    let (here, there) = UnixStream::pair().unwrap();
    owner.send_fds(&here, false).unwrap();
    let peer = Vas::recv_fds(&there, 0).unwrap();
    let mut text = [0; 5];
    peer.read(64 * MIB, &mut text).unwrap();
    assert_eq!(&text, b"there");
    owner.discard(64 * MIB, MIB).unwrap();
    peer.read(64 * MIB, &mut text).unwrap();
    assert_eq!(text, [0; 5]);
}

#[test]
fn an_owner_that_closes_its_handle_leaves_a_vas_to_adopt() {
    let owner = owner();
    let fd = owner.as_fd().try_clone_to_owned().unwrap();
    assert_eq!(Vas::adopt(&fd).unwrap_err().errno(), EBUSY);
    drop(owner);
    let adopter = Vas::adopt(&fd).unwrap();
    assert_eq!(adopter.info().unwrap().role, Role::Owner);
    assert_eq!(adopter.regions().unwrap().len(), 1);
}

#[test]
fn destroy_ends_a_vas_once_nobody_here_uses_it() {
    let owner = owner();
    let peer = Vas::bind(&owner, 0).unwrap();
    let clone = owner.clone();
    let owner = owner.destroy().unwrap_err();
    drop(clone);
    let mapping = owner.map(0, 4096, 0).unwrap();
    let owner = owner.destroy().unwrap_err();
    drop(mapping);
    owner.destroy().unwrap();
    assert!(peer.regions().unwrap().is_empty());
}

#[test]
fn changes_are_notified() {
    let owner = owner();
    let peer = Vas::bind(&owner, 0).unwrap();
    assert!(peer.notify_fd().unwrap().as_raw_fd() >= 0);
    peer.notifications().unwrap();
    owner.region_add(&Region::ram(64 * MIB, MIB, "")).unwrap();
    let all = peer.notifications().unwrap();
    assert!(all.layout() && !all.freeze() && !all.owner() && !all.tracking() && !all.request());
}

#[test]
fn handles_are_used_from_many_threads() {
    let owner = owner();
    thread::scope(|scope| {
        for number in 0..8u64 {
            let vas = owner.clone();
            scope.spawn(move || {
                for round in 0..1000u64 {
                    vas.write(number * 8, &round.to_le_bytes()).unwrap();
                }
            });
        }
    });
    let mut words = [0; 64];
    owner.read(0, &mut words).unwrap();
    assert!(words.chunks(8).all(|word| word == 999u64.to_le_bytes()));
}
