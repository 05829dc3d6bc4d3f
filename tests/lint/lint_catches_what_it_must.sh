#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# In a copy of the tree that has one of each, './dev lint' tells of every one.
#
# usage: lint_catches_what_it_must.sh TOP
set -eu

cd "$1"
git ls-files >/dev/null 2>&1 || {
	echo "skip: lint asks git for the files, and this is no checkout"
	exit 77
}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
cd "$copy"
git init -q .

# plant FILE: a file with these lines (stdin) behind the licence's
plant()
{
	mkdir -p "$(dirname "$1")"
	{
		echo "// SPDX-License-Identifier: GPL-2.0-only OR MIT"
		cat
	} >"$1"
}

# A circle that no #include shows.
plant lib/handle/planted_low.c <<-END
	int planted_high(void);
	int planted_low(void)
	{
		return planted_high();
	}
END
plant lib/dirty/planted_high.c <<-END
	int planted_low(void);
	int planted_high(void)
	{
		return planted_low();
	}
END
echo '#include "lib/access/view.h"' | plant lib/base/planted.c
echo '#include "lib/handle/handle.h"' | plant cli/ui/planted.c
echo '#include "lib/handle/handle.h"' | plant consumer/kvm/planted.c
echo '#include "core/layout.h"' | plant migrate/base/planted.c
echo '#include "migrate/snapshot/snapshot.h"' | plant migrate/stream/planted.c
echo '#include "../../core/view.h"' | plant kernel/modules/test/planted.c
echo '#include "core/protocol/entries.h"' | plant lib/dirty/planted_fields.c
echo 'int planted;' | plant lib/planted/planted.c
plant core/planted.c <<-END
	int puts(const char *text);
	int planted_call(void)
	{
		return puts("");
	}
END
echo '#include <stdlib.h>' | plant core/planted_include.c
{
	echo 'int planted_long(int x)'
	echo '{'
	seq 60 | sed 's/.*/	x++;/'
	echo '	return x;'
	echo '}'
} | plant lib/base/planted_long.c
plant kernel/core/planted.c <<-END
	#if LINUX_VERSION_CODE
	#endif
	#include <linux/kvm_host.h>







	smp_mb();
	EXPORT_SYMBOL_GPL(planted_export);
END
echo 'race:^planted_race$' >>tests/tsan.suppressions
echo 'int planted_free;' >lib/base/planted_free.c
git add -A

status=0
./dev lint >"$copy/out" 2>&1 || status=$?
bad=0

# told WORDS: lint says so
told()
{
	grep -qF -e "$1" "$copy/out" && return
	echo "not told: $1"
	bad=1
}

[ "$status" = 1 ] || {
	echo "lint ends with $status"
	bad=1
}
told 'lib/handle/planted_low.c uses planted_high of lib/dirty/planted_high.c: lib/handle may not know lib/dirty'
told 'a circle: lib/'
told 'lib/base/planted.c includes lib/access/view.h: lib/base may not know lib/access'
told 'cli/ui/planted.c includes lib/handle/handle.h: cli/ui may not know lib/handle'
told 'consumer/kvm/planted.c includes lib/handle/handle.h: consumer/kvm may not know lib/handle'
told 'migrate/base/planted.c includes core/layout.h: migrate/base may not know core'
told 'migrate/stream/planted.c includes migrate/snapshot/snapshot.h: migrate/stream may not know migrate/snapshot'
told 'kernel/modules/test/planted.c includes kernel/core/view.h: kernel/modules/test may not know kernel/core'
told 'lib/dirty/planted_fields.c:2:#include "core/protocol/entries.h"'
told 'lib/planted/planted.c: its folder is not in layers.txt'
told 'core/planted.c uses puts, which core/ has not: it is freestanding'
told 'core/planted_include.c:2:#include <stdlib.h>'
told 'lib/base/planted_long.c:2 planted_long: 64 lines'
told 'kernel/core/planted.c:2:#if LINUX_VERSION_CODE'
told 'kernel/core/planted.c:4:#include <linux/kvm_host.h>'
told 'kernel/core/planted.c:12:smp_mb();'
told 'planted_export'
told 'planted_race'
told 'lib/base/planted_free.c'
[ $bad = 0 ] || {
	cat "$copy/out"
	exit 1
}
echo "ok - lint tells of all that was planted"
