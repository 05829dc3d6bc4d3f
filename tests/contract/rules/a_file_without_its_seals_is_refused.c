// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../rebind.h"

/* The superblock alone, at its place in a file of the same size: good bytes, but no seals. */
RULE(a_file_without_its_seals_is_refused, CAN_REBIND | CAN_SPARSE)
{
	static const unsigned int seals[] = {
		0,
		F_SEAL_SHRINK,
		F_SEAL_GROW,
		F_SEAL_SHRINK | F_SEAL_GROW,
	};
	struct vas_superblock *sb = superblock_map(s);

	for (size_t i = 0; i < sizeof(seals) / sizeof(seals[0]); i++) {
		int fd = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);

		test_note("seals %#x", seals[i]);
		CHECK(fd >= 0);
		CHECK_OK(ftruncate(fd, (off_t)sb->file_size));
		CHECK_EQ(pwrite(fd, sb, 4096, (off_t)sb->file_size - 4096), 4096);
		CHECK_OK(fcntl(fd, F_ADD_SEALS, seals[i]));
		CHECK_EQ(subject_rebind(s, fd), -EPERM);
		close(fd);
	}
	superblock_unmap(s, sb);
}
