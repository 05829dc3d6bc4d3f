// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/target/parse.h"

static int is_number(const struct dirent *entry)
{
	int number;

	return parse_number(entry->d_name, &number) == 0;
}

ssize_t process_list(pid_t **pids)
{
	struct dirent **names;
	int nr = scandir("/proc", &names, is_number, versionsort);

	if (nr < 0)
		return -errno;
	*pids = malloc(((size_t)nr + 1) * sizeof(**pids));
	for (int i = 0; i < nr; i++) {
		if (*pids)
			parse_number(names[i]->d_name, &(*pids)[i]);
		free(names[i]);
	}
	free(names);
	return *pids ? nr : -ENOMEM;
}

void process_comm(pid_t pid, char comm[PROCESS_COMM_LEN])
{
	char path[32];
	FILE *file;

	comm[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(comm, PROCESS_COMM_LEN, file))
		comm[strcspn(comm, "\n")] = '\0';
	fclose(file);
}

int process_each(pid_t pid, const char *folder, int (*take)(void *arg, int dir, const char *entry),
		 void *arg)
{
	char path[32];
	struct dirent *entry;
	DIR *dir;
	int taken = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, folder);
	dir = opendir(path);
	while (dir && !taken && (entry = readdir(dir)))
		if (is_number(entry))
			taken = take(arg, dirfd(dir), entry->d_name);
	if (dir)
		closedir(dir);
	return taken;
}

/* Of one that has ended, too, the file can be opened, as long as it is listed. */
static int has_memory(int dir, const char *thread)
{
	char path[64], byte;
	int fd, has;

	snprintf(path, sizeof(path), "%.20s/maps", thread);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	has = read(fd, &byte, 1) == 1;
	close(fd);
	return has;
}

static int take_living(void *arg, int dir, const char *thread)
{
	pid_t *living = arg;

	return has_memory(dir, thread) && !parse_number(thread, living);
}

pid_t process_living(pid_t pid)
{
	pid_t living = 0;

	return process_each(pid, "task", take_living, &living) ? living : 0;
}
