#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Whatever is wrong on the command line: exit code 2, nothing on stdout, and a sentence that says what.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

wrong()
{
	text=$1
	shift
	expect 2 "$@"
	out_is ""
	err_has "$text"
}
expect 2
err_has "usage: vas VERB"
wrong "there is no verb 'frobnicate'" frobnicate
wrong "there is no verb 'frobnicate'" help frobnicate
wrong "'extra' is one argument too many" help ls extra
wrong "'extra' is one argument too many" --version extra
wrong "vas ls: there is no option --bogus" ls --bogus
wrong "Try 'vas ls --help'." ls --bogus
wrong "there is no option -Z" ls -Z
wrong "'extra' is one argument too many" ls extra
wrong "--json and --quiet are two forms" ls --json --quiet
wrong "which vas? vas info NAME" info
wrong "what is to be read? vas read NAME GPA LEN" read guest 0
wrong "'zero' is no address" read guest zero 16
wrong "'0' is no length" read guest 0 0
wrong "2 bytes from 0xffffffffffffffff on go beyond the last address" read guest 0xffffffffffffffff 2
wrong "'5X' is no length" read guest 0 5X
wrong "--output needs a value" read guest 0 16 --output
wrong "--hex and --raw are two forms" read guest 0 16 --hex --raw
wrong "where to? vas write NAME GPA --hex DIGITS" write guest
wrong "--hex: 'xyz' is not pairs of hex digits" write guest 0 --hex xyz
wrong "--hex: 'abc' is not pairs of hex digits" write guest 0 --hex abc
wrong "one of them, and once" write guest 0 --hex ab --string ab
wrong "'256' is no byte" fill guest 0 4K 256
wrong "what is to be found?" find guest
wrong "'d? e' is not pairs of hex digits or '?'" find guest --hex "d? e"
wrong "--max: '0' is no number from 1 on" find guest text --max 0
wrong "--range: '12' is not GPA:LEN" find guest text --range 12
wrong "--cell: '5K' is no power of two" map guest --cell 5K
wrong "how large is it to be?" create
wrong "--memory: '12Q' is no size" create --memory 12Q
wrong "--memory: '99999999P' is more than 64 bits hold" create --memory 99999999P
wrong "--machine: 'toaster' is not known: pc, q35, microvm, virt or flat" create --memory 1M --machine toaster
wrong "--region: '4K' is not GPA:SIZE[:ro][:NAME]" create --region 4K
wrong "--region: '0:0' is not GPA:SIZE[:ro][:NAME]" create --region 0:0
wrong "--name: '12' will not do" create --memory 1M --name 12
wrong "--name: 'a/b' will not do" create --memory 1M --name a/b
wrong "--name: 'fd:1' will not do" create --memory 1M --name fd:1
wrong "ends beyond the last gpa, 0xfffffffffffff" create --region 0xffffffffff000:8K
wrong "which command is to be run?" run --memory 1M
wrong "'1/x' is no PID/FD" info 1/x
wrong "'tcp:localhost:1x': '1x' is no port" receive tcp:localhost:1x
