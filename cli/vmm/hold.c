// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/hold.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/vmm/child.h"
#include "cli/ui/json.h"
#include "cli/target/name.h"
#include "cli/ui/verb.h"

int hold_adopt(const char *name, struct vas **vas)
{
	struct vas_info info;
	struct vas *binder;
	int code = name_bind(name, VAS_ROLE_BINDER, &binder), err;

	if (code)
		return code;
	err = vas_bind(vas_fd(binder), VAS_BIND_ADOPT, vas);
	if (err == -EBUSY && !vas_info(binder, &info))
		code = fail(EXIT_REFUSED,
			    "%s belongs to process %u: this is for its owner to do, or for "
			    "a vas whose owner has ended",
			    name, info.owner_pid);
	else if (err)
		code = fail_vas(err, name);
	vas_unbind(binder);
	return code;
}

int hold_fail(int err, const char *file)
{
	if (err != -EXDEV)
		return fail_vas(err, file);
	return fail(EXIT_REFUSED, "%s: %s: give --any-folder if it may be", file, vas_error());
}

int hold_tell(struct vas *vas, int as_json)
{
	struct vas_info info;
	char uuid[UUID_TEXT_LEN];
	int err = vas_info(vas, &info);

	if (err)
		return fail_vas(err, "the new vas");
	/* Whoever reads this may be gone: no reason for the memory to go, too. */
	signal(SIGPIPE, SIG_IGN);
	if (!as_json) {
		printf("%d/%d\n", getpid(), vas_fd(vas));
	} else {
		name_format_uuid(info.uuid, uuid);
		json_open(NULL, '{');
		json_number("pid", (uint64_t)getpid());
		json_number("fd", (uint64_t)vas_fd(vas));
		json_text("name", info.name, sizeof(info.name));
		json_text("uuid", uuid, sizeof(uuid));
		json_close();
	}
	/* Whoever reads it waits for it. */
	fflush(stdout);
	return EXIT_OK;
}

/* Until one of the fds after the first is readable: 1, it was the first, the signals'. */
static int wait_for_any(struct pollfd *fds, int nr)
{
	while (poll(fds, (nfds_t)nr + 1, -1) < 0)
		if (errno != EINTR)
			return 1;
	return fds[0].revents != 0;
}

void hold_serve(struct vas *const *vas, int nr)
{
	struct pollfd *fds = calloc((size_t)nr + 1, sizeof(*fds));

	block_signals();
	if (!fds) {
		wait_for_signal();
		return;
	}
	fds[0] = (struct pollfd){ .fd = signals_fd(), .events = POLLIN };
	/* What cannot be watched is -1, which poll() passes over. */
	for (int i = 0; i < nr; i++)
		fds[i + 1] = (struct pollfd){ .fd = vas_notify_fd(vas[i]), .events = POLLIN };
	while (fds[0].fd >= 0 && !wait_for_any(fds, nr))
		for (int i = 0; i < nr; i++)
			if (fds[i + 1].revents)
				vas_notifications(vas[i]);
	wait_for_signal();
	if (fds[0].fd >= 0)
		close(fds[0].fd);
	free(fds);
}

int hold_until_signal(struct vas *vas, int as_json)
{
	int code = hold_tell(vas, as_json);

	if (!code)
		hold_serve(&vas, 1);
	return code;
}
