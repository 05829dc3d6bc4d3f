#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Do the packages work on a clean system? See usage(). Ends as test.sh: N passed, N failed, N skipped.
set -eu

usage()
{
	cat <<-'END'
	usage: ./dev test package [bookworm | trixie]...

	Builds the packages (./dev package), and for each suite (default: bookworm), in a chroot made by
	debootstrap: installs them, runs packaging/debian/tests there (the command, programs against the
	libraries, DKMS for each of the suite's kernels), purges them, and looks for what they leave.
	It takes root and a network, else it is skipped. build-package/SUITE.log has all the output.
	END
}

cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
out=build-package

say()
{
	echo "package: $*"
}

die()
{
	echo "package: $*" >&2
	exit 1
}

# shellcheck source-path=SCRIPTDIR source=chroot.sh
. scripts/chroot.sh

# step NAME COMMAND...: counted; false if it fails
step()
{
	name=$1
	shift
	if "$@" >"$root.step" 2>&1; then
		echo "ok $suite: $name"
		passed=$((passed + 1))
	else
		echo "not ok $suite: $name"
		tail -n 20 "$root.step" | sed 's/^/# /'
		failed=$((failed + 1))
	fi
	cat "$root.step" >>"$root.log"
}

# Packages with the headers of each kernel of these suites.
headers_of()
{
	for from; do
		# shellcheck disable=SC2016 # the dollar is sed's
		chroot_run "$root" apt-cache depends -t "$from" linux-headers-amd64 2>/dev/null |
			sed -n 's/^ *Depends: \(linux-headers-[0-9].*\)$/\1/p'
	done | sort -u
}

# Other packages than ours that the tests ask for.
tests_need()
{
	sed -n 's/^Depends: //p' packaging/debian/tests/control | tr -d , | tr ' ' '\n' |
		grep -vE '^(lib|python3-|librust-)?vas(-|$)|^libvas|^linux-headers-generic$'
}

# Everything there is but logs, caches, and what depmod, dkms (its signing key) and apt keep.
list_files()
{
	find "$root" -xdev \( -path "$root/proc" -o -path "$root/tmp" -o -path "$root/var/cache" -o \
		-path "$root/var/log" -o -path "$root/var/lib/apt" -o -path "$root/var/lib/dpkg" \) -prune -o \
		-print | grep -vE '/lib/modules/[^/]*/modules\.|/var/lib/dkms/mok\.' | sort
}

purge()
{
	names=$(for deb in "$root"/tmp/*.deb; do dpkg-deb -f "$deb" Package; done)
	# shellcheck disable=SC2086 # words
	chroot_run "$root" apt-get -q purge -y --auto-remove $names || return
	# shellcheck disable=SC2086 # words
	! chroot_run "$root" dpkg-query -W $names 2>/dev/null || return
	list_files >"$root.after"
	diff "$root.before" "$root.after"
}

test_suite()
{
	suite=$1
	shift
	root=$PWD/$out/$suite
	: >"$root.log"
	if ! chroot_make "$suite" "$root" "$@" >"$root.step" 2>&1; then
		echo "skip $suite: no such system can be made: $(tail -n 1 "$root.step")"
		skipped=$((skipped + 1))
		return
	fi
	# shellcheck disable=SC2046 # words
	step "what the tests need is there" chroot_install "$root" dkms $(tests_need) $(headers_of "$suite" "$@")
	list_files >"$root.before"
	cp -r packaging/debian/tests "$root/tmp/tests"
	cp $out/deb/*.deb "$root/tmp"
	rm -f "$root"/tmp/*-dbgsym_*
	step "packages install" chroot_run "$root" sh -c 'apt-get -q install -y --no-install-recommends /tmp/*.deb'
	# shellcheck disable=SC2013 # words
	for test in $(sed -n 's/^Tests: //p' packaging/debian/tests/control); do
		step "$test" chroot_run "$root" "/tmp/tests/$test"
	done
	step "purge leaves nothing" purge
	rm -rf "$root" "$root.step" "$root.before" "$root.after"
}

for argument; do
	case $argument in
	bookworm | trixie) ;;
	-h | --help)
		usage
		exit
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
done
lack=$(chroot_lack)
[ -z "$lack" ] || {
	echo "skip: $lack"
	exit 77
}
scripts/package.sh deb
[ $# -gt 0 ] || set -- bookworm
for suite; do
	case $suite in
	bookworm) test_suite bookworm bookworm-backports ;;
	*) test_suite "$suite" ;;
	esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
