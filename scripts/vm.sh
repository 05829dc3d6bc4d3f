#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Run test programs, and load kernel modules, on a stock Debian kernel in a machine of its own:
# QEMU, a kernel from kernel.sh, and an initramfs with nothing but what the tests need.
#
# exit status: 0 all passed, 1 something failed or the kernel died, 77 cannot run or all skipped
# needs: qemu-system-x86, cpio, gcc, libc6-dev, util-linux; and what kernel.sh needs
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=vm-machine.sh
. "$scripts/vm-machine.sh"
guest=$scripts/../tests/vm/guest

kernel=6.1 smp=2 mib=512 timeout=300 accel=auto append='' console='' modules=''

usage()
{
	cat <<-END
	usage: vm.sh [OPTION...] [-- QEMU-ARGUMENT...]

	--kernel NAME       kernel, as kernel.sh names it, or the path of a vmlinux (default: $kernel)
	--run 'PROG ARG...' run a program of the host as a test; its libraries come along
	--file SRC:DST      put a file there; 'SRC:DST/' keeps its name; a program's libraries come along
	--module 'FILE P=V...'   load a module that is tested: unloading it after the tests is a test, too
	--modprobe NAME     load one of the kernel's own modules, with all it depends on
	--with-kvm          load kvm and kvm-amd, which needs no KVM on the host: TCG emulates SVM
	--env NAME=VALUE    set a variable for the tests
	--smp N             processors (default: $smp)
	--mem MIB           RAM in MiB (default: $mib)
	--limit S           seconds that each test may take (default: 60)
	--timeout S         seconds that all may take, the boot included (default: $timeout)
	--append TEXT       add to the kernel's command line
	--qemu-arg ARG      add to QEMU's command line; may be repeated
	--accel NAME        tcg, kvm, or auto: KVM if it has booted this kernel here (default: $accel)
	--console FILE      keep what the console said

	The kernel's own modules come first. Then all goes in the order in which it is given. A test
	passes if it exits with status 0 and the kernel logs nothing alarming; exit status 77 skips it, and
	the last line that it prints says why. A machine that dies of a known fault of QEMU's, and not of
	what it runs, has three tries; the last one's results count.
	END
}

skip()
{
	echo "skip: $*"
	exit 77
}

# The machine's files are collected in $temp/root, what init is to do in $temp/root/plan.
begin()
{
	temp=$(mktemp -d)
	qemu=
	trap cleanup EXIT
	trap 'exit 1' HUP INT TERM
	root=$temp/root
	mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/modules" "$root/tests"
	: >"$root/plan"
}

cleanup()
{
	[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || :
	rm -rf "$temp"
}

plan()
{
	echo "$*" >>"$root/plan"
}

# put SRC DST: a file keeps its name if DST ends in /; two different files in one place are an error
put()
{
	[ -f "$1" ] || machine_die "$1: no such file"
	case $2 in
	*/) to=$root/${2#/}$(basename "$1") ;;
	*) to=$root/${2#/} ;;
	esac
	if [ -e "$to" ]; then
		cmp -s "$1" "$to" || machine_die "$1: another file is at ${to#"$root"} already"
		return
	fi
	mkdir -p "$(dirname "$to")"
	cp -L "$1" "$to"
}

# The libraries of a dynamic program, at the paths at which it will look for them
put_libraries()
{
	ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
		put "$library" "$library"
	done
}

# The first word is a file of the host, or else of the machine.
add_run()
{
	program=${1%% *}
	if [ -f "$program" ]; then
		put "$program" tests/
		put_libraries "$program"
		plan "run /tests/$(basename "$program")${1#"$program"}"
	else
		[ -e "$root/${program#/}" ] || machine_die "--run $program: neither here nor in the machine"
		plan "run $1"
	fi
}

add_module()
{
	file=${1%% *}
	put "$file" modules/
	plan "own /modules/$(basename "$file")${1#"$file"}"
}

add_file()
{
	case $1 in
	*:*)
		put "${1%:*}" "${1##*:}"
		[ ! -x "${1%:*}" ] || put_libraries "${1%:*}"
		;;
	*) machine_die "--file $1: wants SRC:DST" ;;
	esac
}

