// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Looking for bytes in guest memory, and comparing. */
#include <errno.h>
#include <time.h>

#include "bindings/python/argument.h"
#include "bindings/python/handle.h"

/* A search stops for signals about so often. */
#define FIRST_SLICE (256ull << 20)
#define SHORT_NS    50000000ull

struct search {
	uint64_t gpa;
	uint64_t len;
	struct vas_pattern pattern;
	uint64_t found;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* One slice, and the first bytes of the next, for a match that begins in this one. */
static int search_slice(struct handle *self, struct search *s, uint64_t slice)
{
	uint64_t more = s->pattern.len ? s->pattern.len - 1 : 0;
	uint64_t len = s->len - slice > more ? slice + more : s->len;
	PyThreadState *state = call_begin(self);
	int err = vas_search(self->vas, s->gpa, len, &s->pattern, &s->found);

	call_end(self, state);
	return err;
}

/* 0, -ENOENT or another error; 1: an exception is set. */
static int search(struct handle *self, struct search *s)
{
	uint64_t size = FIRST_SLICE, slice, start;
	int err;

	do {
		if (!handle_vas(self) || PyErr_CheckSignals())
			return 1;
		slice = s->len < size ? s->len : size;
		start = now_ns();
		err = search_slice(self, s, slice);
		/* What is not resident goes by quickly, and is much. */
		if (now_ns() - start < SHORT_NS && size < UINT64_MAX / 4)
			size *= 2;
		s->gpa += slice;
		s->len -= slice;
	} while (err == -ENOENT && s->len);
	return err;
}

/* Up to the limit. */
static void clip(const struct handle *self, struct search *s)
{
	if (s->gpa > self->limit)
		s->gpa = self->limit;
	if (s->len > self->limit - s->gpa)
		s->len = self->limit - s->gpa;
}

static PyObject *search_result(int err, const struct search *s)
{
	if (err == -ENOENT)
		Py_RETURN_NONE;
	if (err < 0)
		error_raise(err);
	return err ? NULL : PyLong_FromUnsignedLongLong(s->found);
}

static PyObject *handle_search(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "pattern", "gpa", "len", "mask", NULL };
	struct search s = { .len = UINT64_MAX };
	Py_buffer pattern, mask = { 0 };
	PyObject *result = NULL;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*|O&O&$z*:search", names, &pattern,
					 convert_u64, &s.gpa, convert_u64, &s.len, &mask))
		return NULL;
	s.pattern = (struct vas_pattern){ .bytes = pattern.buf,
					  .mask = mask.buf,
					  .len = (size_t)pattern.len };
	clip((struct handle *)self, &s);
	if (mask.buf && mask.len != pattern.len)
		PyErr_SetString(PyExc_ValueError, "a mask is as long as its pattern");
	else
		result = search_result(search((struct handle *)self, &s), &s);
	PyBuffer_Release(&pattern);
	PyBuffer_Release(&mask);
	return result;
}

static PyObject *handle_compare(PyObject *object, PyObject *args)
{
	struct handle *self = (struct handle *)object;
	PyThreadState *state;
	size_t done = 0;
	int err = 0, order = 0;
	Py_buffer data;
	struct vas *vas;
	uint64_t gpa;

	if (!PyArg_ParseTuple(args, "O&y*:compare", convert_u64, &gpa, &data))
		return NULL;
	vas = handle_vas(self);
	if (vas) {
		state = call_begin(self);
		err = vas_compare(vas, gpa, data.buf, (size_t)data.len, &order, &done);
		call_end(self, state);
	}
	PyBuffer_Release(&data);
	if (!vas)
		return NULL;
	if (err)
		return error_raise_partial(err, done);
	return Py_BuildValue("in", (order > 0) - (order < 0), (Py_ssize_t)done);
}

const PyMethodDef search_methods[] = {
	{ "search", METHOD(handle_search), KEYWORDS,
	  "search($self, /, pattern, gpa=0, len=18446744073709551615, *, mask=None)\n--\n\n"
	  "The gpa of the first match in [gpa, gpa + len), or None. Only bits that mask has are\n"
	  "compared. No match crosses a hole; memory that was never touched is skipped, unless the\n"
	  "pattern matches zeros." },
	{ "compare", handle_compare, METH_VARARGS,
	  "compare($self, gpa, data, /)\n--\n\n"
	  "(order, equal): -1, 0 or 1 as memcmp() has it, and the length of the equal part." },
	METHODS_END,
};
