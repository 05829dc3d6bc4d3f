/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * /dev/vas_bench: has a subject, which is one way to do some work on guest memory, do it over and
 * over in a kernel thread, and says what it took.
 */
#ifndef VAS_BENCH_H
#define VAS_BENCH_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VAS_BENCH_MAX_LEN (1u << 20)

/**
 * struct vas_bench_run - one measurement
 * @subject: its name; -ENOENT: there is none of it in this kernel
 * @fd: of the vas, or of the VM for subjects of KVM's
 * @gpa: of the memory
 * @hva: of the same memory in the calling process, for subjects that know no better
 * @len: its length
 * @buf: what is written there, or to where the bytes go that were read
 * @nr: operations in a part
 * @nr_parts: parts that are measured, after one that is not; the best of them counts
 * @ticks: out: of the processor's clock, for a part
 * @ns: out: nanoseconds, for a part
 */
struct vas_bench_run {
	char subject[24];
	__s32 fd;
	__u32 pad;
	__u64 gpa;
	__u64 hva;
	__u64 len;
	__u64 buf;
	__u32 nr;
	__u32 nr_parts;
	__u64 ticks;
	__u64 ns;
};

/* Code: see <linux/vas.h>. */
#define VAS_BENCH_RUN _IOWR(0xe8, 0x50, struct vas_bench_run)

/* An interface that throws away what is sent by it. */
#define VAS_BENCH_SINK "vas-bench-sink"

#endif
