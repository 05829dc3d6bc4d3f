// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A doorbell that is answered with an interrupt. */
#include "session.h"

static void ring(struct vas_doorbell *doorbell)
{
	struct session *s = container_of(doorbell, struct session, doorbell);

	atomic64_inc(&s->nr_rings);
	vas_irq_raise(&s->irq);
}

int session_doorbell_start(struct session *s, void *arg)
{
	const struct vas_test_doorbell *doorbell = arg;
	int err;

	if (s->has_doorbell)
		return -EEXIST;
	atomic64_set(&s->nr_rings, 0);
	err = vas_irq_attach(&s->irq, doorbell->irq_fd);
	if (err)
		return err;
	s->doorbell = (struct vas_doorbell){ .ring = ring, .flags = doorbell->flags };
	err = vas_doorbell_attach(&s->doorbell, doorbell->doorbell_fd);
	if (err)
		vas_irq_detach(&s->irq);
	s->has_doorbell = !err;
	return err;
}

int session_doorbell_stop(struct session *s, void *nr_rings)
{
	if (!s->has_doorbell)
		return -ENOENT;
	vas_doorbell_detach(&s->doorbell);
	vas_irq_detach(&s->irq);
	s->has_doorbell = false;
	*(u64 *)nr_rings = atomic64_read(&s->nr_rings);
	return 0;
}
