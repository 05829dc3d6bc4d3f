/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Everybody who follows a vas, on one: KVM with a vCPU that runs, vhost-net, two devices behind an
 * IOMMU, vas_net.ko, a back end of vhost-user and a binder, which are processes, and vas_test.ko.
 * There is a region that comes and goes, the island at ISLAND, of which each has a page.
 */
#ifndef TESTS_KERNEL_EVERYBODY_H
#define TESTS_KERNEL_EVERYBODY_H

#include <pthread.h>
#include <sys/types.h>

#include <vas/module.h>
#include <vas/vhost_user.h>

#include "net_guest.h"
#include "tests/consumer/together/machine.h"
#include "tests/consumer/vhost_user/fake_back_end.h"

#define ISLAND	     GIB
#define ISLAND_PAGES 7u
#define ISLAND_SIZE  (ISLAND_PAGES * PAGE)
#define NET_ISLAND   (2 * GIB) /* a page of the vas's own file, which comes and goes with it */
#define GUARD	     0xa5      /* what is in the island's bytes as long as it is gone */

/* Whose page of it: what is written there is everyone's own. */
enum island_page {
	OF_DEVICE,
	OF_FOO,
	OF_COPIES,
	OF_MAPS,
	OF_HOLDER,
	OF_VHOST,
	OF_VCPU,
};

/* A binder, in a process of its own: reads and writes the island, and memory that stays. */
struct foo_state {
	uint64_t nr_done, nr_faults; /* of the island */
	int is_wrong;
	int hang, is_hung; /* in a section */
};
struct foo {
	pid_t pid;
	int sock;
	struct foo_state *state; /* shared */
};

/* The vCPU writes to its page of the island, and counts. */
struct vcpu {
	struct machine *machine;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int pauses, is_in, is_over;
	int is_deaf; /* it does not stop: a step of KVM's hangs */
};

struct everybody {
	struct machine machine;
	struct edu second; /* always at work */
	struct vcpu vcpu;
	struct vas_module *module;
	struct net_guest guest;
	int copies, maps, stays; /* loads of vas_test.ko: on the island, and on what stays */
	int holder;		 /* has a map there as long as it can */
	uint64_t nr_held;
	struct fake_back_end *fake; /* shared */
	pid_t fake_pid;
	struct vas_vhost_user *front;
	struct foo foo;

	pthread_t threads[2]; /* vhost-net, and the second device, on what stays */
	pthread_mutex_t net_lock;
	int is_over;
	uint64_t nr_frames, nr_transfers;

	struct vas_region island;
	uint64_t island_id, net_island_id;
	char *bytes;	     /* its */
	uint64_t nr_stopped; /* writes of the device that the IOMMU is to have stopped */
	int log;	     /* the kernel's, since the beginning */
};

/* Static, and zeroed before. nr_slots: of KVM's. Skips the case if somebody is not there. */
void everybody_begin(struct everybody *e, uint32_t nr_slots);
void everybody_end(struct everybody *e);

/* All use it, or none can, and nobody has written to it since. `dma`: the device too, 0.1 s. */
void everybody_has(struct everybody *e, int dma);
void nobody_has(struct everybody *e, int dma);

/* The owner: the guard is put, and found whole. */
void guard_put(struct everybody *e);
void guard_check(const struct everybody *e);

#endif
