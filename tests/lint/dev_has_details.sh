#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# './dev COMMAND --help' says what the command does, and does nothing else. usage: SCRIPT SOURCE-DIR
set -eu

cd "$1"
for command in setup build demo test 'test kernel' 'test arm64' 'test package' 'test portability' fuzz package lint; do
	# shellcheck disable=SC2086 # words
	said=$(./dev $command --help) || {
		echo "FAILED: ./dev $command --help ends with $?"
		exit 1
	}
	[ -n "$said" ] || {
		echo "FAILED: ./dev $command --help says nothing"
		exit 1
	}
done
for made in ./-*; do
	[ ! -e "$made" ] || {
		echo "FAILED: it has made $made"
		exit 1
	}
done
