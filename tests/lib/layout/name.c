// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a caller has behind the end of a name is nobody's business. */
#include <sys/stat.h>
#include <unistd.h>
#include <vas/event.h>

#include "simple_vas.h"

/* So many bytes of the file are this one, which nobody writes but as what is behind a name. */
#define SECRET 0xc7

static size_t count_secrets(int fd)
{
	static uint8_t buf[1 << 16];
	size_t found = 0;
	off_t at = 0;
	ssize_t nr;

	while ((nr = pread(fd, buf, sizeof(buf), at)) > 0) {
		for (ssize_t i = 0; i < nr; i++)
			found += buf[i] == SECRET;
		at += nr;
	}
	CHECK_OK(nr);
	return found;
}

static void name(char *to, size_t size)
{
	memset(to, SECRET, size);
	strcpy(to, "short");
}

TEST(nothing_behind_a_name_reaches_the_file)
{
	struct vas_region region = simple_region(1, 1);
	struct vas_event event = { .kind = VAS_EVENT_DOORBELL, .id = 1, .len = 4 };
	struct vas *vas = simple_vas();
	size_t before = count_secrets(vas_fd(vas)); /* the uuid may have some */

	name(region.name, sizeof(region.name));
	name(event.name, sizeof(event.name));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(vas_event_add(vas, &event));
	CHECK_EQ(count_secrets(vas_fd(vas)), before);
	vas_destroy(vas);
}
