/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A virtqueue of either format, so that a device is written once: whoever starts one fills in
 * `format` and the member that it names. The calls are those of core/virtqueue/split.h and
 * core/virtqueue/packed.h, with their promises.
 *
 * Each is told the format. Where that is a constant, as in a loop that is inlined once for each
 * format, the call is the one for that format and costs nothing more. Elsewhere it is
 * `queue->format`, and a branch; not a pointer to a function, which kernels call by way of thunks.
 */
#ifndef VAS_CORE_VIRTQUEUE_VIRTQ_H
#define VAS_CORE_VIRTQUEUE_VIRTQ_H

#include "core/virtqueue/packed.h"
#include "core/virtqueue/split.h"

enum vas_virtq_format { VAS_VIRTQ_SPLIT, VAS_VIRTQ_PACKED };

struct vas_virtq {
	enum vas_virtq_format format;
	union {
		struct vas_split_queue split;
		struct vas_packed_queue packed;
	};
};

static inline int vas_virtq_peek(struct vas_virtq *queue, enum vas_virtq_format format,
				 struct vas_virtq_chain *chain)
{
	return format == VAS_VIRTQ_PACKED ? vas_packed_queue_peek(&queue->packed, chain) :
					    vas_split_queue_peek(&queue->split, chain);
}

static inline void vas_virtq_take(struct vas_virtq *queue, enum vas_virtq_format format,
				  const struct vas_virtq_chain *chain)
{
	if (format == VAS_VIRTQ_PACKED)
		vas_packed_queue_take(&queue->packed, chain);
	else
		vas_split_queue_take(&queue->split);
}

static inline int vas_virtq_peek_burst(struct vas_virtq *queue, enum vas_virtq_format format,
				       struct vas_virtq_burst *burst)
{
	return format == VAS_VIRTQ_PACKED ? vas_packed_queue_peek_burst(&queue->packed, burst) :
					    vas_split_queue_peek_burst(&queue->split, burst);
}

static inline void vas_virtq_take_burst(struct vas_virtq *queue, enum vas_virtq_format format,
					const struct vas_virtq_chain *chains, uint32_t nr)
{
	if (format == VAS_VIRTQ_PACKED)
		vas_packed_queue_take_burst(&queue->packed, chains, nr);
	else
		vas_split_queue_take_burst(&queue->split, nr);
}

static inline void vas_virtq_give(struct vas_virtq *queue, enum vas_virtq_format format,
				  const struct vas_virtq_answer *answers, uint32_t nr)
{
	if (format == VAS_VIRTQ_PACKED)
		vas_packed_queue_give(&queue->packed, answers, nr);
	else
		vas_split_queue_give(&queue->split, answers, nr);
}

static inline void vas_virtq_give_in_order(struct vas_virtq *queue, enum vas_virtq_format format,
					   const struct vas_virtq_answer *answers, uint32_t nr)
{
	if (format == VAS_VIRTQ_PACKED)
		vas_packed_queue_give_in_order(&queue->packed, answers, nr);
	else
		vas_split_queue_give_in_order(&queue->split, answers, nr);
}

static inline bool vas_virtq_wants_interrupt(struct vas_virtq *queue, enum vas_virtq_format format)
{
	return format == VAS_VIRTQ_PACKED ? vas_packed_queue_wants_interrupt(&queue->packed) :
					    vas_split_queue_wants_interrupt(&queue->split);
}

static inline void vas_virtq_disable_kick(struct vas_virtq *queue, enum vas_virtq_format format)
{
	if (format == VAS_VIRTQ_PACKED)
		vas_packed_queue_disable_kick(&queue->packed);
	else
		vas_split_queue_disable_kick(&queue->split);
}

static inline bool vas_virtq_enable_kick(struct vas_virtq *queue, enum vas_virtq_format format)
{
	return format == VAS_VIRTQ_PACKED ? vas_packed_queue_enable_kick(&queue->packed) :
					    vas_split_queue_enable_kick(&queue->split);
}

#endif
