// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/target/maps.h"
#include "cli/target/memory_file.h"
#include "cli/target/parse.h"
#include "cli/target/process.h"
#include "cli/target/regions.h"

#define MEMFD_LINK "/memfd:"

int holder_open(const struct holder *holder, int flags)
{
	char path[64];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", holder->pid, holder->fd);
	if (lstat(path, &st))
		return -errno;
	if (!memory_file_stat(path, &st))
		return -EMEDIUMTYPE;
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

const struct holder *found_holder(const struct found *found)
{
	for (size_t i = 0; i < found->nr_holders; i++)
		if (found->holders[i].fd >= 0 &&
		    found->holders[i].pid == (int)found->info.owner_pid)
			return &found->holders[i];
	return &found->holders[0];
}

static int found_has_holder(const struct found *found, int pid)
{
	for (size_t i = 0; i < found->nr_holders; i++)
		if (found->holders[i].pid == pid)
			return 1;
	return 0;
}

/* Each process once: the fds come in ascending order, so the lowest is met first. */
static int found_add_holder(struct found *found, const struct holder *holder)
{
	struct holder *holders;
	size_t nr = found->nr_holders;

	if (found_has_holder(found, holder->pid))
		return 0;
	holders = realloc(found->holders, (nr + 1) * sizeof(*holders));
	if (!holders)
		return -ENOMEM;
	found->holders = holders;
	holders[nr] = *holder;
	process_comm(holder->pid, holders[nr].comm);
	found->nr_holders++;
	return 0;
}

/* What the vas tells of itself: 0, or -errno if it is none. */
static int found_observe(struct found *found, int fd)
{
	const uint32_t flags = VAS_BIND_OBSERVE | VAS_BIND_NO_WINDOW;
	struct regions regions = { 0 };
	struct vas *vas;
	int err = vas_bind(fd, flags, &vas);

	if (err)
		return err;
	err = vas_info(vas, &found->info);
	if (!err)
		err = regions_get(vas, &regions);
	if (!err)
		found->size = regions_size(&regions);
	if (!err)
		found->resident = file_resident(fd, &found->info);
	regions_clean(&regions);
	vas_unbind(vas);
	return err;
}

/* Only the last page's first bytes decide whether it is worth a closer look. */
static int has_magic(int fd, const struct stat *st)
{
	uint64_t magic = 0;
	off_t at = st->st_size - (off_t)sizeof(struct vas_superblock);

	return at >= 0 && pread(fd, &magic, sizeof(magic), at) == sizeof(magic) &&
	       magic == VAS_MAGIC;
}

static int scan_add(struct scan *scan, const struct holder *holder, const struct stat *st)
{
	struct found found = { .dev = st->st_dev, .ino = st->st_ino }, *all;
	int fd = holder_open(holder, O_RDONLY), err = 0;

	if (fd < 0)
		return 0; /* gone meanwhile, or not for this caller */
	if (!has_magic(fd, st) || found_observe(&found, fd))
		goto out;
	all = realloc(scan->found, (scan->nr_found + 1) * sizeof(*all));
	err = all ? found_add_holder(&found, holder) : -ENOMEM;
	if (all)
		scan->found = all;
	if (!err)
		scan->found[scan->nr_found++] = found;
out:
	close(fd);
	return err;
}

static int scan_fd(struct scan *scan, const struct holder *holder)
{
	char path[64], link[sizeof(MEMFD_LINK)];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", holder->pid, holder->fd);
	if (readlink(path, link, sizeof(link)) != sizeof(link) ||
	    memcmp(link, MEMFD_LINK, strlen(MEMFD_LINK)) != 0)
		return 0;
	if (!memory_file_stat(path, &st))
		return 0;
	for (size_t i = 0; i < scan->nr_found; i++)
		if (scan->found[i].ino == st.st_ino && scan->found[i].dev == st.st_dev)
			return found_add_holder(&scan->found[i], holder);
	return scan_add(scan, holder, &st);
}

static int is_number(const struct dirent *entry)
{
	int number;

	return parse_number(entry->d_name, &number) == 0;
}

static int scan_process(struct scan *scan, int pid)
{
	struct holder holder = { .pid = pid };
	struct dirent **names;
	char path[32];
	int nr, err = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	nr = scandir(path, &names, is_number, versionsort);
	if (nr < 0) {
		scan->nr_denied += errno == EACCES || errno == EPERM;
		return errno == ENOMEM ? -ENOMEM : 0;
	}
	for (int i = 0; i < nr; i++) {
		if (!err && parse_number(names[i]->d_name, &holder.fd) == 0)
			err = scan_fd(scan, &holder);
		free(names[i]);
	}
	free(names);
	return err;
}

int scan_host(struct scan *scan)
{
	pid_t *pids;
	ssize_t nr = process_list(&pids);
	int err = 0;

	*scan = (struct scan){ 0 };
	if (nr < 0)
		return (int)nr;
	/* An fd that this process was started with is its parent's as well. */
	for (ssize_t i = 0; !err && i < nr; i++)
		if (pids[i] != getpid())
			err = scan_process(scan, pids[i]);
	free(pids);
	return err;
}

struct map_scan {
	struct scan *scan;
	struct holder holder;
};

static int take_map(void *arg, const struct file_map *map)
{
	struct map_scan *maps = arg;
	struct scan *scan = maps->scan;

	for (size_t i = 0; i < scan->nr_found; i++)
		if (scan->found[i].ino == map->ino && scan->found[i].dev == map->dev)
			return found_add_holder(&scan->found[i], &maps->holder);
	return 0;
}

int scan_maps(struct scan *scan)
{
	const uint64_t deadline_ns = maps_deadline();
	struct map_scan maps = { .scan = scan, .holder.fd = -1 };
	pid_t *pids;
	ssize_t nr = scan->nr_found ? process_list(&pids) : 0;
	int err = 0;

	for (ssize_t i = 0; !err && i < nr; i++) {
		if (pids[i] == getpid())
			continue;
		maps.holder.pid = pids[i];
		err = maps_each(pids[i], deadline_ns, take_map, &maps);
		if (err == -ESRCH)
			err = maps_each(process_living(pids[i]), deadline_ns, take_map, &maps);
		if (err == -EACCES || err == -ESRCH)
			err = 0;
	}
	if (nr > 0)
		free(pids);
	return nr < 0 ? (int)nr : err;
}

void scan_clean(struct scan *scan)
{
	for (size_t i = 0; i < scan->nr_found; i++)
		free(scan->found[i].holders);
	free(scan->found);
}
