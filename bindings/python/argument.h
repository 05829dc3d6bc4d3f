/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Arguments from Python. The converters are for "O&" of PyArg_ParseTupleAndKeywords(): they return
 * 1, or 0 with an exception set.
 */
#ifndef VAS_PYTHON_ARGUMENT_H
#define VAS_PYTHON_ARGUMENT_H

#include <stdint.h>

#include "bindings/python/python.h"

/* An int, or what has __index__(), of 0 to 2^64 - 1. 0, or -1 with an exception set. */
int argument_u64(PyObject *object, uint64_t *value);
/* The same up to SSIZE_MAX: the size of an object. */
int argument_size(PyObject *object, size_t *size);

int convert_u64(PyObject *object, void *u64);
int convert_u32(PyObject *object, void *u32);
int convert_size(PyObject *object, void *size);
/* A file descriptor, or what has fileno(). */
int convert_fd(PyObject *object, void *fd);
/* Seconds as nanoseconds. None: UINT64_MAX, for ever. */
int convert_timeout(PyObject *object, void *ns);

/* name[len], filled up with zeros. -1 with an exception set: it does not fit. */
int argument_name(char *name, size_t len, const char *text);

/* vas.Error or TypeError unless there are `wanted` positional arguments. */
int argument_count(Py_ssize_t nr, Py_ssize_t wanted, const char *function);

#endif
