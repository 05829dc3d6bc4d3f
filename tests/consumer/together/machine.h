/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A vas that KVM, vhost-net and a device behind an IOMMU follow. */
#ifndef TESTS_CONSUMER_TOGETHER_MACHINE_H
#define TESTS_CONSUMER_TOGETHER_MACHINE_H

#include <vas/kvm.h>

#include "tests/consumer/vfio/edu.h"
#include "tests/consumer/vhost/tap.h"

#define DEVICE_MARK 0xcc /* what the device writes */

struct machine {
	struct net net; /* has the vas */
	struct edu edu;
	struct vas_vfio *vfio;
	int vm_fd;
	struct vas_kvm *kvm;
};

/* Zeroed before. Skips the case where one of them is not there. KVM's slot 0 is not the vas's. */
void machine_open(struct machine *m, const struct vas_kvm_options *kvm);
void machine_close(struct machine *m);

/* Whether KVM has memory at gpa: another memslot, of the page at hva, finds no room there. */
int kvm_has(const struct machine *m, uint64_t gpa, void *hva);

/* Whether the device has: a byte that it writes at gpa arrives at *byte. 0.1 s. */
int device_has(const struct machine *m, uint64_t gpa, char *byte);

/*
 * Islands of a page each, in a file of their own, 1 MiB apart from 1 GiB on: the first, and where
 * their bytes are. None is in the layout yet.
 */
struct vas_region islands(struct machine *m, uint64_t nr, char **bytes);
struct vas_region island_at(struct vas_region first, uint64_t index);

/* As vas_layout_commit(). */
int add_island(struct machine *m, const struct vas_region *island, uint64_t timeout_ns,
	       struct vas_blocker *blocker);

#endif
