/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A session of /dev/vas_test as functions: 0, a count or -errno, as the kernel's calls. */
#ifndef TESTS_KERNEL_DEVICE_H
#define TESTS_KERNEL_DEVICE_H

#include <vas/vas.h>

#include "tests/harness.h"
#include "kernel/modules/test/vas_test.h"

/* A new session, closed with close(); skips the case if the modules are not there. */
int device_open(void);
/* A new session, bound: fails the case if that fails. */
int device_bound(int fd);

int device_bind(int device, int fd);
int device_unbind(int device);

/* flags: VAS_TEST_WRITE, ATOMIC, CACHED. *done may be NULL. */
int device_copy_in(int device, struct vas_test_copy *copy, void *buf, size_t *done);
int device_read(int device, uint64_t gpa, void *buf, size_t len, size_t *done);
int device_write(int device, uint64_t gpa, const void *buf, size_t len, size_t *done);

int device_map(int device, uint64_t gpa, uint64_t len, uint32_t flags, uint32_t *id);
int device_unmap(int device, uint32_t id);
int device_map_read(int device, uint32_t id, uint64_t at, void *buf, size_t len);
int device_map_write(int device, uint32_t id, uint64_t at, const void *buf, size_t len);
int device_is_attached(int device, uint32_t id);

int device_offer(int device, int fd);
int device_mark(int device, uint64_t gpa, uint64_t len);
void device_policy(int device, enum vas_test_policy policy);
struct vas_test_counts device_counts(int device);
struct vas_test_info device_info(int device);
int device_load(int device, const struct vas_test_load *load);
struct vas_test_load_result device_load_stop(int device);

int device_sg_map(int device, struct vas_test_sg *sg);
int device_sg_unmap(int device);
int device_sg_read(int device, uint64_t at, void *buf, size_t len);
int device_sg_write(int device, uint64_t at, const void *buf, size_t len);
int device_doorbell(int device, int doorbell_fd, int irq_fd, uint32_t flags);
uint64_t device_doorbell_stop(int device);
int device_event(int device, uint32_t id, struct vas_test_event *event);
int device_hva(int device, uint64_t gpa, uint64_t size, void *hva);

/* vas.ko's own count of something, by its name in debugfs. */
long device_counter(const char *name);

/* A vas with these bytes of RAM at gpa 0, owned by this process. */
struct vas *device_vas(uint64_t limit, uint64_t ram, uint32_t create_flags);

/* A region in a further file of its own, from that one's start on: the file's fd. */
int device_add_file(struct vas *vas, uint64_t gpa, uint64_t size);

/* From now on this process can do without one of its capabilities, CAP_*. */
void device_drop_capability(int capability);

/* As vas_info(), with counts of all there is, however busy the machine. */
struct vas_info device_vas_info(struct vas *vas);

/* As vas_region_add() and vas_region_remove(), but a machine that is slow and busy may take its time. */
uint64_t device_add(struct vas *vas, uint64_t gpa, uint64_t size);
void device_remove(struct vas *vas, uint64_t id);

#endif
