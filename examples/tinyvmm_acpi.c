// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tinyvmm_acpi.h"

#include <stddef.h>
#include <string.h>

#include <vas/access.h>

#include "tinyvmm_devices.h"

#define TABLES	   0xe0000ull /* a firmware's place, where kernels look for the RSDP */
#define LOCAL_APIC 0xfee00000u
#define IO_APIC	   0xfec00000u
#define SCI	   9 /* which is never raised */

/* All tables as they will lie in the guest, the first one at TABLES. */
struct image {
	uint8_t bytes[8192];
	uint32_t len;
};

static void put(struct image *image, const void *bytes, size_t len)
{
	if (len > sizeof(image->bytes) - image->len)
		return; /* there is room for the most that there can be: see acpi_write_tables() */
	memcpy(image->bytes + image->len, bytes, len);
	image->len += (uint32_t)len;
}

static void put_int(struct image *image, uint64_t value, unsigned int len)
{
	put(image, &value, len);
}

static void set_int(struct image *image, uint32_t at, uint64_t value, unsigned int len)
{
	memcpy(image->bytes + at, &value, len);
}

static uint8_t checksum(const uint8_t *bytes, uint32_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum += *bytes++;
	return (uint8_t)-sum;
}

/* ---- a table ------------------------------------------------------------------------------- */

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
};

static uint32_t align(struct image *image)
{
	image->len = (image->len + 63) & ~63u;
	return image->len;
}

/* Where it begins in the image. */
static uint32_t begin_table(struct image *image, const char *signature, uint8_t revision)
{
	struct header header = { .revision = revision,
				 .oem = "VAS   ",
				 .oem_table = "tinyvmm ",
				 .oem_revision = 1,
				 .creator = "VAS ",
				 .creator_revision = 1 };
	uint32_t at = align(image);

	memcpy(header.signature, signature, sizeof(header.signature));
	put(image, &header, sizeof(header));
	return at;
}

/* Its gpa. */
static uint64_t end_table(struct image *image, uint32_t at)
{
	uint32_t len = image->len - at;

	set_int(image, at + offsetof(struct header, length), len, 4);
	set_int(image, at + offsetof(struct header, checksum), checksum(image->bytes + at, len), 1);
	return TABLES + at;
}

/* ---- AML ----------------------------------------------------------------------------------- */

enum {
	AML_ZERO = 0x00,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_EXTENDED = 0x5b,
	AML_DEVICE = 0x82, /* after AML_EXTENDED */
};

/* What has a length, which is that of itself and all that follows: where that is to be written. */
static uint32_t begin_aml(struct image *image, uint8_t op)
{
	put_int(image, op, 1);
	put_int(image, 0, 2);
	return image->len - 2;
}

static void end_aml(struct image *image, uint32_t at)
{
	uint32_t len = image->len - at;

	set_int(image, at, 0x40 | (len & 0xf) | len >> 4 << 8, 2);
}

static void put_name(struct image *image, const char *name)
{
	put_int(image, AML_NAME, 1);
	put(image, name, 4);
}

static void put_dword(struct image *image, uint32_t value)
{
	put_int(image, AML_DWORD, 1);
	put_int(image, value, 4);
}

/* A window of addresses of a word (0x88) or of a dword (0x87) each. */
static void put_window(struct image *image, uint8_t item, unsigned int word, uint32_t kind,
		       uint64_t first, uint64_t size)
{
	put_int(image, item, 1);
	put_int(image, 3 + 5 * word, 2);
	put_int(image, kind & 0xff, 1); /* memory, ports, buses */
	put_int(image, 0x0c, 1);	/* it begins and ends there */
	put_int(image, kind >> 8, 1);	/* what that kind has */
	put_int(image, 0, word);	/* granularity */
	put_int(image, first, word);	/* first */
	put_int(image, first + size - 1, word);
	put_int(image, 0, word); /* the same on both sides */
	put_int(image, size, word);
}

