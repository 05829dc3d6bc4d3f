// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/orphan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/ui/verb.h"
#include "cli/vmm/template.h"
#include "qemu/state.h"

#define MONITOR_NS 1000000000ull

/* A socket of another type cannot connect: EPROTOTYPE while somebody has it, who hears nothing. */
static int is_held(const struct run_folder *folder)
{
	struct run_path path = run_folder_path(folder, "owner");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), is_refused;

	memcpy(to.sun_path, path.s, sizeof(path.s));
	is_refused = sock >= 0 && connect(sock, (const struct sockaddr *)&to, sizeof(to)) &&
		     errno == ECONNREFUSED;
	if (sock >= 0)
		close(sock);
	return !is_refused;
}

static int has_no_guest(struct qmp *qmp, const struct run_ram *ram)
{
	int fd, is_closed;

	if (ram->is_incoming && qemu_is_waiting(qmp) == 1)
		return 1;
	fd = ram->fd < 0 ? -1 : template_open(qmp_pid(qmp), ram->fd);
	if (fd < 0)
		return 0;
	is_closed = template_is_closed(fd);
	if (is_closed && ram->is_private)
		template_seal(fd);
	close(fd);
	return is_closed != ram->is_private;
}

void orphan_end(const struct run_folder *folder)
{
	struct run_path path = run_folder_path(folder, RUN_MONITOR);
	struct run_ram ram;
	struct qmp *qmp;

	if (is_held(folder) || run_folder_get_ram(folder, &ram) ||
	    qmp_open(path.s, MONITOR_NS, &qmp))
		return;
	if (has_no_guest(qmp, &ram)) {
		note("process %d, a QEMU that a killed command has left without a guest, is ended",
		     qmp_pid(qmp));
		qemu_end(qmp);
	}
	qmp_close(qmp);
}
