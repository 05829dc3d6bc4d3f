// SPDX-License-Identifier: GPL-2.0-only OR MIT
use crate::sys;
use std::ffi::CStr;
use std::os::raw::{c_char, c_int};
use std::{fmt, io};

/// What a call returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A call of the library's that failed.
#[derive(Clone, Debug)]
pub struct Error {
    errno: i32,
    message: String,
    /// Of a copy: the bytes that were copied before the one that failed.
    pub done: usize,
    /// Who was in the way of a change, a freeze or a discard.
    pub blocker: Option<Blocker>,
}

impl Error {
    /// The error number, positive: 14 is `EFAULT`.
    pub fn errno(&self) -> i32 {
        self.errno
    }

    pub(crate) fn new(errno: i32, message: &str) -> Error {
        Error { errno, message: message.into(), done: 0, blocker: None }
    }

    /// Of a negative result, in the thread that got it: with its sentence.
    pub(crate) fn last(result: c_int) -> Error {
        // SAFETY: the string is the thread's, and copied before its next call.
        let message = unsafe { CStr::from_ptr(sys::vas_error()) };
        Error::new(-result, &message.to_string_lossy())
    }

    pub(crate) fn after(self, done: usize) -> Error {
        Error { done, ..self }
    }

    pub(crate) fn blocked_by(self, blocker: &sys::vas_blocker) -> Error {
        Error { blocker: Blocker::new(blocker), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::new(io::Error::from_raw_os_error(error.errno).kind(), error)
    }
}

/// A result that is negative on an error, or a number.
pub(crate) fn check(result: c_int) -> Result<u32> {
    if result < 0 {
        return Err(Error::last(result));
    }
    Ok(result as u32)
}

/// Likewise, of a copy.
pub(crate) fn check_copy(result: c_int, done: usize) -> Result<()> {
    check(result).map(drop).map_err(|error| error.after(done))
}

/// Likewise, of what others can be in the way of.
pub(crate) fn check_blocked(call: impl FnOnce(*mut sys::vas_blocker) -> c_int) -> Result<()> {
    // SAFETY: numbers and bytes, for which 0 is a value.
    let mut blocker: sys::vas_blocker = unsafe { std::mem::zeroed() };
    check(call(&mut blocker)).map(drop).map_err(|error| error.blocked_by(&blocker))
}

/// What is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockerKind {
    /// A thread is in a section.
    Section,
    /// Somebody has a long-lived map.
    Pin,
    /// KVM, or another consumer.
    Consumer,
    /// A binder.
    Binder,
}

/// Who was in the way, as that process reports it.
#[derive(Clone, Debug)]
pub struct Blocker {
    /// With what.
    pub kind: BlockerKind,
    /// Its process, and thread.
    pub pid: u32,
    /// 0 if not known.
    pub tid: u32,
    /// The range that it keeps, or that the change takes away.
    pub gpa: u64,
    /// In bytes.
    pub size: u64,
    /// Of the process or the consumer.
    pub name: String,
}

impl Blocker {
    fn new(raw: &sys::vas_blocker) -> Option<Blocker> {
        let kind = match raw.kind {
            1 => BlockerKind::Section,
            2 => BlockerKind::Pin,
            3 => BlockerKind::Consumer,
            4 => BlockerKind::Binder,
            _ => return None,
        };
        Some(Blocker {
            kind,
            pid: raw.pid,
            tid: raw.tid,
            gpa: raw.gpa,
            size: raw.size,
            name: text(&raw.name),
        })
    }
}

/// A field of characters, up to its NUL.
pub(crate) fn text(field: &[c_char]) -> String {
    let bytes: Vec<u8> = field.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
