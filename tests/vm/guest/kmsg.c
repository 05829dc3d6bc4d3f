// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include "kmsg.h"
#include "race.h"
#include "report.h"

/* What the kernel's own checkers, and its last words, have in common. */
static const char *const alarms[] = {
	"WARNING:",
	"BUG:",
	"BUG at ",
	"Oops",
	"Kernel panic",
	"general protection fault",
	"unable to handle",
	"Call Trace:",
	"cut here",
	"INFO: possible",
	"INFO: trying to register",
	"INFO: lockdep is turned off",
	"INFO: task ",
	"INFO: rcu",
	"possible circular locking",
	"possible recursive locking",
	"suspicious RCU usage",
	"inconsistent lock state",
	"bad unlock balance",
	"held lock freed",
	"lock held when returning",
	"sleeping function called",
	"scheduling while atomic",
	"refcount_t:",
	"KASAN:",
	"KCSAN:",
	"UBSAN:",
	"ODEBUG:",
	"suspected memory leak",
	"unreferenced object",
	"Bad page state",
	"Bad rss-counter",
	"Objects remaining",
	"list_add corruption",
	"list_del corruption",
};

static int log_fd = -1;

int kmsg_open(void)
{
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return log_fd < 0 ? -errno : 0;
}

static int is_alarming(const char *text)
{
	for (size_t i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++)
		if (strstr(text, alarms[i]))
			return 1;
	return 0;
}

/* A record is "level,sequence,time,flags;text\n" and perhaps lines of " KEY=value". */
static int check_record(char *record)
{
	char *text = strchr(record, ';');
	int nr = 0;

	if (!text)
		return 0;
	text++;
	text[strcspn(text, "\n")] = '\0';
	if (race_follow(text, &nr))
		return nr;
	if (!is_alarming(text))
		return 0;
	report("# %s", text);
	return 1;
}

int kmsg_check(void)
{
	char record[8192];
	int found = 0;
	ssize_t len;

	for (;;) {
		len = read(log_fd, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE) {
			report("# the kernel's log overran: records are lost");
			found++;
			continue;
		}
		if (len <= 0)
			return found;
		record[len] = '\0';
		found += check_record(record);
	}
}
