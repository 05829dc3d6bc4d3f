#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Cargo, the distribution's where there is one, with the distribution's crates and without a network:
# cargo.sh ARGUMENT..., or cargo.sh --lack CRATE-VERSION..., which fails and says what is missing, if
# anything is.
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
exec cargo "$@" --offline --config 'source.crates-io.replace-with="packaged"' \
	--config "source.packaged.directory=\"$registry\""
