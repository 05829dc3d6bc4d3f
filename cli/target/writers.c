// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/writers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/target/maps.h"
#include "cli/target/memory_file.h"

#define MAX_THREADS 8

struct look {
	struct stat ram;		       /* the file of RAM */
	struct stat further[VAS_MAX_BACKINGS]; /* and of memory in files of their own */
	size_t nr_further;
	struct stat control; /* the file with the control area: the same, mostly */
	uint64_t ram_size;
	uint64_t deadline_ns;
	/* of the process that is looked at, by its first thread that has not ended */
	pid_t pid;
	int writes;
	int takes_part;
};

/* ---- by a map ----------------------------------------------------------------------------- */

static int is_file(const struct file_map *map, const struct stat *st)
{
	return map->ino == st->st_ino && map->dev == st->st_dev;
}

static int is_further(const struct look *look, dev_t dev, ino_t ino)
{
	for (size_t i = 0; i < look->nr_further; i++)
		if (look->further[i].st_ino == ino && look->further[i].st_dev == dev)
			return 1;
	return 0;
}

static int take_map(void *arg, const struct file_map *map)
{
	struct look *look = arg;
	const int is_apart = look->ram.st_ino != look->control.st_ino;

	if (!map->is_writable)
		return 0;
	if (is_file(map, &look->ram) && (is_apart || map->offset < look->ram_size))
		look->writes = 1;
	look->writes |= is_further(look, map->dev, map->ino);
	if (is_file(map, &look->control) && (is_apart || map->offset + map->size > look->ram_size))
		look->takes_part = 1;
	return 0;
}

/* ---- by an fd ----------------------------------------------------------------------------- */

/* Whether /proc/PID/fdinfo/N says that the fd can be written to. */
static int is_writable(pid_t pid, const char *fd)
{
	char path[64], line[64];
	unsigned int flags = O_RDONLY;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.20s", pid, fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "flags: %o", &flags) == 1)
			break;
	if (file)
		fclose(file);
	return !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;
}

static int is_ram(const struct look *look, int dir, const char *fd)
{
	static const char memfd[] = "/memfd:";
	char path[64], link[sizeof(memfd)];
	struct stat st;

	if (readlinkat(dir, fd, link, sizeof(link)) != sizeof(link) ||
	    memcmp(link, memfd, strlen(memfd)))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", look->pid, fd);
	return memory_file_stat(path, &st) &&
	       ((st.st_ino == look->ram.st_ino && st.st_dev == look->ram.st_dev) ||
		is_further(look, st.st_dev, st.st_ino));
}

static int take_fd(void *arg, int dir, const char *fd)
{
	const struct look *look = arg;

	return is_ram(look, dir, fd) && is_writable(look->pid, fd);
}

/*
 * This very program, which writes to a vas by libvas alone, whatever fds its shell has left it; and
 * that shell, which waits for us.
 */
static int is_ours(pid_t pid)
{
	char path[32];
	struct stat other, self;

	if (pid == getppid())
		return 1;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return !stat(path, &other) && !stat("/proc/self/exe", &self) &&
	       other.st_ino == self.st_ino && other.st_dev == self.st_dev;
}

/* What a thread has done since it was born, as far as it shows here. */
static int take_thread(void *arg, int dir, const char *thread)
{
	struct writer *writer = arg;
	char path[64], line[128], state;
	unsigned long long count;
	FILE *file;

	(void)dir;
	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", writer->pid, thread);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "State: %c", &state) == 1)
			writer->is_running |= state == 'R';
		else if (sscanf(line, "voluntary_ctxt_switches: %llu", &count) == 1 ||
			 sscanf(line, "nonvoluntary_ctxt_switches: %llu", &count) == 1)
			writer->switches += count;
	}
	if (file)
		fclose(file);
	/* A thread that is new counts, too. */
	writer->switches++;
	return 0;
}

/* ---- all ---------------------------------------------------------------------------------- */

static int add(struct writers *writers, const struct writer *writer)
{
	struct writer *at = realloc(writers->at, (writers->nr + 1) * sizeof(*at));

	if (!at)
		return -ENOMEM;
	writers->at = at;
	at[writers->nr++] = *writer;
	writers->nr_maps += (size_t)writer->has_map;
	return 0;
}

