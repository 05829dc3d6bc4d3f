// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! libvas as its headers declare it: `<vas/vas.h>` and its neighbours say what each does.
//!
//! The last part is what the headers inline, in Rust. Its structs change only with the library's
//! major version. `tests/rust` compares all structs and constants with the headers.

#![allow(non_camel_case_types)]

use std::os::raw::{c_char, c_int, c_void};
use std::sync::atomic::{compiler_fence, AtomicPtr, AtomicU32, AtomicU64, AtomicU8, Ordering};

/// A handle. Always behind a pointer.
#[repr(C)]
pub struct vas {
    pub head: vas_head,
    _more: [u8; 0],
}

macro_rules! opaque {
    ($($name:ident)*) => { $(
        #[repr(C)]
        pub struct $name {
            _private: [u8; 0],
        }
    )* };
}

opaque!(vas_layout vas_mapping vas_tracker);

pub const VAS_CREATE_HUGETLB: u32 = 1;
pub const VAS_CREATE_THP: u32 = 2;
pub const VAS_CREATE_RESERVE: u32 = 4;
pub const VAS_CREATE_FENCE: u32 = 8;
pub const VAS_CREATE_DUMP: u32 = 16;
pub const VAS_CREATE_RAM_APART: u32 = 32;

pub const VAS_BIND_OBSERVE: u32 = 1;
pub const VAS_BIND_ADOPT: u32 = 2;
pub const VAS_BIND_NO_WINDOW: u32 = 4;
pub const VAS_BIND_NO_SIGBUS: u32 = 8;
pub const VAS_BIND_FENCE: u32 = 16;
pub const VAS_BIND_DUMP: u32 = 32;
pub const VAS_BIND_PLAIN_FILES: u32 = 64;

pub const VAS_REGION_READONLY: u32 = 1;
pub const VAS_REGION_LOCAL: u32 = 2;
pub const VAS_REGION_DEVICE: u32 = 4;
pub const VAS_REGION_ALIAS: u32 = 8;
pub const VAS_OFFSET_GPA: u64 = u64::MAX;

pub const VAS_STATE_TRACKING: u32 = 1;
pub const VAS_STATE_FROZEN: u32 = 2;

pub const VAS_SEND_READONLY: u32 = 1;
pub const VAS_TRACKER_ALL: u32 = 1;
pub const VAS_MAPPING_WRITE: u32 = 1;
pub const VAS_MAPPING_MARKS: u32 = 2;

pub const VAS_PROT_READ: u32 = 0;
pub const VAS_PROT_WRITE: u32 = 1;

pub const VAS_NAME_LEN: usize = 64;
pub const VAS_REGION_NAME_LEN: usize = 24;
pub const VAS_CONSUMERS_LEN: usize = 32;
pub const VAS_PAGE_SHIFT: u32 = 12;
pub const VAS_PAGE_SIZE: u64 = 4096;

