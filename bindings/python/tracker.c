// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas.Tracker, a consumer of the dirty log; vas.Epoch, what was written since the last one. */
#include "bindings/python/tracker.h"

#include <errno.h>

#include "bindings/python/argument.h"
#include "bindings/python/tuples.h"

#define BATCH	  256
#define MAX_WORDS 65536

/*
 * To detach may wait for a transaction, so it is done in the handle's turn; and an object ends when
 * nobody can be asked to wait.
 */
struct late {
	struct vas_tracker *tracker;
	struct late *next;
};

struct tracker {
	struct child child;
	struct vas_tracker *tracker; /* NULL: not attached yet */
	struct late *late;	     /* for its end */
};

struct epoch {
	PyObject_HEAD struct tracker *tracker; /* a reference */
	PyObject *words;		       /* harvested, a list; or NULL */
	Py_ssize_t next;		       /* of words */
	uint64_t gpa;			       /* where the next harvest begins */
};

static PyTypeObject *tracker_type, *epoch_type;

/* ---- life --------------------------------------------------------------------------------- */

void tracker_detach_late(struct handle *handle)
{
	PyThreadState *state;
	struct late *late;

	while (handle->late) {
		late = handle->late;
		handle->late = late->next;
		state = call_begin(handle);
		vas_tracker_detach(late->tracker);
		call_end(handle, state);
		PyMem_Free(late);
	}
}

static int tracker_check(struct child *child)
{
	(void)child;
	return 0;
}

static void tracker_end(struct child *child)
{
	struct tracker *self = (struct tracker *)child;
	struct handle *handle = child->handle;

	if (!self->tracker) {
		PyMem_Free(self->late);
		return;
	}
	self->late->tracker = self->tracker;
	self->late->next = handle->late;
	handle->late = self->late;
	/* Somebody else has the turn: at its end, then. */
	if (handle_try_turn(handle))
		handle_turn_end(handle);
}

static const struct child_ops tracker_ops = { .check = tracker_check, .end = tracker_end };

/* In the handle's turn. */
static int attach(struct tracker *self, const char *name, uint32_t flags)
{
	struct handle *handle = self->child.handle;
	PyThreadState *state = call_begin(handle);
	int err = vas_tracker_attach(handle->vas, name, flags, &self->tracker);

	call_end(handle, state);
	if (err)
		error_raise(err);
	return err;
}

static PyObject *tracker_new(struct handle *handle, const char *name, uint32_t flags)
{
	struct tracker *self = child_new(tracker_type, handle, &tracker_ops);

	if (!self)
		return NULL;
	self->late = PyMem_Calloc(1, sizeof(*self->late));
	if (!self->late)
		PyErr_NoMemory();
	if (self->late && !attach(self, name, flags))
		return (PyObject *)self;
	Py_DECREF((PyObject *)self);
	return NULL;
}

static PyObject *handle_track(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "name", "all", NULL };
	char checked[VAS_REGION_NAME_LEN];
	const char *name = "python";
	PyObject *tracker;
	int all = 0;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|s$p:track", names, &name, &all) ||
	    argument_name(checked, sizeof(checked), name) || !handle_turn((struct handle *)object))
		return NULL;
	tracker = tracker_new((struct handle *)object, checked, all ? VAS_TRACKER_ALL : 0);
	handle_turn_end((struct handle *)object);
	return tracker;
}

/* In the handle's turn, so that one thread at a time uses the tracker. -1: raised. */
static int tracker_turn(struct tracker *self)
{
	if (!child_vas(&self->child) || !handle_turn(self->child.handle))
		return -1;
	if (child_vas(&self->child))
		return 0;
	handle_turn_end(self->child.handle);
	return -1;
}

static PyObject *tracker_close(PyObject *object, PyObject *unused)
{
	struct tracker *self = (struct tracker *)object;

	(void)unused;
	if (self->child.ended)
		Py_RETURN_NONE;
	if (tracker_turn(self))
		return NULL;
	child_end(&self->child);
	handle_turn_end(self->child.handle);
	Py_RETURN_NONE;
}

static PyObject *tracker_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return child_vas((struct child *)self) ? Py_NewRef(self) : NULL;
}

struct vas_tracker *tracker_of(PyObject *object, const struct handle *handle)
{
	struct tracker *self = (struct tracker *)object;

