// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Where libvas is: what pkg-config says (PKG_CONFIG_PATH for a prefix of its own).

fn main() {
    let version = env!("CARGO_PKG_VERSION");
    if let Err(error) = pkg_config::Config::new().atleast_version(version).probe("vas") {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
