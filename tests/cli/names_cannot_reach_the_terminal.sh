#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A vas's name is another's choice: control characters never come out, not in JSON either.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

escape=$(printf '\033')
create "$mine${escape}[2J" --region "0:4K:a${escape}b"
for verb in ls "info $ref" "map $ref" "ls --json" "ls --quiet" "info $ref --json"; do
	# shellcheck disable=SC2086 # words
	expect 0 $verb
	! grep -q "$escape" "$tmp/out" || die "$ran: an escape came through"
	out_has '?'
done
expect 0 ls --json
is_equal "$(json "[v['name'] for v in j if v['pid'] == $pid]")" "['$mine?[2J']"
expect 1 info "x$escape"
! grep -q "$escape" "$tmp/err" || die "an escape came through in an error"

# What obeys or deceives without being a control of ASCII: C1 (of which 9b is what begins an escape), marks of
# direction, what has no width; and bytes that are no UTF-8 at all.
for bad in '\302\233' '\302\205' '\342\200\256' '\342\201\246' '\342\200\213' '\330\234' '\363\240\201\201' '\233'; do
	# shellcheck disable=SC2059 # octal
	bad=$(printf "$bad")
	for locale in C C.UTF-8; do
		export LC_ALL=$locale
		expect 1 info "x${bad}y"
		! LC_ALL=C grep -qF -e "$bad" "$tmp/err" || die "$locale: it came through in an error: $(od -c "$tmp/err")"
		err_has "x?"
		# From libvas, which knows nothing of terminals.
		expect 125 create --region "0:8K:a${bad}b" --region "4K:4K:c${bad}d" -- true
		! LC_ALL=C grep -qF -e "$bad" "$tmp/err" || die "$locale: $ran: it came through: $(od -c "$tmp/err")"
	done
done
# A letter is shown where the terminal can, and nowhere else: in others its bytes may be a C1 control.
letter=$(printf '\303\233')
LC_ALL=C.UTF-8 expect 1 info "x$letter"
err_has "x$letter"
LC_ALL=C expect 1 info "x$letter"
err_has "x?'"
