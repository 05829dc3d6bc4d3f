// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The examples of the crate's page are tests.
#![doc = include_str!("../../docs/rust.md")]
