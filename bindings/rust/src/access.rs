// SPDX-License-Identifier: GPL-2.0-only OR MIT
use crate::error::{check, check_copy, Error, Result};
use crate::handle::{Vas, EINVAL};
use crate::section::Section;
use crate::sys;

const ENOENT: i32 = 2;

impl Vas {
    /// Copies out of guest memory, across regions. An error's `done` says how far it came.
    #[inline]
    pub fn read(&self, gpa: u64, buf: &mut [u8]) -> Result<()> {
        match self.enter() {
            Ok(section) => section.read(gpa, buf),
            Err(error) => Err(error),
        }
    }

    /// Copies into guest memory, and marks what it wrote.
    #[inline]
    pub fn write(&self, gpa: u64, buf: &[u8]) -> Result<()> {
        match self.enter() {
            Ok(section) => section.write(gpa, buf),
            Err(error) => Err(error),
        }
    }

    /// Sets a range to one byte.
    pub fn fill(&self, gpa: u64, byte: u8, len: usize) -> Result<()> {
        let mut done = 0;
        // SAFETY: a handle.
        check_copy(unsafe { sys::vas_fill(self.raw(), gpa, byte, len, &mut done) }, done)
    }

    /// As `read`, for much: what was never touched takes no memory for being looked at.
    pub fn peek(&self, gpa: u64, buf: &mut [u8]) -> Result<()> {
        let (pointer, mut done) = (buf.as_mut_ptr().cast(), 0);
        // SAFETY: a handle, and a buffer of that length.
        let result = unsafe { sys::vas_peek(self.raw(), gpa, pointer, buf.len(), &mut done) };
        check_copy(result, done)
    }

    /// As `write`, for much: as many pages as are to be zero stay untouched.
    pub fn poke(&self, gpa: u64, buf: &[u8]) -> Result<()> {
        let (pointer, mut done) = (buf.as_ptr().cast(), 0);
        // SAFETY: a handle, and a buffer of that length.
        let result = unsafe { sys::vas_poke(self.raw(), gpa, pointer, buf.len(), &mut done) };
        check_copy(result, done)
    }

    /// The first match of `bytes` in a range; with a mask of the same length, only bits set there
    /// are compared.
    pub fn search(
        &self,
        gpa: u64,
        len: u64,
        bytes: &[u8],
        mask: Option<&[u8]>,
    ) -> Result<Option<u64>> {
        if mask.map_or(false, |mask| mask.len() != bytes.len()) {
            return Err(Error::new(EINVAL, "the mask is not as long as the pattern"));
        }
        let pattern = sys::vas_pattern {
            bytes: bytes.as_ptr().cast(),
            mask: mask.map_or(std::ptr::null(), |mask| mask.as_ptr().cast()),
            len: bytes.len(),
        };
        let mut found = 0;
        // SAFETY: a handle, and a pattern that outlives the call.
        match check(unsafe { sys::vas_search(self.raw(), gpa, len, &pattern, &mut found) }) {
            Ok(_) => Ok(Some(found)),
            Err(error) if error.errno() == ENOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Enters a section: see [`Section`].
    #[inline]
    pub fn enter(&self) -> Result<Section<'_>> {
        Section::new(self)
    }
}
