// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A doorbell that is answered with an interrupt. */
#include "session.h"

static void ring(struct vas_doorbell *bell)
{
	struct session *s = container_of(bell, struct session, bell);

	atomic64_inc(&s->nr_rings);
	vas_irq_raise(&s->irq);
}

int session_bell_start(struct session *s, void *arg)
{
	const struct vas_test_bell *bell = arg;
	int err;

	if (s->has_bell)
		return -EEXIST;
	atomic64_set(&s->nr_rings, 0);
	err = vas_irq_attach(&s->irq, bell->irq_fd);
	if (err)
		return err;
	s->bell = (struct vas_doorbell){ .ring = ring, .flags = bell->flags };
	err = vas_doorbell_attach(&s->bell, bell->doorbell_fd);
	if (err)
		vas_irq_detach(&s->irq);
	s->has_bell = !err;
	return err;
}

int session_bell_stop(struct session *s, void *nr_rings)
{
	if (!s->has_bell)
		return -ENOENT;
	vas_doorbell_detach(&s->bell);
	vas_irq_detach(&s->irq);
	s->has_bell = false;
	*(u64 *)nr_rings = atomic64_read(&s->nr_rings);
	return 0;
}
