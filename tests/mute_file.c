// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/mute_file.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

#define FILE_NODE 2
#define BUFFER	  (1u << 18)

static void answer(int dev, uint64_t unique, int err, const void *body, size_t len)
{
	struct fuse_out_header head = { .len = sizeof(head) + (uint32_t)len,
					.error = err,
					.unique = unique };
	const struct iovec iov[] = { { &head, sizeof(head) }, { (void *)(uintptr_t)body, len } };

	CHECK_EQ(writev(dev, iov, 2), head.len);
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node,
		.size = 1 << 20,
		.mode = node == FILE_NODE ? S_IFREG | 0600 : S_IFDIR | 0700,
		.nlink = 1,
		.blksize = 4096,
	};
}

/* Until the file is open; from then on, nothing. */
static void serve(int dev, const struct fuse_in_header *in)
{
	struct fuse_entry_out entry = { .nodeid = FILE_NODE, .attr = attributes(FILE_NODE) };
	struct fuse_attr_out attr = { .attr = attributes(in->nodeid) };
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
				      .minor = 31,
				      .max_write = 1 << 16 };
	struct fuse_open_out open = { .fh = 1 };

	if (in->opcode == FUSE_INIT)
		answer(dev, in->unique, 0, &init, sizeof(init));
	else if (in->opcode == FUSE_LOOKUP)
		answer(dev, in->unique, 0, &entry, sizeof(entry));
	else if (in->opcode == FUSE_GETATTR)
		answer(dev, in->unique, 0, &attr, sizeof(attr));
	else if (in->opcode == FUSE_OPEN)
		answer(dev, in->unique, 0, &open, sizeof(open));
	else if (in->opcode != FUSE_FORGET)
		answer(dev, in->unique, -ENOSYS, NULL, 0);
}

static void be_file_system(int dev)
{
	static char buffer[BUFFER];
	uint32_t opcode = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A case that waits for us in spite of all cannot even be killed. */
	alarm(60);
	while (opcode != FUSE_OPEN) {
		if (read(dev, buffer, sizeof(buffer)) < 0)
			_exit(1);
		serve(dev, (struct fuse_in_header *)buffer);
		opcode = ((struct fuse_in_header *)buffer)->opcode;
	}
	for (;;)
		pause();
}

void mute_mount(struct mute *m)
{
	char folder[] = "/tmp/mute-XXXXXX", options[128], path[64];
	int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (dev < 0 || unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		test_skip("no FUSE, or not root");
	CHECK(mkdtemp(folder));
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", dev);
	CHECK_OK(mount("mute", folder, "fuse", 0, options));
	m->server = fork();
	if (!m->server)
		be_file_system(dev);
	/* The connection ends with the last holder of this. */
	close(dev);
	snprintf(path, sizeof(path), "%s/memfd:mute", folder); /* what it looks like in /proc */
	m->fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(m->fd >= 0);
	CHECK_OK(umount2(folder, MNT_DETACH));
	rmdir(folder);
}

bool mute_is_there(const struct mute *m)
{
	return !waitpid(m->server, NULL, WNOHANG);
}

void mute_end(struct mute *m)
{
	kill(m->server, SIGKILL);
	CHECK_EQ(waitpid(m->server, NULL, 0), m->server);
	close(m->fd);
}