#define KIND_MEMORY 0x0100u /* read and written */
#define KIND_PORTS  0x0301u /* all of them */
#define KIND_BUSES  0x0002u

/* What the host bridge has, and passes on. */
static void put_resources(struct image *image)
{
	static const uint8_t config[] = { 0x47, 1, 0xf8, 0x0c, 0xf8, 0x0c, 1, 8 }; /* its ports */
	static const uint8_t end[] = { 0x79, 0 };
	uint32_t buffer, start;

	put_name(image, "_CRS");
	buffer = begin_aml(image, AML_BUFFER);
	put_int(image, AML_WORD, 1);
	put_int(image, 0, 2);
	start = image->len;
	put_window(image, 0x88, 2, KIND_BUSES, 0, VAS_PCI_SLOTS);
	put(image, config, sizeof(config));
	put_window(image, 0x88, 2, KIND_PORTS, 0xd00, 0xf300);
	put_window(image, 0x87, 4, KIND_MEMORY, DEVICES_WINDOW, DEVICES_WINDOW_SIZE);
	put(image, end, sizeof(end));
	set_int(image, start - 2, image->len - start, 2);
	end_aml(image, buffer);
}

/* As the MP table has it: each slot's line is a pin of the I/O APIC. */
static void put_lines(struct image *image)
{
	uint32_t all, one, slot;

	put_name(image, "_PRT");
	all = begin_aml(image, AML_PACKAGE);
	put_int(image, VAS_PCI_SLOTS - 1, 1);
	for (slot = 1; slot < VAS_PCI_SLOTS; slot++) {
		one = begin_aml(image, AML_PACKAGE);
		put_int(image, 4, 1);
		put_dword(image, slot << 16 | 0xffff);
		put_int(image, AML_ZERO, 1); /* INTA */
		put_int(image, AML_ZERO, 1); /* not by a device of its own */
		put_dword(image, DEVICES_GSI(slot));
		end_aml(image, one);
	}
	end_aml(image, all);
}

static uint64_t put_dsdt(struct image *image)
{
	uint32_t table = begin_table(image, "DSDT", 2);
	uint32_t scope = begin_aml(image, AML_SCOPE), device;

	put(image, "\\_SB_", 5);
	put_int(image, AML_EXTENDED, 1);
	device = begin_aml(image, AML_DEVICE);
	put(image, "PCI0", 4);
	put_name(image, "_HID");
	put_dword(image, 0x030ad041); /* PNP0A03 */
	put_resources(image);
	put_lines(image);
	end_aml(image, device);
	end_aml(image, scope);
	return end_table(image, table);
}

/* ---- the others ---------------------------------------------------------------------------- */

static uint64_t put_facs(struct image *image)
{
	uint32_t at = align(image);

	put(image, "FACS", 4);
	put_int(image, 64, 4);
	image->len = at + 64;
	set_int(image, at + 32, 1, 1); /* version */
	return TABLES + at;
}

static uint64_t put_fadt(struct image *image, uint64_t dsdt, uint64_t facs)
{
	uint32_t at = begin_table(image, "FACP", 3);

	image->len = at + 244;
	set_int(image, at + 36, facs, 4);
	set_int(image, at + 40, dsdt, 4);
	set_int(image, at + 46, SCI, 2);
	set_int(image, at + 56, ACPI_PORT, 4);	   /* events: status, enable */
	set_int(image, at + 64, ACPI_PORT + 4, 4); /* control */
	set_int(image, at + 88, 4, 1);		   /* of these so many bytes */
	set_int(image, at + 89, 2, 1);
	set_int(image, at + 96, 0xffff, 2); /* no deep sleep of processors */
	set_int(image, at + 98, 0xffff, 2);
	set_int(image, at + 109, 0x25, 2); /* ISA, but neither a keyboard, VGA nor a clock */
	set_int(image, at + 112, 0x35, 4); /* caches as ever, and no buttons */
	return end_table(image, at);
}

