// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A virtio device made of rust-vmm's virtio-queue, which knows nothing of vas: it answers each
//! request with its text in capitals. On a vas, bound by an fd as another process would, and on
//! vm-memory's own memory, for the same driver.

use std::io::{Read, Write};
use vas::{Options, Region, Vas};
use virtio_queue::{Queue, QueueT};
use vm_memory::{ByteValued, Bytes, GuestAddress, GuestAddressSpace, GuestMemoryMmap};

const SIZE: u16 = 16;
const DESCRIPTORS: u64 = 0x1000;
const AVAIL: u64 = 0x2000;
const USED: u64 = 0x3000;
const NEXT: u16 = 1;
const WRITE: u16 = 2;

#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Descriptor {
    gpa: u64,
    len: u32,
    flags: u16,
    next: u16,
}

// SAFETY: numbers without padding.
unsafe impl ByteValued for Descriptor {}

struct Device<S> {
    memory: S,
    queue: Queue,
}

impl<S: GuestAddressSpace> Device<S> {
    fn new(memory: S) -> Device<S> {
        let mut queue = Queue::new(SIZE).unwrap();
        queue.set_size(SIZE);
        queue.set_desc_table_address(Some(DESCRIPTORS as u32), Some(0));
        queue.set_avail_ring_address(Some(AVAIL as u32), Some(0));
        queue.set_used_ring_address(Some(USED as u32), Some(0));
        queue.set_ready(true);
        assert!(queue.is_valid(&*memory.memory()));
        Device { memory, queue }
    }

    /// What is available, in one section.
    fn notify(&mut self) {
        let memory = self.memory.memory();
        while let Some(chain) = self.queue.pop_descriptor_chain(memory.clone()) {
            let head = chain.head_index();
            let answer = || -> Option<usize> {
                let mut reader = chain.clone().reader(&memory).ok()?;
                let mut writer = chain.clone().writer(&memory).ok()?;
                let mut text = vec![0; reader.available_bytes()];
                reader.read_exact(&mut text).ok()?;
                text.make_ascii_uppercase();
                writer.write_all(&text).ok()?;
                Some(writer.bytes_written())
            };
            let len = answer().unwrap_or(0) as u32;
            self.queue.add_used(&*memory, head, len).unwrap();
        }
    }
}

/// Requests of two parts, more than the ring has, and one whose memory is nowhere; the answers.
fn drive<S: GuestAddressSpace>(device: &mut Device<S>) -> Vec<String> {
    let at = GuestAddress;
    let mut answers = Vec::new();
    for number in 0..3 * SIZE {
        let memory = device.memory.memory();
        let text = format!("request {number}");
        let head = number % SIZE / 4 * 4;
        let from = if number == 5 { 1 << 40 } else { 0x10000 };
        let _ = memory.write_slice(text.as_bytes(), at(from));
        let len = text.len() as u32;
        let chain = [
            Descriptor { gpa: from, len: 3, flags: NEXT, next: head + 1 },
            Descriptor { gpa: from + 3, len: len - 3, flags: NEXT, next: head + 2 },
            Descriptor { gpa: 0x18ffe, len: 64, flags: WRITE, next: 0 },
        ];
        for (i, descriptor) in chain.into_iter().enumerate() {
            memory
                .write_obj(descriptor, at(DESCRIPTORS + (u64::from(head) + i as u64) * 16))
                .unwrap();
        }
        memory.write_obj(head, at(AVAIL + 4 + u64::from(number % SIZE) * 2)).unwrap();
        memory.write_obj(number + 1, at(AVAIL + 2)).unwrap();
        drop(memory);
        device.notify();
        let memory = device.memory.memory();
        assert_eq!(memory.read_obj::<u16>(at(USED + 2)).unwrap(), number + 1);
        let element = USED + 4 + u64::from(number % SIZE) * 8;
        assert_eq!(memory.read_obj::<u32>(at(element)).unwrap(), u32::from(head));
        let mut answer = vec![0; memory.read_obj::<u32>(at(element + 4)).unwrap() as usize];
        memory.read_slice(&mut answer, at(0x18ffe)).unwrap();
        answers.push(String::from_utf8(answer).unwrap());
    }
    answers
}

#[test]
fn a_device_of_virtio_queue_works_on_a_vas() {
    let owner = Vas::create(&Options { limit: 1 << 32, ..Options::default() }).unwrap();
    owner.region_add(&Region::ram(0, 0x18000, "low")).unwrap();
    owner.region_add(&Region::ram(0x18000, 0x18000, "high")).unwrap();
    let mut tracker = owner.tracker("test", false).unwrap();
    let answers = drive(&mut Device::new(Vas::bind(&owner, 0).unwrap()));
    assert_eq!((answers[0].as_str(), answers[5].as_str()), ("REQUEST 0", ""));

    let ranges = [(GuestAddress(0), 0x18000), (GuestAddress(0x18000), 0x18000)];
    let mmap = GuestMemoryMmap::<()>::from_ranges(&ranges).unwrap();
    assert_eq!(answers, drive(&mut Device::new(&mmap)));

    // The log has what the device has written: the rings, and the answers.
    let mut epoch = tracker.begin().unwrap();
    let mut dirty = 0;
    for word in epoch.harvest(&mut 0, 1 << 18, 512).unwrap() {
        dirty |= word.bits;
    }
    epoch.commit().unwrap();
    assert_eq!(dirty, 0b111 << 1 | 1 << 0x10 | 0b11 << 0x18);
}
