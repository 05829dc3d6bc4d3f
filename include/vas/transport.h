/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Transports: how a guest's drivers find the devices that <vas/virtio.h> serves. A PCI bus with
 * virtio-pci devices on it, and virtio-mmio. A VMM makes them, and hands over the accesses that KVM
 * leaves to it:
 *
 *	KVM_EXIT_IO, KVM_EXIT_MMIO ---> vas_pci_io(), vas_virtio_mmio_io() ---> registers
 *	doorbells, interrupts		by KVM alone, as ioeventfds and irqfds
 *
 * The doorbells and interrupts are events of the vas, declared when a device is added, and passed
 * on by vas_send_fds() like any other.
 *
 * Whatever a guest writes is harmless to the VMM, and takes a bounded time; but see the ops of
 * <vas/virtio.h>, which are called from within. The handle must own the vas. All calls may come
 * from any thread, and several at once.
 */
#ifndef VAS_TRANSPORT_H
#define VAS_TRANSPORT_H

#include <vas/kvm.h>
#include <vas/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One access of a guest: of kvm_run's io, each of its count, or mmio. */
struct vas_io {
	uint64_t addr;	/* port or gpa */
	uint32_t len;	/* bytes: 1, 2, 4, 8 */
	uint32_t flags; /* VAS_IO_* */
	void *data;	/* what is written; or room for what is read */
};

#define VAS_IO_PORT  1u
#define VAS_IO_WRITE 2u

/* ---- PCI ---------------------------------------------------------------------------------- */

struct vas_pci;

#define VAS_PCI_SLOTS	    32u	       /* of the one bus; 0 has the host bridge */
#define VAS_PCI_PORT	    0xcf8u     /* the first of 8: configuration access mechanism 1 */
#define VAS_PCI_ECAM_SIZE   (1u << 20) /* of one bus */
#define VAS_PCI_EVENT_IDS   (VAS_PCI_SLOTS * 512u)
#define VAS_PCI_MAX_VECTORS 112u /* of a device */

#define VAS_PCI_HOTPLUG_PORTS 20u
#define VAS_PCI_ANY_PORT      UINT32_MAX /* instead of a slot: the first root port that is free */

struct vas_pci_options {
	/*
	 * The VM that the doorbells and interrupts are tied to, with its interrupt controllers in
	 * the kernel; it is detached after the bus is destroyed. NULL: none. Then doorbells ring as
	 * vas_pci_io() is told of them, and whoever runs the guest looks at the interrupts' events,
	 * which are messages (VAS_EVENT_MSI), and stay as they are while they are masked.
	 */
	struct vas_kvm *kvm;
	uint64_t ecam;	      /* gpa of VAS_PCI_ECAM_SIZE bytes a bus, aligned to that; 0: none */
	uint64_t window;      /* where BARs are placed at first, below 4 GiB; no RAM is there */
	uint64_t window_size; /* the guest may move them anywhere */
	uint32_t first_event; /* the ids from here on are the bus's, VAS_PCI_EVENT_IDS of them */
	uint32_t first_gsi;   /* likewise, VAS_PCI_SLOTS * VAS_PCI_MAX_VECTORS; 0: 32 */
	/*
	 * The first of VAS_PCI_HOTPLUG_PORTS ports, by which vas_pci_unplug() asks the guest; 0:
	 * none. They are those of QEMU's machines, there at 0xae00: what ACPI's tables for those
	 * say of hot-plug is true here. And an interrupt of the vas that is raised when it is
	 * asked, by its event's id; 0: none, it has to look by itself.
	 */
	uint32_t hotplug_port;
	uint32_t hotplug_event;
	uint32_t ecam_buses; /* that the ECAM has, up to 256; 0: 1, which root ports' are not in */
	uint32_t reserved32;
	uint64_t reserved[2];
};

/*
 * Make a bus with nothing on it but a host bridge. It is freed by vas_pci_destroy(), which removes
 * all devices; no access may be under way then. NULL is allowed there.
 *
 * -EINVAL: options that make no sense; -ENOMEM.
 */
VAS_API int vas_pci_create(struct vas *vas, const struct vas_pci_options *options,
			   struct vas_pci **pci);
VAS_API void vas_pci_destroy(struct vas_pci *pci);

