// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A ring of 64-bit values between one producer and one consumer that do not trust each other. */
#include <errno.h>

#include <vas/event.h>

#include "lib/base/error.h"

static int check_nr(uint32_t nr)
{
	if (nr && !(nr & (nr - 1)))
		return 0;
	return vas_error_set(-EINVAL, "nr must be a power of two, not %u", nr);
}

static uint64_t *values(struct vas_value_ring *ring)
{
	return (uint64_t *)(ring + 1);
}

int vas_value_ring_post(struct vas_value_ring *ring, uint32_t nr, uint64_t value)
{
	uint32_t head, tail;
	int err = check_nr(nr);

	if (err)
		return err;
	/* Both indices run freely and wrap; head is ours, but the peer can write it too. */
	head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
	/* Pairs with the release in take: the value there has been read. */
	tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
	if (head - tail > nr)
		return vas_error_set(-EPROTO, "the ring holds %u values of %u: its peer is wrong",
				     head - tail, nr);
	if (head - tail == nr)
		return -EAGAIN;
	__atomic_store_n(&values(ring)[head & (nr - 1)], value, __ATOMIC_RELAXED);
	__atomic_store_n(&ring->head, head + 1, __ATOMIC_RELEASE);
	return 0;
}

int vas_value_ring_take(struct vas_value_ring *ring, uint32_t nr, uint64_t *value)
{
	uint32_t head, tail;
	int err = check_nr(nr);

	if (err)
		return err;
	tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
	/* Pairs with the release in post: the value is there. */
	head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	if (head - tail > nr)
		return vas_error_set(-EPROTO, "the ring holds %u values of %u: its peer is wrong",
				     head - tail, nr);
	if (head == tail)
		return -EAGAIN;
	*value = __atomic_load_n(&values(ring)[tail & (nr - 1)], __ATOMIC_RELAXED);
	__atomic_store_n(&ring->tail, tail + 1, __ATOMIC_RELEASE);
	return 0;
}
