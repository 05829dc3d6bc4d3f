// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What happens to the file and to the processes beside the calls. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

static uint64_t below(struct fuzz *f, uint64_t limit)
{
	return test_random_below(&f->random, limit);
}

/* Some words of a control area become others: small, large, one more, one less, another bit. */
void fuzz_damage(struct test_random *random, char *control, size_t size)
{
	uint64_t nr = 1 + test_random_below(random, 8);

	for (uint64_t i = 0; i < nr; i++) {
		size_t at = test_random_below(random, 4) ? test_random_below(random, 4096) :
							   test_random_below(random, size);
		uint64_t *word = (uint64_t *)(control + (at & ~7ull));
		uint64_t was = __atomic_load_n(word, __ATOMIC_RELAXED);
		uint64_t values[] = {
			0,
			1,
			was + 1,
			was - 1,
			~0ull,
			was ^ 1ull << test_random_below(random, 64),
			test_random_next(random),
			was << 32 | was >> 32,
		};

		__atomic_store_n(word, values[test_random_below(random, 8)], __ATOMIC_RELAXED);
	}
}

static void punch(struct fuzz *f)
{
	off_t at = (off_t)(below(f, f->size / PAGE) * PAGE);

	/* Mostly memory, but the control area is but a part of the file, too. */
	if (below(f, 4))
		at = (off_t)(below(f, FUZZ_RAM / PAGE) * PAGE);
	if (fallocate(f->files[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
		      (off_t)((1 + below(f, 16)) * PAGE)))
		test_note("punch refused");
}

static void damage(struct fuzz *f)
{
	/* The superblock as well: it was read once, and nobody may read it again. */
	fuzz_damage(&f->random, f->mapped + FUZZ_LIMIT, f->size - FUZZ_LIMIT);
}

/* So that what comes after the checks is reached, too. */
static void heal(struct fuzz *f)
{
	memcpy(f->mapped + FUZZ_LIMIT, f->whole_control, PAGE);
	memcpy(f->mapped + f->size - PAGE, f->whole_superblock, PAGE);
}

static void remap(struct fuzz *f)
{
	char *at = f->mapped + below(f, FUZZ_RAM / PAGE) * PAGE, *moved;
	size_t len = (1 + below(f, 64)) * PAGE;

	switch (below(f, 4)) {
	case 0:
		madvise(at, len, below(f, 2) ? MADV_DONTNEED : MADV_REMOVE);
		break;
	case 1:
		madvise(at, len, MADV_PAGEOUT);
		break;
	default:
		moved = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, f->files[0], 0);
		if (moved == MAP_FAILED)
			return;
		memset(moved, (int)below(f, 256), PAGE);
		moved = mremap(moved, len, 2 * len, MREMAP_MAYMOVE);
		if (moved != MAP_FAILED)
			munmap(moved, 2 * len);
	}
}

/* The memory that sessions may use as local memory, or as a buffer, goes and comes back. */
static void unmap_buffer(struct fuzz *f)
{
	mmap(f->buf, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void close_any(struct fuzz *f)
{
	int *places[] = { &f->sessions[below(f, NR_SESSIONS)], &f->drive, &f->foo, &f->blk,
			  &f->net };
	int *place = places[below(f, 5)];

	close(*place);
	*place = -1;
}

static void unload(struct fuzz *f)
{
	static const char *const modules[] = { "vas",		"vas_test", "vas_example",
					       "vas_virtqueue", "vas_blk",  "vas_net" };
	int i = (int)below(f, 6);

	/* The parent has a session of each, so none can go. */
	if (!syscall(SYS_delete_module, modules[i], O_NONBLOCK))
		test_fail(__FILE__, __LINE__, "%s was unloaded while in use", modules[i]);
}

/* A child that has our fds calls a little and ends, in one way or another. */
static void child(struct fuzz *f)
{
	pid_t pid = fork();

	if (pid > 0) {
		waitpid(pid, NULL, below(f, 2) ? WNOHANG : 0);
		return;
	}
	if (pid < 0)
		return;
	for (uint64_t nr = below(f, 8); nr; nr--)
		fuzz_call(f);
	_exit(0);
}

/* The mm goes, and all fds with O_CLOEXEC; what else there is stays open a while. */
static void become_another(struct fuzz *f)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid = below(f, 4) ? fork() : 0;

	if (pid > 0) {
		close(null);
		waitpid(pid, NULL, 0);
		return;
	}
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execl("/proc/self/exe", "kernel_fuzz", "--list", NULL);
	_exit(0);
}

static void end(struct fuzz *f)
{
	if (below(f, 4) == 0)
		_exit(0);
}

void fuzz_chaos(struct fuzz *f)
{
	static void (*const events[])(struct fuzz * f) = {
		punch, punch,	     damage,	damage, heal,  heal,	       heal, remap,
		remap, unmap_buffer, close_any, unload, child, become_another, end,
	};

	events[below(f, sizeof(events) / sizeof(events[0]))](f);
}
