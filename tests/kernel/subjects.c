// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The contract's rules, with vas.ko as the subject: its users in the kernel do what any binder does.
 * Requests become ioctls of /dev/vas_test.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/contract/subject.h"
#include "tests/harness_hugetlb.h"
#include "kernel/modules/test/vas_test.h"

/* bind_flags: where and how the subject's copies are made. */
#define CONTEXT(context) (context)
#define CACHED		 (1u << 8)
#define OBSERVER	 (1u << 9)

#define HUGETLB_PAGES 40

#define READS  (CAN_READ | CAN_FIELD | CAN_MAP | CAN_OFFER | CAN_REBIND | CAN_LIST | CAN_WHOLE)
#define WRITES (READS | CAN_WRITE | CAN_PIN)

static int call(struct subject *s, unsigned long cmd, void *arg)
{
	int result = ioctl(s->sock, cmd, arg);

	return result < 0 ? -errno : result;
}

static int copy(struct subject *s, struct request *r, uint32_t flags)
{
	struct vas_test_copy copy = {
		.gpa = r->gpa,
		.len = r->len,
		.buf = (uintptr_t)r->data,
		.flags = flags | (s->kind->bind_flags & CACHED ? VAS_TEST_CACHED : 0),
		.context = s->kind->bind_flags & 0xff,
	};
	int err;

	/* A cache copies all or nothing; how far it came is for the plain copy to say. */
	err = call(s, VAS_TEST_COPY, &copy);
	if (err && copy.flags & VAS_TEST_CACHED) {
		copy.flags &= ~VAS_TEST_CACHED;
		err = call(s, VAS_TEST_COPY, &copy);
	}
	r->done = err ? copy.done : r->len;
	return err;
}

static int field(struct subject *s, struct request *r)
{
	static const uint32_t ops[REQ_NR] = {
		[REQ_LOAD] = VAS_TEST_LOAD_FIELD,	[REQ_STORE] = VAS_TEST_STORE_FIELD,
		[REQ_ADD] = VAS_TEST_ADD_FIELD,		[REQ_OR] = VAS_TEST_OR_FIELD,
		[REQ_AND] = VAS_TEST_AND_FIELD,		[REQ_EXCHANGE] = VAS_TEST_EXCHANGE_FIELD,
		[REQ_CMPXCHG] = VAS_TEST_CMPXCHG_FIELD,
	};
	struct vas_test_field field = {
		.gpa = r->gpa,
		.width = (uint32_t)r->len,
		.op = ops[r->op],
		.value = r->value,
		.other = r->other,
	};
	int err = call(s, VAS_TEST_FIELD, &field);

	r->value = field.value;
	r->other = field.other;
	return err;
}

static int map(struct subject *s, struct request *r)
{
	struct vas_test_map map = { .gpa = r->gpa, .len = r->len, .flags = r->flags };
	int err = call(s, VAS_TEST_MAP, &map);

	r->value = map.id;
	return err;
}

static int mapped(struct subject *s, struct request *r)
{
	struct vas_test_map_access access = {
		.id = (uint32_t)r->value,
		.offset = r->other,
		.len = r->len,
		.buf = (uintptr_t)r->data,
		.flags = r->op == REQ_MAP_WRITE ? VAS_TEST_WRITE : 0,
	};

	if (r->op == REQ_UNMAP)
		return call(s, VAS_TEST_UNMAP_ID, &access.id);
	return call(s, VAS_TEST_MAP_ACCESS, &access);
}

/* What a module would do: it has no call for it. */
static int fill(struct subject *s, struct request *r)
{
	struct request write = *r;
	int err;

	if (r->len > REQUEST_DATA_MAX)
		return -E2BIG;
	memset(r->data, (int)r->value, r->len);
	err = copy(s, &write, VAS_TEST_WRITE);
	r->done = write.done;
	return err;
}

static int regions(struct subject *s, struct request *r)
{
	struct vas_test_regions arg = {
		.gpa = r->gpa,
		.regions = (uintptr_t)r->data,
		.nr = r->size,
		.at_gpa = r->op == REQ_REGION_AT,
	};

	return call(s, VAS_TEST_REGIONS, &arg);
}

