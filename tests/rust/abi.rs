// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The crate's structs and constants are those of the headers. Both sides read abi.def; what C
//! makes of it says the program that VAS_ABI names.

use ::vas::sys::*;
use std::fmt::Write;
use std::mem::{size_of, MaybeUninit};
use std::process::Command;

/// What a line of abi.def says, as a line of text.
macro_rules! statement {
    ($out:ident SIZE $type:ident) => {
        writeln!($out, "{} {}", stringify!($type), size_of::<$type>()).unwrap()
    };
    ($out:ident OFFSET $type:ident $field:ident) => {{
        let place = MaybeUninit::<$type>::uninit();
        // SAFETY: the address of a field, which is not read.
        let field = unsafe { std::ptr::addr_of!((*place.as_ptr()).$field) as usize };
        let offset = field - place.as_ptr() as usize;
        writeln!($out, "{}.{} {}", stringify!($type), stringify!($field), offset).unwrap()
    }};
    ($out:ident CONSTANT $name:ident) => {
        writeln!($out, "{} {}", stringify!($name), $name as u64).unwrap()
    };
}

macro_rules! statements {
    ($out:ident $($what:ident($first:ident $(, $second:ident)?);)*) => {
        { $(statement!($out $what $first $($second)?);)* }
    };
}

// A macro's input cannot be included: the whole call is abi.in, which crate_works.sh makes.
#[test]
fn structs_and_constants_are_as_in_c() {
    let mut ours = String::new();
    let out = &mut ours;
    include!(concat!(env!("VAS_ABI_FOLDER"), "/abi.in"));
    let c = Command::new(env!("VAS_ABI")).output().expect("the program of abi.c");
    let theirs = String::from_utf8(c.stdout).unwrap();
    assert!(theirs.lines().count() > 100);
    assert_eq!(ours, theirs);
}
