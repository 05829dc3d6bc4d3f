// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A memory back end is read in both ways to write it, and put into another file. */
#include <stdlib.h>
#include <vas/vas.h>

#include "qemu/backend.h"
#include "tests/harness.h"

static void is_put(const char *value, int is_shared, const char *wanted)
{
	char *text = qemu_backend_at(value, "/proc/self/fd/7", is_shared);

	CHECK(text);
	CHECK_STR(text, wanted);
	free(text);
}

TEST(keys_are_read)
{
	struct qemu_backend backend;

	CHECK_EQ(qemu_backend_parse("memory-backend-ram,id=ram,size=1G", &backend), 1);
	CHECK_STR(backend.id, "ram");
	CHECK_STR(backend.size, "1G");
	CHECK(!backend.is_huge);
	CHECK_EQ(qemu_backend_parse("qom-type=memory-backend-memfd,size=2M,hugetlb=on,id=m",
				    &backend),
		 1);
	CHECK_STR(backend.id, "m");
	CHECK(backend.is_huge);
	CHECK_EQ(qemu_backend_parse("memory-backend-file,id=f,mem-path=/a,,b,size=1M", &backend),
		 1);
	CHECK_STR(backend.path, "/a,b");
}

TEST(json_is_read)
{
	struct qemu_backend backend;

	CHECK_EQ(qemu_backend_parse("{\"qom-type\":\"memory-backend-file\",\"id\":\"pc.ram\","
				    "\"mem-path\":\"/ram/pc.ram\",\"size\":268435456}",
				    &backend),
		 1);
	CHECK_STR(backend.id, "pc.ram");
	CHECK_STR(backend.size, "268435456");
	CHECK_STR(backend.path, "/ram/pc.ram");
	CHECK(!backend.is_huge);
}

TEST(other_objects_and_no_objects_are_none)
{
	static const char *const others[] = {
		"secret,id=s,data=memory-backend-ram",
		"{\"qom-type\":\"secret\",\"id\":\"s\"}",
		"",
		"{",
		"{}",
		"{\"qom-type\":[\"memory-backend-ram\"]}",
		"[\"memory-backend-ram\"]",
		"id=memory-backend-ram",
		"{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":1}}}}}",
	};
	struct qemu_backend backend;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		CHECK_EQ(qemu_backend_parse(others[i], &backend), 0);
}

TEST(a_back_end_moves_to_another_file)
{
	is_put("memory-backend-ram,id=ram,size=1G,prealloc=on", 1,
	       "memory-backend-file,id=ram,size=1G,prealloc=on,mem-path=/proc/self/fd/7,share=on");
	is_put("memory-backend-memfd,hugetlb=on,hugetlbsize=2M,id=m,share=on,size=4M", 0,
	       "memory-backend-file,id=m,share=off,size=4M,mem-path=/proc/self/fd/7");
	is_put("memory-backend-file,id=a,,b,mem-path=/x,offset=4096,size=1M", 1,
	       "memory-backend-file,id=a,,b,mem-path=/proc/self/fd/7,size=1M,share=on");
	is_put("{\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\",\"size\":4096,"
	       "\"host-nodes\":[0,1]}",
	       1,
	       "{\"qom-type\":\"memory-backend-file\",\"id\":\"pc.ram\",\"size\":4096,"
	       "\"host-nodes\":[0,1],\"mem-path\":\"\\/proc\\/self\\/fd\\/7\",\"share\":true}");
}

TEST(what_cannot_be_read_moves_nowhere)
{
	CHECK(!qemu_backend_at("{\"qom-type\":", "/x", 1));
	CHECK(!qemu_backend_at("{\"size\":1", "/x", 1));
}

static void is_placed(const char *value, const char *wanted)
{
	char *text = qemu_device_at(value, 0x140000000);

	CHECK(text);
	CHECK_STR(text, wanted);
	free(text);
}

TEST(a_device_with_memory_is_placed)
{
	char id[QEMU_BACKEND_ID_LEN];

	CHECK_EQ(qemu_device_memdev("pc-dimm,id=d,memdev=m", id), 1);
	CHECK_STR(id, "m");
	CHECK_EQ(qemu_device_memdev("{\"driver\":\"virtio-mem-pci\",\"memdev\":\"v\"}", id), 1);
	CHECK_STR(id, "v");
	CHECK_EQ(qemu_device_memdev("ivshmem-plain,memdev=i", id), 0);
	CHECK_EQ(qemu_device_memdev("virtio-blk-pci,drive=d", id), 0);
	CHECK_EQ(qemu_device_memdev("{", id), 0);
	CHECK_EQ(qemu_device_gpa("virtio-mem-pci,memdev=v,memaddr=0x180000000"), 0x180000000);
	CHECK_EQ(qemu_device_gpa("{\"driver\":\"pc-dimm\",\"addr\":4294967296}"), 1ull << 32);
	CHECK_EQ(qemu_device_gpa("pc-dimm,memdev=m"), 0);
	is_placed("pc-dimm,id=d,memdev=m", "pc-dimm,id=d,memdev=m,addr=0x140000000");
	is_placed("{\"driver\":\"virtio-mem-pci\",\"memdev\":\"v\"}",
		  "{\"driver\":\"virtio-mem-pci\",\"memdev\":\"v\",\"memaddr\":5368709120}");
	CHECK(!qemu_device_at("{", 1));
}