/*
 * Put a PCI Express root port into a slot (1 to 31; 0: the first that is free), and return that.
 * From then on a device for this slot is behind the port, and may come and go while the guest runs:
 * its kernel is told by the port's hot-plug registers. That needs nothing else of the VMM, no table
 * of ACPI; where there are such tables, they have to grant native hot-plug (_OSC). The port has a
 * bus of its own, whose number is the slot's until the guest chooses another, a window for BARs of
 * 2 MiB likewise, and of the slot's vectors the last. It goes with the bus.
 *
 * To be done before the guest looks for its devices. -EBUSY: there is something in the slot; else
 * as vas_pci_add_virtio().
 */
VAS_API int vas_pci_add_port(struct vas_pci *pci, uint32_t slot);

/*
 * Put a virtio device into a slot (1 to 31; 0: the first that is free and has no port;
 * VAS_PCI_ANY_PORT), and return that. The device is a modern one (1.0 and later), with MSI-X, a
 * vector for each queue and one more; it has no other interrupt. The server is in use until the
 * slot is removed. Behind a port the guest is told of it; elsewhere it has to be there before the
 * guest looks.
 *
 * -EBUSY: the slot is taken; -ENOSPC: all are, or the vas has no room for its events; -EINVAL: the
 * server makes no sense; -EPERM: not the owner; -ENOMEM, -EMFILE.
 */
VAS_API int vas_pci_add_virtio(struct vas_pci *pci, uint32_t slot,
			       struct vas_virtio_server *server);

struct vas_pci_vfio_options {
	const char *name; /* whom errors name: its address; NULL: "vfio" */
	int device_fd;	  /* of vfio-pci, as vas_vfio_device_open() says it; duplicated */
	uint32_t gsi;	  /* of its line (INTx), which is level-triggered; 0: it has none */
	uint64_t reserved[4];
};

/*
 * Put a physical device into a slot, as vas_pci_add_virtio() does. It is reset first, and again
 * when it is removed. The guest sees its config space with BARs that it may move, power management,
 * MSI (one message), MSI-X, PCI Express and the vendor's capabilities; no ROM, and nothing behind
 * the first 256 bytes. Each access to a BAR comes through vas_pci_io() and is passed on. What the
 * device's DMA reaches is another matter: vas_vfio_attach() of <vas/vfio.h>, before the guest runs.
 *
 * -EINVAL: no PCI device of VFIO's, or a bridge; -EPROTO: its config space makes no sense;
 * -EOPNOTSUPP: there is a root port in the slot; -EBUSY, -ENOSPC, -EPERM, -ENOMEM, -EMFILE: as
 * there; or what VFIO says.
 */
VAS_API int vas_pci_add_vfio(struct vas_pci *pci, uint32_t slot,
			     const struct vas_pci_vfio_options *options);

/*
 * Take a device away, at once: it is reset, and from then on nobody answers there. Waits for
 * accesses to it that are under way. Behind a root port the guest is told, afterwards: what it had
 * not written yet is lost. What the device's driver then reads, as it lets go, is zeros: Linux's
 * waits for a status of 0. That of a disk waits for requests that were under way, too, and they are
 * not answered: ask for a disk by vas_pci_unplug(). -ENOENT: there is none.
 */
VAS_API int vas_pci_remove(struct vas_pci *pci, uint32_t slot);

/*
 * Ask the guest to let go of a device, and take it away when it has. It is asked by the attention
 * button of the root port that the device is behind, or else by the bus's ports for hot-plug. Waits
 * for that, up to timeout_ns; other threads go on. Linux waits for five seconds after the button
 * was pressed, and for one more as it switches the slot off.
 *
 * -ETIMEDOUT: it has not let go, which vas_error() says with the device's name. The device stays,
 * as usable as before, and the guest is no longer asked: what it says later is ignored. Behind a
 * port the button is pressed once more, which means no. A guest that switches the slot off all the
 * same finds the device, reset, as it switches it on; the next call takes it at once. -ENOENT:
 * there is none, or vas_pci_remove() was faster; -EALREADY: another thread is asking for it;
 * -EOPNOTSUPP: neither a port nor a bus with such ports.
 */
VAS_API int vas_pci_unplug(struct vas_pci *pci, uint32_t slot, uint64_t timeout_ns);

/*
 * Handle an access. 1: done, and io->data has what was read; 0: there is nothing of the bus's, and
 * nothing was done.
 */
