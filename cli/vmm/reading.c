// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/reading.h"

#include <vas/dirty.h>

#include "cli/target/name.h"
#include "cli/ui/verb.h"

static int freeze(struct reading *r)
{
	int code = guest_check_writers(&r->guest, GUEST_CANNOT_FORCE), err;

	if (code)
		return code;
	err = guest_stop(&r->guest);
	if (!err)
		err = vas_freeze(r->vas, VAS_TIMEOUT_DEFAULT_NS, NULL);
	return err ? fail_vas(err, r->guest.name) : EXIT_OK;
}

int reading_begin(struct reading *r, const char *name, int frozen)
{
	int code;

	*r = (struct reading){ .is_frozen = frozen };
	if (!frozen)
		return name_bind_to_read(name, &r->vas);
	code = guest_open(name, &r->guest);
	if (code)
		return code;
	r->vas = r->guest.vas;
	code = freeze(r);
	if (code)
		guest_close(&r->guest);
	return code;
}

int reading_end(struct reading *r, int code)
{
	int err;

	if (!r->is_frozen) {
		vas_unbind(r->vas);
		return code;
	}
	err = guest_has_written(&r->guest);
	if (err)
		code = fail_vas(err, r->guest.name);
	vas_thaw(r->vas);
	guest_close(&r->guest);
	return code;
}
