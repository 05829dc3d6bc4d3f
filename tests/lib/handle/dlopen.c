// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* libvas in a program that is not linked with it, and lets go of it before its threads end. */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/vas.h>

#include "../harness.h"

static struct {
	void *handle;
	int (*create)(const struct vas_options *options, struct vas **vas);
	void (*destroy)(struct vas *vas);
	int (*region_add)(struct vas *vas, const struct vas_region *region, uint64_t *id);
	int (*fill)(struct vas *vas, uint64_t gpa, uint8_t byte, size_t len, size_t *done);
} lib;

static struct vas *vas;
static pthread_barrier_t barrier;

static void *symbol(const char *name)
{
	void *p = dlsym(lib.handle, name);

	CHECK(p);
	return p;
}

static void load(void)
{
	const char *path = getenv("TEST_LIBVAS");

	if (!path)
		test_skip("TEST_LIBVAS says where libvas.so is");
	lib.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib.handle)
		test_fail(__FILE__, __LINE__, "%s", dlerror());
	*(void **)&lib.create = symbol("vas_create");
	*(void **)&lib.destroy = symbol("vas_destroy");
	*(void **)&lib.region_add = symbol("vas_region_add");
	*(void **)&lib.fill = symbol("vas_fill");
}

static void *be_a_thread(void *arg)
{
	CHECK_OK(lib.fill(vas, 0, 1, 100, NULL));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

/* A thread that has used the library, which is gone as far as the program knows. */
static void let_go(pthread_t *thread)
{
	const struct vas_options options = { .limit = 1 << 24 };
	const struct vas_region region = { .size = 1 << 20 };

	load();
	CHECK_OK(lib.create(&options, &vas));
	CHECK_OK(lib.region_add(vas, &region, NULL));
	CHECK_OK(-pthread_barrier_init(&barrier, NULL, 2));
	CHECK_OK(-pthread_create(thread, NULL, be_a_thread, NULL));
	pthread_barrier_wait(&barrier);
	lib.destroy(vas);
	CHECK_OK(dlclose(lib.handle));
}

TEST(a_thread_ends_after_dlclose)
{
	pthread_t thread;

	let_go(&thread);
	pthread_barrier_wait(&barrier);
	CHECK_OK(-pthread_join(thread, NULL));
}

static void end_well(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	(void)context;
	_exit(42);
}

TEST(a_foreign_sigbus_after_dlclose_goes_where_it_belongs)
{
	struct sigaction action = { .sa_sigaction = end_well, .sa_flags = SA_SIGINFO };
	pthread_t thread;
	int status, fd;
	pid_t pid = fork();

	if (pid == 0) {
		CHECK_OK(sigaction(SIGBUS, &action, NULL));
		let_go(&thread);
		fd = memfd_create("empty", 0);
		_exit(*(volatile char *)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 42);
}

/* Space for that is what the loader has set aside for all libraries together. */
TEST(the_library_needs_no_static_thread_local_storage)
{
	const struct link_map *map;
	const ElfW(Dyn) * entry;

	load();
	CHECK_OK(dlinfo(lib.handle, RTLD_DI_LINKMAP, &map));
	for (entry = map->l_ld; entry->d_tag != DT_NULL; entry++)
		if (entry->d_tag == DT_FLAGS)
			CHECK(!(entry->d_un.d_val & DF_STATIC_TLS));
	CHECK_OK(dlclose(lib.handle));
}
