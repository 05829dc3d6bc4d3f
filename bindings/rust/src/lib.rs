// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A guest's address space as a file descriptor: safe bindings of libvas.
//!
//! A [`Vas`] is this process's handle of one vas: as its owner, as a binder, or as an observer. It
//! is cheap to clone and may be used from any thread. The handle is closed with its last clone and
//! the last object made of it.
//!
//! With the feature `vm-memory` (or `vm-memory-0-16`, by the release of that crate) a vas is guest
//! memory to whatever is written for rust-vmm's traits: see [`memory`].
//!
//! What a function means beyond its types is in the manual of libvas: `man 3 vas_create` and so on.

#![warn(missing_docs)]

#[cfg(all(feature = "vm-memory", feature = "vm-memory-0-16"))]
compile_error!("vm-memory is of one release: choose the feature vm-memory, or vm-memory-0-16");
#[cfg(feature = "vm-memory-0-16")]
extern crate vm_memory_0_16 as vm_memory;

mod access;
mod error;
mod handle;
mod layout;
mod mapping;
#[cfg(any(feature = "vm-memory", feature = "vm-memory-0-16"))]
pub mod memory;
mod section;
#[allow(missing_docs)]
pub mod sys;
mod tracker;

pub use error::{Blocker, BlockerKind, Error, Result};
pub use handle::{version, Info, Notifications, Options, Role, Vas};
pub use layout::{Change, Region};
pub use mapping::{Mapping, Request};
#[cfg(any(feature = "vm-memory", feature = "vm-memory-0-16"))]
pub use memory::{Memory, MemoryGuard};
pub use section::Section;
pub use sys::vas_dirty_word as DirtyWord;
pub use tracker::{Epoch, Frozen, Tracker};
