// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "transport/pci/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#include "transport/pci/msix.h"

#define VENDOR	    0x1b36u /* Red Hat's, of QEMU's generic root port */
#define DEVICE	    0x000cu
#define CLASS	    0x060400u /* a PCI-to-PCI bridge */
#define BAR_SIZE    0x1000u
#define PBA_OFFSET  0x800u
#define CAP_EXPRESS 0x40u
#define CAP_MSIX    0x80u

#define EXPRESS_SIZE 0x3cu /* of version 2 */
#define SPEED_WIDTH  0x11u /* 2.5 GT/s, one lane: of LNKCAP, LNKSTA */

#define EVENTS (PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC)

struct pci_port {
	struct pci_function function; /* first: the ops cast */
	struct msix msix;
	bool has_device, is_up; /* as the registers say it */
	bool has_told;		/* an interrupt, of events that the guest has not cleared yet */
	bool waits;		/* the device: the button was not pressed for it */
};

static struct pci_port *port_in(struct vas_pci *pci, uint32_t slot)
{
	return (struct pci_port *)pci->functions[slot];
}

static uint16_t get_register(const struct pci_port *port, uint32_t offset)
{
	return (uint16_t)pci_get(&port->function, CAP_EXPRESS + offset, 2);
}

static void set_register(struct pci_port *port, uint32_t offset, uint32_t value)
{
	pci_set(&port->function, CAP_EXPRESS + offset, value, 2);
}

static void set_bit(struct pci_port *port, uint32_t offset, uint32_t bit, bool is_set)
{
	uint32_t value = get_register(port, offset) & ~bit;

	set_register(port, offset, value | (is_set ? bit : 0));
}

/* ---- events ------------------------------------------------------------------------------- */

static bool has_news(const struct pci_port *port)
{
	uint16_t status = get_register(port, PCI_EXP_SLTSTA);
	uint16_t control = get_register(port, PCI_EXP_SLTCTL);

	return control & PCI_EXP_SLTCTL_HPIE &&
	       ((status & PCI_EXP_SLTSTA_ABP && control & PCI_EXP_SLTCTL_ABPE) ||
		(status & PCI_EXP_SLTSTA_PDC && control & PCI_EXP_SLTCTL_PDCE) ||
		(status & PCI_EXP_SLTSTA_DLLSC && control & PCI_EXP_SLTCTL_DLLSCE));
}

static void interrupt(struct pci_port *port)
{
	msix_raise(&port->msix, 0);
}

/* One message each time that there come to be news. */
static void add_events(struct pci_port *port, uint32_t events)
{
	bool has_news_now;

	set_register(port, PCI_EXP_SLTSTA, get_register(port, PCI_EXP_SLTSTA) | events);
	has_news_now = has_news(port);
	if (has_news_now && !port->has_told)
		interrupt(port);
	port->has_told = has_news_now;
}

/* ---- the slot ----------------------------------------------------------------------------- */

static bool is_off(uint16_t control)
{
	return control & PCI_EXP_SLTCTL_PCC &&
	       (control & PCI_EXP_SLTCTL_PIC) == PCI_EXP_SLTCTL_PWR_IND_OFF;
}

static bool blinks(uint16_t control)
{
	return (control & PCI_EXP_SLTCTL_PIC) == PCI_EXP_SLTCTL_PWR_IND_BLINK;
}

