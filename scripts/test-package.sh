#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Do the packages work on a clean system? See usage(). Ends as test.sh: N passed, N failed, N skipped.
set -eu

usage()
{
	cat <<-'END'
	usage: ./dev test package [bookworm | trixie]...

	Builds the packages and the RPMs (./dev package --twice deb rpm), and for each suite (default:
	bookworm), in a chroot made by debootstrap: installs the packages, runs packaging/debian/tests
	there (the command, programs against the libraries, DKMS for each of the suite's kernels), purges
	them, and looks for what they leave. It takes root and a network, else it is skipped.
	build-package/build.log and build-package/SUITE.log have all the output.
	END
}

cd "$(dirname "$0")/.."
out=build-package

# shellcheck source-path=SCRIPTDIR source=steps.sh
. scripts/steps.sh
# shellcheck source-path=SCRIPTDIR source=chroot.sh
. scripts/chroot.sh

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

# Everything there is but logs, caches, and what depmod, dkms (its signing key), apt and systemd (since
# when there was an update, when timers went off) keep.
list_files()
{
	find "$root" -xdev \( -path "$root/proc" -o -path "$root/tmp" -o -path "$root/var/cache" -o \
		-path "$root/var/log" -o -path "$root/var/lib/apt" -o -path "$root/var/lib/dpkg" -o \
		-path "$root/var/lib/systemd/timers" -o -path "$root/etc/.updated" -o -path "$root/var/.updated" \) \
		-prune -o -print | grep -vE '/lib/modules/[^/]*/modules\.|/var/lib/dkms/mok\.' | sort
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

# test_suite SUITE [OTHER-SUITE...]
test_suite()
{
	suite=$1 root=$PWD/$out/$1 log=$PWD/$out/$1.log
	shift
	: >"$log"
	chroot_step "$suite" "$root" "$@" || return 0
	# shellcheck disable=SC2046 # words
	step "$suite: what the tests need is there" \
		chroot_install "$root" dkms $(tests_need) $(headers_of "$suite" "$@") || return 0
	cp -r packaging/debian/tests "$root/opt/vas-tests"
	list_files >"$root.before"
	cp $out/deb/*.deb "$root/tmp"
	rm -f "$root"/tmp/*-dbgsym_*
	step "$suite: packages install" \
		chroot_run "$root" sh -c 'apt-get -q install -y --no-install-recommends /tmp/*.deb' || return 0
	# shellcheck disable=SC2013 # words
	for test in $(sed -n 's/^Tests: //p' packaging/debian/tests/control); do
		case $test in
		service) step "$suite: $test" chroot_boot "$root" "/opt/vas-tests/$test" || : ;;
		*) step "$suite: $test" chroot_run "$root" "/opt/vas-tests/$test" || : ;;
		esac
	done
	step "$suite: purge leaves nothing" purge || :
	rm -rf "$root" "$root.before" "$root.after"
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
[ $# -gt 0 ] || set -- bookworm
mkdir -p "$out"
log=$PWD/$out/build.log
: >"$log"
step "packages build, twice the same bytes, and lintian takes them" scripts/package.sh --twice deb || {
	steps_end
	exit
}
step "RPMs build, twice the same bytes, and rpmlint takes them" scripts/package.sh --twice rpm || :
for suite; do
	case $suite in
	bookworm) test_suite bookworm bookworm-backports ;;
	*) test_suite "$suite" ;;
	esac
done
steps_end
