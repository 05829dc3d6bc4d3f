#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The Rust crate: its tests, the examples of its page, its example; with and without vm-memory. Built by
# the distribution's Cargo from the distribution's crates, without a network.
# usage: SCRIPT SOURCE-DIR BUILD-DIR WORK-DIR ABI-PROGRAM
set -eu

source=$1 build=$2 work=$3
lack=$("$source/scripts/cargo.sh" --lack arc-swap-1 pkg-config-0.3 && "$source/scripts/cargo.sh" --vm-memory) || {
	echo "skip: $lack; ./dev setup installs it"
	exit 77
}
VAS_ABI=$(realpath "$4")
VAS_ABI_FOLDER=$work
PKG_CONFIG_PATH=$build/meson-uninstalled
# For cargo's children; what is a build's own comes first.
LD_LIBRARY_PATH=$build/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# What is built for another machine (CARGO_BUILD_TARGET) comes with flags of its own. Stable Cargo of
# that age runs no documented examples of such a machine: it is told to.
RUSTFLAGS="-Dwarnings${RUSTFLAGS:+ $RUSTFLAGS}"
unstable=
if [ -n "${CARGO_BUILD_TARGET:-}" ]; then
	RUSTDOCFLAGS=${RUSTFLAGS#-Dwarnings } RUSTC_BOOTSTRAP=1 unstable=-Zdoctest-xcompile
	export RUSTDOCFLAGS RUSTC_BOOTSTRAP
fi
export RUSTFLAGS VAS_ABI VAS_ABI_FOLDER PKG_CONFIG_PATH LD_LIBRARY_PATH

# Cargo writes a lock file beside a manifest: it works on a copy, with the times of the files.
rm -rf "$work/tests" "$work/bindings" "$work/docs"
mkdir -p "$work/tests" "$work/bindings" "$work/docs" "$work/tests/example/src"
cp -rp "$source/tests/rust" "$work/tests/"
cp -rp "$source/bindings/rust" "$work/bindings/"
cp -p "$source/docs/rust.md" "$work/docs/"
release=$("$source/scripts/cargo.sh" --vm-memory "$work/tests/rust/Cargo.toml" "$work/bindings/rust/Cargo.toml")
case $release in
0.10) feature=vm-memory ;;
*) feature=vm-memory-0-16 ;;
esac
if "$source/scripts/cargo.sh" --lack virtio-queue-0.14 >/dev/null; then
	printf '\n[[test]]\nname = "virtio"\npath = "virtio.rs"\n\n[dev-dependencies]\nvirtio-queue = "0.14"\n' \
		>>"$work/tests/rust/Cargo.toml"
fi
{
	echo 'statements! { out'
	cat "$source/tests/rust/abi.def"
	echo '}'
} >"$work/abi.in.new"
cmp -s "$work/abi.in.new" "$work/abi.in" || mv "$work/abi.in.new" "$work/abi.in"

cargo()
{
	what=$1 manifest=$2
	shift 2
	# shellcheck disable=SC2086 # no word, where there is none
	"$source/scripts/cargo.sh" "$what" --quiet --manifest-path "$work/$manifest/Cargo.toml" \
		--target-dir "$work/target" $unstable "$@"
}

cargo test tests/rust
# What must not compile, and the crate's own page.
cargo test bindings/rust --doc --features $feature
cargo check bindings/rust
# The example, as somebody's own project.
sed -e '/^\[lib\]/,/^$/d' -e '/^\[\[test\]\]/,/^$/d' "$work/tests/rust/Cargo.toml" >"$work/tests/example/Cargo.toml"
cp -p "$source/bindings/rust/examples/queue.rs" "$work/tests/example/src/main.rs"
got=$(cargo run tests/example)
[ "$got" = "vas: HELLO 1 2
mmap: HELLO 1 2" ] || {
	echo "the example says: $got"
	exit 1
}
