#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A guest goes over to other QEMUs, beside and one after the other, and at random moments the command is killed, its
# holder, both, or the new QEMU. Afterwards the guest runs in one QEMU, or stands where 'vas resume' or 'vas upgrade'
# let it go on, with nothing done twice and its memory as it was. TEST_ROUNDS: how often; TEST_SEED.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"
# shellcheck source-path=SCRIPTDIR source=random_kill.sh
. "$(dirname "$0")/random_kill.sh"
kill_within=1500

serial=$tmp/serial

# qemus: the processes that have the console
qemus()
{
	pgrep -f "^qemu-.*path=$serial," || true
}

has_qemus()
{
	[ "$(qemus | wc -l)" = "$1" ]
}

is_dead()
{
	! lives "$1"
}

# Without a holder, this command is it until the guest ends: $holder.
upgrade_holding()
{
	: >"$tmp/held"
	"$VAS" upgrade "$mine" >"$tmp/held" 2>"$tmp/upgrade.err" &
	holder=$!
	started="$started $holder"
	is_held()
	{
		[ -s "$tmp/held" ] || ! lives "$holder"
	}
	wait_until is_held
	[ -s "$tmp/held" ] || die "vas upgrade: $(cat "$tmp/upgrade.err")"
}

boot_anew()
{
	rm -f "$serial"
	qemu "$serial"
	command=$(echo "$command" | sed "s,-serial file:[^ ]*,-chardev file\,id=c\,path=$serial\,append=on -serial chardev:c,")
	# shellcheck disable=SC2086 # words
	"$VAS" run --name "$mine" -- $command -append "$append" >"$tmp/run.out" 2>"$tmp/run.err" &
	holder=$!
	started="$started $holder"
	counts_on "$serial" 0
}

# The QEMU that is started now: $new, or none if it was too quick.
new_qemu()
{
	new=
	while [ -z "$new" ] && lives "$upgrade" && [ ! -s "$tmp/up.out" ]; do
		# shellcheck disable=SC2013 # they are on one line
		for qemu in $(cat "/proc/$holder/task/$holder/children" 2>/dev/null); do
			[ "$qemu" = "$old" ] || new=$qemu
		done
	done
}

upgrade_and_kill()
{
	at=$(last "$serial")
	old=$(qemus)
	# shellcheck disable=SC2086 # words
	"$VAS" upgrade "$mine" -- $command -append "$append" ${2:-} >"$tmp/up.out" 2>"$tmp/up.err" &
	upgrade=$!
	started="$started $upgrade"
	case $1 in
	command) kill_soon "$upgrade" ;;
	holder) kill_soon "$holder" ;;
	both) kill_soon "$upgrade" "$holder" ;;
	new)
		new_qemu
		kill_within=500
		[ -z "$new" ] || kill_soon "$new"
		kill_within=1500
		;;
	esac
	# A command whose holder was killed may have become it.
	ended()
	{
		! lives "$upgrade" || [ -s "$tmp/up.out" ]
	}
	wait_until ended
	case $1 in
	holder | both) wait_until is_dead "$holder" ;;
	new) [ -z "$new" ] || wait_until is_dead "$new" ;;
	esac
}

make_guest
boot_anew
round=0
while [ "$round" -lt "${TEST_ROUNDS:-8}" ]; do
	round=$((round + 1))
	random 4
	victim=$(echo command holder both new | cut -d ' ' -f $((random + 1)))
	random 2
	way=$(echo "-pidfile $tmp/pid" | cut -c "1-$((random * 100 + 1))")
	[ "$way" != - ] || way=
	echo "# round $round: $victim, $way next seed $seed"
	lives "$holder" || die "the holder has ended: $(cat "$tmp"/*.err)"
	upgrade_and_kill "$victim" "$way"
	if [ -s "$tmp/up.out" ]; then
		holder=$upgrade
	elif ! lives "$holder"; then
		# Nobody holds it: a QEMU has it, or nobody.
		if [ -z "$(qemus)" ]; then
			boot_anew
			continue
		fi
		upgrade_holding
	elif [ "$victim" = new ] && [ -n "$new" ] && wait "$upgrade"; then
		# It was the guest's by then.
		wait "$holder" || true
		boot_anew
		continue
	fi
	counts_on "$serial" "${at:-0}"
	wait_until has_qemus 1
	is_gapless "$serial" 1
	expect 0 pause "$mine"
	at=$(last "$serial")
	expect 0 resume "$mine"
	counts_on "$serial" "$at"
done
end "$holder"
nothing_is_left()
{
	"$VAS" create --memory 1M -- true && run_folder_is_empty && has_qemus 0
}
wait_until nothing_is_left