#[repr(C)]
pub struct vas_options {
    pub limit: u64,
    pub ram_size: u64,
    pub name: *const c_char,
    pub flags: u32,
    pub max_regions: u32,
    pub nr_slots: u32,
    pub reserved: [u32; 7],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct vas_info {
    pub name: [c_char; VAS_NAME_LEN],
    pub uuid: [u8; 16],
    pub file_size: u64,
    pub ram_size: u64,
    pub limit: u64,
    pub generation: u64,
    pub owner_epoch: u64,
    pub page_size: u32,
    pub nr_regions: u32,
    pub nr_backings: u32,
    pub nr_binders: u32,
    pub nr_threads: u32,
    pub nr_pins: u32,
    pub nr_events: u32,
    pub state_flags: u32,
    pub owner_pid: u32,
    pub consumers: [c_char; VAS_CONSUMERS_LEN],
    pub role: c_int,
    pub has_window: c_int,
    pub nr_lazy: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct vas_region {
    pub gpa: u64,
    pub size: u64,
    pub offset: u64,
    pub backing: u32,
    pub flags: u32,
    pub id: u64,
    pub hva: *mut c_void,
    pub name: [c_char; VAS_REGION_NAME_LEN],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct vas_blocker {
    pub kind: c_int,
    pub pid: u32,
    pub tid: u32,
    pub gpa: u64,
    pub size: u64,
    pub name: [c_char; VAS_REGION_NAME_LEN],
}

#[repr(C)]
pub struct vas_pattern {
    pub bytes: *const c_void,
    pub mask: *const c_void,
    pub len: usize,
}

/// Bit n of `bits` is the page at `gpa + n * 4096`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct vas_dirty_word {
    pub gpa: u64,
    pub bits: u64,
}

#[repr(C)]
pub struct vas_cache {
    pub gpa: u64,
    pub size: u64,
    pub hva: *mut u8,
    pub serial: u64,
    pub prot: u32,
}

#[repr(C)]
pub struct vas_view {
    pub base: *mut u8,
    pub nr_granules: u64,
    pub mask: u64,
    pub shift: u32,
    pub flags: u32,
    pub present: *const AtomicU8,
    pub serial: u64,
    pub dirty: *const AtomicU64,
    pub nr_dirty: u64,
}

#[repr(C)]
pub struct vas_head {
    pub view: AtomicPtr<vas_view>,
    pub generation: *const AtomicU64,
    pub index: u32,
    pub nr_failed: AtomicU32,
}

#[repr(C)]
pub struct vas_thread {
    pub slot: *const AtomicU64,
    pub generation: u64,
    pub serial: u64,
    pub depth: AtomicU32,
}

extern "C" {
    pub fn vas_error() -> *const c_char;
    pub fn vas_version() -> *const c_char;

    pub fn vas_create(options: *const vas_options, vas: *mut *mut vas) -> c_int;
    pub fn vas_bind(fd: c_int, flags: u32, vas: *mut *mut vas) -> c_int;
    pub fn vas_unbind(vas: *mut vas);
    pub fn vas_destroy(vas: *mut vas);
    pub fn vas_fd(vas: *const vas) -> c_int;
    pub fn vas_readonly_fd(vas: *const vas) -> c_int;
    pub fn vas_info(vas: *mut vas, info: *mut vas_info) -> c_int;
    pub fn vas_send_fds(vas: *mut vas, sock: c_int, flags: u32) -> c_int;
    pub fn vas_recv_fds(sock: c_int, bind_flags: u32, vas: *mut *mut vas) -> c_int;
    pub fn vas_notify_fd(vas: *mut vas) -> c_int;
    pub fn vas_notifications(vas: *mut vas) -> c_int;

    pub fn vas_regions(vas: *mut vas, regions: *mut vas_region, nr: usize) -> isize;
    pub fn vas_region_at(vas: *mut vas, gpa: u64, region: *mut vas_region) -> c_int;
    pub fn vas_layout_begin(vas: *mut vas, layout: *mut *mut vas_layout) -> c_int;
    pub fn vas_layout_add(
        layout: *mut vas_layout,
        region: *const vas_region,
        id: *mut u64,
    ) -> c_int;
    pub fn vas_layout_remove(layout: *mut vas_layout, id: u64) -> c_int;
    pub fn vas_layout_resize(layout: *mut vas_layout, id: u64, size: u64) -> c_int;
    pub fn vas_layout_move(layout: *mut vas_layout, id: u64, gpa: u64) -> c_int;
    pub fn vas_layout_abort(layout: *mut vas_layout);
    pub fn vas_layout_commit(
        layout: *mut vas_layout,
        timeout_ns: u64,
        blocker: *mut vas_blocker,
    ) -> c_int;
    pub fn vas_discard(vas: *mut vas, gpa: u64, len: u64, blocker: *mut vas_blocker) -> c_int;
    pub fn vas_backing_add(vas: *mut vas, fd: c_int) -> c_int;
    pub fn vas_backing_create(vas: *mut vas, name: *const c_char, size: u64, flags: u32) -> c_int;
    pub fn vas_backing_remove(vas: *mut vas, backing: u32) -> c_int;
    pub fn vas_backing_fd(vas: *const vas, backing: u32) -> c_int;
    pub fn vas_backing_offer(vas: *mut vas, fd: c_int) -> c_int;

    pub fn vas_read(
        vas: *mut vas,
        gpa: u64,
        buf: *mut c_void,
        len: usize,
        done: *mut usize,
    ) -> c_int;
    pub fn vas_write(
        vas: *mut vas,
        gpa: u64,
        buf: *const c_void,
        len: usize,
        done: *mut usize,
    ) -> c_int;
    pub fn vas_copy_slow(
        vas: *mut vas,
        gpa: u64,
        buf: *mut c_void,
        len: usize,
        prot: u32,
        done: *mut usize,
    ) -> c_int;
    pub fn vas_peek(
        vas: *mut vas,
        gpa: u64,
        buf: *mut c_void,
        len: usize,
        done: *mut usize,
    ) -> c_int;
    pub fn vas_poke(
        vas: *mut vas,
        gpa: u64,
        buf: *const c_void,
        len: usize,
        done: *mut usize,
    ) -> c_int;
    pub fn vas_fill(vas: *mut vas, gpa: u64, byte: u8, len: usize, done: *mut usize) -> c_int;
    pub fn vas_search(
        vas: *mut vas,
        gpa: u64,
        len: u64,
        pattern: *const vas_pattern,
        found: *mut u64,
    ) -> c_int;

    pub fn vas_mapping_create(
        vas: *mut vas,
        gpa: u64,
        len: u64,
        flags: u32,
        mapping: *mut *mut vas_mapping,
    ) -> c_int;
    pub fn vas_mapping_destroy(mapping: *mut vas_mapping);
    pub fn vas_mapping_addr(mapping: *const vas_mapping) -> *mut c_void;
    pub fn vas_mapping_request(mapping: *const vas_mapping) -> c_int;
    pub fn vas_mapping_quiesce(mapping: *mut vas_mapping) -> c_int;

    pub fn vas_tracker_attach(
        vas: *mut vas,
        name: *const c_char,
        flags: u32,
        tracker: *mut *mut vas_tracker,
    ) -> c_int;
    pub fn vas_tracker_detach(tracker: *mut vas_tracker);
    pub fn vas_tracker_begin(tracker: *mut vas_tracker) -> c_int;
    pub fn vas_tracker_harvest(
        tracker: *mut vas_tracker,
        gpa: *mut u64,
        end: u64,
        nr: usize,
        words: *mut *const vas_dirty_word,
    ) -> isize;
    pub fn vas_tracker_commit(tracker: *mut vas_tracker) -> c_int;
    pub fn vas_tracker_abort(tracker: *mut vas_tracker) -> c_int;
    pub fn vas_freeze(vas: *mut vas, timeout_ns: u64, blocker: *mut vas_blocker) -> c_int;
    pub fn vas_thaw(vas: *mut vas) -> c_int;
    pub fn vas_wait_thawed(vas: *mut vas, timeout_ns: u64) -> c_int;

    pub fn vas_thread_self(vas: *const vas) -> *mut vas_thread;
    pub fn vas_enter_slow(vas: *mut vas) -> c_int;
    pub fn vas_enter_nested(vas: *mut vas) -> c_int;
    pub fn vas_leave_nested(vas: *mut vas);
    pub fn vas_translate_slow(vas: *mut vas, gpa: u64, len: u64, prot: u32) -> *mut c_void;
    pub fn vas_translate_error(vas: *mut vas, gpa: u64, len: u64, prot: u32) -> c_int;
    pub fn vas_cache_fill(
        vas: *mut vas,
        cache: *mut vas_cache,
        gpa: u64,
        len: u64,
        prot: u32,
    ) -> *mut c_void;
    pub fn vas_mark_page(vas: *mut vas, page: u64);
    pub fn vas_mark_slow(vas: *mut vas, gpa: u64, len: u64);
    pub fn vas_write_end_slow(vas: *mut vas, gpa: u64, len: u64) -> c_int;
}

/// `vas_generation()`.
///
/// # Safety
/// `vas` is a handle.
#[inline(always)]
pub unsafe fn vas_generation(vas: *const vas) -> u64 {
    (*(*vas).head.generation).load(Ordering::Acquire)
}

/// `vas_enter_registered()`.
///
/// # Safety
/// `vas` is a handle, and `t` the calling thread's in it.
#[inline(always)]
pub unsafe fn vas_enter_registered(vas: *mut vas, t: *mut vas_thread) -> c_int {
    if (*t).depth.load(Ordering::Relaxed) != 0 {
        return vas_enter_nested(vas);
    }
    (*t).depth.store(1, Ordering::Relaxed);
    (*(*t).slot).store((*t).generation, Ordering::Relaxed); // E1
    compiler_fence(Ordering::SeqCst);
    if vas_generation(vas) == (*t).generation {
        return 0;
    }
    vas_enter_slow(vas)
}

/// `vas_leave_registered()`.
///
/// # Safety
/// As [`vas_enter_registered`], which has returned 0.
#[inline(always)]
pub unsafe fn vas_leave_registered(vas: *mut vas, t: *mut vas_thread) {
    if (*t).depth.load(Ordering::Relaxed) != 1 {
        return vas_leave_nested(vas);
    }
    (*(*t).slot).store(0, Ordering::Release);
    (*t).depth.store(0, Ordering::Release);
}

/// `vas_translate()`.
///
/// # Safety
/// `vas` is a handle, and the calling thread is in a section of it.
#[inline(always)]
pub unsafe fn vas_translate(vas: *mut vas, gpa: u64, len: u64, prot: u32) -> *mut u8 {
    let view = &*(*vas).head.view.load(Ordering::Acquire);
    let granule = gpa >> view.shift;
    if len.wrapping_sub(1) <= view.mask - (gpa & view.mask)
        && granule < view.nr_granules
        && u32::from((*view.present.add(granule as usize)).load(Ordering::Relaxed)) > prot
    {
        return view.base.wrapping_add(gpa as usize);
    }
    vas_translate_slow(vas, gpa, len, prot).cast()
}

/// `vas_translate_cached()` at an offset that the cache is known to hold; null if it is not good.
///
/// # Safety
/// As [`vas_translate`]; the cache is filled, or was zeroed.
#[inline(always)]
pub unsafe fn vas_translate_within(
    vas: *mut vas,
    cache: &vas_cache,
    offset: u64,
    prot: u32,
) -> *mut u8 {
    let view = &*(*vas).head.view.load(Ordering::Acquire);
    if view.serial == cache.serial && cache.prot >= prot {
        return cache.hva.wrapping_add(offset as usize);
    }
    std::ptr::null_mut()
}

/// `vas_mark()`.
///
/// # Safety
/// As [`vas_translate`].
#[inline(always)]
pub unsafe fn vas_mark(vas: *mut vas, gpa: u64, len: u64) {
    let view = &*(*vas).head.view.load(Ordering::Acquire);
    let page = gpa >> VAS_PAGE_SHIFT;
    if page < view.nr_dirty && len.wrapping_sub(1) < VAS_PAGE_SIZE - (gpa & (VAS_PAGE_SIZE - 1)) {
        if !is_marked(view, page) {
            vas_mark_page(vas, page); // W2
        }
    } else if view.flags & VAS_STATE_TRACKING != 0 {
        vas_mark_slow(vas, gpa, len);
    }
}

/// Is the page marked, as far as the view can tell?
///
/// # Safety
/// The view is of a section that the calling thread is in, and `page < view.nr_dirty`.
#[inline(always)]
pub unsafe fn is_marked(view: &vas_view, page: u64) -> bool {
    let word = (*view.dirty.add((page / 64) as usize)).load(Ordering::Relaxed);
    word >> (page % 64) & 1 != 0
}

/// `vas_page_failed()`.
///
/// # Safety
/// `vas` is a handle.
#[inline(always)]
pub unsafe fn vas_page_failed(vas: *const vas) -> bool {
    (*vas).head.nr_failed.load(Ordering::Relaxed) != 0
}
