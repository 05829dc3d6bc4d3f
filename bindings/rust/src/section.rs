// SPDX-License-Identifier: GPL-2.0-only OR MIT
use crate::error::{check, check_copy, Error, Result};
use crate::handle::{Handle, Vas};
use crate::sys;
use std::marker::PhantomData;
use std::ptr::{copy_nonoverlapping, read_volatile, write_volatile, NonNull};

/// A short part of a thread's code in which translations hold, and for which a change of the layout
/// waits. It ends when it is dropped, in the thread that entered it. Sections nest. Never block in
/// one.
///
/// ```compile_fail
/// fn is_send<T: Send>() {}
/// is_send::<vas::Section>();
/// ```
pub struct Section<'a> {
    vas: *mut sys::vas,
    thread: *mut sys::vas_thread,
    lifetime: PhantomData<&'a Vas>,
}

impl<'a> Section<'a> {
    #[inline]
    pub(crate) fn new(vas: &'a Vas) -> Result<Section<'a>> {
        let thread = enter(&vas.0.handle)?;
        Ok(Section { vas: vas.raw(), thread, lifetime: PhantomData })
    }

    /// A pointer that is good for `len` bytes until the section ends; `None` where no region holds
    /// them all, where they are not contiguous in this process, or, for writing, where that is not
    /// allowed.
    ///
    /// Others change the memory at any time: to read or write through it is the caller's to vouch
    /// for. Who has written calls [`Section::mark`] and then [`Section::verify`].
    #[inline(always)]
    pub fn translate(&self, gpa: u64, len: u64, write: bool) -> Option<NonNull<u8>> {
        // SAFETY: in a section.
        NonNull::new(unsafe { sys::vas_translate(self.vas, gpa, len, write.into()) })
    }

    /// Says that a range was written, for whoever follows the dirty log.
    #[inline(always)]
    pub fn mark(&self, gpa: u64, len: u64) {
        // SAFETY: in a section.
        unsafe { sys::vas_mark(self.vas, gpa, len) }
    }

    /// Is all memory that was accessed by pointers there? `false`: some page of this handle has
    /// failed, or it is an observer's; [`Section::read`] and [`Section::write`] find out what
    /// holds.
    #[inline(always)]
    pub fn verify(&self) -> bool {
        // SAFETY: a handle.
        unsafe { !sys::vas_page_failed(self.vas) }
    }

    /// Copies out of guest memory, across regions.
    #[inline]
    pub fn read(&self, gpa: u64, buf: &mut [u8]) -> Result<()> {
        // SAFETY: in a section.
        unsafe { read(self.vas, gpa, buf) }
    }

    /// Copies into guest memory, and marks what it wrote.
    #[inline]
    pub fn write(&self, gpa: u64, buf: &[u8]) -> Result<()> {
        // SAFETY: in a section.
        unsafe { write(self.vas, gpa, buf) }
    }
}

impl Drop for Section<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: entered, in this thread.
        unsafe { sys::vas_leave_registered(self.vas, self.thread) }
    }
}

/// Enters a section, and returns whose it is.
#[inline]
pub(crate) fn enter(handle: &Handle) -> Result<*mut sys::vas_thread> {
    // SAFETY: a handle, and the calling thread's entry in it.
    unsafe {
        let thread = sys::vas_thread_self(handle.raw());
        match sys::vas_enter_registered(handle.raw(), thread) {
            0 => Ok(thread), // of a thread that was not registered: leaving finds it
            result => Err(Error::last(result)),
        }
    }
}

/// Any word, wherever it is.
#[repr(C, packed)]
struct Word<T>(T);

/// Out of guest memory, like memcpy, but a word is one access: the other side may be changing it.
///
/// # Safety
/// Both are good for `len` bytes.
#[inline(always)]
pub(crate) unsafe fn copy_from(to: *mut u8, from: *const u8, len: usize) {
    match len {
        8 => to.cast::<Word<u64>>().write(read_volatile(from.cast())),
        _ => copy_any(to, from, len),
    }
}

/// Into guest memory, likewise.
///
/// # Safety
/// Both are good for `len` bytes.
#[inline(always)]
pub(crate) unsafe fn copy_to(to: *mut u8, from: *const u8, len: usize) {
    match len {
        8 => write_volatile(to.cast(), from.cast::<Word<u64>>().read()),
        _ => copy_any(to, from, len),
    }
}

/// Out of line, so that what copies is small enough to be inlined.
#[inline(never)]
unsafe fn copy_any(to: *mut u8, from: *const u8, len: usize) {
    match len {
        4 => copy_word::<u32>(to, from),
        2 => copy_word::<u16>(to, from),
        _ => copy_nonoverlapping(from, to, len),
    }
}

#[inline(always)]
unsafe fn copy_word<T>(to: *mut u8, from: *const u8) {
    write_volatile(to.cast::<Word<T>>(), read_volatile(from.cast::<Word<T>>()))
}

/// # Safety
/// `vas` is a handle, and the calling thread is in a section of it.
#[inline]
pub(crate) unsafe fn read(vas: *mut sys::vas, gpa: u64, buf: &mut [u8]) -> Result<()> {
    let from = sys::vas_translate(vas, gpa, buf.len() as u64, sys::VAS_PROT_READ);
    if !from.is_null() {
        copy_from(buf.as_mut_ptr(), from, buf.len());
        if !sys::vas_page_failed(vas) {
            return Ok(());
        }
    }
    copy_slow(vas, gpa, buf.as_mut_ptr(), buf.len(), sys::VAS_PROT_READ)
}

/// # Safety
/// As [`read`].
#[inline]
pub(crate) unsafe fn write(vas: *mut sys::vas, gpa: u64, buf: &[u8]) -> Result<()> {
    let to = sys::vas_translate(vas, gpa, buf.len() as u64, sys::VAS_PROT_WRITE);
    if !to.is_null() {
        copy_to(to, buf.as_ptr(), buf.len());
        sys::vas_mark(vas, gpa, buf.len() as u64);
        if !sys::vas_page_failed(vas) {
            return Ok(());
        }
    }
    copy_slow(vas, gpa, buf.as_ptr() as *mut u8, buf.len(), sys::VAS_PROT_WRITE)
}

#[cold]
#[inline(never)]
unsafe fn copy_slow(
    vas: *mut sys::vas,
    gpa: u64,
    buf: *mut u8,
    len: usize,
    prot: u32,
) -> Result<()> {
    let mut done = 0;
    check_copy(sys::vas_copy_slow(vas, gpa, buf.cast(), len, prot, &mut done), done)
}

/// gpa as a pointer, or why not.
///
/// # Safety
/// As [`read`].
#[allow(dead_code)] // for vm-memory
pub(crate) unsafe fn translate(
    vas: *mut sys::vas,
    gpa: u64,
    len: u64,
    prot: u32,
) -> Result<*mut u8> {
    let pointer = sys::vas_translate(vas, gpa, len, prot);
    if pointer.is_null() {
        check(sys::vas_translate_error(vas, gpa, len, prot))?;
        return Err(Error::new(EAGAIN, "the layout has just changed"));
    }
    Ok(pointer)
}

#[allow(dead_code)] // for vm-memory
const EAGAIN: i32 = 11;
