// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A device written for rust-vmm's traits, which knows nothing of vas: it answers requests in a
//! ring in guest memory. Here it runs on a vas, bound by an fd as another process would, and then
//! on vm-memory's own `GuestMemoryMmap`.

use std::sync::atomic::Ordering;
use vas::{Options, Region, Vas};
use vm_memory::{
    ByteValued, Bytes, GuestAddress, GuestAddressSpace, GuestMemoryError, GuestMemoryMmap,
};

const ENTRIES: u32 = 16;
const AVAIL: GuestAddress = GuestAddress(0x1000); // requests, counted by the driver
const USED: GuestAddress = GuestAddress(0x1004); // answers, counted by the device
const RING: u64 = 0x2000;

/// Where the text of a request is; the device writes it in capitals.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Request {
    gpa: u64,
    len: u32,
    status: u32,
}

// SAFETY: numbers without padding.
unsafe impl ByteValued for Request {}

const DONE: u32 = 1;
const BAD: u32 = 2;

struct Device<M: GuestAddressSpace> {
    memory: M,
}

impl<M: GuestAddressSpace> Device<M> {
    /// Answers what there is to answer, in one section.
    fn notify(&self) -> Result<(), GuestMemoryError> {
        let memory = self.memory.memory();
        let avail: u32 = memory.load(AVAIL, Ordering::Acquire)?;
        let mut used: u32 = memory.load(USED, Ordering::Relaxed)?;
        // No more than the ring has, whatever the guest says.
        for _ in 0..avail.wrapping_sub(used).min(ENTRIES) {
            let at = GuestAddress(RING + u64::from(used % ENTRIES) * 16);
            let mut request: Request = memory.read_obj(at)?;
            request.status = match self.answer(&memory, request) {
                Ok(()) => DONE,
                Err(_) => BAD,
            };
            memory.write_obj(request, at)?;
            used = used.wrapping_add(1);
            memory.store(used, USED, Ordering::Release)?;
        }
        Ok(())
    }

    fn answer(&self, memory: &M::M, request: Request) -> Result<(), GuestMemoryError> {
        let mut text = vec![0; request.len.min(4096) as usize];
        memory.read_slice(&mut text, GuestAddress(request.gpa))?;
        text.make_ascii_uppercase();
        memory.write_slice(&text, GuestAddress(request.gpa))
    }
}

/// The driver's side: two requests, one of them for memory that is not there.
fn drive<M: GuestAddressSpace>(device: &Device<M>) -> Result<String, GuestMemoryError> {
    let text = GuestAddress(0x3000);
    {
        let memory = device.memory.memory();
        memory.write_slice(b"hello", text)?;
        memory.write_obj(Request { gpa: text.0, len: 5, status: 0 }, GuestAddress(RING))?;
        memory.write_obj(Request { gpa: 1 << 40, len: 5, status: 0 }, GuestAddress(RING + 16))?;
        memory.store(2u32, AVAIL, Ordering::Release)?;
    }
    device.notify()?;
    let memory = device.memory.memory();
    let mut answer = [0; 5];
    memory.read_slice(&mut answer, text)?;
    let [good, bad]: [u32; 2] =
        [memory.read_obj(GuestAddress(RING + 12))?, memory.read_obj(GuestAddress(RING + 16 + 12))?];
    Ok(format!("{} {} {}", String::from_utf8_lossy(&answer), good, bad))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let owner =
        Vas::create(&Options { limit: 1 << 32, name: "queue".into(), ..Options::default() })?;
    owner.region_add(&Region::ram(0, 16 << 20, "ram"))?;
    println!("vas: {}", drive(&Device { memory: Vas::bind(&owner, 0)? })?);

    let mmap = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 16 << 20)])?;
    println!("mmap: {}", drive(&Device { memory: &mmap })?);
    Ok(())
}
