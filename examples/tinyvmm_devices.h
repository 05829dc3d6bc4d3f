/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The guest's PCI devices, each from an option of the command line. */
#ifndef TINYVMM_DEVICES_H
#define TINYVMM_DEVICES_H

#include <vas/transport.h>
#include <vas/vfio.h>

#include "tinyvmm_machine.h"

#define DEVICES_MAX	    16
#define DEVICES_MAX_PORTS   15
#define DEVICES_WINDOW	    0xd0000000ull /* of the BARs: no RAM is there */
#define DEVICES_WINDOW_SIZE 0x10000000ull
#define DEVICES_FIRST_EVENT 0x10000u
#define DEVICES_HOTPLUG	    0xae00u /* ports, as QEMU's machines have them */

/* Of a slot's line: pins 16 to 23 of the I/O APIC, in turn. */
#define DEVICES_GSI(slot) (16u + (slot) % 8u)

struct acpi_topology;
struct device; /* one */
struct guest_iommu;

struct devices {
	struct vas *vas;
	struct vas_pci *pci;
	unsigned int nr_ports; /* in the last slots */
	int has_iommu;	       /* in the last slot, before those that it concerns */
	struct guest_iommu *iommu;
	struct device *all[DEVICES_MAX];
	unsigned int nr;
	int container_fd; /* of the physical ones; -1: there are none */
	struct vas_vfio *vfio;

	pthread_mutex_t lock; /* what follows */
	int is_changing;      /* a device comes or goes */
	int is_paused;	      /* they are on their way elsewhere */
	int is_over;	      /* the machine has stopped: nobody is waited for */
};

/*
 * A PCI bus for this machine, and devices on it: "blk,path=FILE", "bus-KIND,name=NAME", of blk,
 * console, net, rng and vsock, which processes serve, "vhost-net,tap=NAME", "vhost-vsock,cid=N",
 * "vhost-user-KIND,path=SOCKET", of blk, fs, net and rng, which other programs serve, or
 * "vfio,host=ADDRESS", which vfio-pci has: all memory is pinned for that. ",slot=N" puts it there.
 * Their names are those of NAME, tap and ADDRESS; of others, that of the kind. Of devices->nr_ports
 * root ports the first is in slot 31, the next in 30, ... With devices->has_iommu an IOMMU is
 * there, and "blk" and "bus-KIND" are behind it; then there are no ports. 0 or -errno, with vas_error().
 */
int devices_create(struct devices *devices, struct machine *machine, const char *const *specs,
		   unsigned int nr);

/*
 * For the guest to find: those on the bus have to be served by then, or within a minute, and the
 * vas's socket has to be there for that.
 */
int devices_plug(struct devices *devices, struct machine *machine);

/* What a guest has to be told of the IOMMU: endpoints has room for DEVICES_MAX. */
void devices_topology(const struct devices *devices, struct acpi_topology *topology,
		      uint16_t *endpoints);

/*
 * One more, behind a root port, while the guest runs: it is told. One on the bus has to be offered
 * within timeout_ns. The slot, or -errno with vas_error().
 */
int devices_add(struct devices *devices, const char *spec, uint64_t timeout_ns);

/* Take one away, at once: the guest is told afterwards, if it is behind a root port. */
int devices_remove(struct devices *devices, const char *name);

/*
 * While the vCPUs are out: what serves the devices stops, so that they can go elsewhere, and goes
 * on. -EOPNOTSUPP: there is a physical one; -EBUSY: one is coming or going.
 */
int devices_pause(struct devices *devices);
void devices_resume(struct devices *devices);

/*
 * Their registers, malloced; of those that are paused. And into the same ones of another machine,
 * when all else of that is there; they are paused then. 0 or -errno, with vas_error().
 */
int devices_save(struct devices *devices, void **state, size_t *size);
int devices_load(struct devices *devices, const void *state, size_t size);

/*
 * Ask the guest for one of them, and take it away when it has let go of it. Of physical ones the
 * last takes the container along; until then it has those that were taken away, too. -ENOENT: there
 * is none of that name; else as vas_pci_unplug(): it stays.
 */
int devices_unplug(struct devices *devices, const char *name, uint64_t timeout_ns);

/* From the bus, at once: the machine has stopped. Who waits for the guest has an error. */
void devices_remove_all(struct devices *devices);

/* Before the machine is destroyed. One that was never created is no error. */
void devices_destroy(struct devices *devices);

/* 1: the access was to one of them. */
int devices_io(struct devices *devices, const struct machine_io *io);

#endif
