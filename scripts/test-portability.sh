#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Other compilers, another C library, another release: see usage(). Ends as test.sh.
set -eu

usage()
{
	cat <<-'END'
	usage: ./dev test portability [clang | musl | trixie]...

	clang   build all with clang into build-clang/, and run the suites unit, contract and cli; again,
	        into build-clang-ubsan/, with its checks of undefined behaviour, with hostile and migrate
	musl    build the libraries and the command with musl-gcc into build-musl/, link the README's
	        program with them statically, and run the command's tests on that command. xxHash, zstd
	        and lz4 are built for musl from the distribution's sources, which are kept in the cache.
	trixie  in a chroot with Debian 13: setup, and all of ./dev test, with its QEMU; half an hour and
	        more. What skips, and why, is told.

	Default: all. What cannot be had (no root, no network) is skipped with the reason.
	END
}

cd "$(dirname "$0")/.."
top=$PWD
out=build-portability log=build-portability/log

# shellcheck source-path=SCRIPTDIR source=steps.sh
. scripts/steps.sh
# shellcheck source-path=SCRIPTDIR source=chroot.sh
. scripts/chroot.sh

# suites FOLDER SUITE...: their cases are added up by tests/summary.py
suites()
{
	folder=$1 suites=
	shift
	for suite; do
		suites="$suites --suite $suite"
	done
	rm -rf "$folder/test-results"
	mkdir "$folder/test-results"
	# shellcheck disable=SC2086 # words
	meson test -C "$folder" --no-rebuild --num-processes "$(nproc)" --logbase tests --print-errorlogs \
		$suites || :
	cp "$folder/meson-logs/tests.json" "$folder/test-results/"
	python3 tests/summary.py "$folder/test-results"
}

# It looks at more than gcc's: an index beyond an array, if no byte is copied from there.
clang_ubsan()
{
	CC=clang scripts/build.sh build-clang-ubsan -Dman=false -Db_sanitize=undefined -Db_lundef=false ||
		return
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 suites build-clang-ubsan unit contract cli hostile migrate
}

test_clang()
{
	command -v clang >/dev/null || {
		skip clang "there is no clang"
		return
	}
	step "clang: builds without a warning" env CC=clang scripts/build.sh build-clang -Dman=false || return 0
	step "clang: unit, contract and cli pass" suites build-clang unit contract cli || :
	step "clang: unit, contract, cli, hostile and migrate pass with its UBSan" clang_ubsan || :
}

# The kernel's headers, beside musl's own: in $musl/include
musl_kernel_headers()
{
	mkdir -p "$musl/include"
	for folder in linux asm-generic; do
		ln -sfn /usr/include/$folder "$musl/include/$folder"
	done
	ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$musl/include/asm"
}

