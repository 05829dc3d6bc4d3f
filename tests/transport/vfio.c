// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A physical device on the bus: what the guest sees of its config space, whose each byte is, and
 * which interrupts VFIO is told to raise. VFIO is not there: ioctl() is this file's, and the
 * device's fd is a memfd. Machines with devices: ../vm.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vas/event.h>
#include <vas/transport.h>

#include "harness.h"

#define ECAM	 0xe0000000ull
#define WINDOW	 0xd0000000ull
#define SLOT	 2u
#define CONFIG	 0x10000ull /* where it is in the device's fd */
#define BAR	 0x20000ull
#define BAR_SIZE 0x4000u
#define PM	 0x40u
#define MSI	 0x50u
#define SECRET	 0x60u /* a capability that is not for guests */
#define EXPRESS	 0x70u
#define MSIX	 0xb0u
#define TABLE	 0x2000u
#define PBA	 0x3000u

static struct vas *vas;
static struct vas_pci *pci;
static int device = -1;
static uint32_t raised_index, nr_raised, nr_resets, flags = VFIO_DEVICE_FLAGS_PCI;
static int raised_fd, unmask_fd;
static uint32_t nr_vectors = UINT32_MAX; /* that the host has left */

/* ---- VFIO --------------------------------------------------------------------------------- */

static int say_region(struct vfio_region_info *info)
{
	info->size = info->offset = 0;
	if (info->index == VFIO_PCI_CONFIG_REGION_INDEX)
		info->size = 256, info->offset = CONFIG;
	else if (info->index == VFIO_PCI_BAR0_REGION_INDEX)
		info->size = BAR_SIZE, info->offset = BAR;
	return 0;
}

static int take_irqs(const struct vfio_irq_set *set)
{
	int fd = -1;

	if (set->count)
		memcpy(&fd, set->data, sizeof(fd));
	if (set->flags & VFIO_IRQ_SET_ACTION_UNMASK) {
		unmask_fd = fd;
		return 0;
	}
	if (set->count > nr_vectors)
		return (int)nr_vectors; /* as vfio-pci says it */
	raised_index = set->index;
	nr_raised = set->count;
	raised_fd = fd;
	return 0;
}

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct vfio_device_info *info;
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		info = arg;
		info->flags = flags | VFIO_DEVICE_FLAGS_RESET;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		return say_region(arg);
	case VFIO_DEVICE_SET_IRQS:
		return take_irqs(arg);
	case VFIO_DEVICE_RESET:
		nr_resets++;
		return 0;
	default:
		return __real_ioctl(fd, request, arg);
	}
}

static void put(uint32_t offset, uint64_t value, uint32_t len)
{
	CHECK_EQ(pwrite(device, &value, len, (off_t)(CONFIG + offset)), len);
}

static uint64_t device_has(uint64_t offset, uint32_t len)
{
	uint64_t value = 0;

	CHECK_EQ(pread(device, &value, len, (off_t)offset), len);
	return value;
}

/* A device with an interrupt of each kind. */
static void make_config(void)
{
	device = memfd_create("device", MFD_CLOEXEC);
	CHECK_OK(device);
	CHECK_OK(ftruncate(device, BAR + BAR_SIZE));
	put(PCI_VENDOR_ID, 0x56781234, 4);
	put(PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	put(PCI_HEADER_TYPE, 0x80, 1);
	put(PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_TYPE_64, 4);
	put(PCI_ROM_ADDRESS, 0xfff00001, 4);
	put(PCI_INTERRUPT_PIN, 2, 1);
	put(PCI_CAPABILITY_LIST, PM, 1);
	put(PM, PCI_CAP_ID_PM | MSI << 8, 4);
	put(MSI, PCI_CAP_ID_MSI | SECRET << 8 | (PCI_MSI_FLAGS_64BIT | 0x106u) << 16, 4);
	put(SECRET, PCI_CAP_ID_VPD | EXPRESS << 8, 4);
	put(EXPRESS, PCI_CAP_ID_EXP | MSIX << 8 | 2u << 16, 4);
	put(MSIX, PCI_CAP_ID_MSIX | 3u << 16, 4);
	put(MSIX + PCI_MSIX_TABLE, TABLE, 4);
	put(MSIX + PCI_MSIX_PBA, PBA, 4);
}

/* ---- the guest ---------------------------------------------------------------------------- */

static void access_at(uint64_t addr, uint32_t how, void *data, uint32_t len)
{
	struct vas_io io = { .addr = addr, .len = len, .flags = how, .data = data };

	CHECK_EQ(vas_pci_io(pci, &io), 1);
}

static uint64_t get_at(uint64_t addr, uint32_t len)
{
	uint64_t value = 0;

	access_at(addr, 0, &value, len);
	return value;
}

static void set_at(uint64_t addr, uint64_t value, uint32_t len)
{
	access_at(addr, VAS_IO_WRITE, &value, len);
}

static uint32_t get(uint32_t offset, uint32_t len)
{
	return (uint32_t)get_at(ECAM + (SLOT << 15) + offset, len);
}

static void set(uint32_t offset, uint32_t value, uint32_t len)
{
	set_at(ECAM + (SLOT << 15) + offset, value, len);
}

static void make_bus(void)
{
	const struct vas_options options = { .limit = 1 << 20 };
	const struct vas_pci_options pci_options = {
		.ecam = ECAM, .window = WINDOW, .window_size = 0x100000, .first_event = 1
	};

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_pci_create(vas, &pci_options, &pci));
	make_config();
}

