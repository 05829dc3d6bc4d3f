#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Checks the Spin models of the protocol, and that each of their broken variants fails.
#
# A model's head says what there is to do: "check: FLAGS" must hold in every reachable state,
# "deep: FLAGS" too but takes long, "break: NAME FLAGS" must be found to be wrong with -DNAME. With
# -DLIVE among the flags, the model's LTL formula is checked instead, under weak fairness.
set -eu

usage()
{
	cat <<'EOT'
Usage: model.sh [--deep] [NAME...]

Checks the models NAME... (default: all in model/ that say what to check), prints a line for each
check and each broken variant, and ends with "N passed, N failed, N skipped".

  --deep   the long checks too, and that each broken variant holds without what breaks it

JOBS (default 2) run at once, each with at most MEMORY (default 4096) MiB and TIMEOUT (default
600, or 3600 with --deep) seconds. Exit: 0, 1 if one failed, 77 if Spin or a C compiler is missing.
EOT
}

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cc=${CC:-cc}
JOBS=${JOBS:-2}
MEMORY=${MEMORY:-4096}

# ---- one check -------------------------------------------------------------------------------

# Makes the verifier "pan" of model $1 with flags $2, optimized as $3 says, in the folder that we
# are in.
build_pan()
{
	kind=-DSAFETY
	case " $2 " in *' -DLIVE '*) kind=-DNFAIR=3 ;; esac
	cp "$root"/model/*.pml .
	# shellcheck disable=SC2086 # flags are words
	if ! spin -a $2 "$1.pml" >spin.out 2>&1 || grep -qi error spin.out || ! test -s pan.c; then
		cat spin.out
		return 1
	fi
	$cc "$3" -w $kind -DCOLLAPSE -DVECTORSZ=1024 -DMEMLIM="$MEMORY" -o pan pan.c
}

# What the verifier found, in pan.out, as one word: holds, violated, or incomplete.
verdict()
{
	if grep -q '^pan:[0-9]*: \(assertion violated\|invalid end state\|acceptance cycle\)' pan.out; then
		echo violated
	elif test "$1" -eq 0 && grep -q 'errors: 0$' pan.out &&
	     ! grep -q 'Search not completed\|search depth too small\|MEMLIM\|out of memory' pan.out; then
		echo holds
	else
		echo incomplete
	fi
}

# Why the search ended early, or what was violated.
reason()
{
	sed -n -e 's/^pan:[0-9]*: \(.*\) (at depth.*/\1/p' -e 's/^pan: \(reached .*\)/\1/p' \
		-e 's/^error: \(.*\)/\1/p' pan.out | head -n 1
}

run_one()
{
	want=$1 model=$2 flags=$3
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 1' HUP INT TERM
	cd "$dir"
	optimize=-O1
	search=-m1000000
	test "$want" = violated && optimize=-O0
	case " $flags " in *' -DLIVE '*) search="$search -a -f" ;; esac
	if ! build_pan "$model" "$flags" "$optimize" >build.out 2>&1; then
		echo "FAIL  $model${flags:+ $flags}: cannot be built: $(head -n 1 build.out)"
		return
	fi
	status=0
	# shellcheck disable=SC2086 # options are words
	timeout "$TIMEOUT" ./pan $search -w22 >pan.out 2>&1 || status=$?
	found=$(verdict "$status")
	states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' pan.out)
	seconds=$(sed -n 's/^pan: elapsed time \([0-9.e+-]*\) seconds/\1/p' pan.out)
	why=$(reason)
	test "$status" -ne 124 || why="not done after $TIMEOUT s"
	case $want,$found in
	holds,holds)
		echo "ok    $model${flags:+ $flags}: holds in ${states} states, ${seconds} s" ;;
	violated,violated)
		echo "ok    $model $flags: fails as it must ($why; ${states} states, ${seconds} s)" ;;
	*,violated)
		echo "FAIL  $model${flags:+ $flags}: $why" ;;
	violated,holds)
		echo "FAIL  $model $flags: holds, but is meant to be broken" ;;
	*)
		echo "FAIL  $model${flags:+ $flags}: search not complete: ${why:-exit status $status}" ;;
	esac
}

if test "${1-}" = --one; then
	shift
	run_one "$@"
	exit 0
fi

# ---- all of them -----------------------------------------------------------------------------

deep=
names=
while test $# -gt 0; do
	case $1 in
	--deep) deep=1 ;;
	--help | -h) usage; exit 0 ;;
	-*) usage >&2; exit 2 ;;
	*) names="$names $1" ;;
	esac
	shift
done
TIMEOUT=${TIMEOUT:-$(test "$deep" && echo 3600 || echo 600)}
export JOBS MEMORY TIMEOUT

for tool in spin "$cc"; do
	command -v "$tool" >/dev/null || {
		echo "skip: $tool is not installed (Debian: apt-get install spin gcc)"
		exit 77
	}
done

if test -z "$names"; then
	names=$(grep -l '^ \* check:' "$root"/model/*.pml | sed 's|.*/||; s|\.pml$||')
fi

# Three words a job for xargs: what is wanted, the model, the flags.
jobs_of()
{
	file=$root/model/$1.pml
	test -r "$file" || {
		echo "model.sh: there is no $file" >&2
		exit 2
	}
	sed -n "s/^ \* check: *\(.*\)/'holds' '$1' '\1'/p" "$file"
	sed -n "s/^ \* break: *\(.*\)/'violated' '$1' '-D\1'/p" "$file"
	test -z "$deep" || {
		sed -n "s/^ \* deep: *\(.*\)/'holds' '$1' '\1'/p" "$file"
		sed -n "s/^ \* break: *[A-Z_]* *\(.*\)/'holds' '$1' '\1'/p" "$file" | sort -u
	}
}

jobs=$(mktemp)
results=$(mktemp)
trap 'rm -f "$jobs" "$results"' EXIT
trap 'exit 1' HUP INT TERM
for name in $names; do
	jobs_of "$name" >>"$jobs"
done
xargs -P "$JOBS" -n 3 "$0" --one <"$jobs" | tee "$results"

passed=$(grep -c '^ok ' "$results" || :)
failed=$(($(grep -c . "$jobs" || :) - passed)) # a check that prints nothing has failed as well
echo "$passed passed, $failed failed, 0 skipped"
test "$failed" -eq 0 && test "$passed" -gt 0