# Static libraries, in $musl/lib. The sources are this system's release's.
musl_libraries()
{
	[ ! -e "$musl/.whole" ] || return 0
	rm -rf "$musl"
	mkdir -p "$musl/source" "$cache/apt/musl/lists/partial" "$cache/apt/musl/cache/archives/partial"
	apt_dir=$cache/apt/musl
	: >"$apt_dir/status"
	echo "deb-src [signed-by=$keyring] $(mirror) $(. /etc/os-release && echo "$VERSION_CODENAME") main" \
		>"$apt_dir/sources.list"
	private_apt apt-get update
	(cd "$musl/source" && private_apt apt-get source libzstd lz4 xxhash)
	export CFLAGS='-O2 -fPIC'
	make -C "$musl"/source/libzstd-*/lib CC=musl-gcc PREFIX="$musl" install-static install-includes install-pc
	make -C "$musl"/source/lz4-*/lib CC=musl-gcc PREFIX="$musl" BUILD_SHARED=no install
	make -C "$musl"/source/xxhash-* CC=musl-gcc PREFIX="$musl" install
	unset CFLAGS
	sed -i "s,^prefix=.*,prefix=$musl," "$musl"/lib/pkgconfig/*.pc
	rm -rf "$musl"/lib/*.so* "$musl/source"
	musl_kernel_headers
	: >"$musl/.whole"
}

musl_build()
{
	C_INCLUDE_PATH=$musl/include PKG_CONFIG_LIBDIR=$musl/lib/pkgconfig CC=musl-gcc \
		scripts/build.sh build-musl -Dtests=false -Dman=false -Dpython=disabled -Dprefer_static=true
}

musl_readme()
{
	awk '/^```$/ { inside = 0 } inside; /^```c$/ { inside = 1 }' README.md >build-musl/example.c
	musl-gcc -static build-musl/example.c -o build-musl/example -Iinclude build-musl/lib/libvas.a
	[ "$(build-musl/example)" = "hello from gpa 0x1000" ]
}

hang_s=1800 # for what hangs

# musl_test SCRIPT: of the command's
musl_test()
{
	VAS=$top/build-musl/cli/vas RICH_OWNER=$top/build/tests/cli/rich_owner \
		BUS_OWNER=$top/build/tests/cli/bus_owner timeout $hang_s "$1"
}

musl_command()
{
	for test in tests/cli/*.sh tests/cli/*.py; do
		name=$(basename "${test%.*}")
		case $name in
		lib | qemu) ;; # no tests
		a_qemu_that_runs_can_be_worked_on | a_virt_of_aarch64_has_its_memory | \
			parts_of_the_memory_are_in_the_vas | vas_qemu_becomes_a_qemu_on_a_vas)
			skip "musl: $name" "json-c is not built for it, and so the command does not speak with QEMU"
			;;
		*) step "musl: $name" musl_test "$test" || : ;;
		esac
	done
}

test_musl()
{
	musl=$cache/musl-$(uname -m)
	command -v musl-gcc >/dev/null || {
		skip musl "there is no musl-gcc"
		return
	}
	(musl_libraries) >"$log.step" 2>&1 || {
		skip musl "no libraries can be built for it: $(tail -n 1 "$log.step")"
		return
	}
	step "musl: builds without a warning" musl_build || return 0
	step "musl: the README's program, static" musl_readme || :
	scripts/build.sh build # whose programs the tests use
	musl_command
}

# The kernel for machines is the same as here, and not fetched twice.
trixie_tests()
{
	if [ -e "$cache/kernels/6.1/version" ]; then
		mkdir -p "$root/root/.cache/vas/kernels/6.1"
		for part in config modules version vmlinux vmlinuz; do
			cp -r "$cache/kernels/6.1/$part" "$root/root/.cache/vas/kernels/6.1/"
		done
	fi
	chroot_run "$root" sh -c 'cd /vas && git init --quiet && git add .' >"$log.step" 2>&1
	step "trixie: ./dev test passes" chroot_run "$root" /vas/dev test || return
	sed -nE 's/^skipped: |^[0-9]+ passed, /# trixie: &/p' "$log" | tail -n 40
}

test_trixie()
{
	root=$top/$out/trixie
	chroot_step trixie "$root" || return 0
	mkdir "$root/vas"
	git ls-files -z | tar --create --null --files-from=- | tar -x -C "$root/vas"
	# Beside setup's: for tests that ask git for the files; and what this release has: rust-vmm's queues
	# for the crate, libblkio for a disk.
	if step "trixie: setup installs what is needed" chroot_run "$root" /vas/dev setup &&
		step "trixie: git, rust-vmm's queues and libblkio are there" \
			chroot_install "$root" git librust-virtio-queue-dev qemu-utils qemu-block-extra; then
		trixie_tests || :
	fi
	rm -rf "$root"
}

[ $# -gt 0 ] || set -- clang musl trixie
for what; do
	case $what in
	clang | musl | trixie) ;;
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
mkdir -p "$out"
: >"$log"
for what; do
	"test_$what"
done
steps_end