static uint64_t put_madt(struct image *image, unsigned int nr_cpus)
{
	uint32_t at = begin_table(image, "APIC", 1);
	unsigned int i;

	put_int(image, LOCAL_APIC, 4);
	put_int(image, 1, 4); /* two PICs as well */
	for (i = 0; i < nr_cpus; i++) {
		put_int(image, 8 << 8 | 0, 2);
		put_int(image, i, 1);
		put_int(image, i, 1);
		put_int(image, 1, 4);
	}
	put_int(image, 12 << 8 | 1, 2);
	put_int(image, nr_cpus, 2);
	put_int(image, IO_APIC, 4);
	put_int(image, 0, 4);
	return end_table(image, at);
}

#define VIOT_HEAD 48u /* with which nodes begin */

/* The IOMMU's node, then one for each that is behind it. */
static uint64_t put_viot(struct image *image, const struct acpi_topology *topology)
{
	uint32_t at = begin_table(image, "VIOT", 0);
	unsigned int i;

	put_int(image, topology->nr_endpoints + 1, 2);
	put_int(image, VIOT_HEAD, 2);
	put_int(image, 0, 8);
	put_int(image, 3, 2); /* a virtio-iommu on PCI */
	put_int(image, 16, 2);
	put_int(image, 0, 2);
	put_int(image, topology->iommu, 2);
	put_int(image, 0, 8);
	for (i = 0; i < topology->nr_endpoints; i++) {
		put_int(image, 1, 2); /* a range on PCI */
		put_int(image, 24, 2);
		put_int(image, topology->endpoints[i], 4); /* the first one's number */
		put_int(image, 0, 4);			   /* of one segment */
		put_int(image, topology->endpoints[i], 2);
		put_int(image, topology->endpoints[i], 2);
		put_int(image, VIOT_HEAD, 2);
		put_int(image, 0, 6);
	}
	return end_table(image, at);
}

/* The first 20 bytes have a sum of their own. */
static void set_rsdp(struct image *image, uint64_t xsdt)
{
	memcpy(image->bytes, "RSD PTR \0VAS   \2", 16);
	set_int(image, 20, 36, 4);
	set_int(image, 24, xsdt, 8);
	set_int(image, 8, checksum(image->bytes, 20), 1);
	set_int(image, 32, checksum(image->bytes, 36), 1);
}

/* Of eight processors and 16 endpoints it is less than 2 KiB. */
int acpi_write_tables(struct vas *vas, const struct acpi_topology *topology)
{
	struct image image = { .len = 36 };
	uint64_t dsdt = put_dsdt(&image), facs = put_facs(&image);
	const uint64_t tables[] = {
		put_fadt(&image, dsdt, facs),
		put_madt(&image, topology->nr_cpus),
		put_viot(&image, topology),
	};
	uint32_t at = begin_table(&image, "XSDT", 1);

	put(&image, tables, sizeof(tables));
	set_rsdp(&image, end_table(&image, at));
	return vas_write(vas, TABLES, image.bytes, image.len, NULL);
}

/* ---- registers ----------------------------------------------------------------------------- */

/* A status, an enable and a control register, of 16 bits each. */
void acpi_io(struct acpi_state *state, const struct machine_io *io)
{
	uint16_t registers[3] = { 0, state->enable, state->control | 1 /* ACPI's mode */ };
	uint32_t at = (uint32_t)(io->addr - ACPI_PORT);
	uint32_t len = io->len < ACPI_PORTS - at ? io->len : ACPI_PORTS - at;

	if (!io->is_write) {
		memset(io->data, 0, io->len);
		memcpy(io->data, (char *)registers + at, len);
		return;
	}
	memcpy((char *)registers + at, io->data, len);
	state->enable = registers[1];
	state->control = registers[2];
}
