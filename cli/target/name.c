// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/target/parse.h"
#include "cli/target/scan.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

#define MOST_FDS 4096 /* of a holder, among which a further backing is looked for */

int name_check(const char *name)
{
	int number;

	if (!*name || strlen(name) >= VAS_NAME_LEN || strchr(name, '/'))
		return -EINVAL;
	return parse_number(name, &number) == -EINVAL && strncmp(name, "fd:", 3) ? 0 : -EINVAL;
}

void name_format_uuid(const uint8_t uuid[16], char text[UUID_TEXT_LEN])
{
	for (int i = 0; i < 16; i++)
		text += sprintf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
				uuid[i]);
}

static int fail_open(const char *name, int err)
{
	if (err == -ENOENT || err == -ESRCH)
		return fail(EXIT_NOT_FOUND,
			    "%s: there is no such process, or it has no such file "
			    "descriptor open; 'vas ls' lists those that have",
			    name);
	if (err == -EMEDIUMTYPE)
		return fail(EXIT_REFUSED, "%s: this is no memory file, and so no vas", name);
	if (err == -EACCES || err == -EPERM)
		return fail(EXIT_REFUSED, "%s: this process belongs to another user: try as root",
			    name);
	return fail(EXIT_REFUSED, "%s: %s", name, strerror(-err));
}

/*
 * A holder's fd, opened anew: it may be written to if the file may. An inherited fd is taken as it
 * is, because whoever handed a read-only one meant it.
 */
static int open_holder(const char *name, const struct holder *holder, int flags, int *fd)
{
	*fd = holder_open(holder, flags);
	return *fd >= 0 ? EXIT_OK : fail_open(name, *fd);
}

static int open_inherited(const char *name, const struct holder *holder, int *fd)
{
	*fd = fcntl(holder->fd, F_DUPFD_CLOEXEC, 0);
	if (*fd >= 0)
		return EXIT_OK;
	return fail(EXIT_NOT_FOUND, "%s: this command inherits no such file descriptor", name);
}

static int is_named(const struct found *found, const char *name)
{
	char uuid[UUID_TEXT_LEN];

	name_format_uuid(found->info.uuid, uuid);
	return strncmp(found->info.name, name, VAS_NAME_LEN) == 0 || strcasecmp(uuid, name) == 0;
}

static int fail_ambiguous(const struct scan *scan, const char *name)
{
	char list[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < scan->nr_found && len + 32 < sizeof(list); i++) {
		const struct holder *holder = found_holder(&scan->found[i]);

		if (is_named(&scan->found[i], name))
			len += (size_t)sprintf(list + len, "%s%d/%d", len ? ", " : "", holder->pid,
					       holder->fd);
	}
	return fail(EXIT_NOT_FOUND, "more than one vas is named '%s': say which by one of %s", name,
		    list);
}

static int fail_unknown(const struct scan *scan, const char *name)
{
	if (scan->nr_denied)
		return fail(EXIT_NOT_FOUND,
			    "no vas is named '%s' here, but %zu processes cannot be "
			    "looked into: try as root",
			    name, scan->nr_denied);
	return fail(EXIT_NOT_FOUND, "no vas is named '%s': 'vas ls' lists those that are there",
		    name);
}

/* What was found is what is opened, whatever its holder has done since. */
static int open_same(const struct found *found, const struct holder *holder, int flags)
{
	int fd = holder_open(holder, flags);
	struct stat st;

	if (fd < 0 || (!fstat(fd, &st) && st.st_dev == found->dev && st.st_ino == found->ino))
		return fd;
	close(fd);
	return -ENOENT;
}

/* By any of its holders: others may have ended since. */
static int open_found(const char *name, const struct found *found, int flags, struct holder *holder,
		      int *fd)
{
	*holder = *found_holder(found);
	*fd = open_same(found, holder, flags);
	for (size_t i = 0; *fd < 0 && i < found->nr_holders; i++) {
		*holder = found->holders[i];
		*fd = open_same(found, holder, flags);
	}
	if (*fd >= 0)
		return EXIT_OK;
	if (*fd != -ENOENT && *fd != -ESRCH)
		return fail_open(name, *fd);
	return fail(EXIT_NOT_FOUND, "%s: the process that had it open has closed it: try again",
		    name);
}

