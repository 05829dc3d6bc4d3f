#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# scripts/words.py names a private word in an identifier, and no other. usage: SCRIPT SOURCE-DIR
set -eu

source=$1
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
mkdir lib kernel

# found FILE TEXT SENTENCE: the identifiers of TEXT, as FILE, are complained of by this sentence
found()
{
	printf '%s\n' "$2" >"$1"
	if said=$("$source/scripts/words.py" "$1") || ! printf '%s\n' "$said" | grep -qF "$3"; then
		echo "$1: '$2' gives: $said"
		exit 1
	fi
}

found lib/a.c 'int vas_wish_new(void);' \
	'lib/a.c:1: "vas_wish_new": "wish" is a private word, say request'
found lib/b.h '#define NR_LANES 3' '"lanes" is a private word, say slot_pool'
found kernel/c.c 'static struct record *x;' '"record" is a private word, say binder'
found kernel/d.h 'struct vas_window *vas_window_new(void);' \
	"is a name of POWER's Virtual Accelerator Switchboard"

# Comments, strings, parts of longer words, words of other folders, words that the field has.
cat >lib/good.c <<'END'
/* a wish, a lane */
const char *vas_entities = "garbage"; // tie
struct vas_extent doorbell_ring(struct vring *ring, int record, struct vas_window *window);
END
"$source/scripts/words.py" lib/good.c
