#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# What a reviewer should not have to say: layers, licences, lengths, shell, manual pages.
set -eu

scripts/setup.sh
failed=0

# Whose comments are still longer than 100 columns.
not_yet='^(include/vas|tests)/'

complain()
{
	echo "lint: $1" >&2
	printf '%s\n' "$2" | sed 's/^/	/' >&2
	failed=1
}

# Who may include, and use the symbols of, whom: scripts/layers.txt. It compiles, in some seconds.
bad=$(scripts/layers.py 2>&1) || complain "folders that know what they must not" "$bad"
bad=$(git grep -nE '#.*include.*protocol/entries.h' -- '*.[ch]' ':!core/protocol/' ':!tests/' \
	':!bench/hostile_contents.c' || true)
[ -z "$bad" ] || complain "fields of slots, pins, binders and trackers are core/protocol's alone" "$bad"
bad=$(grep -rnE '^#[[:space:]]*include[[:space:]]*<(std(io|lib)|string|unistd|errno|sys/|pthread)' core || true)
[ -z "$bad" ] || complain "core/ is freestanding" "$bad"
bad=$(grep -rnE 'LINUX_VERSION_CODE|KERNEL_VERSION' kernel --include='*.[ch]' 2>/dev/null | grep -v '^kernel/compat/' || true)
[ -z "$bad" ] || complain "kernel versions are tested in kernel/compat/ only" "$bad"

bad=$(git ls-files | grep -vE '^LICENSES/|\.png$|^\.gitignore$|/source/format$|\.doc-base$' | while read -r file; do
	[ ! -f "$file" ] || head -n 5 "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-only OR MIT' || echo "$file"
done)
[ -z "$bad" ] || complain "no SPDX line" "$bad"

bad=$(git ls-files '*.c' '*.h' | xargs ctags -x --fields=+ne --c-kinds=f --_xformat='%N %F %n %e' |
	awk '$4 - $3 >= 60 { print $2 ":" $3 " " $1 ": " $4 - $3 + 1 " lines" }')
[ -z "$bad" ] || complain "functions over 60 lines" "$bad"

# A suppression of a function that has another name by now lets its races fail once in a while.
bad=$(sed -n 's/^[a-z_]*:^\(.*\)\$$/\1/p' tests/tsan.suppressions | while read -r name; do
	git grep -qE "^[A-Za-z].*[ *]$name\(" -- '*.[ch]' || echo "$name"
done)
[ -z "$bad" ] || complain "tests/tsan.suppressions names functions that are not there" "$bad"

# shellcheck disable=SC2046 # names without spaces
bad=$(shellcheck -x $(git grep -lE '^#!/bin/sh' -- dev .ci scripts tests bench cli packaging) 2>&1) ||
	complain "shellcheck" "$bad"

# Modules' functions say what they promise, above their bodies.
bad=$(git grep -hoE '^EXPORT_SYMBOL_GPL\(\w+\)' -- kernel | sed 's/.*(\(.*\))/\1/' | while read -r name; do
	git grep -q "^ \* $name - " -- kernel || echo "$name"
done)
[ -z "$bad" ] || complain "exported without a kernel-doc comment" "$bad"

for file in dkms.conf bindings/rust/Cargo.toml; do
	bad=$(sed -nE 's/^(PACKAGE_VERSION=|version = )"?([^"]*)"?$/\2/p' $file)
	grep -q "^  version: '$bad'," meson.build || complain "versions differ" "$file $bad, meson.build"
done

# What the headers declare is what the maps export, name by name.
# MAP HEADER...
check_map()
{
	map=$1
	shift
	listed=$(scripts/symbols.py map "$map" 2>&1) || complain "$map" "$listed"
	declared=$(scripts/symbols.py headers "$@")
	[ "$listed" = "$declared" ] ||
		complain "$map and the headers differ" "$(printf '%s\n%s\n' "$listed" "$declared" | sort | uniq -u)"
}
# shellcheck disable=SC2046 # names without spaces
check_map lib/libvas.map $(git ls-files 'include/vas/*.h' | grep -v /migrate.h)
check_map migrate/libvas-migrate.map include/vas/migrate.h
bad=$(git ls-files 'include/*.h' | xargs expand | awk 'length > 100')
[ -z "$bad" ] || complain "public headers end at 100 columns" "$bad"

# The manual's section 3 is made of the headers: each public function needs a description there.
bad=$(python3 man/functions.py --list include/vas/*.h 2>&1 >/dev/null) || complain "manual" "$bad"
# And each verb of the command has a page of its own.
# shellcheck disable=SC2013 # verbs are words
for verb in $(sed -nE 's/^const struct verb verb_([a-z]+) .*/\1/p' cli/verb/*.c); do
	[ -e "man/vas-$verb.1.scd" ] || complain "manual" "vas $verb has no page man/vas-$verb.1.scd"
done

# Code, tests and pages that a page names are there, and its lines are short.
bad=$(scripts/pages.py) || complain "pages" "$bad"
# Identifiers are made of words that the field has.
bad=$(scripts/words.py) || complain "private words" "$bad"
# Columns, with tabs of 8; a string may be longer. And what clang-format would change.
for file in $(git ls-files '*.c' '*.h' | grep -vE "$not_yet"); do
	bad=$(expand "$file" | awk -v file="$file" 'length > 100 && !/"/ { print file ":" NR }')
	[ -z "$bad" ] || complain "lines over 100 columns" "$bad"
done
# shellcheck disable=SC2046 # names without spaces
bad=$(clang-format --dry-run $(git ls-files '*.c' '*.h') 2>&1 | grep 'warning:') || true
[ -z "$bad" ] || complain "clang-format" "$bad"
bad=$(grep -rnE '(^|[^a-z_])kvm_|/kvm[a-z_]*\.h[>"]' kernel --include='*.[ch]' | grep -v '^kernel/modules/bench/' || true)
[ -z "$bad" ] || complain "kernel/ knows KVM" "$bad"
# A comment within the 8 lines before it, or in the same, says who is on a barrier's other side.
# shellcheck disable=SC2016 # the dollar is awk's
bad=$(git ls-files 'kernel/*.[ch]' | xargs awk '
	FNR == 1 { said = -8 }
	/[Pp]airs with|as in |publishes/ { said = FNR }
	/(^|[^a-z_])(smp_)?(mb|rmb|wmb)(__[a-z_]+)?\(\)/ && FNR - said > 8 { print FILENAME ":" FNR ":" $0 }')
[ -z "$bad" ] || complain "barriers that name no partner" "$bad"

[ $failed = 0 ] && echo "lint: ok"
exit $failed
