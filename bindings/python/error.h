/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* vas.Error, an OSError: errno, the library's sentence, and what else is known. */
#ifndef VAS_PYTHON_ERROR_H
#define VAS_PYTHON_ERROR_H

#include <vas/layout.h>

#include "bindings/python/python.h"

/*
 * Raise vas.Error for a negative errno that the library has just returned in this thread, with the
 * sentence that it has left. All return NULL, for the caller to return.
 */
PyObject *error_raise(int err);
/* With the blocker, of -EBUSY. */
PyObject *error_raise_blocked(int err, const struct vas_blocker *blocker);
/* With the number of bytes that were copied before. */
PyObject *error_raise_partial(int err, size_t done);
/* With a sentence of ours. */
PyObject *error_raise_text(int err, const char *text);

int error_init(PyObject *module);

#endif
