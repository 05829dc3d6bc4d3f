// SPDX-License-Identifier: GPL-2.0-only OR MIT
use crate::error::{check, text, Error, Result};
use crate::sys;
use std::ffi::{CStr, CString};
use std::fmt;
use std::mem::zeroed;
use std::os::unix::io::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// The library's version.
pub fn version() -> &'static str {
    // SAFETY: a static string.
    unsafe { CStr::from_ptr(sys::vas_version()) }.to_str().unwrap_or("")
}

/// What to create.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// No gpa is at or above it; a multiple of the page size.
    pub limit: u64,
    /// Bytes of the file for RAM; 0: `limit`, and file offset = gpa.
    pub ram_size: u64,
    /// Informational, up to 63 bytes.
    pub name: String,
    /// `sys::VAS_CREATE_*`.
    pub flags: u32,
    /// 0: 32768.
    pub max_regions: u32,
    /// Threads in all processes that may use it at once; 0: 4096.
    pub nr_slots: u32,
}

/// What a handle is to its vas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads, and leaves no trace.
    Observer,
    /// Reads and writes.
    Binder,
    /// Changes the layout, too.
    Owner,
}

/// Facts about a vas, at the time of the call.
#[derive(Clone, Debug)]
pub struct Info {
    /// As it was created with.
    pub name: String,
    /// Of this vas alone.
    pub uuid: [u8; 16],
    /// No gpa is at or above it.
    pub limit: u64,
    /// Bytes of its file that are RAM.
    pub ram_size: u64,
    /// Counted up by each change of layout, tracking or freeze.
    pub generation: u64,
    /// Of its RAM.
    pub page_size: u32,
    /// Regions of the layout.
    pub nr_regions: u32,
    /// Alive, this one included.
    pub nr_binders: u32,
    /// Long-lived maps.
    pub nr_pins: u32,
    /// Somebody follows the dirty log.
    pub is_tracking: bool,
    /// Writers stay out.
    pub is_frozen: bool,
    /// As it reports; 0: no living owner.
    pub owner_pid: u32,
    /// As the owner reports: "kvm".
    pub consumers: String,
    /// Of this handle.
    pub role: Role,
    /// Pages that are not filled yet.
    pub nr_lazy: u64,
}

/// What happened since [`Vas::notifications`] was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notifications(u32);

impl Notifications {
    /// The layout changed.
    pub fn layout(self) -> bool {
        self.0 & 1 != 0
    }

    /// Tracking was switched on or off.
    pub fn tracking(self) -> bool {
        self.0 & 2 != 0
    }

    /// Frozen or thawed.
    pub fn freeze(self) -> bool {
        self.0 & 4 != 0
    }

    /// One of this handle's mappings has a new request.
    pub fn request(self) -> bool {
        self.0 & 8 != 0
    }

    /// The owner is gone, or there is a new one.
    pub fn owner(self) -> bool {
        self.0 & 16 != 0
    }
}

/// The library's handle. Closed with the last who holds it.
pub(crate) struct Handle(*mut sys::vas);

// SAFETY: every function that the crate calls may be called from any thread, and from several at
// once.
unsafe impl Send for Handle {}
// SAFETY: likewise.
unsafe impl Sync for Handle {}

impl Handle {
    #[inline(always)]
    pub(crate) fn raw(&self) -> *mut sys::vas {
        self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: nobody holds it any more, so nobody is in a call, and no mapping is left.
        unsafe { sys::vas_unbind(self.0) }
    }
}

pub(crate) struct Shared {
    #[cfg(any(feature = "vm-memory", feature = "vm-memory-0-16"))]
    pub(crate) layout: arc_swap::ArcSwap<crate::memory::Layout>,
    pub(crate) handle: Arc<Handle>,
}

/// A handle of a vas.
///
/// An owner whose handle is closed leaves a vas that another process can adopt; [`Vas::destroy`] is
/// its end.
#[derive(Clone)]
pub struct Vas(pub(crate) Arc<Shared>);

impl Vas {
    fn new(call: impl FnOnce(*mut *mut sys::vas) -> i32) -> Result<Vas> {
        let mut raw = null_mut();
        check(call(&mut raw))?;
        Ok(Vas::of(Arc::new(Handle(raw))))
    }

    fn of(handle: Arc<Handle>) -> Vas {
        Vas(Arc::new(Shared {
            #[cfg(any(feature = "vm-memory", feature = "vm-memory-0-16"))]
            layout: arc_swap::ArcSwap::from_pointee(crate::memory::Layout::none(&handle)),
            handle,
        }))
    }

    /// Creates a vas, and owns it.
    pub fn create(options: &Options) -> Result<Vas> {
        let name = c_string(&options.name)?;
        let raw = sys::vas_options {
            limit: options.limit,
            ram_size: options.ram_size,
            name: if options.name.is_empty() { null() } else { name.as_ptr() },
            flags: options.flags,
            max_regions: options.max_regions,
            nr_slots: options.nr_slots,
            reserved: [0; 7],
        };
        // SAFETY: the options and their name outlive the call.
        Vas::new(|vas| unsafe { sys::vas_create(&raw, vas) })
    }