/* Find the vas by what it says of itself. */
static int look_for(const char *name, int flags, struct holder *holder, int *fd)
{
	const struct found *found = NULL;
	struct scan scan;
	size_t nr = 0;
	int err = scan_host(&scan), code = EXIT_OK;

	for (size_t i = 0; i < scan.nr_found; i++) {
		if (!is_named(&scan.found[i], name))
			continue;
		found = &scan.found[i];
		nr++;
	}
	if (err)
		code = fail(EXIT_REFUSED, "cannot look through /proc: %s", strerror(-err));
	else if (nr > 1)
		code = fail_ambiguous(&scan, name);
	else if (!nr)
		code = fail_unknown(&scan, name);
	else
		code = open_found(name, found, flags, holder, fd);
	scan_clean(&scan);
	return code;
}

/* PID/FD, fd:N or N: 0, or -EINVAL if it is no such thing. */
static int parse_reference(const char *name, struct holder *holder)
{
	const char *slash = strchr(name, '/');
	char pid[16] = "";

	holder->pid = getpid();
	if (!strncmp(name, "fd:", 3))
		return parse_number(name + 3, &holder->fd) ? -EINVAL : 0;
	if (!slash)
		return parse_number(name, &holder->fd) ? -EINVAL : 0;
	if (slash - name >= (ptrdiff_t)sizeof(pid))
		return -EINVAL;
	memcpy(pid, name, (size_t)(slash - name));
	return parse_number(pid, &holder->pid) || parse_number(slash + 1, &holder->fd) ? -EINVAL :
											 0;
}

/* Backings in files of their own: their fds are where the vas's is, so show libvas all of those. */
void name_offer_backings(struct vas *vas, pid_t pid)
{
	struct holder other = { .pid = pid };
	struct vas_info info;
	long most = sysconf(_SC_OPEN_MAX);

	if (vas_info(vas, &info) || (info.nr_backings < 2 && vas_backing_fd(vas, 0) >= 0))
		return;
	for (other.fd = 0; other.fd < most && other.fd < MOST_FDS; other.fd++) {
		int fd;

		/* What is no memory is not opened: that might block, or do something. */
		fd = holder_open(&other, info.role == VAS_ROLE_OBSERVER ? O_RDONLY : O_RDWR);
		if (fd < 0)
			continue;
		vas_backing_offer(vas, fd);
		close(fd);
	}
}

static int open_name(const char *name, int flags, struct holder *holder, int *fd)
{
	if (parse_reference(name, holder)) {
		if (strchr(name, '/'))
			return fail_usage("'%s' is no PID/FD: both must be numbers", name);
		return look_for(name, flags, holder, fd);
	}
	return holder->pid == getpid() ? open_inherited(name, holder, fd) :
					 open_holder(name, holder, flags, fd);
}

int name_bind(const char *name, enum vas_role role, struct vas **vas)
{
	const int observes = role == VAS_ROLE_OBSERVER;
	struct holder holder = { 0 };
	int fd = -1, err, code = open_name(name, observes ? O_RDONLY : O_RDWR, &holder, &fd);

	if (code)
		return code;
	err = vas_bind(fd, observes ? VAS_BIND_OBSERVE : 0, vas);
	close(fd);
	if (err)
		return fail_vas(err, name);
	name_offer_backings(*vas, holder.pid);
	return EXIT_OK;
}

static int is_same_vas(const struct vas *a, const struct vas *b)
{
	struct stat x, y;

	return !fstat(vas_fd(a), &x) && !fstat(vas_fd(b), &y) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

int name_bind_to_read(const char *name, struct vas **vas)
{
	struct vas *observer;
	struct vas_info info;
	int code = name_bind(name, VAS_ROLE_OBSERVER, vas);

	if (code || vas_info(*vas, &info) || !info.nr_lazy)
		return code;
	observer = *vas;
	code = name_bind(name, VAS_ROLE_BINDER, vas);
	if (!code && !is_same_vas(observer, *vas)) {
		vas_unbind(*vas);
		code = fail(EXIT_NOT_FOUND, "%s: names another vas by now: try again", name);
	}
	vas_unbind(observer);
	return code;
}
