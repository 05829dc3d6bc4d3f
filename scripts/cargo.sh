#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Cargo, the distribution's where there is one, with the distribution's crates and without a network:
# cargo.sh ARGUMENT...; or
# cargo.sh --lack CRATE-VERSION..., which fails and says what is missing, if anything is; or
# cargo.sh --vm-memory [MANIFEST]..., which says of which release vm-memory is here, 0.10 or 0.16, and has
# manifests, copies of those in the repository, use that.
set -eu

registry=${VAS_CRATES:-/usr/share/cargo/registry}
PATH=/usr/bin:$PATH

if [ "${1:-}" = --lack ]; then
	shift
	for tool in cargo rustc; do
		command -v $tool >/dev/null || {
			echo "no $tool"
			exit 1
		}
	done
	for crate; do
		set -- "$registry/$crate".*
		[ -d "$1" ] || {
			echo "no crate $crate in $registry (librust-${crate%-*}-dev)"
			exit 1
		}
	done
	exit
fi
if [ "${1:-}" = --vm-memory ]; then
	shift
	release=0.16 other=vm-memory here=vm-memory-0-16
	if [ -n "$("$0" --lack vm-memory-0.16)" ]; then
		release=0.10 other=vm-memory-0-16 here=vm-memory
		"$0" --lack vm-memory-0.10 || exit
	fi
	for manifest; do
		# The crate's own has both; whoever uses it has one.
		sed -i -e "/^$other = {.*optional/d" -e "s/^\($other = \[\)\"dep:$other\", /\1/" \
			-e "/^vas = /s/\"vm-memory\"/\"$here\"/" \
			-e "/optional/!s/^\(vm-memory = { version = \)\"[^\"]*\"/\1\"$release\"/" "$manifest"
	done
	echo $release
	exit
fi
exec cargo "$@" --offline --config 'source.crates-io.replace-with="packaged"' \
	--config "source.packaged.directory=\"$registry\""