static int add(void)
{
	const struct vas_pci_vfio_options options = { .name = "0000:00:02.0",
						      .device_fd = device,
						      .gsi = 18 };

	return vas_pci_add_vfio(pci, SLOT, &options);
}

static void begin(void)
{
	make_bus();
	CHECK_EQ(add(), SLOT);
	set(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

static void end(void)
{
	vas_pci_destroy(pci);
	CHECK_EQ(vas_events(vas, NULL, 0), 0);
	vas_destroy(vas);
	close(device);
}

static int event_fd(const char *name)
{
	struct vas_event event;

	CHECK_OK(vas_event_find_by_name(vas, name, &event));
	return vas_event_fd(vas, event.id);
}

/* Another file, but the same eventfd: what is written to one can be read from the other. */
static void raises(const char *name)
{
	struct pollfd fd = { .fd = event_fd(name), .events = POLLIN };
	uint64_t one = 1;

	CHECK_EQ(write(raised_fd, &one, sizeof(one)), sizeof(one));
	CHECK_EQ(poll(&fd, 1, 0), 1);
}

TEST(a_guest_sees_the_device_and_not_all_of_it)
{
	begin();
	CHECK_EQ(get(PCI_VENDOR_ID, 4), 0x56781234);
	CHECK_EQ(get(PCI_HEADER_TYPE, 1), 0); /* one function */
	CHECK_EQ(get(PCI_ROM_ADDRESS, 4), 0);
	CHECK_EQ(get(PCI_INTERRUPT_PIN, 1), 1);
	CHECK_EQ(get(PCI_INTERRUPT_LINE, 1), 18);
	CHECK_EQ(get(PCI_CAPABILITY_LIST, 1), PM);
	CHECK_EQ(get(PM + 1, 1), MSI);
	CHECK_EQ(get(MSI + 1, 1), EXPRESS);
	CHECK_EQ(get(EXPRESS + 1, 1), MSIX);
	CHECK_EQ(get(MSIX + 1, 1), 0);
	CHECK_EQ(get(EXPRESS + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_TYPE, PCI_EXP_TYPE_RC_END << 4);
	CHECK_EQ(get(MSI + PCI_MSI_FLAGS, 2), PCI_MSI_FLAGS_64BIT); /* one message, not masked */
	CHECK_EQ(get(0x100, 4), 0);
	CHECK_EQ(nr_resets, 1);
	end();
	CHECK_EQ(nr_resets, 2);
}

TEST(what_is_the_devices_is_passed_on)
{
	begin();
	CHECK_EQ(device_has(CONFIG + PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	put(PCI_STATUS, 0x2010, 2);
	CHECK_EQ(get(PCI_STATUS, 2), 0x2010);
	set(PM + PCI_PM_CTRL, 3, 2);
	CHECK_EQ(device_has(CONFIG + PM + PCI_PM_CTRL, 2), 3);
	set(PCI_BASE_ADDRESS_0, 0xc0000000, 4);
	set(PCI_ROM_ADDRESS, UINT32_MAX, 4);
	set(MSIX + PCI_MSIX_TABLE, 0, 4);
	CHECK_EQ(device_has(CONFIG + PCI_BASE_ADDRESS_0, 4), PCI_BASE_ADDRESS_MEM_TYPE_64);
	CHECK_EQ(device_has(CONFIG + PCI_ROM_ADDRESS, 4), 0xfff00001);
	CHECK_EQ(get(MSIX + PCI_MSIX_TABLE, 4), TABLE);
	end();
}

TEST(a_bar_of_64_bits_tells_its_size)
{
	begin();
	set(PCI_BASE_ADDRESS_0, UINT32_MAX, 4);
	set(PCI_BASE_ADDRESS_0 + 4, UINT32_MAX, 4);
	CHECK_EQ(get(PCI_BASE_ADDRESS_0, 4), ((uint32_t)-BAR_SIZE | PCI_BASE_ADDRESS_MEM_TYPE_64));
	CHECK_EQ(get(PCI_BASE_ADDRESS_0 + 4, 4), UINT32_MAX);
	set(PCI_BASE_ADDRESS_0, 0, 4);
	set(PCI_BASE_ADDRESS_0 + 4, 0x10, 4);
	set_at(0x1000000000ull + 8, 0x1122334455667788, 8);
	CHECK_EQ(device_has(BAR + 8, 8), 0x1122334455667788);
	CHECK_EQ(get_at(0x1000000000ull + 10, 2), 0x5566);
	end();
}

TEST(the_table_of_messages_is_not_the_devices)
{
	begin();
	set_at(WINDOW + TABLE, 0xfee00000, 8);
	CHECK_EQ(get_at(WINDOW + TABLE, 4), 0xfee00000);
	CHECK_EQ(device_has(BAR + TABLE, 8), 0);
	set_at(WINDOW + PBA, UINT64_MAX, 8);
	CHECK_EQ(device_has(BAR + PBA, 8), 0);
	set_at(WINDOW + TABLE + 4 * PCI_MSIX_ENTRY_SIZE, 7, 4); /* behind the last of four */
	CHECK_EQ(device_has(BAR + TABLE + 4 * PCI_MSIX_ENTRY_SIZE, 4), 7);
	end();
}

TEST(one_kind_of_interrupt_is_raised_at_a_time)
{
	begin();
	CHECK_EQ(raised_index, VFIO_PCI_INTX_IRQ_INDEX);
	CHECK_EQ(nr_raised, 1);
	raises("pci2.line");
	CHECK(unmask_fd >= 0 && unmask_fd != raised_fd);
	set(MSI + PCI_MSI_ADDRESS_LO, 0xfee00000, 4);
	set(MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	CHECK_EQ(raised_index, VFIO_PCI_MSI_IRQ_INDEX);
	raises("pci2.msi");
	set(MSIX + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, 2);
	CHECK_EQ(raised_index, VFIO_PCI_MSIX_IRQ_INDEX);
	CHECK_EQ(nr_raised, 4);
	raises("pci2.vector0");
	set(MSIX + PCI_MSIX_FLAGS, 0, 2);
	set(MSI + PCI_MSI_FLAGS, 0, 2);
	CHECK_EQ(raised_index, VFIO_PCI_INTX_IRQ_INDEX);
	CHECK_OK(vas_pci_remove(pci, SLOT));
	CHECK_EQ(nr_raised, 0);
	end();
}

TEST(vectors_that_the_host_has_not_are_asked_for_again)
{
	begin();
	nr_vectors = 2;
	errno = 0;
	set(MSIX + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, 2);
	CHECK_EQ(nr_raised, 0);
	nr_vectors = UINT32_MAX;
	set(MSIX + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	CHECK_EQ(raised_index, VFIO_PCI_MSIX_IRQ_INDEX);
	CHECK_EQ(nr_raised, 4);
	end();
}

TEST(a_device_that_makes_no_sense_is_refused)
{
	make_bus();
	put(MSIX + 1, MSIX, 1); /* a circle */
	CHECK_EQ(add(), -EPROTO);
	put(MSIX + 1, 0xfc, 1); /* a capability that has no room */
	put(0xfc, PCI_CAP_ID_MSI, 4);
	CHECK_EQ(add(), -EPROTO);
	put(SECRET + 1, SECRET, 1); /* a circle of what is hidden: its end is found */
	CHECK_EQ(add(), SLOT);
	CHECK_OK(vas_pci_remove(pci, SLOT));
	put(PCI_HEADER_TYPE, PCI_HEADER_TYPE_BRIDGE, 1);
	CHECK_EQ(add(), -EINVAL);
	CHECK_HAS(vas_error(), "bridge");
	flags = 0;
	CHECK_EQ(add(), -EINVAL);
	CHECK_HAS(vas_error(), "no PCI device");
	end();
}

TEST(a_device_behind_a_port_is_refused)
{
	make_bus();
	CHECK_EQ(vas_pci_add_port(pci, SLOT), SLOT);
	CHECK_EQ(add(), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "behind a root port");
	CHECK_EQ(vas_pci_remove(pci, SLOT), -ENOENT);
	end();
}
