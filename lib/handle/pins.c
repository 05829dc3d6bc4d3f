// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/pins.h"

#include <errno.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/futex.h"
#include "lib/handle/notify.h"
#include "lib/handle/proto.h"

#define SLICE_NS 5000000ull /* between two looks at whether a silent holder still lives */

static bool hits(const struct vas_pin_set *set, const struct vas_pin_about *pin)
{
	const struct pin_set *pins = (const struct pin_set *)set;
	size_t low = 0, high = pins->nr;

	if (pin->generation && (pin->generation < pins->since || pin->generation >= pins->before))
		return false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pins->ranges[middle].gpa + pins->ranges[middle].size <= pin->gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low < pins->nr && pins->ranges[low].gpa < pin->gpa + pin->size;
}

static bool hits_all(const struct vas_pin_set *set, const struct vas_pin_about *pin)
{
	(void)set;
	(void)pin;
	return true;
}

struct pin_set vas_pins_on(const struct vas_region *ranges, size_t nr, uint64_t since,
			   uint64_t before)
{
	return (struct pin_set){ { hits }, ranges, nr, since, before };
}

struct pin_set vas_pins_all(const struct vas *vas)
{
	(void)vas;
	return (struct pin_set){ .set = { hits_all } };
}

static void report(struct vas_blocker *blocker, const struct vas_pin_blocker *found)
{
	memset(blocker, 0, sizeof(*blocker));
	blocker->kind = VAS_BLOCKER_PIN;
	blocker->pid = found->holder.pid;
	blocker->tid = found->pin.tid;
	blocker->gpa = found->pin.gpa;
	blocker->size = found->pin.size;
	memcpy(blocker->name, found->holder.comm, sizeof(found->holder.comm));
}

static uint32_t ask(struct vas_scan *scan, struct vas *vas, const struct pin_set *pins,
		    enum vas_pin_request request, struct vas_blocker *blocker)
{
	struct vas_pin_blocker found = { 0 };
	uint32_t told, nr = vas_pins_request(scan, &pins->set, request, &told, &found);

	if (told)
		vas_notify_everyone(vas);
	/* A scan that expires names nobody: then it stays with who was found before. */
	if (found.pin.size && blocker)
		report(blocker, &found);
	return nr;
}

uint32_t vas_pins_ask(struct vas *vas, const struct pin_set *pins, enum vas_pin_request request,
		      struct vas_blocker *blocker)
{
	struct vas_scan scan;

	vas_scan_begin(&scan, &vas->proto, 0);
	return ask(&scan, vas, pins, request, blocker);
}

int vas_pins_wait(struct vas *vas, const struct pin_set *pins, enum vas_pin_request request,
		  uint64_t deadline_ns, struct vas_blocker *blocker)
{
	struct vas_scan scan;

	vas_scan_begin(&scan, &vas->proto, vas_scan_deadline_ns(deadline_ns));
	for (;;) {
		uint32_t seen = __atomic_load_n(&vas->ctl->answer, __ATOMIC_ACQUIRE);
		uint64_t slice_ns = vas_deadline_ns(SLICE_NS);

		vas_scan_forget(&scan);
		if (!ask(&scan, vas, pins, request, blocker))
			return 0;
		if (vas_now_ns() >= deadline_ns)
			return -EBUSY;
		vas_futex_wait(&vas->ctl->answer, seen,
			       slice_ns < deadline_ns ? slice_ns : deadline_ns);
	}
}
