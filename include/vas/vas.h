/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * vas: a guest's address space as a file descriptor.
 *
 * A vas is a sealed memfd that holds guest RAM and a table of regions; vas-format(5) has its bytes.
 * One process owns it and changes the layout. Any number of processes bind to it by fd. Whoever has
 * only a read-only fd observes.
 *
 * In all headers: gpa is a guest-physical address, hva an address in this process, len and size are
 * bytes, and *_ns are nanoseconds on CLOCK_MONOTONIC. A function that returns int returns 0, or a
 * count where its comment says so, or a negative errno. Results go through the last arguments, and
 * are not touched on an error unless the comment says so. errno is never set. The library never
 * prints and never exits. vas_error() has a sentence about the last failure.
 *
 * Every function may be called from any thread, and from several at once on one handle, unless its
 * comment says otherwise. None may be called in a signal handler, but for vas_handle_sigbus().
 *
 * What the library does to its process:
 *  - Signals: a handler for SIGBUS, unless VAS_BIND_NO_SIGBUS. A thread's first section unblocks
 *    SIGBUS in it, for a blocked one would end the process at a failing page; a thread that uses
 *    only mappings unblocks it itself. The library's own threads take no other signal.
 *  - Cancellation: pthread_cancel() takes effect after a call, not in it, callbacks included;
 *    vas_doorbell_wait() alone is a cancellation point. Do not cancel a thread between
 *    vas_layout_begin() and the layout's end.
 *  - fork(): the child's handles are binders of their own from their first use on. Consumers,
 *    cleanup actions and notifications stay the parent's.
 *  - dlopen(), dlclose(): both work; the library's code stays loaded.
 *  - Mappings: at most three quarters of vm.max_map_count, all handles together; then -ENOMEM.
 *  - Core dumps: guest memory is in none, unless VAS_BIND_DUMP or VAS_CREATE_DUMP asks for it.
 */
#ifndef VAS_VAS_H
#define VAS_VAS_H

#include <vas/access.h>
#include <vas/field.h>
#include <vas/handle.h>
#include <vas/layout.h>
#include <vas/mapping.h>

#endif
