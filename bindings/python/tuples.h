/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the library tells in structs, as tuples whose items have names. New references, or NULL. */
#ifndef VAS_PYTHON_TUPLES_H
#define VAS_PYTHON_TUPLES_H

#include <vas/dirty.h>
#include <vas/event.h>
#include <vas/layout.h>

#include "bindings/python/python.h"

PyObject *tuple_of_info(const struct vas_info *info);
PyObject *tuple_of_region(const void *region); /* a struct vas_region */
PyObject *tuple_of_blocker(const struct vas_blocker *blocker);
PyObject *tuple_of_event(const void *event);	 /* a struct vas_event */
PyObject *tuple_of_tracker(const void *tracker); /* a struct vas_tracker_info */
PyObject *tuple_of_word(const void *word);	 /* a struct vas_dirty_word */

/*
 * A list of nr items, each made by `make` of `size` bytes at `items`. Frees nothing. NULL with an
 * exception set.
 */
PyObject *tuple_list(const void *items, size_t size, size_t nr, PyObject *(*make)(const void *));

/* A name of len bytes at most, from shared memory: any bytes. */
PyObject *text_of(const char *bytes, size_t len);

/* "doorbell" or "irq". */
const char *tuple_event_kind(uint32_t kind);

int tuples_init(PyObject *module);

#endif