VAS_API int vas_pci_io(struct vas_pci *pci, const struct vas_io *io);

/*
 * A guest with its bus goes to another process or host, or into a file:
 *
 *	source					destination
 *	vCPUs stand, their accesses are done	a bus, the same devices in the same slots
 *	vas_pci_pause()				vas_pci_load() <--------- bytes
 *	vas_pci_save() ----------> bytes	vas_pci_resume(), vCPUs run
 *	it has failed: vas_pci_resume()
 *
 * pause stops all queues, each with an op of its server, so nothing is in flight but what a server
 * that died has left. Until resume there are no accesses, and no device comes or goes. Nothing is
 * pinned, and nothing of the guest's memory is touched: the vas may be frozen. A resume has the
 * queues go on where they stand; one whose server does not take it up wants a reset. Both may be
 * called again.
 *
 * -EOPNOTSUPP: there is a physical device; -EBUSY: vas_pci_unplug() waits for the guest. After an
 * error nothing was done.
 */
VAS_API int vas_pci_pause(struct vas_pci *pci);
VAS_API void vas_pci_resume(struct vas_pci *pci);

/*
 * The registers of a bus that is paused, malloced: config spaces, with where the guest has put its
 * BARs, and what root ports have to tell; of each virtio device the status, features, queues and
 * where they stand; MSI-X with what is pending. Config spaces of virtio devices, and what a server
 * keeps beside, are the server's.
 *
 * The other way: into a bus that has the same ports and devices in the same slots, and no guest
 * yet. It is paused then. Interrupts that were pending are raised, so KVM's interrupt controllers
 * have their state before. The bytes may be anybody's: each field is one that a guest could have
 * written. With vas_pci_resume() each queue interrupts once more, and a driver is told to read its
 * config space.
 *
 * After an error the bus is to be destroyed. -EPROTO: they make no sense; -EINVAL: the guest has
 * other devices, or those here have had a guest; -EOPNOTSUPP: the guest uses a feature that a
 * server lacks, or there is a physical device; -ENOMEM.
 */
VAS_API int vas_pci_save(struct vas_pci *pci, void **bytes, size_t *size);
VAS_API int vas_pci_load(struct vas_pci *pci, const void *bytes, size_t size);

/* ---- virtio-mmio -------------------------------------------------------------------------- */

struct vas_virtio_mmio;

#define VAS_VIRTIO_MMIO_SIZE 0x1000u

struct vas_virtio_mmio_options {
	struct vas_kvm *kvm;  /* as for a bus */
	uint64_t gpa;	      /* of VAS_VIRTIO_MMIO_SIZE bytes, aligned to that */
	uint32_t gsi;	      /* its interrupt, edge-triggered */
	uint32_t first_event; /* the ids from here on are its own: one a queue, and one more */
	uint64_t reserved[2];
};

/*
 * Make the registers of a virtio device (version 2), and free them: the device is reset then, and
 * no access may be under way. NULL is allowed. Whoever serves the queues raises the one interrupt
 * without telling anybody here: the register InterruptStatus says "a queue was used" as long as the
 * device is running.
 *
 * -EINVAL: options, or the server, make no sense; -EPERM: not the owner; -EEXIST: the gsi is taken;
 * -ENOSPC: the vas has no room for its events; -ENOMEM, -EMFILE.
 */
VAS_API int vas_virtio_mmio_create(struct vas *vas, const struct vas_virtio_mmio_options *options,
				   struct vas_virtio_server *server, struct vas_virtio_mmio **mmio);
VAS_API void vas_virtio_mmio_destroy(struct vas_virtio_mmio *mmio);

/* As vas_pci_io(). */
VAS_API int vas_virtio_mmio_io(struct vas_virtio_mmio *mmio, const struct vas_io *io);

/* As those of a bus. */
VAS_API void vas_virtio_mmio_pause(struct vas_virtio_mmio *mmio);
VAS_API void vas_virtio_mmio_resume(struct vas_virtio_mmio *mmio);
VAS_API int vas_virtio_mmio_save(struct vas_virtio_mmio *mmio, void **bytes, size_t *size);
VAS_API int vas_virtio_mmio_load(struct vas_virtio_mmio *mmio, const void *bytes, size_t size);

#ifdef __cplusplus
}
#endif

#endif
