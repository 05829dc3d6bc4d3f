// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas.Mapping: guest memory as a buffer, without a copy. It is a pin until it is closed. */
#include "bindings/python/argument.h"
#include "bindings/python/handle.h"

struct map {
	struct child child;
	struct vas_mapping *mapping;
	uint64_t gpa;
	size_t len;
	bool writable;
	Py_ssize_t nr_exports; /* buffers of it that are in use */
};

static PyTypeObject *map_type;

/* ---- life --------------------------------------------------------------------------------- */

static int map_check(struct child *child)
{
	if (!((struct map *)child)->nr_exports)
		return 0;
	PyErr_SetString(PyExc_BufferError, "a mapping of guest memory is still in use: by a "
					   "memoryview, a numpy array or the like");
	return -1;
}

static void map_end(struct child *child)
{
	struct map *self = (struct map *)child;
	PyThreadState *state;

	if (!self->mapping)
		return;
	state = call_begin(child->handle);
	vas_mapping_destroy(self->mapping);
	call_end(child->handle, state);
	self->mapping = NULL;
}

static const struct child_ops map_ops = { .check = map_check, .end = map_end };

/* Of an open handle. */
static PyObject *map_new(struct handle *handle, uint64_t gpa, size_t len, uint32_t flags)
{
	struct map *self = child_new(map_type, handle, &map_ops);
	PyThreadState *state;
	int err;

	if (!self)
		return NULL;
	self->gpa = gpa;
	self->len = len;
	self->writable = flags & VAS_MAPPING_WRITE;
	state = call_begin(handle);
	err = vas_mapping_create(handle->vas, gpa, len, flags, &self->mapping);
	call_end(handle, state);
	if (!err)
		return (PyObject *)self;
	error_raise(err);
	Py_DECREF((PyObject *)self);
	return NULL;
}

static PyObject *handle_map(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "gpa", "len", "write", "marks", NULL };
	int write = 0, marks = 0;
	uint64_t gpa;
	size_t len;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&O&|$pp:map", names, convert_u64, &gpa,
					 convert_size, &len, &write, &marks) ||
	    !handle_vas((struct handle *)object))
		return NULL;
	return map_new((struct handle *)object, gpa, len,
		       (write ? VAS_MAPPING_WRITE : 0) | (marks ? VAS_MAPPING_MARKS : 0));
}

static PyObject *map_close(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (map_check((struct child *)self))
		return NULL;
	child_end((struct child *)self);
	Py_RETURN_NONE;
}

static PyObject *map_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return child_vas((struct child *)self) ? Py_NewRef(self) : NULL;
}

/* ---- the buffer --------------------------------------------------------------------------- */

static int map_get_buffer(PyObject *object, Py_buffer *view, int flags)
{
	struct map *self = (struct map *)object;

	view->obj = NULL;
	if (!child_vas(&self->child) ||
	    PyBuffer_FillInfo(view, object, vas_mapping_addr(self->mapping), (Py_ssize_t)self->len,
			      !self->writable, flags))
		return -1;
	self->nr_exports++;
	return 0;
}

static void map_release_buffer(PyObject *object, Py_buffer *view)
{
	(void)view;
	((struct map *)object)->nr_exports--;
}

static Py_ssize_t map_length(PyObject *self)
{
	return (Py_ssize_t)((struct map *)self)->len;
}

/* ---- what the owner asks ------------------------------------------------------------------ */

static PyObject *map_request(PyObject *object, void *unused)
{
	struct map *self = (struct map *)object;

	(void)unused;
	if (!child_vas(&self->child))
		return NULL;
	switch (vas_mapping_request(self->mapping)) {
	case VAS_REQUEST_UNMAP:
		return PyUnicode_FromString("unmap");
	case VAS_REQUEST_QUIESCE:
		return PyUnicode_FromString("quiesce");
	default:
		Py_RETURN_NONE;
	}
}

static PyObject *map_quiesce(PyObject *object, PyObject *unused)
{
	struct map *self = (struct map *)object;
	int err;

	(void)unused;
	if (!child_vas(&self->child))
		return NULL;
	err = vas_mapping_quiesce(self->mapping);
	if (err)
		return error_raise(err);
	Py_RETURN_NONE;
}

static PyObject *map_gpa(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLongLong(((struct map *)self)->gpa);
}

static PyObject *map_readonly(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(!((struct map *)self)->writable);
}

static PyObject *map_closed(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct child *)self)->ended);
}

/* ---- the type ----------------------------------------------------------------------------- */

PyDoc_STRVAR(map_doc,
	     "map($self, /, gpa, len, *, write=False, marks=False)\n--\n\n"
	     "Map a range for long, contiguous, as a Mapping: a buffer for memoryview, numpy and\n"
	     "all that takes one. With write, the range counts as dirty in each epoch while the\n"
	     "mapping lives, unless marks promises Handle.mark() after each write.");

const PyMethodDef map_methods[] = {
	{ "map", METHOD(handle_map), KEYWORDS, map_doc },
	METHODS_END,
};

static PyMethodDef methods[] = {
	{ "close", map_close, METH_NOARGS,
	  "close($self, /)\n--\n\nUnmap. BufferError: something uses the memory still." },
	{ "quiesce", map_quiesce, METH_NOARGS,
	  "quiesce($self, /)\n--\n\n"
	  "Answer the request 'quiesce': nothing writes through the mapping any more. Writing may\n"
	  "go on when request is None again." },
	{ "__enter__", map_enter, METH_NOARGS, "__enter__($self, /)\n--\n\n" },
	{ "__exit__", map_close, METH_VARARGS, "__exit__($self, /, *args)\n--\n\nclose()" },
	METHODS_END,
};

static PyGetSetDef getters[] = {
	{ "request", map_request, NULL,
	  "What the owner asks of the holder: 'unmap' (close it), 'quiesce', or None.", NULL },
	{ "gpa", map_gpa, NULL, "Of the first byte.", NULL },
	{ "readonly", map_readonly, NULL, "Whether its buffers are.", NULL },
	{ "closed", map_closed, NULL, "Whether it is unmapped.", NULL },
	GETTERS_END,
};

int map_init(PyObject *module)
{
	PyType_Slot slots[] = {
		{ Py_tp_doc, "A range of guest memory, mapped: supports the buffer protocol." },
		{ Py_tp_dealloc, child_dealloc },
		{ Py_tp_methods, methods },
		{ Py_tp_getset, getters },
		{ Py_sq_length, map_length },
		{ Py_bf_getbuffer, map_get_buffer },
		{ Py_bf_releasebuffer, map_release_buffer },
		{ 0, NULL },
	};
	PyType_Spec spec = {
		.name = "vas.Mapping",
		.basicsize = sizeof(struct map),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	return module_add_type(module, "Mapping", &spec, &map_type);
}
