// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tinyvmm_linux.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vas/access.h>

#include "tinyvmm_devices.h"

#define INFO	     0x6000ull
#define COMMAND_LINE 0x7000ull
#define BOOT_PARAMS  0x8000ull
#define KERNEL	     0x100000ull
#define LOW_END	     0x9fc00ull /* of the RAM below 1 MiB; the MP table is there */
#define MAX_COMMAND  2048u
#define PCI_BUS	     0
#define ISA_BUS	     1

/* ---- what all kernels find ----------------------------------------------------------------- */

struct range {
	uint64_t start, size;
};

static int initrd_load(struct vas *vas, const struct linux_guest *guest, struct range *initrd)
{
	struct stat st;
	void *bytes;
	int fd, err;

	*initrd = (struct range){ 0 };
	if (!guest->initrd)
		return 0;
	fd = open(guest->initrd, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	bytes = fstat(fd, &st) ? MAP_FAILED :
				 mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	err = bytes == MAP_FAILED ? -errno : 0;
	close(fd);
	if (err)
		return err;
	initrd->size = (uint64_t)st.st_size;
	if (initrd->size < guest->ram - KERNEL)
		initrd->start = (guest->ram - initrd->size) & ~0xfffull;
	err = initrd->start ? vas_write(vas, initrd->start, bytes, initrd->size, NULL) : -EFBIG;
	munmap(bytes, initrd->size);
	return err;
}

struct mp_table {
	struct {
		char signature[4];
		uint32_t table;
		uint8_t length, version, checksum, features[5];
	} pointer;
	struct {
		char signature[4];
		uint16_t length;
		uint8_t version, checksum;
		char names[20];
		uint32_t oem_table;
		uint16_t oem_size, nr_entries;
		uint32_t local_apic;
		uint32_t reserved;
	} header;
	char entries[1024];
};

struct mp_processor {
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
};

struct mp_bus {
	uint8_t type, id;
	char name[6];
};

struct mp_io_apic {
	uint8_t type, id, version, flags;
	uint32_t address;
};

struct mp_interrupt {
	uint8_t entry, type;
	uint16_t flags;
	uint8_t bus, irq, apic, pin;
};

static uint8_t checksum(const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;
	uint8_t sum = 0;

	while (size--)
		sum += *byte++;
	return (uint8_t)-sum;
}

/* Processors, both buses, the I/O APIC. Returns where the entries end, and adds their number. */
static char *mp_devices(char *end, unsigned int nr_cpus, uint16_t *nr)
{
	const struct mp_bus buses[] = { { 1, PCI_BUS, "PCI   " }, { 1, ISA_BUS, "ISA   " } };
	const struct mp_io_apic io_apic = { 2, (uint8_t)nr_cpus, 0x11, 1, 0xfec00000 };
	unsigned int i;

	for (i = 0; i < nr_cpus; i++) {
		const struct mp_processor processor = { .apic_id = (uint8_t)i,
							.apic_version = 0x14,
							.flags = i ? 1 : 3 };

		end = mempcpy(end, &processor, sizeof(processor));
	}
	*nr += nr_cpus + 3;
	end = mempcpy(end, buses, sizeof(buses));
	return mempcpy(end, &io_apic, sizeof(io_apic));
}

/* ISA's interrupts are the I/O APIC's first 16 pins; a PCI slot's line has a level. */
static char *mp_interrupts(char *end, unsigned int nr_cpus, uint16_t *nr)
{
	struct mp_interrupt interrupt = { .entry = 3, .bus = ISA_BUS, .apic = (uint8_t)nr_cpus };
	unsigned int i;

	for (i = 0; i < 16; i++, ++*nr) {
		interrupt.irq = interrupt.pin = (uint8_t)i;
		end = mempcpy(end, &interrupt, sizeof(interrupt));
	}
	interrupt.bus = PCI_BUS;
	interrupt.flags = 0xd; /* active high, level */
	for (i = 1; i < VAS_PCI_SLOTS; i++, ++*nr) {
		interrupt.irq = (uint8_t)(i << 2);
		interrupt.pin = (uint8_t)DEVICES_GSI(i);
		end = mempcpy(end, &interrupt, sizeof(interrupt));
	}
	return end;
}

static int mp_table_write(struct vas *vas, unsigned int nr_cpus)
{
	struct mp_table table = {
		.pointer = { "_MP_", (uint32_t)(LOW_END + sizeof(table.pointer)), 1, 4, 0, { 0 } },
		.header = { "PCMP", 0, 4, 0, "VAS     tinyvmm     ", 0, 0, 0, 0xfee00000, 0 },
	};
	char *end = mp_devices(table.entries, nr_cpus, &table.header.nr_entries);

	end = mp_interrupts(end, nr_cpus, &table.header.nr_entries);
	table.header.length = (uint16_t)(end - (char *)&table.header);
	table.header.checksum = checksum(&table.header, table.header.length);
	table.pointer.checksum = checksum(&table.pointer, sizeof(table.pointer));
	return vas_write(vas, LOW_END, &table, (size_t)(end - (char *)&table), NULL);
}

static int common_load(struct vas *vas, const struct linux_guest *guest, struct range *initrd)
{
	size_t len = strlen(guest->command_line) + 1;
	int err = initrd_load(vas, guest, initrd);

	if (!err)
		err = len > MAX_COMMAND ?
			      -E2BIG :
			      vas_write(vas, COMMAND_LINE, guest->command_line, len, NULL);
	return err ? err : mp_table_write(vas, guest->nr_cpus);
}

/* ---- an ELF file, entered by PVH ----------------------------------------------------------- */

#define PVH_MAGIC      0x336ec578u
#define PVH_ENTRY_NOTE 18u /* of Xen's */

struct pvh_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modules, command_line, rsdp, ranges;
	uint32_t nr_ranges, reserved;
	struct {
		uint64_t start, size, command_line, reserved;
	} module;
	struct {
		uint64_t start, size;
		uint32_t type, reserved;
	} range[2];
};

