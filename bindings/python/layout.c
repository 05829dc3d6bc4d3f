// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas.Layout: a change of the layout, as a transaction; and changes of one region. */
#include <errno.h>

#include "bindings/python/argument.h"
#include "bindings/python/handle.h"

/* One change of a transaction. */
struct edit {
	enum { EDIT_ADD, EDIT_REMOVE, EDIT_RESIZE, EDIT_MOVE } kind;
	struct vas_region region; /* of EDIT_ADD */
	uint64_t id;		  /* of the others; of the new region */
	uint64_t value;		  /* size or gpa */
};

struct layout {
	struct child child;
	struct vas_layout *layout; /* NULL: not begun, or over */
	unsigned long thread;	   /* has begun it, and the handle's turn */
	unsigned long nr_forks;
	uint64_t timeout_ns;
};

static PyTypeObject *layout_type;

/* ---- what changes ------------------------------------------------------------------------- */

static int edit_apply(struct vas_layout *layout, struct edit *edit)
{
	switch (edit->kind) {
	case EDIT_ADD:
		return vas_layout_add(layout, &edit->region, &edit->id);
	case EDIT_REMOVE:
		return vas_layout_remove(layout, edit->id);
	case EDIT_RESIZE:
		return vas_layout_resize(layout, edit->id, edit->value);
	default:
		return vas_layout_move(layout, edit->id, edit->value);
	}
}

/* "gpa, size, ..." of a new region. -1: raised. */
static int take_region(PyObject *args, PyObject *kwargs, struct edit *edit)
{
	static char *names[] = { "gpa", "size", "name", "offset", "backing", "flags", NULL };
	struct vas_region *r = &edit->region;
	PyObject *offset = Py_None;
	const char *name = "";

	*edit = (struct edit){ .kind = EDIT_ADD };
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&O&|s$OO&O&:add", names, convert_u64,
					 &r->gpa, convert_u64, &r->size, &name, &offset,
					 convert_u32, &r->backing, convert_u32, &r->flags))
		return -1;
	r->offset = VAS_OFFSET_GPA;
	if (offset != Py_None && argument_u64(offset, &r->offset))
		return -1;
	if (r->flags & (VAS_REGION_LOCAL | VAS_REGION_DEVICE)) {
		error_raise_text(-EOPNOTSUPP, "memory of this process is not shared from Python: "
					      "VAS_REGION_LOCAL and VAS_REGION_DEVICE are C's");
		return -1;
	}
	return argument_name(r->name, sizeof(r->name), name);
}

static int take_id(PyObject *id, struct edit *edit)
{
	*edit = (struct edit){ .kind = EDIT_REMOVE };
	return argument_u64(id, &edit->id);
}

/* The region's id, and its new size or gpa. */
static int take_id_and_value(PyObject *args, int kind, struct edit *edit)
{
	*edit = (struct edit){ .kind = kind };
	return PyArg_ParseTuple(args, "O&O&", convert_u64, &edit->id, convert_u64, &edit->value) ?
		       0 :
		       -1;
}

static PyObject *edit_result(const struct edit *edit)
{
	if (edit->kind == EDIT_ADD)
		return PyLong_FromUnsignedLongLong(edit->id);
	Py_RETURN_NONE;
}

/* ---- the transaction ---------------------------------------------------------------------- */

/* After a fork it is the parent's. */
static bool is_begun(const struct layout *self)
{
	return self->layout && self->nr_forks == self->child.handle->nr_forks;
}

static int layout_check(struct child *child)
{
	if (!is_begun((struct layout *)child))
		return 0;
	error_raise_text(-EBUSY, "a transaction of the layout is open: commit or abort it first");
	return -1;
}

static void abort_it(struct layout *self)
{
	vas_layout_abort(self->layout);
	self->layout = NULL;
	handle_turn_end(self->child.handle);
}

static void layout_end(struct child *child)
{
	/* First, for it finds out whether there was a fork. */
	if (!handle_vas(child->handle))
		PyErr_Clear();
	else if (is_begun((struct layout *)child))
		abort_it((struct layout *)child);
}

static const struct child_ops layout_ops = { .check = layout_check, .end = layout_end };

