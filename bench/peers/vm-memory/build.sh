#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# build.sh OUTPUT BUILD-DIR PKG-CONFIG-PATH: makes the peers in Rust (vm-memory, and the vas crate with
# its traits) from the packaged crates, without a network. Where that cannot be done, says why and
# leaves an empty OUTPUT, which the benches skip.
set -eu

output=$1 target=$2
export PKG_CONFIG_PATH="$3"
source=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
top=$source/../../..

give_up()
{
	echo "vm-memory peer: not built: $1"
	: >"$output"
	exit 0
}

lack=$("$top/scripts/cargo.sh" --lack vm-memory-0.10 arc-swap-1 pkg-config-0.3) || give_up "$lack"

# Cargo writes a lock file next to the manifest, so it works on a copy.
rm -rf "$target/vas"
mkdir -p "$target"
cp -p "$source/Cargo.toml" "$source/peer.rs" "$target/"
cp -rp "$top/bindings/rust" "$target/vas"
"$top/scripts/cargo.sh" build --release --quiet --manifest-path "$target/Cargo.toml" \
	--target-dir "$target/target" >"$target/log" 2>&1 || give_up "cargo failed, see $target/log"
cp "$target/target/release/libvm_memory_peer.so" "$output"