static int is_elf(const char *image, size_t size)
{
	const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)image;

	return size >= sizeof(*ehdr) && !memcmp(image, ELFMAG, SELFMAG) && ehdr->e_phoff <= size &&
	       ehdr->e_phnum <= (size - ehdr->e_phoff) / sizeof(Elf64_Phdr);
}

int linux_load_elf(struct vas *vas, const char *image, size_t size, uint64_t *entry)
{
	const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)image;
	const Elf64_Phdr *p = (const Elf64_Phdr *)(image + ehdr->e_phoff);
	unsigned int i;
	int err = is_elf(image, size) ? 0 : -ENOEXEC;

	for (i = 0; !err && i < ehdr->e_phnum; i++, p++) {
		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_offset > size || p->p_filesz > size - p->p_offset ||
		    p->p_filesz > p->p_memsz)
			return -ENOEXEC;
		err = vas_write(vas, p->p_paddr, image + p->p_offset, p->p_filesz, NULL);
		if (!err)
			err = vas_fill(vas, p->p_paddr + p->p_filesz, 0, p->p_memsz - p->p_filesz,
				       NULL);
	}
	if (!err && entry)
		*entry = ehdr->e_entry;
	return err;
}

static size_t padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

/* In the notes of one segment. */
static uint64_t find_note(const char *at, size_t size)
{
	while (size >= sizeof(Elf64_Nhdr)) {
		const Elf64_Nhdr *note = (const Elf64_Nhdr *)at;
		size_t name = padded(note->n_namesz), desc = padded(note->n_descsz);
		uint64_t entry = 0;

		at += sizeof(*note);
		size -= sizeof(*note);
		if (name > size || desc > size - name)
			return 0;
		if (note->n_type == PVH_ENTRY_NOTE && name == 4 && !memcmp(at, "Xen", 4) &&
		    note->n_descsz <= sizeof(entry)) {
			memcpy(&entry, at + name, note->n_descsz);
			return entry;
		}
		at += name + desc;
		size -= name + desc;
	}
	return 0;
}

