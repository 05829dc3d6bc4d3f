// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas.Event: a doorbell or an interrupt. Its fd is for poll, epoll and asyncio. */
#include <errno.h>
#include <string.h>

#include "bindings/python/argument.h"
#include "bindings/python/handle.h"
#include "bindings/python/tuples.h"

/* The library finds it by its id each time: it may have been removed. */
struct event {
	PyObject_HEAD struct handle *handle; /* a reference */
	uint32_t id;
};

/* A thread that waits for an event, which must not be removed meanwhile. */
struct waiter {
	uint32_t id;
	struct waiter *next;
};

static PyTypeObject *event_type;

/* ---- objects ------------------------------------------------------------------------------ */

static PyObject *event_new(struct handle *handle, uint32_t id)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot(event_type, Py_tp_alloc);
	struct event *self = (struct event *)alloc(event_type, 0);

	if (!self)
		return NULL;
	self->handle = (struct handle *)Py_NewRef((PyObject *)handle);
	self->id = id;
	return (PyObject *)self;
}

static void event_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);

	Py_DECREF((PyObject *)((struct event *)object)->handle);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF((PyObject *)type);
}

static struct vas *event_vas(PyObject *object)
{
	return handle_vas(((struct event *)object)->handle);
}

/* By id, an int, or by name. */
static PyObject *handle_event(PyObject *object, PyObject *key)
{
	struct handle *self = (struct handle *)object;
	const char *name = NULL;
	struct vas_event event;
	struct vas *vas;
	uint32_t id = 0;
	int err;

	if (PyUnicode_Check(key))
		name = PyUnicode_AsUTF8AndSize(key, NULL);
	if (PyUnicode_Check(key) ? !name : !convert_u32(key, &id))
		return NULL;
	vas = handle_vas(self);
	if (!vas)
		return NULL;
	err = name ? vas_event_find_by_name(vas, name, &event) : vas_event_find(vas, id, &event);
	return err ? error_raise(err) : event_new(self, event.id);
}

/* ---- the owner's -------------------------------------------------------------------------- */

/* -1: raised. */
static int set_kind(struct vas_event *event, const char *kind)
{
	if (!strcmp(kind, "doorbell"))
		event->kind = VAS_EVENT_DOORBELL;
	else if (!strcmp(kind, "irq"))
		event->kind = VAS_EVENT_IRQ;
	else
		PyErr_SetString(PyExc_ValueError, "an event is a 'doorbell' or an 'irq'");
	return event->kind ? 0 : -1;
}

static PyObject *handle_event_add(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {
		"kind", "id", "name", "addr", "data", "len", "gsi", "flags", NULL
	};
	struct handle *self = (struct handle *)object;
	const char *kind, *name = "";
	struct vas_event e = { 0 };
	struct vas *vas;
	int err;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&|s$O&O&O&O&O&:event_add", names, &kind,
					 convert_u32, &e.id, &name, convert_u64, &e.addr,
					 convert_u64, &e.data, convert_u32, &e.len, convert_u32,
					 &e.gsi, convert_u32, &e.flags) ||
	    set_kind(&e, kind) || argument_name(e.name, sizeof(e.name), name))
		return NULL;
	vas = handle_vas(self);
	if (!vas)
		return NULL;
	err = vas_event_add(vas, &e);
	return err ? error_raise(err) : event_new(self, e.id);
}

static PyObject *event_remove(PyObject *object, PyObject *unused)
{
	struct event *self = (struct event *)object;
	struct vas *vas = event_vas(object);
	const struct waiter *waiter;
	int err;

	(void)unused;
	if (!vas)
		return NULL;
	for (waiter = self->handle->waiters; waiter; waiter = waiter->next)
		if (waiter->id == self->id)
			return error_raise_text(-EBUSY, "a thread waits for the event");
	err = vas_event_remove(vas, self->id);
	if (err)
		return error_raise(err);
	Py_RETURN_NONE;
}

/* ---- anyone's ----------------------------------------------------------------------------- */

static void remove_waiter(struct handle *handle, const struct waiter *waiter)
{
	struct waiter **p;

	for (p = &handle->waiters; *p; p = &(*p)->next) {
		if (*p == waiter) {
			*p = waiter->next;
			break;
		}
	}
}

