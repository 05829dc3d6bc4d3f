// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What is saved beside the memory comes back the same; what anybody else makes of it is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <vas/vas.h>

#include "qemu/record.h"
#include "tests/harness.h"

static char *command[] = { "qemu-system-x86_64", "-name", "a \"quoted\" näme", "", NULL };

static const struct qemu_record saved = {
	.kind = { "7.2.22", "pc-q35-7.2" },
	.memory = 512ull << 20,
	.genid = "d8f3a2c0-1b4e-4f6a-9c7d-0123456789ab",
	.is_running = 1,
	.command = command,
	.state = "\0state",
	.state_size = 6,
};

TEST(a_record_comes_back_the_same)
{
	struct qemu_record record;
	void *bytes;
	size_t size;

	CHECK_OK(qemu_record_pack(&saved, &bytes, &size));
	CHECK_OK(qemu_record_parse(bytes, size, &record));
	CHECK_STR(record.kind.version, "7.2.22");
	CHECK_STR(record.kind.machine, "pc-q35-7.2");
	CHECK_EQ(record.memory, saved.memory);
	CHECK_EQ(record.is_running, 1);
	CHECK_STR(record.genid, saved.genid);
	for (int i = 0; command[i]; i++)
		CHECK_STR(record.command[i], command[i]);
	CHECK(!record.command[4]);
	CHECK_EQ(record.state_size, 6);
	CHECK_MEM(record.state, "\0state", 6);
	qemu_record_clean(&record);
	free(bytes);
}

TEST(a_record_may_leave_out_how_qemu_was_started)
{
	char *none[] = { NULL };
	struct qemu_record record = saved;
	void *bytes;
	size_t size;

	record.command = none;
	CHECK_OK(qemu_record_pack(&record, &bytes, &size));
	CHECK_OK(qemu_record_parse(bytes, size, &record));
	CHECK(!record.command[0]);
	CHECK_MEM(record.state, "\0state", 6);
	qemu_record_clean(&record);
	free(bytes);
}

static void is_refused(const char *json, uint32_t json_size)
{
	struct qemu_record_header header = { QEMU_RECORD_MAGIC, 1, json_size, 0 };
	size_t size = sizeof(header) + strlen(json);
	char *bytes = malloc(size);
	struct qemu_record record;

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), json, strlen(json));
	CHECK_EQ(qemu_record_parse(bytes, size, &record), -EPROTO);
	CHECK(!record.command);
	free(bytes);
}

TEST(what_is_no_record_is_refused)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{",
		"{}",
		"{\"qemu\": 7, \"machine\": \"pc\", \"command\": [\"qemu\"]}",
		"{\"qemu\": \"7\", \"machine\": \"pc\"}",
		"{\"qemu\": \"7\", \"machine\": \"pc\", \"vmgenid\": 7, \"command\": [\"a\"]}",
		"{\"qemu\": \"7\", \"machine\": \"pc\", \"vmgenid\": \"a,b=c\", \"command\": [\"a\"]}",
		"{\"qemu\": \"7\", \"machine\": \"pc\", \"command\": [\"a\", 3]}",
		"{\"qemu\": \"7\", \"machine\": \"pc\", \"command\": [\"a\\u0000b\"]}",
		"{\"qemu\": \"7\", \"machine\": \"pc\", \"command\": {\"0\": \"a\"}}",
		"{\"qemu\": [[[[[[[[[[]]]]]]]]]], \"machine\": \"pc\", \"command\": [\"a\"]}",
		("{\"qemu\": \"0123456789012345678901234567890123456789\", \"machine\": \"pc\", "
		 "\"command\": [\"a\"]}"),
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_refused(bad[i], (uint32_t)strlen(bad[i]));
	is_refused("{}", 3);
	is_refused("{}", UINT32_MAX);
}

TEST(a_record_that_is_cut_or_damaged_harms_nothing)
{
	struct qemu_record record;
	void *bytes;
	size_t size;

	CHECK_OK(qemu_record_pack(&saved, &bytes, &size));
	for (size_t i = 0; i < size - saved.state_size; i++) {
		char *copy = malloc(i + 1);

		memcpy(copy, bytes, i);
		CHECK_EQ(qemu_record_parse(copy, i, &record), -EPROTO);
		free(copy);
		copy = malloc(size);
		memcpy(copy, bytes, size);
		copy[i] ^= 0x5a;
		if (!qemu_record_parse(copy, size, &record))
			qemu_record_clean(&record);
		free(copy);
	}
	free(bytes);
}
