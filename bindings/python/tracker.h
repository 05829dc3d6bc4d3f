/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef VAS_PYTHON_TRACKER_H
#define VAS_PYTHON_TRACKER_H

#include "bindings/python/handle.h"

/*
 * Detach the trackers whose objects ended while somebody had the handle's turn, which the caller
 * has now.
 */
void tracker_detach_late(struct handle *handle);

/* The library's tracker of a vas.Tracker of this handle. NULL: raised. */
struct vas_tracker *tracker_of(PyObject *object, const struct handle *handle);

#endif
