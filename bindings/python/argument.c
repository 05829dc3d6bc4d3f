// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "bindings/python/argument.h"

#include <limits.h>
#include <string.h>

#define NS_PER_S 1e9

int argument_u64(PyObject *object, uint64_t *value)
{
	PyObject *number;

	if (PyLong_Check(object)) {
		*value = PyLong_AsUnsignedLongLong(object);
	} else {
		number = PyNumber_Index(object);
		if (!number)
			return -1;
		*value = PyLong_AsUnsignedLongLong(number);
		Py_DECREF(number);
	}
	return *value == UINT64_MAX && PyErr_Occurred() ? -1 : 0;
}

int argument_size(PyObject *object, size_t *size)
{
	uint64_t value;

	if (argument_u64(object, &value))
		return -1;
	if (value > PY_SSIZE_T_MAX) {
		PyErr_SetString(PyExc_OverflowError, "a length of more than sys.maxsize");
		return -1;
	}
	*size = value;
	return 0;
}

int argument_count(Py_ssize_t nr, Py_ssize_t wanted, const char *function)
{
	if (nr == wanted)
		return 0;
	PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, not %zd", function, wanted, nr);
	return -1;
}

int argument_name(char *name, size_t len, const char *text)
{
	size_t used = strlen(text);

	if (used >= len) {
		PyErr_Format(PyExc_ValueError, "a name of %zu bytes, %zu are the most", used,
			     len - 1);
		return -1;
	}
	memset(name, 0, len);
	memcpy(name, text, used);
	return 0;
}

int convert_u64(PyObject *object, void *u64)
{
	return !argument_u64(object, u64);
}

int convert_u32(PyObject *object, void *u32)
{
	uint64_t value;

	if (argument_u64(object, &value))
		return 0;
	if (value > UINT32_MAX) {
		PyErr_SetString(PyExc_OverflowError, "a number of more than 32 bits");
		return 0;
	}
	*(uint32_t *)u32 = (uint32_t)value;
	return 1;
}

int convert_size(PyObject *object, void *size)
{
	return !argument_size(object, size);
}

int convert_fd(PyObject *object, void *fd)
{
	*(int *)fd = PyObject_AsFileDescriptor(object);
	return *(int *)fd >= 0;
}

int convert_timeout(PyObject *object, void *ns)
{
	double seconds;

	if (object == Py_None) {
		*(uint64_t *)ns = UINT64_MAX;
		return 1;
	}
	seconds = PyFloat_AsDouble(object);
	if (seconds == -1.0 && PyErr_Occurred())
		return 0;
	/* NaN is not, either. */
	if (!(seconds >= 0)) {
		PyErr_SetString(PyExc_ValueError, "a timeout is not negative");
		return 0;
	}
	/* Some centuries are for ever. */
	*(uint64_t *)ns = seconds < 9e9 ? (uint64_t)(seconds * NS_PER_S) : UINT64_MAX;
	return 1;
}