	if (!PyObject_TypeCheck(object, tracker_type))
		PyErr_SetString(PyExc_TypeError, "the tracker is no vas.Tracker");
	else if (self->child.handle != handle)
		PyErr_SetString(PyExc_ValueError, "the tracker is another handle's");
	else if (child_vas(&self->child))
		return self->tracker;
	return NULL;
}

/* ---- an epoch, step by step --------------------------------------------------------------- */

/* -1: raised. */
static int step(struct tracker *self, int (*call)(struct vas_tracker *tracker))
{
	struct handle *handle = self->child.handle;
	PyThreadState *state;
	int err;

	if (tracker_turn(self))
		return -1;
	state = call_begin(handle);
	err = call(self->tracker);
	call_end(handle, state);
	handle_turn_end(handle);
	if (err)
		error_raise(err);
	return err ? -1 : 0;
}

static PyObject *tracker_step(PyObject *self, int (*call)(struct vas_tracker *tracker))
{
	if (step((struct tracker *)self, call))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *tracker_begin(PyObject *self, PyObject *unused)
{
	(void)unused;
	return tracker_step(self, vas_tracker_begin);
}

static PyObject *tracker_commit(PyObject *self, PyObject *unused)
{
	(void)unused;
	return tracker_step(self, vas_tracker_commit);
}

static PyObject *tracker_abort(PyObject *self, PyObject *unused)
{
	(void)unused;
	return tracker_step(self, vas_tracker_abort);
}

/* A list of words, and *gpa moved on. The words are the library's until the turn ends. */
static PyObject *harvest(struct tracker *self, uint64_t *gpa, uint64_t end, size_t nr)
{
	struct handle *handle = self->child.handle;
	const struct vas_dirty_word *words;
	PyThreadState *state;
	PyObject *list;
	ssize_t taken;

	if (tracker_turn(self))
		return NULL;
	state = call_begin(handle);
	taken = vas_tracker_harvest(self->tracker, gpa, end, nr, &words);
	call_end(handle, state);
	if (taken < 0)
		list = error_raise((int)taken);
	else
		list = tuple_list(words, sizeof(*words), (size_t)taken, tuple_of_word);
	handle_turn_end(handle);
	return list;
}

static PyObject *tracker_harvest(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "gpa", "end", "nr", NULL };
	struct tracker *self = (struct tracker *)object;
	uint64_t gpa = 0, end = self->child.handle->limit;
	PyObject *end_object = Py_None, *words;
	size_t nr = 4096;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&OO&:harvest", names, convert_u64, &gpa,
					 &end_object, convert_size, &nr) ||
	    (end_object != Py_None && argument_u64(end_object, &end)))
		return NULL;
	words = harvest(self, &gpa, end, nr < MAX_WORDS ? nr : MAX_WORDS);
	return words ? Py_BuildValue("NK", words, (unsigned long long)gpa) : NULL;
}

/* ---- an epoch as an object ---------------------------------------------------------------- */

static PyObject *tracker_epoch(PyObject *object, PyObject *unused)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot(epoch_type, Py_tp_alloc);
	struct epoch *self = (struct epoch *)alloc(epoch_type, 0);

	(void)unused;
	if (self)
		self->tracker = (struct tracker *)Py_NewRef(object);
	return (PyObject *)self;
}

static void epoch_dealloc(PyObject *object)
{
	struct epoch *self = (struct epoch *)object;
	PyTypeObject *type = Py_TYPE(object);

	Py_DECREF((PyObject *)self->tracker);
	Py_XDECREF(self->words);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF((PyObject *)type);
}

static PyObject *epoch_enter(PyObject *object, PyObject *unused)
{
	struct epoch *self = (struct epoch *)object;

	(void)unused;
	if (step(self->tracker, vas_tracker_begin))
		return NULL;
	self->gpa = 0;
	Py_CLEAR(self->words);
	return Py_NewRef(object);
}

/* (type, value, traceback): an exception aborts. */
static PyObject *epoch_exit(PyObject *object, PyObject *args)
{
	struct tracker *tracker = ((struct epoch *)object)->tracker;
	PyObject *type = Py_None, *value, *traceback;

	if (!PyArg_UnpackTuple(args, "__exit__", 0, 3, &type, &value, &traceback) ||
	    step(tracker, type == Py_None ? vas_tracker_commit : vas_tracker_abort))
		return NULL;
	Py_RETURN_NONE;
}

