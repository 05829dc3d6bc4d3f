/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Tables of ACPI, for a guest that has to be told what is behind its IOMMU: they have what the MP
 * table has, and a VIOT. A guest that finds them goes by them alone.
 *
 *	0xe0000	RSDP -> XSDT -> FADT, with DSDT and FACS; MADT; VIOT
 */
#ifndef TINYVMM_ACPI_H
#define TINYVMM_ACPI_H

#include <vas/vas.h>

#include "tinyvmm_machine.h"

#define ACPI_PORT  0x600 /* of the power management's registers, in which nothing ever happens */
#define ACPI_PORTS 6

/* PCI functions, as bus << 8 | device << 3 | function. */
struct acpi_topology {
	unsigned int nr_cpus;
	uint16_t iommu;
	const uint16_t *endpoints; /* that are behind it, and known to it by the same number */
	unsigned int nr_endpoints;
};

/* What a guest has made of the registers. */
struct acpi_state {
	uint16_t enable, control;
};

int acpi_write_tables(struct vas *vas, const struct acpi_topology *topology);

void acpi_io(struct acpi_state *state, const struct machine_io *io);

#endif