parse_option()
{
	case $1 in
	--kernel) kernel=$2 ;;
	--run) add_run "$2" ;;
	--file) add_file "$2" ;;
	--module) add_module "$2" ;;
	--modprobe) modules="$modules $2" ;;
	--env) plan "env $2" ;;
	--smp) smp=$2 ;;
	--mem) mib=$2 ;;
	--limit) plan "limit $2" ;;
	--timeout) timeout=$2 ;;
	--append) append="$append $2" ;;
	--qemu-arg) echo "$2" >>"$temp/qemu-args" ;;
	--accel) accel=$2 ;;
	--console) console=$2 ;;
	*) machine_die "unknown option $1" ;;
	esac
}

parse()
{
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		case $1 in
		--with-kvm)
			modules="$modules kvm kvm_amd"
			[ "$accel" != auto ] || accel=tcg
			shift
			continue
			;;
		-h | --help)
			usage
			exit
			;;
		esac
		[ $# -gt 1 ] || machine_die "$1: unknown option, or without a value"
		parse_option "$1" "$2"
		shift 2
	done
	[ $# = 0 ] || shift
	for arg; do
		echo "$arg" >>"$temp/qemu-args"
	done
}

find_kernel()
{
	case $kernel in
	*/*)
		vmlinux=$kernel
		[ -f "$vmlinux" ] || machine_die "$vmlinux: no such file"
		;;
	*)
		vmlinux=$("$scripts/kernel.sh" path "$kernel" vmlinux 2>"$temp/why") ||
			skip "$(cat "$temp/why")"
		;;
	esac
}

# The kernel's own modules go to the head of the plan, in load order. A kernel that is given by its
# path is one that somebody has configured for tests, and has them built in.
plan_stock_modules()
{
	case $kernel in
	*/*) return ;;
	esac
	[ -n "$modules" ] || return 0
	# shellcheck disable=SC2086 # a list of words
	"$scripts/kernel.sh" modules "$kernel" $modules >"$temp/modules" ||
		machine_die "not all modules are there"
	while read -r file; do
		put "$file" modules/
		echo "load /modules/$(basename "$file")"
	done <"$temp/modules" >"$temp/plan"
	cat "$root/plan" >>"$temp/plan"
	mv "$temp/plan" "$root/plan"
}

# A /dev/kvm that can be opened may still be far too slow to boot on: believe it once it has booted.
choose_accel()
{
	[ "$accel" = auto ] || return 0
	accel=tcg
	[ -w /dev/kvm ] || return 0
	verdicts=$("$scripts/kernel.sh" cache)/kvm-verdicts
	mkdir -p "${verdicts%/*}"
	key="$(cat /proc/sys/kernel/random/boot_id) $vmlinux"
	if ! grep -qsF "$key" "$verdicts"; then
		verdict=tcg
		! "$0" --kernel "$vmlinux" --accel kvm --timeout 10 >"$temp/probe" 2>&1 || verdict=kvm
		echo "$key $verdict" >>"$verdicts"
	fi
	accel=$(grep -F "$key" "$verdicts" | tail -n 1 | sed 's/.* //')
}

# What each try is started with
prepare()
{
	machine_initramfs "$root" "$temp/initramfs"
	mkfifo "$temp/report"
	cpu=max
	[ "$accel" != kvm ] || cpu=host
	# A kernel that looks for races finds its own, too: init tells them apart, so it must live on.
	[ "$kernel" != kcsan ] || append="panic_on_warn=0 log_buf_len=4M$append"
	# A minute without a schedule is work without an end; less is a machine that is busy.
	[ "$kernel" != debug ] ||
		append="sysctl.kernel.watchdog=1 sysctl.kernel.watchdog_thresh=30$append"
	[ "$accel" != tcg ] || accel=tcg,thread=multi
}

# The report comes on the standard output. QEMU ends with this script, whatever way that ends.
start()
{
	set --
	[ ! -e "$temp/qemu-args" ] || while IFS= read -r arg; do
		set -- "$@" "$arg"
	done <"$temp/qemu-args"
	: >"$temp/console" # there also if QEMU does not start
	setpriv --pdeathsig TERM timeout -k 5 "$timeout" setpriv --pdeathsig KILL \
		qemu-system-x86_64 -machine q35 -accel "$accel" -cpu $cpu -smp "$smp" -m "${mib}M" \
		-nodefaults -display none -no-reboot -serial "file:$temp/console" -serial stdio \
		-kernel "$vmlinux" -initrd "$temp/initramfs" \
		-append "$(machine_cmdline) panic_on_warn=1 oops=panic $append" "$@" \
		</dev/null >"$temp/report" 2>"$temp/errors" &
	qemu=$!
}

