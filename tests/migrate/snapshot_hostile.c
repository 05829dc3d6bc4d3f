// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Snapshots that somebody made to hurt: what is opened, read and allocated is bounded all the same.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migrate/snapshot/snapshot.h"
#include "migrate/base/sum.h"
#include "saved.h"

/* With `parent`, "" for none, and its sum right again. */
static void set_header(const char *path, const char *parent, uint64_t nr_words)
{
	struct snapshot_header header;
	uint64_t key;
	int fd = open(path, O_RDWR);

	CHECK_EQ(pread(fd, &header, sizeof(header), 0), sizeof(header));
	memset(header.parent, 0, sizeof(header.parent));
	strcpy(header.parent, parent);
	memcpy(header.parent_id, header.id, sizeof(header.id));
	header.nr_words = nr_words ? nr_words : header.nr_words;
	memcpy(&key, header.id, sizeof(key));
	header.header_sum = sum_add(key, &header, offsetof(struct snapshot_header, header_sum));
	CHECK_EQ(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	CHECK_OK(ftruncate(
		fd, (off_t)(header.words_offset + header.nr_words * sizeof(struct snapshot_word))));
	close(fd);
}

/* "full", which says that it stands on `parent`. */
static void make_child(const char *parent)
{
	struct vas *vas = shadow_vas(SIZE);

	CHECK_OK(vas_write(vas, 0, "full", 4, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	vas_destroy(vas);
	set_header("full", parent, 0);
}

static void check_refused(uint32_t flags, int err, const char *message)
{
	struct vas *back;

	CHECK_EQ(vas_snapshot_restore("full", flags, &back), err);
	CHECK_HAS(vas_error(), message);
}

/* In each way that reads parents. */
static void check_chain_refused(uint32_t flags, int err, const char *message)
{
	struct vas *vas = shadow_vas(SIZE);

	check_refused(flags, err, message);
	check_refused(flags | VAS_RESTORE_LAZY, err, message);
	check_refused(flags | VAS_RESTORE_CLONE, err, message);
	CHECK_EQ(vas_snapshot_save(vas, "new", flags ? "./full" : "full", NULL), err);
	CHECK_HAS(vas_error(), message);
	vas_destroy(vas);
}

TEST(a_fifo_is_not_opened)
{
	enter_folder();
	CHECK_OK(mkfifo("fifo", 0600));
	make_child("fifo");
	check_chain_refused(0, -EPROTO, "no regular file");
	CHECK_OK(unlink("full"));
	CHECK_OK(rename("fifo", "full"));
	check_chain_refused(0, -EPROTO, "no regular file");
	check_refused(VAS_RESTORE_PRIVATE, -EPROTO, "no regular file");
	leave_folder();
}

TEST(a_device_is_not_opened)
{
	enter_folder();
	make_child("/dev/zero");
	check_chain_refused(VAS_RESTORE_ANY_FOLDER, -EPROTO, "no regular file");
	make_child("..");
	check_chain_refused(0, -EPROTO, "no regular file");
	leave_folder();
}

TEST(a_parent_elsewhere_is_read_if_that_was_asked_for)
{
	struct vas *vas = shadow_vas(SIZE), *back;

	enter_folder();
	CHECK_OK(mkdir("other", 0700));
	CHECK_OK(vas_write(vas, 0, "base", 4, NULL));
	CHECK_OK(vas_snapshot_save(vas, "other/base", NULL, NULL));
	CHECK_OK(vas_write(vas, 4096, "child", 5, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", "other/base", NULL));
	check_chain_refused(0, -EXDEV, "other/base");
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_ANY_FOLDER, &back));
	check_same(vas, back);
	vas_destroy(back);
	/* A name with a slash in it asks as well. */
	CHECK_OK(vas_snapshot_save(vas, "next", "./full", NULL));
	CHECK_OK(vas_snapshot_restore("next", VAS_RESTORE_ANY_FOLDER | VAS_RESTORE_CLONE, &back));
	check_same(vas, back);
	vas_destroy(back);
	CHECK_OK(unlink("other/base"));
	CHECK_OK(rmdir("other"));
	vas_destroy(vas);
	leave_folder();
}

TEST(a_link_leads_nowhere_else)
{
	enter_folder();
	make_child("base");
	CHECK_OK(symlink("/dev/null", "base"));
	check_chain_refused(0, -EPROTO, "no regular file");
	leave_folder();
}

TEST(a_circle_ends_at_once)
{
	enter_folder();
	make_child("full");
	check_chain_refused(0, -ELOOP, "its own parent");
	leave_folder();
}

/* A file of a few KiB that claims a list of 2 GiB. */
TEST(a_list_that_is_a_hole_is_not_read)
{
	enter_folder();
	make_child("");
	set_header("full", "", 1ull << 26);
	check_chain_refused(0, -EPROTO, "hole");
	CHECK(allocated("full") < 64 * 1024);
	leave_folder();
}

/* One word of 64 pages for each 256 KiB, all of which are a hole of the file. */
static void claim_all_pages(const char *path)
{
	static char zeros[STREAM_WORD_SIZE];
	struct snapshot_word words[SIZE / STREAM_WORD_SIZE];
	struct snapshot_header header;
	uint64_t key, i;
	int fd = open(path, O_RDWR);

	CHECK_EQ(pread(fd, &header, sizeof(header), 0), sizeof(header));
	memcpy(&key, header.id, sizeof(key));
	for (i = 0; i < SIZE / STREAM_WORD_SIZE; i++)
		words[i] = (struct snapshot_word){ .gpa = i * STREAM_WORD_SIZE,
						   .data = UINT64_MAX,
						   .sum = sum_add(key, zeros, sizeof(zeros)) };
	CHECK_EQ(pwrite(fd, words, sizeof(words), (off_t)header.words_offset), sizeof(words));
	header.nr_words = SIZE / STREAM_WORD_SIZE;
	header.words_sum = sum_add(key, words, sizeof(words));
	header.header_sum = sum_add(key, &header, offsetof(struct snapshot_header, header_sum));
	CHECK_EQ(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	close(fd);
}

static uint64_t resident(struct vas *vas)
{
	struct stat st;

	CHECK_OK(fstat(vas_fd(vas), &st));
	return (uint64_t)st.st_blocks * 512;
}

TEST(pages_that_are_a_hole_take_no_memory)
{
	struct vas *vas = shadow_vas(SIZE), *back;
	uint64_t empty;

	enter_folder();
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_snapshot_restore("full", 0, &back));
	empty = resident(back);
	vas_destroy(back);
	claim_all_pages("full");
	CHECK_OK(vas_snapshot_restore("full", 0, &back));
	check_same(vas, back);
	vas_destroy(back);
	CHECK_OK(vas_snapshot_restore("full", 0, &back));
	CHECK_EQ(resident(back), empty);
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}
