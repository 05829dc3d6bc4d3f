// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A bus as bytes: a struct state; for each place that has something (bus.h) its number, 32 bits,
 * the first 256 bytes of the config space, and what the function has beside.
 */
#include <errno.h>
#include <vas/consumer.h>

#include "transport/pci/bus.h"

#define MAGIC 0x3269637073617600ull /* "\0vaspci2" */

struct state {
	uint64_t magic;
	uint64_t places;  /* a bit for each that has something */
	uint32_t address; /* of the next access by port */
	uint32_t reserved;
};

static uint64_t places_of(const struct vas_pci *pci)
{
	uint64_t places = 0;
	uint32_t place;

	for (place = 0; place < PCI_PLACES; place++)
		if (pci->functions[place])
			places |= 1ull << place;
	return places;
}

/* ---- standing still ----------------------------------------------------------------------- */

/* The bridge has nothing that could run. */
static int check_functions(const struct vas_pci *pci)
{
	uint32_t place;

	for (place = 1; place < PCI_PLACES; place++)
		if (pci->functions[place] && !pci->functions[place]->ops->save)
			return vas_error_set(
				-EOPNOTSUPP,
				"the device in slot %u is a physical one: it cannot go "
				"elsewhere",
				pci->functions[place]->slot);
	return 0;
}

/* The answer would come elsewhere, where nobody waits for it. */
static int check_asked(struct vas_pci *pci)
{
	uint32_t asked;

	pthread_mutex_lock(&pci->lock);
	asked = pci->asked;
	pthread_mutex_unlock(&pci->lock);
	return asked ? vas_error_set(-EBUSY, "the guest is being asked for the device in slot %d",
				     __builtin_ctz(asked)) :
		       0;
}

int vas_pci_pause(struct vas_pci *pci)
{
	uint32_t place;
	int err = check_functions(pci);

	if (!err)
		err = check_asked(pci);

	for (place = 1; place < PCI_PLACES && !err; place++) {
		struct pci_function *function = pci->functions[place];

		if (!function || !function->ops->pause)
			continue;
		pthread_mutex_lock(&function->lock);
		function->ops->pause(function);
		pthread_mutex_unlock(&function->lock);
	}
	return err;
}

void vas_pci_resume(struct vas_pci *pci)
{
	uint32_t place;

	for (place = 1; place < PCI_PLACES; place++) {
		struct pci_function *function = pci->functions[place];

		if (!function || !function->ops->resume)
			continue;
		pthread_mutex_lock(&function->lock);
		function->ops->resume(function);
		pthread_mutex_unlock(&function->lock);
	}
}

/* ---- saving ------------------------------------------------------------------------------- */

static void save_function(struct pci_function *function, uint32_t place, struct state_writer *to)
{
	pthread_mutex_lock(&function->lock);
	state_put(to, &place, sizeof(place));
	pci_config_save(function, to);
	if (function->ops->save)
		function->ops->save(function, to);
	pthread_mutex_unlock(&function->lock);
}

int vas_pci_save(struct vas_pci *pci, void **bytes, size_t *size)
{
	const struct state state = { .magic = MAGIC,
				     .address = pci->address,
				     .places = places_of(pci) };
	struct state_writer to = { 0 };
	uint32_t place;
	int err = check_functions(pci);

	if (err)
		return err;
	state_put(&to, &state, sizeof(state));
	for (place = 0; place < PCI_PLACES; place++)
		if (pci->functions[place])
			save_function(pci->functions[place], place, &to);
	if (to.is_lost) {
		free(to.bytes);
		return vas_error_set(-ENOMEM, "no memory for the registers of a PCI bus");
	}
	*bytes = to.bytes;
	*size = to.size;
	return 0;
}

/* ---- loading ------------------------------------------------------------------------------ */

static int load_locked(struct pci_function *function, uint32_t place, struct state_reader *from)
{
	const uint32_t slot = function->slot;
	uint32_t nr;

	if (!state_get(from, &nr, sizeof(nr)) || nr != place)
		return vas_error_set(-EPROTO, "the registers of slot %u are not there", slot);
	if (!pci_config_load(function, from))
		return vas_error_set(-EINVAL, "slot %u: the guest's device is another one", slot);
	return function->ops->load ? function->ops->load(function, from) : 0;
}

static int load_function(struct pci_function *function, uint32_t place, struct state_reader *from)
{
	int err;

	pthread_mutex_lock(&function->lock);
	err = load_locked(function, place, from);
	pthread_mutex_unlock(&function->lock);
	return err;
}

static int check_state(const struct vas_pci *pci, const struct state *state)
{
	uint64_t there = places_of(pci);

	if (state->magic != MAGIC)
		return vas_error_set(-EPROTO, "these are no registers of a PCI bus");
	if (state->places != there)
		return vas_error_set(-EINVAL,
				     "the guest has devices in other slots (a mask: %#llx) than "
				     "are here (%#llx)",
				     (unsigned long long)state->places, (unsigned long long)there);
	return check_functions(pci);
}

int vas_pci_load(struct vas_pci *pci, const void *bytes, size_t size)
{
	struct state_reader from = { bytes, size };
	struct state state;
	uint32_t place;
	int err;

	if (!state_get(&from, &state, sizeof(state)))
		state.magic = 0;
	err = check_state(pci, &state);
	for (place = 0; place < PCI_PLACES && !err; place++)
		if (pci->functions[place])
			err = load_function(pci->functions[place], place, &from);
	if (!err && from.left)
		err = vas_error_set(-EPROTO, "registers of a PCI bus, and %zu bytes more",
				    from.left);
	if (err)
		return err;
	pthread_mutex_lock(&pci->lock);
	pci->address = state.address;
	pthread_mutex_unlock(&pci->lock);
	return 0;
}
