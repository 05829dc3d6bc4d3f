#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Other compilers, another C library, another release: see usage(). Ends as test.sh.
set -eu

usage()
{
	cat <<-'END'
	usage: ./dev test portability [clang | musl | trixie]...

	clang   build all with clang into build-clang/, and run the suites unit, contract and cli
	musl    build the libraries and the command with musl-gcc into build-musl/, link the README's
	        program with them statically, and run the command's tests on that command. xxHash, zstd
	        and lz4 are built for musl from the distribution's sources, which are kept in the cache.
	trixie  in a chroot with Debian 13: setup, build, and the suites unit, contract, cli and rust

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

# suites FOLDER: their cases are added up by tests/summary.py
suites()
{
	rm -rf "$1/test-results"
	mkdir "$1/test-results"
	meson test -C "$1" --no-rebuild --num-processes "$(nproc)" --logbase tests --print-errorlogs \
		--suite unit --suite contract --suite cli || :
	cp "$1/meson-logs/tests.json" "$1/test-results/"
	python3 tests/summary.py "$1/test-results"
}

test_clang()
{
	command -v clang >/dev/null || {
		skip clang "there is no clang"
		return
	}
	step "clang: builds without a warning" env CC=clang scripts/build.sh build-clang -Dman=false || return 0
	step "clang: unit, contract and cli pass" suites build-clang || return 0
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

test_trixie()
{
	root=$top/$out/trixie
	chroot_step trixie "$root" || return 0
	mkdir "$root/vas"
	git ls-files -z | tar --create --null --files-from=- | tar -x -C "$root/vas"
	if step "trixie: setup installs what is needed" chroot_run "$root" /vas/dev setup &&
		step "trixie: builds without a warning" chroot_run "$root" /vas/dev build; then
		# For a test of the crate: this release has rust-vmm's crate of queues.
		step "trixie: rust-vmm's queues are there" chroot_install "$root" librust-virtio-queue-dev || :
		step "trixie: unit, contract, cli and rust pass" \
			chroot_run "$root" /vas/dev test unit contract cli rust || :
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