    /// Binds to the vas behind an fd, which the caller may close; `flags` are `sys::VAS_BIND_*`.
    pub fn bind(fd: impl AsFd, flags: u32) -> Result<Vas> {
        // SAFETY: the fd is open as long as it is borrowed.
        Vas::new(|vas| unsafe { sys::vas_bind(fd.as_fd().as_raw_fd(), flags, vas) })
    }

    /// Binds read-only: nothing is stored, and nobody waits for it.
    pub fn observe(fd: impl AsFd) -> Result<Vas> {
        Vas::bind(fd, sys::VAS_BIND_OBSERVE)
    }

    /// Becomes the owner of a vas whose owner is gone.
    pub fn adopt(fd: impl AsFd) -> Result<Vas> {
        Vas::bind(fd, sys::VAS_BIND_ADOPT)
    }

    /// Binds to what [`Vas::send_fds`] has sent.
    pub fn recv_fds(socket: &UnixStream, flags: u32) -> Result<Vas> {
        // SAFETY: the socket is open as long as it is borrowed.
        Vas::new(|vas| unsafe { sys::vas_recv_fds(socket.as_raw_fd(), flags, vas) })
    }

    /// Sends the fds of the vas, its backings and its events, in one message.
    pub fn send_fds(&self, socket: &UnixStream, readonly: bool) -> Result<()> {
        let flags = if readonly { sys::VAS_SEND_READONLY } else { 0 };
        // SAFETY: a handle, and an open socket.
        check(unsafe { sys::vas_send_fds(self.raw(), socket.as_raw_fd(), flags) }).map(drop)
    }

    /// Ends the vas, as its owner: every region is removed first. Nothing happens, and the handle
    /// comes back, while it has clones or there are objects made of it.
    pub fn destroy(self) -> std::result::Result<(), Vas> {
        let shared = Arc::try_unwrap(self.0).map_err(Vas)?;
        #[cfg(any(feature = "vm-memory", feature = "vm-memory-0-16"))]
        drop(shared.layout);
        let handle = Arc::try_unwrap(shared.handle).map_err(Vas::of)?;
        // SAFETY: nobody else holds it, and it is not dropped as well.
        unsafe { sys::vas_destroy(handle.raw()) };
        std::mem::forget(handle);
        Ok(())
    }

    /// A new fd with which one can only observe.
    pub fn readonly_fd(&self) -> Result<OwnedFd> {
        // SAFETY: a handle; the new fd is ours.
        let fd = check(unsafe { sys::vas_readonly_fd(self.raw()) })?;
        // SAFETY: likewise.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    }

    /// Facts about the vas.
    pub fn info(&self) -> Result<Info> {
        // SAFETY: numbers and bytes, for which 0 is a value.
        let mut raw: sys::vas_info = unsafe { zeroed() };
        // SAFETY: a handle, and room for the answer.
        check(unsafe { sys::vas_info(self.raw(), &mut raw) })?;
        Ok(Info {
            name: text(&raw.name),
            uuid: raw.uuid,
            limit: raw.limit,
            ram_size: raw.ram_size,
            generation: raw.generation,
            page_size: raw.page_size,
            nr_regions: raw.nr_regions,
            nr_binders: raw.nr_binders,
            nr_pins: raw.nr_pins,
            is_tracking: raw.state_flags & sys::VAS_STATE_TRACKING != 0,
            is_frozen: raw.state_flags & sys::VAS_STATE_FROZEN != 0,
            owner_pid: raw.owner_pid,
            consumers: text(&raw.consumers),
            role: match raw.role {
                0 => Role::Observer,
                1 => Role::Binder,
                _ => Role::Owner,
            },
            nr_lazy: raw.nr_lazy,
        })
    }

    /// An fd of the handle's that is readable when something has happened. An owner has to look:
    /// trackers of other processes need its help.
    pub fn notify_fd(&self) -> Result<BorrowedFd<'_>> {
        // SAFETY: a handle; the fd is open as long as that is.
        let fd = check(unsafe { sys::vas_notify_fd(self.raw()) })?;
        // SAFETY: likewise.
        Ok(unsafe { BorrowedFd::borrow_raw(fd as RawFd) })
    }

    /// What has happened since the last call; clears the fd.
    pub fn notifications(&self) -> Result<Notifications> {
        // SAFETY: a handle.
        check(unsafe { sys::vas_notifications(self.raw()) }).map(Notifications)
    }

    /// The handle, for the functions of [`sys`]; it is closed with the last clone.
    #[inline(always)]
    pub fn raw(&self) -> *mut sys::vas {
        self.0.handle.raw()
    }
}

impl AsFd for Vas {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the handle's fd is open as long as it is.
        unsafe { BorrowedFd::borrow_raw(sys::vas_fd(self.raw())) }
    }
}

impl AsRawFd for Vas {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for Vas {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Vas").field("fd", &self.as_raw_fd()).finish_non_exhaustive()
    }
}

pub(crate) const EINVAL: i32 = 22;

pub(crate) fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::new(EINVAL, "a name has a zero byte"))
}