/* The words of the next harvest that has some. -1: raised; 1: there are no more. */
static int epoch_refill(struct epoch *self)
{
	uint64_t limit = self->tracker->child.handle->limit;
	PyObject *words;

	while (self->gpa < limit) {
		words = harvest(self->tracker, &self->gpa, limit, BATCH);
		if (!words)
			return -1;
		Py_XDECREF(self->words);
		self->words = words;
		self->next = 0;
		if (PyList_Size(words) > 0)
			return 0;
		if (PyErr_CheckSignals())
			return -1;
	}
	return 1;
}

static PyObject *epoch_next(PyObject *object)
{
	struct epoch *self = (struct epoch *)object;

	if ((!self->words || self->next >= PyList_Size(self->words)) && epoch_refill(self))
		return NULL;
	return PySequence_GetItem(self->words, self->next++);
}

/* ---- the types ---------------------------------------------------------------------------- */

const PyMethodDef tracker_methods[] = {
	{ "track", METHOD(handle_track), KEYWORDS,
	  "track($self, /, name='python', *, all=False)\n--\n\n"
	  "Attach a Tracker: from here on every write is recorded. With all, memory that was ever\n"
	  "touched is dirty in the first epoch. ETIMEDOUT: the owner does not call notifications()." },
	METHODS_END,
};

static PyMethodDef methods[] = {
	{ "begin", tracker_begin, METH_NOARGS, "begin($self, /)\n--\n\nOpen an epoch." },
	{ "harvest", METHOD(tracker_harvest), KEYWORDS,
	  "harvest($self, /, gpa=0, end=None, nr=4096)\n--\n\n"
	  "Take up to nr words of dirty pages in [gpa, end): (a list of DirtyWord, where the next call\n"
	  "continues); at end all were taken. Copy those pages now." },
	{ "commit", tracker_commit, METH_NOARGS,
	  "commit($self, /)\n--\n\nClose the epoch: the harvested pages are dealt with." },
	{ "abort", tracker_abort, METH_NOARGS,
	  "abort($self, /)\n--\n\nClose the epoch: the pages will be harvested again." },
	{ "epoch", tracker_epoch, METH_NOARGS,
	  "epoch($self, /)\n--\n\n"
	  "An Epoch, opened by `with`: iterates over DirtyWord; committed at its end, aborted by an\n"
	  "exception." },
	{ "close", tracker_close, METH_NOARGS, "close($self, /)\n--\n\nDetach." },
	{ "__enter__", tracker_enter, METH_NOARGS, "__enter__($self, /)\n--\n\n" },
	{ "__exit__", tracker_close, METH_VARARGS, "__exit__($self, /, *args)\n--\n\nclose()" },
	METHODS_END,
};

static PyMethodDef epoch_methods[] = {
	{ "__enter__", epoch_enter, METH_NOARGS, "__enter__($self, /)\n--\n\nbegin()" },
	{ "__exit__", epoch_exit, METH_VARARGS, "__exit__($self, /, *args)\n--\n\n" },
	METHODS_END,
};

static int epoch_init(PyObject *module)
{
	PyType_Slot slots[] = {
		{ Py_tp_doc, "What was written since the last epoch: an iterator of DirtyWord." },
		{ Py_tp_dealloc, epoch_dealloc },
		{ Py_tp_methods, epoch_methods },
		{ Py_tp_iter, PyObject_SelfIter },
		{ Py_tp_iternext, epoch_next },
		{ 0, NULL },
	};
	PyType_Spec spec = {
		.name = "vas.Epoch",
		.basicsize = sizeof(struct epoch),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	return module_add_type(module, "Epoch", &spec, &epoch_type);
}

int tracker_init(PyObject *module)
{
	PyType_Slot slots[] = {
		{ Py_tp_doc, "One consumer of the dirty log." },
		{ Py_tp_dealloc, child_dealloc },
		{ Py_tp_methods, methods },
		{ 0, NULL },
	};
	PyType_Spec spec = {
		.name = "vas.Tracker",
		.basicsize = sizeof(struct tracker),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	return module_add_type(module, "Tracker", &spec, &tracker_type) ? -1 : epoch_init(module);
}