static bool link_may_be_up(const struct pci_port *port)
{
	return !(get_register(port, PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_PCC) &&
	       !(get_register(port, PCI_EXP_LNKCTL) & PCI_EXP_LNKCTL_LD) &&
	       !(pci_get(&port->function, PCI_BRIDGE_CONTROL, 2) & PCI_BRIDGE_CTL_BUS_RESET);
}

static void switch_power(struct pci_port *port, bool is_on)
{
	uint32_t control = get_register(port, PCI_EXP_SLTCTL) &
			   ~(uint32_t)(PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PIC);

	set_register(port, PCI_EXP_SLTCTL,
		     control | (is_on ? PCI_EXP_SLTCTL_PWR_IND_ON :
					PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PWR_IND_OFF));
}

/* A device that was asked for has gone with the guest's switching the slot off. */
static bool look_for_device(struct pci_port *port)
{
	struct vas_pci *pci = port->function.pci;
	const uint32_t slot = port->function.slot;
	bool has_device;

	pthread_mutex_lock(&pci->lock);
	if (is_off(get_register(port, PCI_EXP_SLTCTL)))
		pci_unplug_eject(pci, 1u << slot);
	has_device = pci->functions[PCI_BEHIND + slot];
	pthread_mutex_unlock(&pci->lock);
	return has_device;
}

/* The window for memory; with its base behind its limit, or decoding off, there is none. */
static void publish_window(const struct pci_function *function, struct pci_port_view *view)
{
	const bool is_on = pci_get(function, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY;

	view->from = (uint64_t)(pci_get(function, PCI_MEMORY_BASE, 2) & 0xfff0) << 16;
	view->to = is_on ? ((uint64_t)(pci_get(function, PCI_MEMORY_LIMIT, 2) & 0xfff0) << 16) +
				   (1u << 20) :
			   0;
}

static void publish(struct pci_port *port)
{
	struct vas_pci *pci = port->function.pci;
	struct pci_port_view *view = &pci->ports[port->function.slot];

	pthread_mutex_lock(&pci->lock);
	publish_window(&port->function, view);
	view->is_up = port->is_up;
	view->bus = (uint8_t)pci_get(&port->function, PCI_SECONDARY_BUS, 1);
	view->control = get_register(port, PCI_EXP_SLTCTL);
	pthread_cond_broadcast(&pci->answered);
	pthread_mutex_unlock(&pci->lock);
}

static void reset_device(struct pci_port *port)
{
	struct pci_function *function =
		pci_bus_get(port->function.pci, PCI_BEHIND + port->function.slot);

	if (!function)
		return;
	pthread_mutex_lock(&function->lock);
	pci_function_reset(function);
	pthread_mutex_unlock(&function->lock);
	pci_bus_put(function);
}

static bool is_pressed(const struct pci_port *port)
{
	return get_register(port, PCI_EXP_SLTSTA) & PCI_EXP_SLTSTA_ABP;
}

/*
 * A press that the guest has not seen is none. After one that it has seen the indicator blinks, and
 * the next press means no. Returns that one.
 */
static uint32_t take_press_back(struct pci_port *port)
{
	if (!is_pressed(port))
		return blinks(get_register(port, PCI_EXP_SLTCTL)) ? PCI_EXP_SLTSTA_ABP : 0;
	set_bit(port, PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_ABP, false);
	return 0;
}

/*
 * Linux enables no interrupt for who is present where there is a button: who plugs presses it. But
 * while the guest is about to switch the slot on, for a device that has gone since, a press would
 * mean no. A device that comes then waits for whether the guest does.
 */
static uint32_t button_events(struct pci_port *port, bool has_come, bool has_gone)
{
	const uint16_t control = get_register(port, PCI_EXP_SLTCTL);
	const bool is_waiting = control & PCI_EXP_SLTCTL_PCC && blinks(control);
	const bool was_waiting = port->waits;

	port->waits = port->has_device && is_waiting && (has_come || was_waiting);
	if (has_gone && (is_waiting || is_pressed(port)))
		return take_press_back(port);
	return (has_come || (was_waiting && port->has_device)) && is_off(control) ?
		       PCI_EXP_SLTSTA_ABP :
		       0;
}

/* After what it depends on has changed: the registers, and who is behind them. Returns events. */
static uint32_t update(struct pci_port *port)
{
	const bool had_device = port->has_device, was_up = port->is_up;

	port->has_device = look_for_device(port);
	if (port->has_device != had_device &&
	    !(get_register(port, PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_HPIE))
		switch_power(port, port->has_device);
	port->is_up = port->has_device && link_may_be_up(port);
	set_bit(port, PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDS, port->has_device);
	set_bit(port, PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_DLLLA, port->is_up);
	publish(port);
	if (was_up && !port->is_up)
		reset_device(port);
	return (port->has_device != had_device ? PCI_EXP_SLTSTA_PDC : 0) |
	       button_events(port, port->has_device && !had_device,
			     had_device && !port->has_device) |
	       (port->is_up != was_up ? PCI_EXP_SLTSTA_DLLSC : 0);
}

void pci_port_update(struct vas_pci *pci, uint32_t slot)
{
	struct pci_port *port = port_in(pci, slot);

	pthread_mutex_lock(&port->function.lock);
	add_events(port, update(port));
	pthread_mutex_unlock(&port->function.lock);
}

/* ---- the button --------------------------------------------------------------------------- */

bool pci_port_is_off(const struct pci_port_view *port)
{
	return is_off(port->control);
}

/* While the indicator blinks, a press would take back what the guest does. */
bool pci_port_may_press(const struct pci_port_view *port)
{
	return port->control & PCI_EXP_SLTCTL_HPIE && port->control & PCI_EXP_SLTCTL_ABPE &&
	       !blinks(port->control);
}

void pci_port_press(struct vas_pci *pci, uint32_t slot)
{
	struct pci_port *port = port_in(pci, slot);

	pthread_mutex_lock(&port->function.lock);
	add_events(port, port->has_device ? PCI_EXP_SLTSTA_ABP : 0);
	pthread_mutex_unlock(&port->function.lock);
}

void pci_port_unpress(struct vas_pci *pci, uint32_t slot)
{
	struct pci_port *port = port_in(pci, slot);

	pthread_mutex_lock(&port->function.lock);
	add_events(port, port->has_device ? take_press_back(port) : 0);
	pthread_mutex_unlock(&port->function.lock);
}

/* ---- accesses ----------------------------------------------------------------------------- */

static void read_bar(struct pci_function *function, uint32_t bar, uint64_t offset, void *to,
		     uint32_t len)
{
	const struct pci_port *port = (struct pci_port *)function;

	(void)bar;
	if (offset >= PBA_OFFSET)
		msix_pba_read(&port->msix, offset - PBA_OFFSET, to, len);
	else
		msix_table_read(&port->msix, offset, to, len);
}

static void write_bar(struct pci_function *function, uint32_t bar, uint64_t offset,
		      const void *from, uint32_t len)
{
	(void)bar;
	msix_table_write(&((struct pci_port *)function)->msix, offset, from, len);
}

static void after_write(struct pci_function *function, uint32_t offset, uint32_t len)
{
	struct pci_port *port = (struct pci_port *)function;

	if (pci_touches(offset, len, CAP_MSIX + PCI_MSIX_FLAGS, 2))
		msix_set_control(&port->msix,
				 (uint16_t)pci_get(function, CAP_MSIX + PCI_MSIX_FLAGS, 2));
	add_events(port, update(port));
}

/* ---- elsewhere ---------------------------------------------------------------------------- */

/* A message may have been on its way; and the device behind it is the same one. */
static void resume_port(struct pci_function *function)
{
	struct pci_port *port = (struct pci_port *)function;

	if (has_news(port))
		interrupt(port);
}

static void save(struct pci_function *function, struct state_writer *to)
{
	const struct pci_port *port = (struct pci_port *)function;
	const uint32_t waits = port->waits;

	msix_save(&port->msix, to);
	state_put(to, &waits, sizeof(waits));
}

static int load(struct pci_function *function, struct state_reader *from)
{
	struct pci_port *port = (struct pci_port *)function;
	uint32_t waits;

	port->msix.control = pci_get(function, CAP_MSIX + PCI_MSIX_FLAGS, 2) & MSIX_CONTROL_BITS;
	if (!msix_load(&port->msix, from))
		return vas_error_set(-EPROTO,
				     "the interrupts of the root port in slot %u make no "
				     "sense",
				     function->slot);
	if (!state_get(from, &waits, sizeof(waits)) || waits > 1)
		return vas_error_set(-EPROTO, "the root port in slot %u makes no sense",
				     function->slot);
	port->waits = waits;
	update(port);
	port->has_told = has_news(port);
	return 0;
}

static void destroy(struct pci_function *function)
{
	struct pci_port *port = (struct pci_port *)function;

	msix_clean(&port->msix);
	pthread_mutex_destroy(&function->lock);
	free(port);
}

static const struct pci_function_ops ops = {
	.after_write = after_write,
	.read = read_bar,
	.write = write_bar,
	.resume = resume_port,
	.save = save,
	.load = load,
	.destroy = destroy,
};

/* ---- the config space --------------------------------------------------------------------- */

void pci_add_express(struct pci_function *function, uint32_t at, uint32_t type)
{
	const uint8_t bytes[EXPRESS_SIZE] = { PCI_CAP_ID_EXP };

	pci_add_capability(function, at, bytes, sizeof(bytes));
	pci_set(function, at + PCI_EXP_FLAGS, type << 4 | 2, 2);
	pci_set(function, at + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_RBER, 4);
	pci_set(function, at + PCI_EXP_LNKCAP, SPEED_WIDTH, 4);
	pci_set(function, at + PCI_EXP_LNKSTA, SPEED_WIDTH, 2);
	pci_set(function, at + PCI_EXP_LNKCAP2, PCI_EXP_LNKCAP2_SLS_2_5GB, 4);
	pci_allow(function, at + PCI_EXP_DEVCTL,
		  PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE |
			  PCI_EXP_DEVCTL_URRE | PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_PAYLOAD |
			  PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ,
		  2);
	pci_allow(function, at + PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES, 2);
}

static void fill_slot(struct pci_port *port)
{
	struct pci_function *function = &port->function;

	pci_add_express(function, CAP_EXPRESS, PCI_EXP_TYPE_ROOT_PORT);
	pci_set(function, CAP_EXPRESS + PCI_EXP_FLAGS,
		PCI_EXP_TYPE_ROOT_PORT << 4 | 2 | PCI_EXP_FLAGS_SLOT, 2);
	pci_set(function, CAP_EXPRESS + PCI_EXP_LNKCAP,
		SPEED_WIDTH | PCI_EXP_LNKCAP_DLLLARC | function->slot << 24, 4);
	pci_set(function, CAP_EXPRESS + PCI_EXP_SLTCAP,
		PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PCP | PCI_EXP_SLTCAP_PIP | PCI_EXP_SLTCAP_HPS |
			PCI_EXP_SLTCAP_HPC | PCI_EXP_SLTCAP_NCCS | function->slot << 19,
		4);
	pci_allow(function, CAP_EXPRESS + PCI_EXP_LNKCTL,
		  PCI_EXP_LNKCTL_LD | PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES, 2);
	pci_allow(function, CAP_EXPRESS + PCI_EXP_SLTCTL,
		  PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_HPIE |
			  PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_DLLSCE,
		  2);
	pci_allow(function, CAP_EXPRESS + PCI_EXP_RTCTL,
		  PCI_EXP_RTCTL_SECEE | PCI_EXP_RTCTL_SENFEE | PCI_EXP_RTCTL_SEFEE |
			  PCI_EXP_RTCTL_PMEIE,
		  2);
	/* The link's state is ours, and goes by what comes from elsewhere. */
	function->clearable[CAP_EXPRESS + PCI_EXP_SLTSTA] = EVENTS & 0xff;
	function->clearable[CAP_EXPRESS + PCI_EXP_SLTSTA + 1] = EVENTS >> 8;
	function->clearable[CAP_EXPRESS + PCI_EXP_LNKSTA + 1] = PCI_EXP_LNKSTA_DLLLA >> 8;
	switch_power(port, false);
}

/* Bus numbers, as a firmware would have set them; no ports, no prefetchable memory. */
static void fill_bridge(struct pci_function *function)
{
	function->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
	function->config[PCI_SECONDARY_BUS] = (uint8_t)function->slot;
	function->config[PCI_SUBORDINATE_BUS] = (uint8_t)function->slot;
	pci_allow(function, PCI_PRIMARY_BUS, 0xffffff, 4);
	pci_allow(function, PCI_MEMORY_BASE, 0xfff0fff0, 4);
	pci_allow(function, PCI_BRIDGE_CONTROL,
		  PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR | PCI_BRIDGE_CTL_BUS_RESET, 2);
}

/* The window is where the guest looks for room for BARs; they are decoded wherever they are. */
static void place_window(struct pci_function *function)
{
	uint64_t at = pci_bus_place_window(function->pci, function->slot, PCI_PORT_WINDOW);

	pci_set(function, PCI_MEMORY_BASE, at ? (uint32_t)(at >> 16) : 0xfff0, 2);
	pci_set(function, PCI_MEMORY_LIMIT,
		at ? (uint32_t)((at + PCI_PORT_WINDOW - 1) >> 16) & 0xfff0 : 0, 2);
}

/* ---- the port ----------------------------------------------------------------------------- */

static int create(struct vas_pci *pci, uint32_t place)
{
	struct pci_port *port = calloc(1, sizeof(*port));
	struct pci_function *function;
	int err;

	if (!port)
		return vas_error_set(-ENOMEM, "no memory for a root port");
	err = msix_init(&port->msix, pci, place, PCI_PORT_VECTOR, 1);
	if (err) {
		free(port);
		return err;
	}
	function = &port->function;
	pci_function_init(function, VENDOR, DEVICE, CLASS);
	pci_bus_set_place(pci, function, place);
	function->ops = &ops;
	function->name = "root port";
	pci_set_bar(function, 0, BAR_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY);
	fill_bridge(function);
	fill_slot(port);
	msix_add_capability(&port->msix, function, CAP_MSIX, 0, 0, PBA_OFFSET);
	place_window(function);
	update(port);
	pci_bus_show(pci, function);
	return 0;
}

int vas_pci_add_port(struct vas_pci *pci, uint32_t slot)
{
	int place, err;

	if (slot == VAS_PCI_ANY_PORT)
		return vas_error_set(-EINVAL, "a port goes into a slot");
	place = pci_bus_take(pci, slot);
	if (place >= (int)PCI_BEHIND) {
		pci_bus_give(pci, (uint32_t)place);
		return vas_error_set(-EBUSY, "slot %u has a root port", slot);
	}
	if (place < 0)
		return place;
	err = create(pci, (uint32_t)place);
	if (!err) {
		pthread_mutex_lock(&pci->lock);
		pci->ports[place].is_there = true;
		pthread_mutex_unlock(&pci->lock);
		return place;
	}
	pci_bus_give(pci, (uint32_t)place);
	return err;
}
