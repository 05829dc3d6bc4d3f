// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tinyvmm_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define STATE_MAGIC 0x326574617473766dull /* "mvstate2" */
#define NR_CHIPS    3			  /* two PICs and an I/O APIC */

/*
 * Those that a guest may have set and that are in no other structure. The TSC's deadline comes
 * after the TSC and, like the others, after the local APIC, whose timer it arms.
 */
static const uint32_t msr_indices[] = {
	0x10,						/* TSC */
	0x3b,						/* TSC_ADJUST */
	0x174,	    0x175,	0x176,			/* SYSENTER_CS, _ESP, _EIP */
	0x1a0,						/* MISC_ENABLE */
	0x277,						/* PAT */
	0x2ff,						/* MTRR_DEF_TYPE */
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, /* STAR, LSTAR, CSTAR, FMASK */
	0xc0000102,					/* KERNEL_GS_BASE */
	0xc0000103,					/* TSC_AUX */
	0x4b564d00, 0x4b564d01,				/* KVM's clocks */
	0x4b564d02, 0x4b564d03, 0x4b564d04,		/* ASYNC_PF_EN, STEAL_TIME, PV_EOI_EN */
	0x4b564d05, 0x4b564d06,				/* POLL_CONTROL, ASYNC_PF_INT */
	0x6e0,						/* TSC_DEADLINE */
};
#define NR_MSRS (sizeof(msr_indices) / sizeof(*msr_indices))

struct vcpu_state {
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	uint32_t nr_msrs; /* that this KVM has */
	struct kvm_msr_entry msrs[NR_MSRS];
};

struct machine_state {
	uint64_t magic;
	uint32_t size; /* of all */
	uint32_t nr_vcpus;
	struct kvm_irqchip chips[NR_CHIPS];
	struct kvm_pit_state2 timer;
	struct kvm_clock_data clock;
	struct vcpu_state vcpus[];
};

struct part {
	unsigned long get;
	unsigned long set;
	size_t offset;
};

/* In the order in which KVM wants them back: the local APIC is where the system registers say. */
static const struct part vcpu_parts[] = {
	{ KVM_GET_SREGS, KVM_SET_SREGS, offsetof(struct vcpu_state, sregs) },
	{ KVM_GET_REGS, KVM_SET_REGS, offsetof(struct vcpu_state, regs) },
	{ KVM_GET_XCRS, KVM_SET_XCRS, offsetof(struct vcpu_state, xcrs) },
	{ KVM_GET_XSAVE, KVM_SET_XSAVE, offsetof(struct vcpu_state, xsave) },
	{ KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, offsetof(struct vcpu_state, debugregs) },
	{ KVM_GET_LAPIC, KVM_SET_LAPIC, offsetof(struct vcpu_state, lapic) },
	{ KVM_GET_MP_STATE, KVM_SET_MP_STATE, offsetof(struct vcpu_state, mp_state) },
	{ KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, offsetof(struct vcpu_state, events) },
};
#define NR_PARTS (sizeof(vcpu_parts) / sizeof(*vcpu_parts))

/* ---- MSRs ---------------------------------------------------------------------------------- */

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static void msrs_save(int fd, struct vcpu_state *state)
{
	size_t i;

	for (i = 0; i < NR_MSRS; i++) {
		struct one_msr msr = { { .nmsrs = 1 }, { .index = msr_indices[i] } };

		/* One that this KVM does not have the guest has not set either. */
		if (ioctl(fd, KVM_GET_MSRS, &msr) == 1)
			state->msrs[state->nr_msrs++] = msr.entry;
	}
}

static int msrs_load(int fd, const struct vcpu_state *state)
{
	uint32_t i;

	if (state->nr_msrs > NR_MSRS)
		return -EPROTO;
	for (i = 0; i < state->nr_msrs; i++) {
		struct one_msr msr = { { .nmsrs = 1 }, state->msrs[i] };

		if (ioctl(fd, KVM_SET_MSRS, &msr) != 1)
			return -EINVAL;
	}
	return 0;
}

/* ---- vCPUs --------------------------------------------------------------------------------- */

static int vcpu_save(int fd, struct vcpu_state *state)
{
	size_t i;

	for (i = 0; i < NR_PARTS; i++)
		if (ioctl(fd, vcpu_parts[i].get, (char *)state + vcpu_parts[i].offset))
			return -errno;
	msrs_save(fd, state);
	return 0;
}

static int vcpu_load(int fd, const struct vcpu_state *state)
{
	size_t i;

	for (i = 0; i < NR_PARTS; i++)
		if (ioctl(fd, vcpu_parts[i].set, (const char *)state + vcpu_parts[i].offset))
			return -errno;
	return msrs_load(fd, state);
}

/* ---- the machine --------------------------------------------------------------------------- */

static size_t state_size(unsigned int nr_vcpus)
{
	return sizeof(struct machine_state) + nr_vcpus * sizeof(struct vcpu_state);
}

static int chips_save(int vm_fd, struct machine_state *state)
{
	uint32_t i;

	for (i = 0; i < NR_CHIPS; i++) {
		state->chips[i].chip_id = i;
		if (ioctl(vm_fd, KVM_GET_IRQCHIP, &state->chips[i]))
			return -errno;
	}
	return ioctl(vm_fd, KVM_GET_PIT2, &state->timer) ||
			       ioctl(vm_fd, KVM_GET_CLOCK, &state->clock) ?
		       -errno :
		       0;
}

static int chips_load(int vm_fd, const struct machine_state *state)
{
	struct kvm_clock_data clock = { .clock = state->clock.clock };
	uint32_t i;

	for (i = 0; i < NR_CHIPS; i++)
		if (ioctl(vm_fd, KVM_SET_IRQCHIP, &state->chips[i]))
			return -errno;
	return ioctl(vm_fd, KVM_SET_PIT2, &state->timer) || ioctl(vm_fd, KVM_SET_CLOCK, &clock) ?
		       -errno :
		       0;
}

int machine_save(struct machine *machine, void **out, size_t *size)
{
	struct machine_state *state = calloc(1, state_size(machine->nr_vcpus));
	unsigned int i;
	int err;

	if (!state)
		return -ENOMEM;
	state->magic = STATE_MAGIC;
	state->size = state_size(machine->nr_vcpus);
	state->nr_vcpus = machine->nr_vcpus;
	err = chips_save(machine->vm_fd, state);
	for (i = 0; i < machine->nr_vcpus && !err; i++)
		err = vcpu_save(machine->vcpus[i].fd, &state->vcpus[i]);
	if (err) {
		free(state);
		return err;
	}
	*out = state;
	*size = state->size;
	return 0;
}

int machine_state_vcpus(const void *bytes, size_t size)
{
	const struct machine_state *state = bytes;

	if (size < sizeof(*state) || state->magic != STATE_MAGIC || state->size != size ||
	    state->nr_vcpus > MACHINE_MAX_VCPUS || size != state_size(state->nr_vcpus))
		return -EPROTO;
	return state->nr_vcpus;
}

int machine_load(struct machine *machine, const void *bytes, size_t size)
{
	const struct machine_state *state = bytes;
	unsigned int i;
	int err = 0;

	if (machine_state_vcpus(state, size) != (int)machine->nr_vcpus)
		return -EPROTO;
	/* The I/O APIC passes on what is pending there as it is set: the local APICs come before
	 * it. */
	for (i = 0; i < machine->nr_vcpus && !err; i++)
		err = vcpu_load(machine->vcpus[i].fd, &state->vcpus[i]);
	return err ? err : chips_load(machine->vm_fd, state);
}