/* -1, with an exception set, unless this thread has begun it. */
static int need_begun(struct layout *self)
{
	if (!child_vas(&self->child))
		return -1;
	if (!is_begun(self)) {
		PyErr_SetString(PyExc_ValueError, "the transaction has not begun, or is over");
		return -1;
	}
	if (self->thread == PyThread_get_thread_ident())
		return 0;
	PyErr_SetString(PyExc_RuntimeError, "a transaction is for the thread that has begun it");
	return -1;
}

static PyObject *handle_layout(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "timeout", NULL };
	uint64_t timeout_ns = VAS_TIMEOUT_DEFAULT_NS;
	struct layout *self;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&:layout", names, convert_timeout,
					 &timeout_ns) ||
	    !handle_vas((struct handle *)object))
		return NULL;
	self = child_new(layout_type, (struct handle *)object, &layout_ops);
	if (self)
		self->timeout_ns = timeout_ns;
	return (PyObject *)self;
}

/* The library's begin, in the handle's turn: nobody here has its mutex. */
static PyObject *layout_enter(PyObject *object, PyObject *unused)
{
	struct layout *self = (struct layout *)object;
	struct handle *handle = self->child.handle;
	PyThreadState *state;
	struct vas *vas;
	int err;

	(void)unused;
	vas = child_vas(&self->child) ? handle_turn(handle) : NULL;
	if (!vas)
		return NULL;
	state = call_begin(handle);
	err = vas_layout_begin(vas, &self->layout);
	call_end(handle, state);
	if (err) {
		self->layout = NULL;
		handle_turn_end(handle);
		return error_raise(err);
	}
	self->thread = PyThread_get_thread_ident();
	self->nr_forks = handle->nr_forks;
	return Py_NewRef(object);
}

static PyObject *commit(struct layout *self)
{
	struct handle *handle = self->child.handle;
	struct vas_blocker blocker = { 0 };
	PyThreadState *state = call_begin(handle);
	int err = vas_layout_commit(self->layout, self->timeout_ns, &blocker);

	call_end(handle, state);
	self->layout = NULL;
	handle_turn_end(handle);
	if (err)
		return error_raise_blocked(err, &blocker);
	Py_RETURN_NONE;
}

static PyObject *layout_commit(PyObject *self, PyObject *unused)
{
	(void)unused;
	return need_begun((struct layout *)self) ? NULL : commit((struct layout *)self);
}

static PyObject *layout_abort(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (need_begun((struct layout *)self))
		return NULL;
	abort_it((struct layout *)self);
	Py_RETURN_NONE;
}

/* (type, value, traceback): an exception aborts. */
static PyObject *layout_exit(PyObject *object, PyObject *args)
{
	struct layout *self = (struct layout *)object;
	PyObject *type = Py_None, *value, *traceback;

	if (!PyArg_UnpackTuple(args, "__exit__", 0, 3, &type, &value, &traceback))
		return NULL;
	if (!is_begun(self))
		Py_RETURN_NONE;
	return type == Py_None ? layout_commit(object, NULL) : layout_abort(object, NULL);
}

static PyObject *layout_edit(PyObject *object, struct edit *edit)
{
	struct layout *self = (struct layout *)object;
	int err;

	if (need_begun(self))
		return NULL;
	err = edit_apply(self->layout, edit);
	return err ? error_raise(err) : edit_result(edit);
}

static PyObject *layout_add(PyObject *self, PyObject *args, PyObject *kwargs)
{
	struct edit edit;

	return take_region(args, kwargs, &edit) ? NULL : layout_edit(self, &edit);
}

static PyObject *layout_remove(PyObject *self, PyObject *id)
{
	struct edit edit;

	return take_id(id, &edit) ? NULL : layout_edit(self, &edit);
}

static PyObject *layout_resize(PyObject *self, PyObject *args)
{
	struct edit edit;

	return take_id_and_value(args, EDIT_RESIZE, &edit) ? NULL : layout_edit(self, &edit);
}

static PyObject *layout_move(PyObject *self, PyObject *args)
{
	struct edit edit;

	return take_id_and_value(args, EDIT_MOVE, &edit) ? NULL : layout_edit(self, &edit);
}

/* ---- one region at a time ----------------------------------------------------------------- */

/* A transaction of one change. Without the GIL. */
static int change_alone(struct vas *vas, struct edit *edit, struct vas_blocker *blocker)
{
	struct vas_layout *layout;
	int err = vas_layout_begin(vas, &layout);

	if (err)
		return err;
	err = edit_apply(layout, edit);
	if (!err)
		return vas_layout_commit(layout, VAS_TIMEOUT_DEFAULT_NS, blocker);
	vas_layout_abort(layout);
	return err;
}

