#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# build.sh OUTPUT BUILD-DIR: makes the vm-memory peer from the packaged crates, without a network. Where
# that cannot be done, says why and leaves an empty OUTPUT, which the benches skip.
set -eu

output=$1
target=$2
source=$(dirname "$0")
registry=${VAS_CRATES:-/usr/share/cargo/registry}

give_up()
{
	echo "vm-memory peer: not built: $1"
	: >"$output"
	exit 0
}

command -v cargo >/dev/null || give_up "no cargo"
set -- "$registry"/vm-memory-0.10.*
test -d "$1" || give_up "no vm-memory 0.10 in $registry (librust-vm-memory-dev)"

# Cargo writes a lock file next to the manifest, so it works on a copy.
mkdir -p "$target"
cp "$source/Cargo.toml" "$source/peer.rs" "$target/"
cargo build --release --offline --quiet --manifest-path "$target/Cargo.toml" \
	--target-dir "$target/target" \
	--config 'source.crates-io.replace-with="packaged"' \
	--config "source.packaged.directory=\"$registry\"" >"$target/log" 2>&1 ||
	give_up "cargo failed, see $target/log"
cp "$target/target/release/libvm_memory_peer.so" "$output"
