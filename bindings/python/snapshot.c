// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Snapshots: a vas as a file, and back. */
#include <vas/migrate.h>

#include "bindings/python/argument.h"
#include "bindings/python/tracker.h"

/* Paths as bytes objects; parent may be NULL. */
struct save {
	PyObject *path;
	PyObject *parent;
	struct vas_tracker *tracker;
};

/* In the handle's turn. */
static PyObject *save(struct handle *self, const struct save *s)
{
	const char *path = PyBytes_AsString(s->path);
	const char *parent = s->parent ? PyBytes_AsString(s->parent) : NULL;
	PyThreadState *state = call_begin(self);
	int err = vas_snapshot_save(self->vas, path, parent, s->tracker);

	call_end(self, state);
	if (err)
		return error_raise(err);
	Py_RETURN_NONE;
}

static PyObject *save_in_turn(struct handle *self, struct save *s, PyObject *tracker)
{
	PyObject *result = NULL;

	if (!handle_turn(self))
		return NULL;
	if (tracker != Py_None)
		s->tracker = tracker_of(tracker, self);
	if (tracker == Py_None || s->tracker)
		result = save(self, s);
	handle_turn_end(self);
	return result;
}

static PyObject *handle_snapshot(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "path", "parent", "tracker", NULL };
	PyObject *parent = Py_None, *tracker = Py_None, *result = NULL;
	struct save s = { 0 };

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|OO:snapshot", names,
					 PyUnicode_FSConverter, &s.path, &parent, &tracker))
		return NULL;
	if (parent == Py_None || PyUnicode_FSConverter(parent, &s.parent))
		result = save_in_turn((struct handle *)self, &s, tracker);
	Py_DECREF(s.path);
	Py_XDECREF(s.parent);
	return result;
}

static PyObject *restore_with(PyObject *args, PyObject *kwargs, uint32_t more_flags)
{
	static char *names[] = { "path", "flags", NULL };
	PyThreadState *state;
	uint32_t flags = 0;
	struct vas *vas;
	const char *name;
	PyObject *path;
	int err;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|O&", names, PyUnicode_FSConverter, &path,
					 convert_u32, &flags))
		return NULL;
	name = PyBytes_AsString(path);
	state = PyEval_SaveThread();
	err = vas_snapshot_restore(name, flags | more_flags, &vas);
	PyEval_RestoreThread(state);
	Py_DECREF(path);
	return err ? error_raise(err) : handle_new(vas);
}

static PyObject *restore(PyObject *module, PyObject *args, PyObject *kwargs)
{
	(void)module;
	return restore_with(args, kwargs, 0);
}

static PyObject *clone(PyObject *module, PyObject *args, PyObject *kwargs)
{
	(void)module;
	return restore_with(args, kwargs, VAS_RESTORE_CLONE);
}

const PyMethodDef snapshot_methods[] = {
	{ "snapshot", METHOD(handle_snapshot), KEYWORDS,
	  "snapshot($self, /, path, parent=None, tracker=None)\n--\n\n"
	  "Save a snapshot, frozen meanwhile: a sparse file that appears whole or not at all. With a\n"
	  "parent, what differs from it; with a tracker whose epoch is open, that epoch's pages." },
	METHODS_END,
};

const PyMethodDef snapshot_functions[] = {
	{ "restore", METHOD(restore), KEYWORDS,
	  "restore($module, /, path, flags=0)\n--\n\n"
	  "A new vas with the layout and bytes of a snapshot. flags: RESTORE_*." },
	{ "clone", METHOD(clone), KEYWORDS,
	  "clone($module, /, path, flags=0)\n--\n\n"
	  "A new vas whose pages are copied from a snapshot when they are touched." },
	METHODS_END,
};
