// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Which files a process has mapped: the same, whether the kernel is asked or its text is read. */
#include "cli/target/maps.c"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/harness.h"

#define PAGE 4096ul

struct list {
	struct file_map at[64];
	size_t nr;
};

/* Of one file, in the order of addresses. */
static ino_t wanted;

static int take(void *arg, const struct file_map *map)
{
	struct list *list = arg;

	if (map->ino == wanted && list->nr < 64)
		list->at[list->nr++] = *map;
	return 0;
}

static char *map(int fd, size_t pages, int prot, int flags, off_t page)
{
	char *at = mmap(NULL, pages * PAGE, prot, flags, fd, page * (off_t)PAGE);

	CHECK(at != MAP_FAILED);
	return at;
}

static int make_file(void)
{
	int fd = memfd_create("mapped", MFD_CLOEXEC);
	struct stat st;

	CHECK_OK(ftruncate(fd, 64 * PAGE));
	CHECK_OK(fstat(fd, &st));
	wanted = st.st_ino;
	/* Parts that the kernel does not see as one; and what is no shared map of a file. */
	map(fd, 3, PROT_READ | PROT_WRITE, MAP_SHARED, 7);
	map(fd, 2, PROT_READ, MAP_SHARED, 20);
	CHECK_OK(mprotect(map(fd, 9, PROT_READ | PROT_WRITE, MAP_SHARED, 30) + PAGE, PAGE,
			  PROT_NONE));
	map(fd, 5, PROT_READ | PROT_WRITE, MAP_PRIVATE, 50);
	map(-1, 5, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, 0);
	return fd;
}

static struct list list_text(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	struct list list = { 0 };

	CHECK(file);
	CHECK_OK(read_each(file, maps_deadline(), take, &list));
	fclose(file);
	return list;
}

static size_t nr_writable(const struct list *list)
{
	size_t nr = 0;

	for (size_t i = 0; i < list->nr; i++)
		nr += (size_t)list->at[i].is_writable;
	return nr;
}

TEST(shared_maps_of_a_file_are_found)
{
	const int fd = make_file();
	const struct list text = list_text();
	struct list found = { 0 };

	CHECK_OK(maps_each(getpid(), maps_deadline(), take, &found));
	CHECK_EQ(found.nr, 5);
	CHECK_EQ(nr_writable(&found), 3);
	CHECK_EQ(text.nr, found.nr);
	for (size_t i = 0; i < found.nr; i++) {
		CHECK_EQ(found.at[i].offset, text.at[i].offset);
		CHECK_EQ(found.at[i].size, text.at[i].size);
		CHECK_EQ(found.at[i].dev, text.at[i].dev);
		CHECK_EQ(found.at[i].is_writable, text.at[i].is_writable);
	}
	close(fd);
}

TEST(a_process_that_is_gone_has_none)
{
	struct list found = { 0 };

	CHECK_EQ(maps_each(1 << 30, maps_deadline(), take, &found), -ESRCH);
	CHECK_EQ(found.nr, 0);
}

static int stop(void *arg, const struct file_map *map)
{
	(void)map;
	++*(int *)arg;
	return -ECANCELED;
}

/* Its maps are a file that can be opened, and has nothing. */
TEST(one_that_has_ended_has_no_memory)
{
	struct list found = { 0 };
	const pid_t child = fork();
	siginfo_t info;
	FILE *file;

	if (!child)
		_exit(0);
	CHECK_OK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	CHECK_EQ(maps_each(child, maps_deadline(), take, &found), -ESRCH);
	file = fopen("/dev/null", "re");
	CHECK_EQ(read_each(file, maps_deadline(), take, &found), -ESRCH);
	fclose(file);
	CHECK_EQ(found.nr, 0);
	CHECK_EQ(waitpid(child, NULL, 0), child);
}

TEST(who_takes_them_ends_it)
{
	const int fd = make_file();
	int nr = 0;

	CHECK_EQ(maps_each(getpid(), maps_deadline(), stop, &nr), -ECANCELED);
	CHECK_EQ(nr, 1);
	close(fd);
}