uint64_t linux_pvh_entry(const char *image, size_t size)
{
	const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)image;
	const Elf64_Phdr *p = (const Elf64_Phdr *)(image + ehdr->e_phoff);
	uint64_t entry = 0;
	unsigned int i;

	if (!is_elf(image, size))
		return 0;
	for (i = 0; !entry && i < ehdr->e_phnum; i++, p++)
		if (p->p_type == PT_NOTE && p->p_offset <= size &&
		    p->p_filesz <= size - p->p_offset)
			entry = find_note(image + p->p_offset, p->p_filesz);
	return entry;
}

static int pvh_load(struct vas *vas, struct linux_guest *guest)
{
	struct pvh_info info = {
		.magic = PVH_MAGIC,
		.version = 1,
		.modules = INFO + offsetof(struct pvh_info, module),
		.command_line = COMMAND_LINE,
		.ranges = INFO + offsetof(struct pvh_info, range),
		.nr_ranges = 2,
		.range = { { 0, LOW_END, 1, 0 }, { KERNEL, guest->ram - KERNEL, 1, 0 } },
	};
	struct range initrd;
	int err = common_load(vas, guest, &initrd);

	if (!err)
		err = linux_load_elf(vas, guest->image, guest->size, NULL);
	info.nr_modules = !!initrd.size;
	info.module.start = initrd.start;
	info.module.size = initrd.size;
	guest->entry = linux_pvh_entry(guest->image, guest->size);
	guest->info = INFO;
	return err ? err : vas_write(vas, INFO, &info, sizeof(info), NULL);
}

/* ---- a bzImage, by the 32-bit boot protocol ------------------------------------------------ */

#define HEADER_AT    0x1f1u
#define HEADER_MAGIC 0x53726448u /* "HdrS" */

static int is_bzimage(const char *image, size_t size)
{
	const struct setup_header *header = (const void *)(image + HEADER_AT);

	return size >= HEADER_AT + sizeof(*header) && header->header == HEADER_MAGIC &&
	       header->version >= 0x20a && header->loadflags & LOADED_HIGH &&
	       (header->setup_sects + 1u) * 512u < size;
}

static int bzimage_load(struct vas *vas, struct linux_guest *guest)
{
	struct boot_params params = { .e820_entries = 2 };
	struct setup_header *header = &params.hdr;
	const size_t setup_size = (((const uint8_t *)guest->image)[HEADER_AT] + 1u) * 512u;
	struct range initrd;
	int err = common_load(vas, guest, &initrd);

	if (err)
		return err;
	memcpy(header, guest->image + HEADER_AT, sizeof(*header));
	header->type_of_loader = 0xff;
	header->cmd_line_ptr = COMMAND_LINE;
	header->ramdisk_image = (uint32_t)initrd.start;
	header->ramdisk_size = (uint32_t)initrd.size;
	params.e820_table[0] = (struct boot_e820_entry){ 0, LOW_END, 1 };
	params.e820_table[1] = (struct boot_e820_entry){ KERNEL, guest->ram - KERNEL, 1 };
	guest->entry = KERNEL;
	guest->info = BOOT_PARAMS;
	err = vas_write(vas, KERNEL, guest->image + setup_size, guest->size - setup_size, NULL);
	return err ? err : vas_write(vas, BOOT_PARAMS, &params, sizeof(params), NULL);
}

int linux_load(struct vas *vas, struct linux_guest *guest)
{
	int err;

	if (is_bzimage(guest->image, guest->size))
		err = bzimage_load(vas, guest);
	else if (linux_pvh_entry(guest->image, guest->size))
		err = pvh_load(vas, guest);
	else
		return 0;
	return err ? err : 1;
}
