// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The kernel's own tests of iommufd and VFIO pass in a machine where a device follows a vas
 * meanwhile. Each program in SELFTESTS is a case. The first edu is ours, and at work for as long as
 * a test runs; the second one is theirs.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vas/vas.h>

#include "tests/consumer/vfio/edu.h"
#include "tests/consumer/vfio/host_device.h"
#include "tests/harness.h"

#define SELFTESTS "/selftests"
#define NR_MAX	  64
#define SKIPPED	  4 /* a selftest's exit status */

#define PAGE	4096ull
#define MIB	(1ull << 20)
#define GIB	(1ull << 30)
#define GRANULE (2 * MIB)
#define PLACE	(64 * MIB) /* of what comes, is replaced, and goes */
#define BYTES	(16 * MIB) /* which bytes of the file it is: these, or others */
#define OTHER	(BYTES + 4 * MIB)
#define LEN	1000u

static struct {
	struct vas *vas;
	struct vas_vfio *vfio;
	struct edu edu;
	pthread_t thread;
	int is_over;
	unsigned int nr_rounds;
} beside;

/* ---- a device that follows a vas ----------------------------------------------------------- */

/* Region `old`, if it is not 0, goes in the same change. */
static uint64_t place(uint64_t old, uint64_t offset)
{
	const struct vas_region region = {
		.gpa = PLACE, .size = 3 * MIB, .offset = offset, .name = "place"
	};
	struct vas_layout *layout;
	uint64_t id;

	CHECK_OK(vas_layout_begin(beside.vas, &layout));
	if (old)
		CHECK_OK(vas_layout_remove(layout, old));
	CHECK_OK(vas_layout_add(layout, &region, &id));
	CHECK_OK(vas_layout_commit(layout, TEST_HANG_NS, NULL));
	return id;
}

/* The device carries bytes from RAM to what is at the place now. */
static void carry(uint8_t seed)
{
	uint8_t wrote[LEN], found[LEN];

	memset(wrote, seed, LEN);
	CHECK_OK(vas_write(beside.vas, MIB, wrote, LEN, NULL));
	edu_read(&beside.edu, MIB, LEN);
	edu_write(&beside.edu, PLACE + GRANULE - LEN / 2, LEN);
	CHECK_OK(vas_read(beside.vas, PLACE + GRANULE - LEN / 2, found, LEN, NULL));
	CHECK_MEM(found, wrote, LEN);
}

static void *follow(void *arg)
{
	uint64_t id;

	while (!__atomic_load_n(&beside.is_over, __ATOMIC_ACQUIRE)) {
		id = place(0, BYTES);
		carry((uint8_t)(2 * beside.nr_rounds));
		id = place(id, OTHER);
		carry((uint8_t)(2 * beside.nr_rounds + 1));
		CHECK_OK(vas_region_remove(beside.vas, id));
		beside.nr_rounds++;
	}
	return arg;
}

static void beside_begin(void)
{
	const struct vas_options options = { .limit = 8 * GIB, .name = "beside" };
	const struct vas_region ram = { .size = 8 * MIB, .name = "ram" };
	struct vas_vfio_options vfio = { .granule = GRANULE, .nr_device_fds = 1 };

	edu_open(&beside.edu, 0, -1);
	if (beside.edu.device.group_fd >= 0)
		test_skip("the kernel has no iommufd");
	vfio.name = beside.edu.device.name;
	vfio.device_fds = &beside.edu.device.device_fd;
	vfio.device_ids = &beside.edu.device.device_id;
	CHECK_OK(vas_create(&options, &beside.vas));
	CHECK_OK(vas_region_add(beside.vas, &ram, NULL));
	CHECK_OK(vas_vfio_attach(beside.vas, beside.edu.device.container_fd, &vfio, &beside.vfio));
	CHECK_OK(pthread_create(&beside.thread, NULL, follow, NULL));
}

/* A round that was begun is ended, so there is one at least. */
static void beside_end(void)
{
	__atomic_store_n(&beside.is_over, 1, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(beside.thread, NULL));
	printf("# %u rounds beside it\n", beside.nr_rounds);
	CHECK(beside.nr_rounds);
	CHECK_OK(vas_consumer_status(vas_vfio_consumer(beside.vfio)));
	vas_vfio_detach(beside.vfio);
	edu_close(&beside.edu);
	vas_destroy(beside.vas);
}

/* ---- a selftest ---------------------------------------------------------------------------- */

/* Its output's other end. */
static FILE *start(const char *program, pid_t *pid)
{
	char path[512];
	int ends[2];

	snprintf(path, sizeof(path), SELFTESTS "/%s", program);
	CHECK_OK(pipe2(ends, O_CLOEXEC));
	*pid = fork();
	CHECK_OK(*pid);
	if (!*pid) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		execl(path, program, NULL);
		_exit(126);
	}
	close(ends[1]);
	return fdopen(ends[0], "r");
}

/* What it says goes to the console, too. */
static void run(const char *program)
{
	unsigned int passed = 0;
	char line[1024];
	int status;
	FILE *out;
	pid_t pid;

	out = start(program, &pid);
	while (fgets(line, sizeof(line), out)) {
		printf("# %s", line);
		if (!strncmp(line, "not ok ", 7))
			test_note("%s", line);
		sscanf(line, "# Totals: pass:%u", &passed);
	}
	fclose(out);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		test_skip("%s finds nothing here that it tests", program);
	CHECK_EQ(status, 0);
	CHECK(passed);
}

static void passes(void *arg)
{
	char address[64];

	edu_find(1, address, sizeof(address));
	host_device_give(address);
	CHECK_OK(setenv("VFIO_SELFTESTS_BDF", address, 1));
	beside_begin();
	run(arg);
	beside_end();
}

static int is_program(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	static struct test_case tests[NR_MAX];
	struct dirent **programs;
	int nr = scandir(SELFTESTS, &programs, is_program, alphasort), i;

	for (i = 0; i < nr && i < NR_MAX; i++) {
		tests[i] = (struct test_case){ .name = programs[i]->d_name,
					       .run = passes,
					       .arg = programs[i]->d_name };
		test_register(&tests[i]);
	}
	return test_main(argc, argv);
}