static PyObject *handle_edit(PyObject *object, struct edit *edit)
{
	struct handle *self = (struct handle *)object;
	struct vas *vas = handle_turn(self);
	struct vas_blocker blocker = { 0 };
	PyThreadState *state;
	int err;

	if (!vas)
		return NULL;
	state = call_begin(self);
	err = change_alone(vas, edit, &blocker);
	call_end(self, state);
	handle_turn_end(self);
	return err ? error_raise_blocked(err, &blocker) : edit_result(edit);
}

static PyObject *handle_region_add(PyObject *self, PyObject *args, PyObject *kwargs)
{
	struct edit edit;

	return take_region(args, kwargs, &edit) ? NULL : handle_edit(self, &edit);
}

static PyObject *handle_region_remove(PyObject *self, PyObject *id)
{
	struct edit edit;

	return take_id(id, &edit) ? NULL : handle_edit(self, &edit);
}

static PyObject *handle_region_resize(PyObject *self, PyObject *args)
{
	struct edit edit;

	return take_id_and_value(args, EDIT_RESIZE, &edit) ? NULL : handle_edit(self, &edit);
}

static PyObject *handle_region_move(PyObject *self, PyObject *args)
{
	struct edit edit;

	return take_id_and_value(args, EDIT_MOVE, &edit) ? NULL : handle_edit(self, &edit);
}

/* ---- methods ------------------------------------------------------------------------------ */

const PyMethodDef layout_methods[] = {
	{ "layout", METHOD(handle_layout), KEYWORDS,
	  "layout($self, /, timeout=1.0)\n--\n\n"
	  "A change of the layout, to be begun by `with`: committed at its end, within timeout\n"
	  "seconds, or aborted by an exception. Owner only." },
	{ "region_add", METHOD(handle_region_add), KEYWORDS,
	  "region_add($self, /, gpa, size, name='', *, offset=None, backing=0, flags=0)\n--\n\n"
	  "Add a region, and return its id. offset None: the gpa. flags: REGION_*." },
	{ "region_remove", handle_region_remove, METH_O,
	  "region_remove($self, id, /)\n--\n\nRemove a region." },
	{ "region_resize", handle_region_resize, METH_VARARGS,
	  "region_resize($self, id, size, /)\n--\n\nGive a region another size." },
	{ "region_move", handle_region_move, METH_VARARGS,
	  "region_move($self, id, gpa, /)\n--\n\nMove a region to another gpa." },
	METHODS_END,
};

static PyMethodDef methods[] = {
	{ "add", METHOD(layout_add), KEYWORDS,
	  "add($self, /, gpa, size, name='', *, offset=None, backing=0, flags=0)\n--\n\n"
	  "Add a region, and return its id. offset None: the gpa. flags: REGION_*." },
	{ "remove", layout_remove, METH_O, "remove($self, id, /)\n--\n\nRemove a region." },
	{ "resize", layout_resize, METH_VARARGS,
	  "resize($self, id, size, /)\n--\n\nGive a region another size." },
	{ "move", layout_move, METH_VARARGS,
	  "move($self, id, gpa, /)\n--\n\nMove a region to another gpa." },
	{ "commit", layout_commit, METH_NOARGS,
	  "commit($self, /)\n--\n\n"
	  "Make the change, for everyone or for no one. EBUSY: the time is over, and Error.blocker\n"
	  "says who was in the way. The transaction is over in any case." },
	{ "abort", layout_abort, METH_NOARGS, "abort($self, /)\n--\n\nChange nothing." },
	{ "__enter__", layout_enter, METH_NOARGS, "__enter__($self, /)\n--\n\nBegin." },
	{ "__exit__", layout_exit, METH_VARARGS, "__exit__($self, /, *args)\n--\n\n" },
	METHODS_END,
};

int layout_init(PyObject *module)
{
	PyType_Slot slots[] = {
		{ Py_tp_doc, "A change of the layout: all or nothing, for everybody." },
		{ Py_tp_dealloc, child_dealloc },
		{ Py_tp_methods, methods },
		{ 0, NULL },
	};
	PyType_Spec spec = {
		.name = "vas.Layout",
		.basicsize = sizeof(struct layout),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	return module_add_type(module, "Layout", &spec, &layout_type);
}
