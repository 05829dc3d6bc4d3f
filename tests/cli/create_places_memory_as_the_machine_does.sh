#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The split around the PCI hole, just below and from the size on at which each machine has it. That
# QEMU agrees is the test of vas run.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

# places MACHINE SIZE: then the regions wanted, as gpa+size@offset
places()
{
	create "$mine" --machine "$1" --memory "$2"
	expect 0 info "$mine" --json
	got=$(json "' '.join('%x+%x@%x' % (r['gpa'], r['size'], r['offset']) for r in j['regions'])")
	shift 2
	is_equal "$got" "$*"
	end "$pid"
}
places pc 3583M 0+dff00000@0
places pc 3584M 0+c0000000@0 100000000+20000000@c0000000
places q35 2815M 0+aff00000@0
places q35 2816M 0+80000000@0 100000000+30000000@80000000
places pc-q35-7.2 4G 0+80000000@0 100000000+80000000@80000000
places microvm 3G 0+c0000000@0
places microvm 3073M 0+c0000000@0 100000000+100000@c0000000
places flat 6G 0+180000000@0

# Further regions lie where their gpa is, unless the RAM is moved: then behind it.
create "$mine" --memory 64M --region 0xfffc0000:256K:ro:bios
expect 0 info "$mine" --json
is_equal "$(json "[(r['name'], r['offset'], r['readonly']) for r in j['regions']]")" \
	"[('ram', 0, False), ('bios', 4294705152, True)]"
is_equal "$(json "j['limit']")" 4294967296
end "$pid"
create "$mine" --memory 4G --machine q35 --region 0xfffc0000:256K:ro:bios --limit 16G
expect 0 info "$mine" --json
is_equal "$(json "[(r['name'], r['offset']) for r in j['regions']]")" \
	"[('ram-below-4g', 0), ('bios', 4294967296), ('ram-above-4g', 2147483648)]"
is_equal "$(json "j['limit']")" 17179869184
