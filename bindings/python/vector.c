// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Copies between lists of guest ranges and lists of buffers. */
#include <stdlib.h>

#include "bindings/python/argument.h"
#include "bindings/python/handle.h"

/* The arguments of a call. */
struct vector {
	struct vas_range *ranges;
	size_t nr_ranges;
	struct iovec *iov;
	Py_buffer *buffers; /* nr_iov of them are held */
	size_t nr_iov;
	size_t done;
};

static void vector_clean(struct vector *v)
{
	while (v->nr_iov)
		PyBuffer_Release(&v->buffers[--v->nr_iov]);
	PyMem_Free(v->buffers);
	PyMem_Free(v->iov);
	PyMem_Free(v->ranges);
}

/* `sequence` as a tuple, and room for `size` bytes an item. */
static PyObject *begin_list(PyObject *sequence, size_t size, void **room)
{
	PyObject *tuple = PySequence_Tuple(sequence);

	if (!tuple)
		return NULL;
	*room = PyMem_Calloc((size_t)PyTuple_Size(tuple) + 1, size);
	if (*room)
		return tuple;
	Py_DECREF(tuple);
	return PyErr_NoMemory();
}

static int take_range(PyObject *item, struct vas_range *range)
{
	PyObject *pair = PySequence_Tuple(item);
	int ok = pair && PyArg_ParseTuple(pair, "O&O&;a range is (gpa, len)", convert_u64,
					  &range->gpa, convert_u64, &range->len);

	Py_XDECREF(pair);
	return ok ? 0 : -1;
}

static int take_ranges(struct vector *v, PyObject *sequence)
{
	PyObject *tuple = begin_list(sequence, sizeof(*v->ranges), (void **)&v->ranges);
	int err = tuple ? 0 : -1;
	size_t i, nr = tuple ? (size_t)PyTuple_Size(tuple) : 0;

	for (i = 0; !err && i < nr; i++)
		err = take_range(PyTuple_GetItem(tuple, (Py_ssize_t)i), &v->ranges[i]);
	v->nr_ranges = nr;
	Py_XDECREF(tuple);
	return err;
}

static int take_buffer(struct vector *v, PyObject *item, int flags)
{
	Py_buffer *buffer = &v->buffers[v->nr_iov];

	if (PyObject_GetBuffer(item, buffer, flags))
		return -1;
	v->iov[v->nr_iov++] =
		(struct iovec){ .iov_base = buffer->buf, .iov_len = (size_t)buffer->len };
	return 0;
}

static int take_buffers(struct vector *v, PyObject *sequence, int flags)
{
	PyObject *tuple = begin_list(sequence, sizeof(*v->buffers), (void **)&v->buffers);
	Py_ssize_t i, nr = tuple ? PyTuple_Size(tuple) : 0;
	int err = tuple ? 0 : -1;

	if (!err) {
		v->iov = PyMem_Calloc((size_t)nr + 1, sizeof(*v->iov));
		err = v->iov ? 0 : -1;
		if (err)
			PyErr_NoMemory();
	}
	for (i = 0; !err && i < nr; i++)
		err = take_buffer(v, PyTuple_GetItem(tuple, i), flags);
	Py_XDECREF(tuple);
	return err;
}

/* The library's call. -1: raised. */
static int copy(struct handle *self, struct vector *v,
		int (*call)(struct vas *, const struct vas_range *, size_t, const struct iovec *,
			    size_t, size_t *))
{
	struct vas *vas = handle_vas(self);
	PyThreadState *state;
	int err;

	if (!vas)
		return -1;
	state = call_begin(self);
	err = call(vas, v->ranges, v->nr_ranges, v->iov, v->nr_iov, &v->done);
	call_end(self, state);
	if (!err)
		return 0;
	error_raise_partial(err, v->done);
	return -1;
}

/* As one bytes object: what all ranges hold, one behind the other. */
static PyObject *read_joined(struct handle *self, struct vector *v)
{
	struct iovec whole = { 0 };
	PyObject *bytes;
	size_t i;

	for (i = 0; i < v->nr_ranges; i++) {
		if (v->ranges[i].len > PY_SSIZE_T_MAX - whole.iov_len)
			return PyErr_NoMemory();
		whole.iov_len += v->ranges[i].len;
	}
	bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)whole.iov_len);
	if (!bytes)
		return NULL;
	whole.iov_base = PyBytes_AsString(bytes);
	v->iov = &whole;
	v->nr_iov = 1;
	if (copy(self, v, vas_readv))
		Py_CLEAR(bytes);
	v->iov = NULL;
	v->nr_iov = 0;
	return bytes;
}

static PyObject *handle_readv(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "ranges", "buffers", NULL };
	PyObject *ranges, *buffers = Py_None, *result = NULL;
	struct vector v = { 0 };

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:readv", names, &ranges, &buffers))
		return NULL;
	if (take_ranges(&v, ranges))
		goto out;
	if (buffers == Py_None)
		result = read_joined((struct handle *)self, &v);
	else if (!take_buffers(&v, buffers, PyBUF_WRITABLE) &&
		 !copy((struct handle *)self, &v, vas_readv))
		result = PyLong_FromSize_t(v.done);
out:
	vector_clean(&v);
	return result;
}

static PyObject *handle_writev(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "ranges", "buffers", NULL };
	PyObject *ranges, *buffers, *result = NULL;
	struct vector v = { 0 };

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:writev", names, &ranges, &buffers))
		return NULL;
	if (!take_ranges(&v, ranges) && !take_buffers(&v, buffers, PyBUF_SIMPLE) &&
	    !copy((struct handle *)self, &v, vas_writev))
		result = PyLong_FromSize_t(v.done);
	vector_clean(&v);
	return result;
}

const PyMethodDef vector_methods[] = {
	{ "readv", METHOD(handle_readv), KEYWORDS,
	  "readv($self, /, ranges, buffers=None)\n--\n\n"
	  "Copy guest ranges, each (gpa, len), in one go: into writable buffers, which need not be cut\n"
	  "alike, and return how many bytes; or, without buffers, return them as bytes." },
	{ "writev", METHOD(handle_writev), KEYWORDS,
	  "writev($self, /, ranges, buffers)\n--\n\n"
	  "Copy buffers into guest ranges, each (gpa, len). Returns how many bytes were copied: as\n"
	  "many as the shorter list has." },
	METHODS_END,
};
