// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * 2 MiB pages for a test: taken from the pool, or, as root, the pool is made larger for as long as
 * the test lives. A lock on the pool's file keeps tests that run at once apart.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "harness_hugetlb.h"

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static long pool_read(const char *path)
{
	FILE *file = fopen(path, "re");
	long value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

static void pool_add(long nr)
{
	long now = pool_read(POOL "nr_hugepages");
	FILE *file = fopen(POOL "nr_hugepages", "we");

	if (!file)
		return;
	fprintf(file, "%ld\n", now + nr > 0 ? now + nr : 0);
	fclose(file);
}

/*
 * A keeper outlives the test, however that ends: it waits for the end of the pipe that only the
 * test holds open, then gives the pages back.
 */
static void keep(long added, int lock)
{
	int pair[2];
	char byte;

	if (pipe2(pair, O_CLOEXEC))
		test_fail(__FILE__, __LINE__, "pipe: %s", strerror(errno));
	fflush(stdout);
	if (fork() != 0) {
		close(pair[0]);
		close(lock);
		return;
	}
	setsid();
	alarm(0);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	close(pair[1]);
	while (read(pair[0], &byte, 1) < 0 && errno == EINTR)
		;
	pool_add(-added);
	_exit(0);
}

void hugetlb_require(unsigned int nr)
{
	int lock = open(POOL "nr_hugepages", O_RDONLY | O_CLOEXEC);
	long have;

	if (lock < 0)
		test_skip("no 2 MiB hugetlb pages on this kernel");
	if (flock(lock, LOCK_EX))
		test_fail(__FILE__, __LINE__, "flock: %s", strerror(errno));
	have = pool_read(POOL "free_hugepages") - pool_read(POOL "resv_hugepages");
	if (have >= (long)nr) {
		keep(0, lock);
		return;
	}
	pool_add((long)nr - have);
	keep((long)nr - have, lock);
	have = pool_read(POOL "free_hugepages") - pool_read(POOL "resv_hugepages");
	if (have < (long)nr)
		test_skip("%ld free 2 MiB pages, %u needed, and the pool cannot grow", have, nr);
}