static int look_at(struct look *look, pid_t pid, struct writers *writers)
{
	struct writer writer = { .pid = pid };
	int err;

	look->pid = pid;
	look->writes = look->takes_part = 0;
	err = maps_each(pid, look->deadline_ns, take_map, look);
	if (err == -ESRCH && (look->pid = process_living(pid)))
		err = maps_each(look->pid, look->deadline_ns, take_map, look);
	if (err || look->takes_part)
		return err == -EACCES || err == -ESRCH ? 0 : err;
	writer.has_map = look->writes;
	if (!look->writes && (!process_each(look->pid, "fd", take_fd, look) || is_ours(pid)))
		return 0;
	if (!look->writes)
		process_each(pid, "task", take_thread, &writer);
	process_comm(pid, writer.comm);
	return add(writers, &writer);
}

static int begin(struct vas *vas, struct look *look)
{
	int ram = vas_backing_fd(vas, 0), err;
	struct vas_info info;

	err = vas_info(vas, &info);
	if (!err &&
	    (fstat(vas_fd(vas), &look->control) || fstat(ram < 0 ? vas_fd(vas) : ram, &look->ram)))
		err = -errno;
	look->nr_further = 0;
	for (uint32_t i = 1; !err && i < VAS_MAX_BACKINGS; i++)
		if (vas_backing_fd(vas, i) >= 0 &&
		    !fstat(vas_backing_fd(vas, i), &look->further[look->nr_further]))
			look->nr_further++;
	if (!err)
		look->ram_size = info.ram_size;
	look->deadline_ns = maps_deadline();
	return err;
}

/* Of a search by several threads, what one does. */
struct part {
	struct search *search;
	pthread_t thread;
	struct look look;
	struct writers writers;
	int err;
};

struct search {
	const pid_t *pids;
	size_t nr;
	size_t next; /* atomic */
	pid_t except;
	struct part parts[MAX_THREADS];
};

static void *look_at_some(void *arg)
{
	struct part *part = arg;
	struct search *search = part->search;
	size_t i;

	while (!part->err &&
	       (i = __atomic_fetch_add(&search->next, 1, __ATOMIC_RELAXED)) < search->nr)
		if (search->pids[i] != getpid() && search->pids[i] != search->except)
			part->err = look_at(&part->look, search->pids[i], &part->writers);
	return NULL;
}

/* The caller is one of them; those that cannot be had are not needed either. */
static size_t start_threads(struct search *search, const struct look *look)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t nr;

	for (nr = 0; nr < MAX_THREADS && (!nr || (long)nr < cpus); nr++) {
		struct part *part = &search->parts[nr];

		*part = (struct part){ .search = search, .look = *look };
		if (nr && pthread_create(&part->thread, NULL, look_at_some, part))
			break;
	}
	return nr;
}

static int append(struct writers *all, const struct writers *some)
{
	int err = 0;

	for (size_t i = 0; !err && i < some->nr; i++)
		err = add(all, &some->at[i]);
	return err;
}

static int by_pid(const void *a, const void *b)
{
	const struct writer *one = a, *other = b;

	return (one->pid > other->pid) - (one->pid < other->pid);
}

/* A guest may stand meanwhile, so each processor does a part. */
static int look_at_all(struct search *search, const struct look *look, struct writers *writers)
{
	size_t nr = start_threads(search, look);
	int err = 0;

	look_at_some(&search->parts[0]);
	for (size_t i = 0; i < nr; i++) {
		struct part *part = &search->parts[i];

		if (i)
			pthread_join(part->thread, NULL);
		if (!err)
			err = part->err ? part->err : append(writers, &part->writers);
		free(part->writers.at);
	}
	if (writers->nr)
		qsort(writers->at, writers->nr, sizeof(*writers->at), by_pid);
	return err;
}

int writers_find(struct vas *vas, pid_t except, struct writers *writers)
{
	struct search search = { .except = except };
	struct look look;
	pid_t *pids = NULL;
	int err = begin(vas, &look);
	ssize_t nr = err ? err : process_list(&pids);

	*writers = (struct writers){ 0 };
	if (nr > 0) {
		search.pids = pids;
		search.nr = (size_t)nr;
		err = look_at_all(&search, &look, writers);
	}
	free(pids);
	return nr < 0 ? (int)nr : err;
}

const struct writer *writers_ran(const struct writers *before, const struct writers *after)
{
	for (size_t i = 0; i < after->nr; i++) {
		const struct writer *now = &after->at[i];
		size_t j = 0;

		while (j < before->nr && before->at[j].pid != now->pid)
			j++;
		if (!now->has_map &&
		    (j == before->nr || now->is_running || before->at[j].is_running ||
		     now->switches != before->at[j].switches))
			return now;
	}
	return NULL;
}
