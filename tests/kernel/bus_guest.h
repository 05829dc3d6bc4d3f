/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest with one device on a bus, played by a test: its owner, and its driver's rings of either
 * format. The device is served by a process of the test's, or by a module that such a process keeps.
 */
#ifndef TESTS_KERNEL_BUS_GUEST_H
#define TESTS_KERNEL_BUS_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <vas/device.h>
#include <vas/serve.h>
#include <vas/vas.h>

#include "core/virtqueue/split.h"
#include "device/device.h"
#include "tests/core/packed_driver.h"
#include "tests/harness.h"

#define BUS_RAM	      (4ull << 20)
#define BUS_SIZE      256u /* of a ring */
#define BUS_SPACE     65536ull
#define BUS_MAX_RINGS 5u /* they begin at gpa 0 */
#define BUS_MAX_PARTS 4u /* of a chain */

struct bus_ring {
	int kick, call;
	/* Split. */
	struct vas_virtq_desc *desc;
	struct vas_virtq_avail *avail;
	struct vas_virtq_used *used;
	uint16_t next_avail, next_used;
	/* Packed. */
	struct packed_driver packed;
	uint16_t slot_of_id[BUS_SIZE];
};

/* What a provider's process is told. */
struct bus_role {
	char socket[64];
	char path[64]; /* of a disk's file; or the name of an interface, if it is another one */
	uint32_t nr;   /* queues, or pairs of them */
	uint32_t no_memory; /* so often the module has none for a queue's start */
	bool is_module, takes_over, read_only;
};

/* What the driver writes are gpas; or iovas of an IOMMU, which may take pieces away all the time. */
enum bus_iommu { BUS_NO_IOMMU, BUS_IOMMU, BUS_IOMMU_TAKES };

/* The one guest of a case. */
extern struct bus_guest {
	/* Before bus_begin(). */
	const char *name; /* of the device; and of the role that serves it */
	uint32_t kind;
	void (*look)(void); /* what the driver does while something is waited for */
	uint32_t stride;    /* descriptors of a split ring for each slot */
	bool is_packed;
	enum bus_iommu iommu;
	uint32_t nr_rings;
	uint32_t uncalled;  /* bits: rings whose driver wants no interrupts */
	uint64_t answer_ns; /* for who serves; 0: as long as a test may take */
	uint64_t refused;   /* features that the driver does not accept */
	struct bus_role role;

	struct vas *vas;
	struct vas_serve *serve;
	struct vas_bus_device *device;
	struct vas_virtio_server *server;
	uint8_t *ram;
	struct bus_ring rings[BUS_MAX_RINGS];
	uint32_t times_broken; /* atomic */
	pid_t pid;	       /* who serves; 0: nobody */
} bus;

/* In a provider's process: serve the device until another takes over. An exit status. */
int bus_role_serve(struct vas_device *device, const struct bus_role *role, int look_fd);

/* The guest, and a process that serves its device; skips the case without that module's device. */
void bus_begin(const char *module_device);
void bus_end(void);

/* The owner lets all connections go; who serves comes again. */
void bus_disconnect(void);

/*
 * Behind an IOMMU: the page of iovas that was that of a gpa is another one from now on, and nobody
 * uses the one that it was.
 */
void bus_move_page(uint64_t gpa, uint64_t to);

/* The device is reset, or new: its driver begins. */
void bus_start_driver(void);

/* Somebody serves from now on, as soon as the device is free, or asks for it. */
void bus_provide(bool by_module, bool takes_over);
/* Another takes over, and the one before it ends well. */
void bus_take_over(bool by_module);
void bus_kill(void);

/* A chain of parts, at gpas or what stands for them, for the slot `at`; an answer: true, of which slot, and how many bytes. */
void bus_post(uint32_t index, uint32_t at, const struct part *parts, uint32_t nr);
bool bus_take(uint32_t index, uint32_t *at, uint32_t *len);
void bus_kick(uint32_t index);

/* As the device's entry says: enum vas_device_queue_state. */
uint32_t bus_state(uint32_t index);
/* In a freeze: the queue stands still, and its record says where. */
void bus_check_frozen(uint32_t index);
void bus_await_broken(void);

/* So many, or fewer on a kernel that takes its time: TEST_BUS_ROUNDS. */
uint32_t bus_rounds(uint32_t usual);

#endif