/* A scatterlist: what is of interest to rules that need no vectors is whether there is one. */
static int64_t vectors(struct subject *s, struct request *r)
{
	struct vas_test_range range = { .gpa = r->gpa, .len = r->len };
	struct vas_test_sg sg = {
		.ranges = (uintptr_t)&range,
		.nr = 1,
		.flags = r->flags == VAS_PROT_WRITE ? VAS_MAPPING_WRITE : 0,
	};
	int err = call(s, VAS_TEST_SG_MAP, &sg);

	if (err)
		return err;
	CHECK_OK(call(s, VAS_TEST_SG_UNMAP, NULL));
	return sg.nr_entries;
}

static int64_t execute(struct subject *s, struct request *r)
{
	int32_t fd = r->fd;

	switch (r->op) {
	case REQ_READ:
		return copy(s, r, 0);
	case REQ_WRITE:
		return copy(s, r, VAS_TEST_WRITE);
	case REQ_FILL:
		return fill(s, r);
	case REQ_VECTORS:
		return vectors(s, r);
	case REQ_REGIONS:
	case REQ_REGION_AT:
		return regions(s, r);
	case REQ_MAP:
		return map(s, r);
	case REQ_MAP_READ:
	case REQ_MAP_WRITE:
	case REQ_UNMAP:
		return mapped(s, r);
	case REQ_OFFER:
		return call(s, VAS_TEST_OFFER, &fd);
	default:
		return field(s, r);
	}
}

static void module_call(struct subject *s, struct request *r)
{
	r->out_size = 0;
	r->result = execute(s, r);
}

static int observer_fd(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int module_bind(struct subject *s, int fd)
{
	uint32_t policy = VAS_TEST_REFUSE; /* as a process that does not look */
	int32_t arg = s->kind->bind_flags & OBSERVER ? observer_fd(fd) : dup(fd);
	int err;

	s->sock = open("/dev/vas_test", O_RDWR | O_CLOEXEC);
	if (s->sock < 0)
		test_skip("no /dev/vas_test: vas.ko and vas_test.ko are not loaded");
	err = call(s, VAS_TEST_BIND, &arg);
	close(arg);
	if (err)
		close(s->sock);
	else
		CHECK_OK(call(s, VAS_TEST_POLICY, &policy));
	return err;
}

static void module_unbind(struct subject *s)
{
	close(s->sock);
}

static const struct subject_ops subject_module = {
	.bind = module_bind,
	.unbind = module_unbind,
	.call = module_call,
};

static void require_hugetlb(void)
{
	hugetlb_require(HUGETLB_PAGES);
}

const struct subject_kind subject_kinds[] = {
	{
		.name = "module",
		.can = WRITES | CAN_SPARSE,
		.ops = &subject_module,
	},
	{
		.name = "module-kthread",
		.can = WRITES | CAN_SPARSE,
		.bind_flags = CONTEXT(VAS_TEST_KTHREAD),
		.ops = &subject_module,
	},
	{
		.name = "module-kthread-mm",
		.can = WRITES | CAN_SPARSE,
		.bind_flags = CONTEXT(VAS_TEST_KTHREAD_MM),
		.ops = &subject_module,
	},
	{
		.name = "module-workqueue",
		.can = WRITES | CAN_SPARSE,
		.bind_flags = CONTEXT(VAS_TEST_WORKQUEUE),
		.ops = &subject_module,
	},
	{
		.name = "module-cache",
		.can = WRITES | CAN_SPARSE,
		.bind_flags = CACHED,
		.ops = &subject_module,
	},
	{
		.name = "module-observer",
		.can = READS | CAN_OBSERVE | CAN_SPARSE,
		.bind_flags = OBSERVER,
		.ops = &subject_module,
	},
	{
		.name = "module-fence",
		.can = WRITES | CAN_SPARSE,
		.create_flags = VAS_CREATE_FENCE,
		.ops = &subject_module,
	},
	{
		.name = "module-hugetlb",
		.can = WRITES,
		.create_flags = VAS_CREATE_HUGETLB,
		.ops = &subject_module,
		.require = require_hugetlb,
	},
	{
		.name = "module-thp",
		.can = WRITES | CAN_SPARSE,
		.create_flags = VAS_CREATE_THP,
		.ops = &subject_module,
	},
	{
		.name = "module-compact",
		.can = WRITES,
		.file = FILE_COMPACT,
		.ops = &subject_module,
	},
	{
		.name = "module-backing",
		.can = WRITES,
		.file = FILE_BACKING,
		.ops = &subject_module,
	},
};

const size_t nr_subject_kinds = sizeof(subject_kinds) / sizeof(subject_kinds[0]);
