// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What stands in the caller's memory behind a name gets into no file, and onto no wire. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/event.h>
#include <vas/migrate.h>

#include "../harness.h"

static const char secret[] = "swordfish";

static void name_it(char *name, size_t size)
{
	memset(name, 0, size);
	memcpy(name, "ram", 4);
	memcpy(name + 8, secret, sizeof(secret));
}

static struct vas *make_vas(void)
{
	const struct vas_options options = { .limit = 1 << 20, .name = "names" };
	struct vas_event event = {
		.kind = VAS_EVENT_DOORBELL, .id = 1, .len = 4, .addr = 0x100000
	};
	struct vas_region region = { .size = 64 << 10 };
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	name_it(region.name, sizeof(region.name));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	name_it(event.name, sizeof(event.name));
	CHECK_OK(vas_event_add(vas, &event));
	return vas;
}

static int is_in_file(int fd)
{
	struct stat st;
	void *bytes, *found;

	CHECK_OK(fstat(fd, &st));
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(bytes != MAP_FAILED);
	found = memmem(bytes, (size_t)st.st_size, secret, sizeof(secret) - 1);
	munmap(bytes, (size_t)st.st_size);
	return found != NULL;
}

TEST(nothing_behind_a_name_is_in_the_file)
{
	struct vas *vas = make_vas();

	CHECK_EQ(is_in_file(vas_fd(vas)), 0);
	/* It would be found. */
	CHECK_OK(vas_write(vas, 0, secret, sizeof(secret), NULL));
	CHECK_EQ(is_in_file(vas_fd(vas)), 1);
	vas_destroy(vas);
}

TEST(nothing_behind_a_name_is_in_a_stream)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);
	struct vas_migrate_options options = { .fds = &fd,
					       .nr_fds = 1,
					       .flags = VAS_MIGRATE_ONE_WAY };
	struct vas *vas = make_vas();

	CHECK_OK(vas_migrate_send(vas, &options, NULL));
	CHECK_EQ(is_in_file(fd), 0);
	vas_destroy(vas);
	close(fd);
}