# Pass on the results as they come, and count them.
follow_report()
{
	passed=0 failed=0 skipped=0 current='' verdict=''
	while IFS= read -r line; do
		case $line in
		'run '*)
			current=${line#run }
			continue
			;;
		'success '[0-9]* | 'failure '[0-9]*)
			verdict=$line
			continue
			;;
		'ok '*) passed=$((passed + 1)) current='' ;;
		'not ok '*) failed=$((failed + 1)) current='' ;;
		'skip '*) skipped=$((skipped + 1)) current='' ;;
		esac
		echo "$line"
	done <"$temp/report"
}

# What tests say has failed in them, and what the console said at the end; of a kernel that died, from
# the first line of its complaint on.
show_console()
{
	grep -a -B 8 '^not ok' "$temp/console" | tr -d '\r' | sed 's/^/#   /' || :
	echo "# the end of the console:"
	from=
	if [ -z "$verdict" ]; then
		from=$(grep -nE -m 1 'WARNING:|BUG:|UBSAN:|BUG at|Oops|panic|fault:' "$temp/console" |
			cut -d : -f 1)
	fi
	if [ -n "$from" ]; then
		tail -n "+$from" "$temp/console" | head -n 120
	else
		tail -n 40 "$temp/console"
	fi | tr -d '\r' | sed 's/^/#   /'
}

# QEMU before 8.1 may go on executing an old translation of code that another processor has just
# patched. The kernel then dies of an int3 that is not in its memory any more: the byte before the
# one in <> would be cc. Seen on the newest kernel, without any module of ours, while a static key of the
# scheduler was flipped; not with one thread for all processors (--accel tcg,thread=single).
is_stale_translation()
{
	grep -q 'int3: 0000 \[#' "$temp/console" && ! grep -q 'Code: .* cc <' "$temp/console"
}

# Where a machine's KVM runs a guest, which is QEMU's emulation of SVM, one of its processors may go on
# with the guest's time stamp counter, and then with its stack. The log goes back by minutes then.
has_lost_its_clock()
{
	sed -n 's/^\[ *\([0-9]*\)\.[0-9]*\].*/\1/p' "$temp/console" |
		awk '$1 + 60 < last { lost = 1 } { last = $1 } END { exit !lost }'
}

# QEMU's emulation of SVM may kill a machine that runs guests. So may a module that is tested.
only_svm_may_kill_it()
{
	case "$modules " in
	*' kvm_amd '*) ! grep -q '^own ' "$root/plan" ;;
	*) return 1 ;;
	esac
}

# If there is no verdict, $why says how the machine ended, and so does $fault if it is QEMU's.
await_end()
{
	status=0 why='' fault=''
	wait "$qemu" || status=$?
	qemu=
	[ -z "$verdict" ] || return 0
	case $status in
	0)
		why="the kernel died"
		! only_svm_may_kill_it || fault="$why"
		;;
	124 | 137) why="not done after $timeout s" ;;
	*) why="QEMU failed" ;;
	esac
	! is_stale_translation || fault="QEMU ran code that had been patched"
	! has_lost_its_clock || fault="QEMU lost the machine's clock"
	why=${fault:-$why}
}

# A machine that ends without a verdict has died in the test that it had begun.
conclude()
{
	if [ -z "$verdict" ]; then
		failed=$((failed + 1))
		echo "not ok ${current:-boot} # $why"
	fi
	if [ -n "$verdict" ] && [ "${verdict##* }" != $((passed + failed + skipped)) ]; then
		echo "not ok report # $((passed + failed + skipped)) of ${verdict##* } results have come"
		failed=$((failed + 1))
	fi
	[ -z "$console" ] || cp "$temp/console" "$console"
	if [ "$failed" -gt 0 ]; then
		sed 's/^/# qemu: /' "$temp/errors"
		[ ! -s "$temp/console" ] || show_console
	fi
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] || exit 1
	[ "$passed" -gt 0 ] || [ "$skipped" = 0 ] || exit 77
}

for tool in qemu-system-x86_64 cpio timeout setpriv; do
	command -v $tool >/dev/null || skip "$tool is missing; please install it"
done
begin
parse "$@"
find_kernel
plan_stock_modules
choose_accel
machine_program "$root/init" "$guest/init.c" "$guest/kmsg.c" "$guest/kvm_hold.c" "$guest/modules.c" "$guest/race.c" \
	"$guest/report.c" "$guest/stage.c" "$guest/test_process.c"
prepare
for try in 1 2 3; do
	start
	follow_report
	await_end
	if [ -z "$fault" ] || [ "$try" = 3 ]; then
		break
	fi
	echo "# ${current:-boot}: $why; all is run again"
done
conclude