static PyObject *event_wait(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "timeout", NULL };
	struct event *self = (struct event *)object;
	struct wait wait = { .wait = vas_doorbell_wait,
			     .id = self->id,
			     .timeout_ns = UINT64_MAX,
			     .late = "the event was not raised in time" };
	struct waiter waiter = { .id = self->id };
	int64_t count;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&:wait", names, convert_timeout,
					 &wait.timeout_ns))
		return NULL;
	waiter.next = self->handle->waiters;
	self->handle->waiters = &waiter;
	count = handle_wait(self->handle, &wait);
	remove_waiter(self->handle, &waiter);
	return count < 0 ? NULL : PyLong_FromLongLong(count);
}

static PyObject *event_signal(PyObject *object, PyObject *unused)
{
	struct event *self = (struct event *)object;
	struct vas *vas = event_vas(object);
	int err;

	(void)unused;
	if (!vas)
		return NULL;
	/* An interrupt is raised by the same call. */
	err = vas_doorbell_ring(vas, self->id);
	if (err)
		return error_raise(err);
	Py_RETURN_NONE;
}

static PyObject *fd_of(PyObject *object, int (*get)(struct vas *vas, uint32_t id))
{
	struct vas *vas = event_vas(object);
	int fd = vas ? get(vas, ((struct event *)object)->id) : 0;

	if (!vas)
		return NULL;
	return fd < 0 ? error_raise(fd) : PyLong_FromLong(fd);
}

static PyObject *event_fileno(PyObject *self, PyObject *unused)
{
	(void)unused;
	return fd_of(self, vas_event_fd);
}

static PyObject *event_resample_fileno(PyObject *self, PyObject *unused)
{
	(void)unused;
	return fd_of(self, vas_event_resample_fd);
}

static PyObject *event_info(PyObject *object, PyObject *unused)
{
	struct vas *vas = event_vas(object);
	struct vas_event event;
	int err;

	(void)unused;
	if (!vas)
		return NULL;
	err = vas_event_find(vas, ((struct event *)object)->id, &event);
	return err ? error_raise(err) : tuple_of_event(&event);
}

static PyObject *event_id(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(((struct event *)self)->id);
}

/* ---- methods ------------------------------------------------------------------------------ */

PyDoc_STRVAR(
	event_add_doc,
	"event_add($self, /, kind, id, name='', *, addr=0, data=0, len=0, gsi=0, flags=0)\n--\n\n"
	"Declare a 'doorbell' or an 'irq', as the owner, and return the Event. flags: EVENT_*.");

const PyMethodDef event_methods[] = {
	{ "event", handle_event, METH_O,
	  "event($self, key, /)\n--\n\nThe Event with this id, or of this name. ENOENT." },
	{ "event_add", METHOD(handle_event_add), KEYWORDS, event_add_doc },
	METHODS_END,
};

static PyMethodDef methods[] = {
	{ "wait", METHOD(event_wait), KEYWORDS,
	  "wait($self, /, timeout=None)\n--\n\n"
	  "Wait until it is raised; returns how often it was since the last wait. ETIMEDOUT after\n"
	  "timeout seconds; None: never." },
	{ "signal", event_signal, METH_NOARGS,
	  "signal($self, /)\n--\n\n"
	  "Raise the interrupt, or ring the doorbell in the guest's place. Never sleeps." },
	{ "fileno", event_fileno, METH_NOARGS,
	  "fileno($self, /)\n--\n\nThe eventfd, which belongs to the handle: readable when raised." },
	{ "resample_fileno", event_resample_fileno, METH_NOARGS,
	  "resample_fileno($self, /)\n--\n\n"
	  "The second fd of an EVENT_RESAMPLE interrupt: readable once the guest has acknowledged." },
	{ "info", event_info, METH_NOARGS, "info($self, /)\n--\n\nWhat it is: an EventInfo." },
	{ "remove", event_remove, METH_NOARGS,
	  "remove($self, /)\n--\n\nRemove it, as the owner. EBUSY: a thread waits for it." },
	METHODS_END,
};

static PyGetSetDef getters[] = {
	{ "id", event_id, NULL, "Its id.", NULL },
	GETTERS_END,
};

int event_init(PyObject *module)
{
	PyType_Slot slots[] = {
		{ Py_tp_doc, "A doorbell or an interrupt of a vas." },
		{ Py_tp_dealloc, event_dealloc },
		{ Py_tp_methods, methods },
		{ Py_tp_getset, getters },
		{ 0, NULL },
	};
	PyType_Spec spec = {
		.name = "vas.Event",
		.basicsize = sizeof(struct event),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	return module_add_type(module, "Event", &spec, &event_type);
}
