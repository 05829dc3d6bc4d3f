// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Stopping all writers; waiting until they may write, or until lazy pages are there. */
#include "bindings/python/argument.h"
#include "bindings/python/handle.h"

#include <vas/lazy.h>

static PyObject *handle_freeze(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "timeout", NULL };
	struct handle *self = (struct handle *)object;
	uint64_t timeout_ns = VAS_TIMEOUT_DEFAULT_NS;
	struct vas_blocker blocker = { 0 };
	PyThreadState *state;
	struct vas *vas;
	int err;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&:freeze", names, convert_timeout,
					 &timeout_ns))
		return NULL;
	vas = handle_turn(self);
	if (!vas)
		return NULL;
	state = call_begin(self);
	err = vas_freeze(vas, timeout_ns, &blocker);
	call_end(self, state);
	handle_turn_end(self);
	if (err)
		return error_raise_blocked(err, &blocker);
	Py_RETURN_NONE;
}

static PyObject *handle_thaw(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	struct vas *vas = handle_turn(self);
	PyThreadState *state;
	int err;

	(void)unused;
	if (!vas)
		return NULL;
	state = call_begin(self);
	err = vas_thaw(vas);
	call_end(self, state);
	handle_turn_end(self);
	if (err)
		return error_raise(err);
	Py_RETURN_NONE;
}

static int64_t thawed(struct vas *vas, uint32_t id, uint64_t timeout_ns)
{
	(void)id;
	return vas_wait_thawed(vas, timeout_ns);
}

static int64_t filled(struct vas *vas, uint32_t id, uint64_t timeout_ns)
{
	(void)id;
	return vas_lazy_wait(vas, timeout_ns);
}

static PyObject *wait_with(PyObject *self, PyObject *args, PyObject *kwargs, struct wait wait)
{
	static char *names[] = { "timeout", NULL };

	wait.timeout_ns = UINT64_MAX;
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&", names, convert_timeout,
					 &wait.timeout_ns) ||
	    handle_wait((struct handle *)self, &wait) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *handle_wait_thawed(PyObject *self, PyObject *args, PyObject *kwargs)
{
	struct wait wait = { .wait = thawed, .late = "the vas was not thawed in time" };

	return wait_with(self, args, kwargs, wait);
}

static PyObject *handle_lazy_wait(PyObject *self, PyObject *args, PyObject *kwargs)
{
	struct wait wait = { .wait = filled, .late = "lazy pages were not all filled in time" };

	return wait_with(self, args, kwargs, wait);
}

const PyMethodDef freeze_methods[] = {
	{ "freeze", METHOD(handle_freeze), KEYWORDS,
	  "freeze($self, /, timeout=1.0)\n--\n\n"
	  "Stop every writer, as the owner. EBUSY: the time is over, and Error.blocker says who did\n"
	  "not stop." },
	{ "thaw", handle_thaw, METH_NOARGS, "thaw($self, /)\n--\n\nLet writers write again." },
	{ "wait_thawed", METHOD(handle_wait_thawed), KEYWORDS,
	  "wait_thawed($self, /, timeout=None)\n--\n\n"
	  "Wait until the vas is not frozen, as a writer does after EAGAIN. ETIMEDOUT." },
	{ "lazy_wait", METHOD(handle_lazy_wait), KEYWORDS,
	  "lazy_wait($self, /, timeout=None)\n--\n\n"
	  "Wait until all lazy pages are filled; of a clone, fill them all. ETIMEDOUT, EIO." },
	METHODS_END,
};
