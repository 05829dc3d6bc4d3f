// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Copies between guest memory and Python's objects. */
#include "bindings/python/memory.h"

#include <errno.h>

#include "bindings/python/argument.h"
#include "bindings/python/handle.h"

/* Up to here a copy takes less time than to give the GIL away and get it back under load. */
#define SMALL 4096

bool memory_may_wait(struct vas *vas, size_t len)
{
	bool is_lazy;

	if (len > SMALL || vas_enter(vas))
		return true;
	is_lazy = vas_view_self(vas)->flags & VAS_STATE_LAZY;
	vas_leave(vas);
	return is_lazy;
}

/* ---- out of guest memory ------------------------------------------------------------------ */

static int read_alone(struct handle *self, uint64_t gpa, void *buf, size_t len, size_t *done)
{
	PyThreadState *state = call_begin(self);
	int err = vas_read(self->vas, gpa, buf, len, done);

	call_end(self, state);
	return err;
}

/* A bytes object for len bytes from gpa on. What could never be filled takes no memory. */
static PyObject *bytes_for(struct vas *vas, uint64_t gpa, size_t len)
{
	struct vas_region region;

	if (len > SMALL && vas_region_at(vas, gpa, &region))
		return error_raise_partial(-EFAULT, 0);
	return PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
}

/* Steals `bytes`. */
static PyObject *bytes_result(PyObject *bytes, int err, size_t done)
{
	if (!err)
		return bytes;
	Py_DECREF(bytes);
	return error_raise_partial(err, done);
}

/* read_alone(), or as it does. */
typedef int read_fn(struct handle *self, uint64_t gpa, void *buf, size_t len, size_t *done);

/* Memory that is there is read at once. */
static int read_now(struct handle *self, uint64_t gpa, void *buf, size_t len, size_t *done)
{
	if (memory_may_wait(self->vas, len))
		return read_alone(self, gpa, buf, len, done);
	return vas_read(self->vas, gpa, buf, len, done);
}

static int peek_alone(struct handle *self, uint64_t gpa, void *buf, size_t len, size_t *done)
{
	PyThreadState *state = call_begin(self);
	int err = vas_peek(self->vas, gpa, buf, len, done);

	call_end(self, state);
	return err;
}

static inline PyObject *read_by(PyObject *object, PyObject *const *args, Py_ssize_t nr,
				const char *name, read_fn *read)
{
	struct handle *self = (struct handle *)object;
	size_t len, done = 0;
	struct vas *vas;
	PyObject *bytes;
	uint64_t gpa;
	int err;

	if (argument_count(nr, 2, name) || argument_u64(args[0], &gpa) ||
	    argument_size(args[1], &len))
		return NULL;
	vas = handle_vas(self);
	bytes = vas ? bytes_for(vas, gpa, len) : NULL;
	if (!bytes)
		return NULL;
	err = read(self, gpa, PyBytes_AsString(bytes), len, &done);
	return bytes_result(bytes, err, done);
}

static PyObject *handle_read(PyObject *object, PyObject *const *args, Py_ssize_t nr)
{
	return read_by(object, args, nr, "read", read_now);
}

static PyObject *handle_peek(PyObject *object, PyObject *const *args, Py_ssize_t nr)
{
	return read_by(object, args, nr, "peek", peek_alone);
}

static PyObject *handle_readinto(PyObject *object, PyObject *args)
{
	struct handle *self = (struct handle *)object;
	size_t done = 0;
	Py_buffer buffer;
	struct vas *vas;
	uint64_t gpa;
	int err;

	if (!PyArg_ParseTuple(args, "O&w*:readinto", convert_u64, &gpa, &buffer))
		return NULL;
	vas = handle_vas(self);
	err = vas ? read_alone(self, gpa, buffer.buf, (size_t)buffer.len, &done) : 0;
	PyBuffer_Release(&buffer);
	if (!vas)
		return NULL;
	if (err)
		return error_raise_partial(err, done);
	Py_RETURN_NONE;
}

