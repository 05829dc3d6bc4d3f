// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a stream makes its destination allocate is what it brings, and no more than there is. */
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/migrate.h>

#include "../harness.h"
#include "forged.h"

#define SIZE	  (256ull << 20)
#define HUGE_SIZE (2ull << 20)

static void begin(struct forged *f)
{
	static const uint8_t session[16];

	forged_init(f, memfd_create("stream", MFD_CLOEXEC), session, 0);
	CHECK_OK(f->fd);
}

static int receive(const struct forged *f, uint64_t max_ram, struct vas **vas)
{
	struct vas_migrate_target target = { .fds = &f->fd, .nr_fds = 1, .max_ram = max_ram };
	struct vas_migrate_result result;
	int err;

	*vas = NULL;
	CHECK_EQ(lseek(f->fd, 0, SEEK_SET), 0);
	err = vas_migrate_recv(&target, vas, &result);
	if (!err)
		free(result.state);
	return err;
}

static uint64_t allocated(struct vas *vas)
{
	struct stat st;

	CHECK_OK(fstat(vas_fd(vas), &st));
	return (uint64_t)st.st_blocks * 512;
}

static void put_zeros(struct forged *f, uint64_t gpa, uint32_t round)
{
	forged_put(f,
		   (struct stream_header){
			   .type = STREAM_WORD, .round = round, .gpa = gpa, .zero = ~0ull },
		   "");
}

TEST(zeros_of_memory_that_is_new_are_not_written)
{
	struct forged f;
	struct vas *vas;
	uint64_t gpa;

	begin(&f);
	forged_begin(&f, SIZE, VAS_PAGE_SIZE);
	for (gpa = 0; gpa < SIZE; gpa += STREAM_WORD_SIZE)
		put_zeros(&f, gpa, 0);
	forged_end(&f);
	CHECK_OK(receive(&f, 0, &vas));
	test_note("%llu bytes", (unsigned long long)allocated(vas));
	CHECK(allocated(vas) < SIZE / 16);
	vas_destroy(vas);
	close(f.fd);
}

TEST(zeros_over_what_has_arrived_are)
{
	static char page[VAS_PAGE_SIZE], zeros[VAS_PAGE_SIZE];
	struct forged f;
	struct vas *vas;

	begin(&f);
	forged_begin(&f, SIZE, VAS_PAGE_SIZE);
	memset(page, 7, sizeof(page));
	forged_put(&f,
		   (struct stream_header){ .type = STREAM_WORD,
					   .gpa = STREAM_WORD_SIZE,
					   .data = 4,
					   .length = sizeof(page) },
		   page);
	put_zeros(&f, STREAM_WORD_SIZE, 1);
	forged_end(&f);
	CHECK_OK(receive(&f, 0, &vas));
	CHECK_OK(vas_read(vas, STREAM_WORD_SIZE + 2 * VAS_PAGE_SIZE, page, sizeof(page), NULL));
	CHECK_MEM(page, zeros, sizeof(page));
	vas_destroy(vas);
	close(f.fd);
}

TEST(more_memory_than_allowed_is_named)
{
	struct forged f;
	struct vas *vas;

	begin(&f);
	forged_begin(&f, SIZE, VAS_PAGE_SIZE);
	forged_end(&f);
	CHECK_EQ(receive(&f, SIZE - 1, &vas), -E2BIG);
	CHECK_HAS(vas_error(), "268435455 bytes");
	close(f.fd);
}

static uint64_t huge_pages(const char *name)
{
	unsigned long long nr = 0;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s_hugepages",
		 name);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%llu", &nr) != 1)
		test_skip("no 2 MiB pages in this kernel");
	fclose(file);
	return nr;
}

/* Written by us, not by the kernel, which would say EFAULT: packed. */
static void put_packed(struct forged *f, uint64_t gpa)
{
	static char page[VAS_PAGE_SIZE], packed[LZ4_COMPRESSBOUND(VAS_PAGE_SIZE)];
	int size;

	memset(page, 7, sizeof(page));
	size = LZ4_compress_default(page, packed, sizeof(page), sizeof(packed));
	forged_put(f,
		   (struct stream_header){ .type = STREAM_WORD,
					   .flags = STREAM_LZ4,
					   .gpa = gpa,
					   .data = 1,
					   .length = (uint32_t)size },
		   packed);
}

TEST(no_free_huge_page_is_an_error)
{
	uint64_t i, nr = huge_pages("free") + huge_pages("nr_overcommit") + 1;
	struct forged f;
	struct vas *vas;

	if (nr > 128)
		test_skip("%llu huge pages are free", (unsigned long long)nr - 1);
	begin(&f);
	forged_begin(&f, nr * HUGE_SIZE, HUGE_SIZE);
	for (i = 0; i < nr; i++)
		put_packed(&f, i * HUGE_SIZE);
	forged_end(&f);
	CHECK_EQ(receive(&f, 0, &vas), -ENOMEM);
	close(f.fd);
}

TEST(no_free_huge_page_is_needed_for_zeros)
{
	struct forged f;
	struct vas *vas;

	huge_pages("free");
	begin(&f);
	forged_begin(&f, 512 * HUGE_SIZE, HUGE_SIZE);
	put_zeros(&f, 0, 0);
	forged_end(&f);
	CHECK_OK(receive(&f, 0, &vas));
	vas_destroy(vas);
	close(f.fd);
}
