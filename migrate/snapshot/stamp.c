// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_snapshot_stamp(): what the files of a chain are, without a look at their pages. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <vas/consumer.h>
#include <vas/migrate.h>
#include <xxhash.h>

#include "migrate/snapshot/chain.h"

#define SETTLED_S 2 /* no file system's times of change are coarser */

/* All of it is the kernel's word: who made the file chose its size at most. */
struct file_stamp {
	uint64_t device, inode, size, changed_s, changed_ns;
};

static int stamp_file(const struct image *image, time_t now, struct file_stamp *stamp)
{
	struct stat st;

	if (fstat(image->fd, &st))
		return vas_error_set(-errno, "a snapshot's file: %s", strerror(errno));
	*stamp = (struct file_stamp){ st.st_dev, st.st_ino, (uint64_t)st.st_size,
				      (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec };
	return st.st_ctim.tv_sec + SETTLED_S < now;
}

static int stamp_chain(const struct chain *chain, uint8_t stamp[16])
{
	struct file_stamp files[SNAPSHOT_MAX_PARENTS];
	const time_t now = time(NULL);
	XXH128_canonical_t sum;
	int is_settled = 1;

	for (uint32_t i = 0; i < chain->nr; i++) {
		int err = stamp_file(&chain->images[i], now, &files[i]);

		if (err < 0)
			return err;
		is_settled &= err;
	}
	XXH128_canonicalFromHash(&sum, XXH3_128bits(files, chain->nr * sizeof(files[0])));
	memcpy(stamp, sum.digest, sizeof(sum.digest));
	return is_settled;
}

int vas_snapshot_stamp(const char *path, uint32_t flags, uint8_t stamp[16])
{
	struct chain chain;
	int err;

	if (flags & ~VAS_RESTORE_ANY_FOLDER)
		return vas_error_set(-EINVAL, "flags %#x: a stamp knows VAS_RESTORE_ANY_FOLDER",
				     flags);
	err = chain_open(&chain, path, flags ? CHAIN_ANY_FOLDER : 0);
	if (err)
		return err;
	err = stamp_chain(&chain, stamp);
	chain_close(&chain);
	return err;
}
