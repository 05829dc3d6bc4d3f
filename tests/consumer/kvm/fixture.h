/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A vas, a machine that it is attached to, and a guest in it. */
#ifndef TESTS_CONSUMER_KVM_FIXTURE_H
#define TESTS_CONSUMER_KVM_FIXTURE_H

#include <vas/access.h>
#include <vas/event.h>

#include "examples/echo.h"
#include "examples/tinyvmm_machine.h"
#include "tests/guests/mailbox.h"
#include "tests/harness.h"

/* The vas's limit: what the guests' page tables reach. RAM is its first GUEST_RAM bytes. */
#define FIXTURE_LIMIT (16ull << 30)
#define HIGH_GPA      (4ull << 30)

#define FIXTURE_LIST 0x30000ull /* struct guest_region[], for mailbox.regions */

struct fixture {
	struct vas *vas;
	uint64_t ram_id;
	struct machine machine;
	char *ram; /* the test's own mapping of the vas's file */
	volatile struct guest_mailbox *box;
	volatile struct guest_region *list;
	struct test_random random;

	/* What the devices saw: one thread writes it, the vCPU's. */
	uint64_t nr_mmio_writes;
	uint64_t last_mmio_gpa;
	void (*port)(struct fixture *f, uint16_t port, uint64_t value); /* or NULL */
	void *priv;
};

/* Skip the case if there is no usable /dev/kvm, saying why. */
int kvm_require(void); /* an open /dev/kvm */

/* A vas with RAM; the VM is attached with these VAS_KVM_* flags. */
void fixture_init(struct fixture *f, uint32_t kvm_flags);
void fixture_clean(struct fixture *f);

/* The same around a vas that is there already, and is destroyed by fixture_clean(). Or -errno. */
int fixture_init_around(struct fixture *f, struct vas *vas, uint32_t kvm_flags);

/* Put the guest and a mailbox with a fresh seed there; change the mailbox before fixture_start().
 */
extern const char guest_echo[], guest_walker[], guest_dirty[], guest_hotplug[], guest_state[],
	guest_values[];
extern const uint64_t guest_echo_size, guest_walker_size, guest_dirty_size, guest_hotplug_size,
	guest_state_size, guest_values_size;
void fixture_load(struct fixture *f, const char *image, uint64_t size);
#define FIXTURE_LOAD(f, guest) fixture_load(f, guest, guest##_size)

void fixture_start(struct fixture *f);
/* Wait for the guest's end and check that its status is 0; else tell its mailbox. */
void fixture_finish(struct fixture *f);
int fixture_wait(struct fixture *f);

/* A region at gpa, at that offset of the file. */
uint64_t fixture_region(struct fixture *f, uint64_t gpa, uint64_t size, uint32_t flags);
/* Put it in the walker's list and write the words that the walker expects. */
void fixture_walk(struct fixture *f, uint64_t gpa, uint64_t size, uint32_t flags);

/* An event that the mailbox then points to, and tied to KVM. */
void fixture_doorbell(struct fixture *f, uint32_t id, uint64_t addr, uint32_t len, uint32_t flags);
void fixture_attach_event(struct fixture *f, const struct vas_event *event);

#endif
