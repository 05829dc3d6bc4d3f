// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tinyvmm_monitor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tinyvmm_socket.h"

#define LINE_MAX_LEN 512
#define SECOND_NS    1000000000ull
#define PATIENCE_S   10 /* with who has connected, a device's server, a guest that is asked */

/* 0, a slot, or -errno. */
static int carry_out(struct monitor *monitor, const char *line)
{
	unsigned int seconds = PATIENCE_S;
	char word[LINE_MAX_LEN];

	if (sscanf(line, "plug %511s %u", word, &seconds) >= 1)
		return devices_add(monitor->devices, word, seconds * SECOND_NS);
	if (sscanf(line, "unplug %511s %u", word, &seconds) >= 1)
		return devices_unplug(monitor->devices, word, seconds * SECOND_NS);
	if (sscanf(line, "remove %511s", word) == 1)
		return devices_remove(monitor->devices, word);
	return vas_error_set(-EINVAL,
			     "there are: plug SPEC [SECONDS], unplug NAME [SECONDS], remove NAME");
}

/* Up to its end, whatever pieces it comes in. */
static int read_line(int fd, char *line, size_t size)
{
	size_t len = 0;
	ssize_t nr;

	while (len < size - 1 && !memchr(line, '\n', len)) {
		nr = read(fd, line + len, size - 1 - len);
		if (nr <= 0)
			return -EIO;
		len += (size_t)nr;
	}
	line[len] = '\0';
	return 0;
}

static void serve(struct monitor *monitor, int fd)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	char line[LINE_MAX_LEN];
	int result;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (read_line(fd, line, sizeof(line)))
		return;
	result = carry_out(monitor, line);
	if (result < 0)
		dprintf(fd, "error: %s\n", vas_error());
	else if (result)
		dprintf(fd, "done: slot %d\n", result);
	else
		dprintf(fd, "done\n");
}

static void *monitor_thread(void *arg)
{
	struct monitor *monitor = arg;
	int fd;

	while ((fd = accept4(monitor->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		serve(monitor, fd);
		close(fd);
	}
	return NULL;
}

int monitor_start(struct monitor *monitor, struct devices *devices, const char *path)
{
	int err;

	monitor->devices = devices;
	monitor->listen_fd = socket_listen(path);
	if (monitor->listen_fd < 0)
		return monitor->listen_fd;
	err = -pthread_create(&monitor->thread, NULL, monitor_thread, monitor);
	if (err)
		close(monitor->listen_fd);
	else
		fprintf(stderr, "tinyvmm: commands at %s\n", path);
	return err;
}

void monitor_stop(struct monitor *monitor)
{
	devices_remove_all(monitor->devices);
	shutdown(monitor->listen_fd, SHUT_RDWR);
	pthread_join(monitor->thread, NULL);
	close(monitor->listen_fd);
}
