/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * QEMU's migration stream with the RAM in it, as a source of two things: which pages of the RAM
 * that lies in the vas QEMU has sent, in the order in which it did, so that whoever copies a page
 * when it is told has the guest's last write to it; and the rest of the stream, which is the state
 * of the devices, for a QEMU that has the RAM already. The bytes of those pages are dropped.
 *
 *	magic, version			32 bits each, big endian, as all numbers
 *	7  length, name			the machine type
 *	1  id, name, instance, version	"ram": what blocks there are; 7e and the id end a section
 *	2  id				pages of one, with flags in the low bits of their offsets
 *	3  id				the last of them: the guest stands
 *	4  ...				devices: taken as they are, up to the end of the file
 *
 * It is stable since QEMU 2.4 (docs/devel/migration there). The other end may be anybody: each read
 * has a deadline, and what is kept a bound.
 */
#ifndef QEMU_RAM_STREAM_H
#define QEMU_RAM_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <vas/format.h>

struct ram_stream;

/* Reads from the socket, which is the stream's from here on. block: the RAM's name. -ENOMEM. */
int ram_stream_open(int sock, const char *block, uint64_t size, struct ram_stream **stream);
void ram_stream_close(struct ram_stream *stream);

/*
 * Pages that have been sent, as words of which gpa is the offset in RAM: how many words, as soon as
 * there are some and no more come at once; those of a guest that stands by themselves. 0: that was
 * all of the RAM. -EPROTO: no such stream; -EOPNOTSUPP: a kind of section or page that is not known
 * here; -EFBIG: of the rest; -ETIMEDOUT: nothing for timeout_ns. vas_error() is set.
 */
ssize_t ram_stream_next(struct ram_stream *stream, uint64_t timeout_ns,
			struct vas_dirty_word *words, size_t nr);

/* Pages that were told, those that were again included. */
uint64_t ram_stream_pages(const struct ram_stream *stream);

/* QEMU has said that the guest stands: what comes is the rest. */
int ram_stream_stands(const struct ram_stream *stream);

/* After the RAM, up to the end: the rest of the stream, which is the caller's to free. Errors as
 * above. */
int ram_stream_state(struct ram_stream *stream, uint64_t timeout_ns, void **state, size_t *size);

#endif