/* ---- into guest memory -------------------------------------------------------------------- */

static int write_alone(struct handle *self, uint64_t gpa, const Py_buffer *data, size_t *done)
{
	PyThreadState *state = call_begin(self);
	int err = vas_write(self->vas, gpa, data->buf, (size_t)data->len, done);

	call_end(self, state);
	return err;
}

static PyObject *handle_write(PyObject *object, PyObject *const *args, Py_ssize_t nr)
{
	struct handle *self = (struct handle *)object;
	struct vas *vas;
	Py_buffer data;
	size_t done = 0;
	uint64_t gpa;
	int err = 0;

	if (argument_count(nr, 2, "write") || argument_u64(args[0], &gpa) ||
	    PyObject_GetBuffer(args[1], &data, PyBUF_SIMPLE))
		return NULL;
	vas = handle_vas(self);
	if (vas && memory_may_wait(vas, (size_t)data.len))
		err = write_alone(self, gpa, &data, &done);
	else if (vas)
		err = vas_write(vas, gpa, data.buf, (size_t)data.len, &done);
	PyBuffer_Release(&data);
	if (!vas)
		return NULL;
	if (err)
		return error_raise_partial(err, done);
	Py_RETURN_NONE;
}

static PyObject *handle_fill(PyObject *object, PyObject *args)
{
	struct handle *self = (struct handle *)object;
	PyThreadState *state;
	size_t len, done = 0;
	unsigned char byte;
	struct vas *vas;
	uint64_t gpa;
	int err;

	if (!PyArg_ParseTuple(args, "O&bO&:fill", convert_u64, &gpa, &byte, convert_size, &len))
		return NULL;
	vas = handle_vas(self);
	if (!vas)
		return NULL;
	state = call_begin(self);
	err = vas_fill(vas, gpa, byte, len, &done);
	call_end(self, state);
	if (err)
		return error_raise_partial(err, done);
	Py_RETURN_NONE;
}

static PyObject *handle_mark(PyObject *object, PyObject *args)
{
	struct handle *self = (struct handle *)object;
	uint64_t gpa, len;
	struct vas *vas;
	int err;

	if (!PyArg_ParseTuple(args, "O&O&:mark", convert_u64, &gpa, convert_u64, &len))
		return NULL;
	vas = handle_vas(self);
	if (!vas)
		return NULL;
	/* Whose log cannot be written: the library does not look, for speed. */
	if (self->is_observer)
		return error_raise_text(-EACCES, "an observer marks nothing");
	err = vas_enter(vas);
	if (err)
		return error_raise(err);
	vas_mark(vas, gpa, len);
	vas_leave(vas);
	Py_RETURN_NONE;
}

const PyMethodDef memory_methods[] = {
	{ "read", METHOD(handle_read), METH_FASTCALL,
	  "read($self, gpa, len, /)\n--\n\nCopy len bytes out of guest memory, across regions." },
	{ "peek", METHOD(handle_peek), METH_FASTCALL,
	  "peek($self, gpa, len, /)\n--\n\n"
	  "As read(), but memory that was never touched reads as zeros and takes none for that." },
	{ "readinto", handle_readinto, METH_VARARGS,
	  "readinto($self, gpa, buffer, /)\n--\n\nFill a writable buffer from guest memory." },
	{ "write", METHOD(handle_write), METH_FASTCALL,
	  "write($self, gpa, data, /)\n--\n\nCopy the bytes of a buffer into guest memory." },
	{ "fill", handle_fill, METH_VARARGS,
	  "fill($self, gpa, byte, len, /)\n--\n\nSet len bytes of guest memory to byte." },
	{ "mark", handle_mark, METH_VARARGS,
	  "mark($self, gpa, len, /)\n--\n\n"
	  "Record in the dirty log that the range was written: after a write through a map that\n"
	  "promised so." },
	METHODS_END,
};
