// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The life of a handle. */
#include "bindings/python/handle.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "bindings/python/argument.h"
#include "bindings/python/tracker.h"

/* How long a signal may wait for its handler, and close() may sleep between two looks. */
#define SLICE_NS 100000000ull
#define PAUSE_NS 1000000l

PyTypeObject *handle_type;

static unsigned long nr_forks; /* written in a child, where there is one thread */

static void after_fork(void)
{
	nr_forks++;
}

/* ---- calls -------------------------------------------------------------------------------- */

/* In a child: threads that are not here will end no call, and give back no turn. */
static void forget_threads(struct handle *self)
{
	PyThread_type_lock turn = PyThread_allocate_lock();

	self->nr_forks = nr_forks;
	self->nr_calls = 0;
	self->waiters = NULL;
	self->closing = false;
	/* The old one may be locked for ever: it is left alone. */
	if (turn)
		self->turn = turn;
	self->turn_thread = 0;
}

struct vas *handle_vas(struct handle *self)
{
	if (self->nr_forks != nr_forks)
		forget_threads(self);
	if (self->vas && !self->closing)
		return self->vas;
	PyErr_SetString(PyExc_ValueError, "the handle is closed");
	return NULL;
}

PyThreadState *call_begin(struct handle *self)
{
	self->nr_calls++;
	return PyEval_SaveThread();
}

void call_end(struct handle *self, PyThreadState *state)
{
	PyEval_RestoreThread(state);
	self->nr_calls--;
}

bool handle_try_turn(struct handle *self)
{
	if (PyThread_acquire_lock_timed(self->turn, 0, 0) != PY_LOCK_ACQUIRED)
		return false;
	self->turn_thread = PyThread_get_thread_ident();
	return true;
}

/* -1: a signal handler has raised. */
static int take_turn(struct handle *self)
{
	PyLockStatus status;
	PyThreadState *state;

	if (handle_try_turn(self))
		return 0;
	do {
		if (PyErr_CheckSignals())
			return -1;
		state = PyEval_SaveThread();
		status = PyThread_acquire_lock_timed(self->turn, SLICE_NS / 1000, 1);
		PyEval_RestoreThread(state);
	} while (status != PY_LOCK_ACQUIRED);
	self->turn_thread = PyThread_get_thread_ident();
	return 0;
}

struct vas *handle_turn(struct handle *self)
{
	struct vas *vas = handle_vas(self);

	if (!vas)
		return NULL;
	if (handle_has_turn(self)) {
		error_raise_text(-EDEADLK, "in a transaction of the layout this would wait for "
					   "itself: commit or abort it first");
		return NULL;
	}
	if (take_turn(self))
		return NULL;
	vas = handle_vas(self);
	if (!vas)
		handle_turn_end(self);
	return vas;
}

void handle_turn_end(struct handle *self)
{
	tracker_detach_late(self);
	self->turn_thread = 0;
	PyThread_release_lock(self->turn);
}

bool handle_has_turn(const struct handle *self)
{
	return self->nr_forks == nr_forks && self->turn_thread == PyThread_get_thread_ident();
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

int64_t handle_wait(struct handle *self, const struct wait *wait)
{
	uint64_t start = now_ns(), gone = 0, slice;
	PyThreadState *state;
	struct vas *vas;
	int64_t result;

	do {
		vas = handle_vas(self);
		if (!vas || PyErr_CheckSignals())
			return -1;
		slice = wait->timeout_ns - gone < SLICE_NS ? wait->timeout_ns - gone : SLICE_NS;
		state = call_begin(self);
		result = wait->wait(vas, wait->id, slice);
		call_end(self, state);
		if (result != -ETIMEDOUT && result != -EINTR)
			break;
		gone = now_ns() - start;
	} while (gone < wait->timeout_ns);
	if (result == -ETIMEDOUT || result == -EINTR)
		error_raise_text(-ETIMEDOUT, wait->late);
	else if (result < 0)
		error_raise((int)result);
	return result < 0 ? -1 : result;
}

/* ---- children ----------------------------------------------------------------------------- */

static void unlink_child(struct child *child)
{
	if (!child->link)
		return;
	*child->link = child->next;
	if (child->next)
		child->next->link = child->link;
	child->link = NULL;
}

void *child_new(PyTypeObject *type, struct handle *handle, const struct child_ops *ops)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct child *child = (struct child *)alloc(type, 0); /* zeroed */

	if (!child)
		return NULL;
	child->handle = (struct handle *)Py_NewRef((PyObject *)handle);
	child->ops = ops;
	child->next = handle->children;
	if (child->next)
		child->next->link = &child->next;
	child->link = &handle->children;
	handle->children = child;
	return child;
}

void child_end(struct child *child)
{
	if (child->ended)
		return;
	child->ended = true;
	unlink_child(child);
	child->ops->end(child);
}

void child_dealloc(PyObject *self)
{
	struct child *child = (struct child *)self;
	PyTypeObject *type = Py_TYPE(self);
	PyObject *exception, *value, *traceback;

	PyErr_Fetch(&exception, &value, &traceback);
	child_end(child);
	PyErr_Restore(exception, value, traceback);
	Py_DECREF((PyObject *)child->handle);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF((PyObject *)type);
}

struct vas *child_vas(struct child *child)
{
	if (!child->ended)
		return handle_vas(child->handle);
	PyErr_Format(PyExc_ValueError, "the %S has ended", (PyObject *)Py_TYPE((PyObject *)child));
	return NULL;
}

static int check_children(struct handle *self)
{
	struct child *child;

	for (child = self->children; child; child = child->next)
		if (child->ops->check(child))
			return -1;
	return 0;
}

static void end_children(struct handle *self)
{
	struct child *child;

	while (self->children) {
		child = (struct child *)Py_NewRef((PyObject *)self->children);
		child_end(child);
		Py_DECREF((PyObject *)child);
	}
}

/* ---- close -------------------------------------------------------------------------------- */

/* Until the other threads' calls have ended. -1: a signal handler has raised. */
static int await_calls(struct handle *self)
{
	struct timespec pause = { .tv_nsec = PAUSE_NS };
	PyThreadState *state;

	while (self->nr_calls) {
		state = PyEval_SaveThread();
		nanosleep(&pause, NULL);
		PyEval_RestoreThread(state);
		if (PyErr_CheckSignals())
			return -1;
	}
	return 0;
}

/* Nobody calls any more, and there are no children. */
static void end(struct handle *self, void (*library_end)(struct vas *vas))
{
	struct vas *vas = self->vas;
	PyThreadState *state;

	self->vas = NULL;
	state = PyEval_SaveThread();
	library_end(vas);
	PyEval_RestoreThread(state);
}

/* In the handle's turn. Children may have been made by calls that were going on. */
static int close_in_turn(struct handle *self, void (*library_end)(struct vas *vas))
{
	int err = check_children(self);

	self->closing = true;
	if (!err)
		err = await_calls(self);
	if (!err)
		err = check_children(self);
	if (!err) {
		end_children(self);
		tracker_detach_late(self);
		/* Of a child whose object is being freed by another thread. */
		err = await_calls(self);
	}
	if (!err)
		end(self, library_end);
	self->closing = false;
	return err;
}

static PyObject *close_with(struct handle *self, void (*library_end)(struct vas *vas))
{
	int err;

	if (!self->vas)
		Py_RETURN_NONE;
	if (!handle_turn(self))
		return NULL;
	err = close_in_turn(self, library_end);
	handle_turn_end(self);
	if (err)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *handle_close(PyObject *self, PyObject *unused)
{
	(void)unused;
	return close_with((struct handle *)self, vas_unbind);
}

static PyObject *handle_destroy(PyObject *self, PyObject *unused)
{
	(void)unused;
	return close_with((struct handle *)self, vas_destroy);
}

static PyObject *handle_exit(PyObject *self, PyObject *args)
{
	(void)args;
	return handle_close(self, NULL);
}

static PyObject *handle_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return handle_vas((struct handle *)self) ? Py_NewRef(self) : NULL;
}

static void handle_dealloc(PyObject *object)
{
	struct handle *self = (struct handle *)object;
	PyTypeObject *type = Py_TYPE(object);
	PyObject *exception, *value, *traceback;

	PyErr_Fetch(&exception, &value, &traceback);
	tracker_detach_late(self);
	if (self->vas)
		end(self, vas_unbind);
	PyErr_Restore(exception, value, traceback);
	PyThread_free_lock(self->turn);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF((PyObject *)type);
}

/* ---- create, bind, adopt ------------------------------------------------------------------ */

/* What never changes. */
static int learn_facts(struct handle *self)
{
	struct vas_info info;
	int err = vas_info(self->vas, &info);

	if (err) {
		error_raise(err);
		return -1;
	}
	self->limit = info.limit;
	self->is_observer = info.role == VAS_ROLE_OBSERVER;
	return 0;
}

PyObject *handle_new(struct vas *vas)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot(handle_type, Py_tp_alloc);
	PyThread_type_lock turn = PyThread_allocate_lock();
	struct handle *self = turn ? (struct handle *)alloc(handle_type, 0) : NULL;

	if (!self) {
		if (turn)
			PyThread_free_lock(turn);
		vas_unbind(vas);
		return PyErr_Occurred() ? NULL : PyErr_NoMemory();
	}
	self->vas = vas;
	self->turn = turn;
	self->nr_forks = nr_forks;
	if (!learn_facts(self))
		return (PyObject *)self;
	Py_DECREF((PyObject *)self);
	return NULL;
}

static PyObject *handle_result(int err, struct vas *vas)
{
	return err ? error_raise(err) : handle_new(vas);
}

static PyObject *create(PyObject *module, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "limit",	"name",	    "ram_size", "flags",
				 "max_regions", "nr_slots", NULL };
	struct vas_options options = { 0 };
	PyThreadState *state;
	struct vas *vas;
	int err;

	(void)module;
	if (!PyArg_ParseTupleAndKeywords(
		    args, kwargs, "O&|$zO&O&O&O&:create", names, convert_u64, &options.limit,
		    &options.name, convert_u64, &options.ram_size, convert_u32, &options.flags,
		    convert_u32, &options.max_regions, convert_u32, &options.nr_slots))
		return NULL;
	state = PyEval_SaveThread();
	err = vas_create(&options, &vas);
	PyEval_RestoreThread(state);
	return handle_result(err, vas);
}

static PyObject *bind_with(int (*library_bind)(int fd, uint32_t flags, struct vas **vas), int fd,
			   uint32_t flags)
{
	PyThreadState *state = PyEval_SaveThread();
	struct vas *vas;
	int err = library_bind(fd, flags, &vas);

	PyEval_RestoreThread(state);
	return handle_result(err, vas);
}

static PyObject *bind(PyObject *module, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "fd", "flags", NULL };
	uint32_t flags = 0;
	int fd;

	(void)module;
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|O&:bind", names, convert_fd, &fd,
					 convert_u32, &flags))
		return NULL;
	return bind_with(vas_bind, fd, flags);
}

static PyObject *observe(PyObject *module, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "fd", "flags", NULL };
	uint32_t flags = 0;
	int fd;

	(void)module;
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|O&:observe", names, convert_fd, &fd,
					 convert_u32, &flags))
		return NULL;
	return bind_with(vas_bind, fd, flags | VAS_BIND_OBSERVE);
}

static PyObject *recv_fds(PyObject *module, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "sock", "flags", NULL };
	uint32_t flags = 0;
	int sock;

	(void)module;
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|O&:recv_fds", names, convert_fd, &sock,
					 convert_u32, &flags))
		return NULL;
	return bind_with(vas_recv_fds, sock, flags);
}

const PyMethodDef handle_functions[] = {
	{ "create", METHOD(create), KEYWORDS,
	  "create($module, /, limit, *, name=None, ram_size=0, flags=0, max_regions=0, nr_slots=0)\n"
	  "--\n\n"
	  "Create a vas and own it. No gpa is at or above limit. flags: CREATE_*." },
	{ "bind", METHOD(bind), KEYWORDS,
	  "bind($module, /, fd, flags=0)\n--\n\n"
	  "Bind to the vas behind fd, a number or what has fileno(). The caller keeps fd.\n"
	  "flags: BIND_*. With a read-only fd the handle observes." },
	{ "observe", METHOD(observe), KEYWORDS,
	  "observe($module, /, fd, flags=0)\n--\n\n"
	  "Bind as an observer: read-only, and nothing is stored in the vas." },
	{ "recv_fds", METHOD(recv_fds), KEYWORDS,
	  "recv_fds($module, /, sock, flags=0)\n--\n\n"
	  "Receive what Handle.send_fds() sent over a Unix socket, and bind." },
	METHODS_END,
};

/*
 * The library allows no other call meanwhile: none is going on here, and the GIL, which is kept,
 * lets none begin.
 */
static PyObject *handle_adopt(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	struct vas *vas = handle_vas(self);
	int err;

	(void)unused;
	if (!vas)
		return NULL;
	if (self->nr_calls || !handle_try_turn(self))
		return error_raise_text(-EBUSY, "another call on the handle is going on");
	err = vas_adopt(vas);
	handle_turn_end(self);
	if (err)
		return error_raise(err);
	Py_RETURN_NONE;
}

static PyObject *handle_closed(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(!((struct handle *)self)->vas);
}

static PyObject *handle_generation(PyObject *self, void *unused)
{
	struct vas *vas = handle_vas((struct handle *)self);

	(void)unused;
	return vas ? PyLong_FromUnsignedLongLong(vas_generation(vas)) : NULL;
}

/* ---- the type ----------------------------------------------------------------------------- */

PyDoc_STRVAR(
	close_doc,
	"close($self, /)\n--\n\n"
	"Close the handle. Calls of other threads end first; those that wait raise ValueError.\n"
	"Mappings end, and trackers. BufferError: a mapping has an exported buffer. vas.Error, "
	"EBUSY:\na section or a transaction is open. An owner leaves a vas that another process "
	"can adopt.");

static const PyMethodDef life_methods[] = {
	{ "close", handle_close, METH_NOARGS, close_doc },
	{ "destroy", handle_destroy, METH_NOARGS,
	  "destroy($self, /)\n--\n\n"
	  "As the owner, remove every region and close the handle: the end of the vas." },
	{ "adopt", handle_adopt, METH_NOARGS,
	  "adopt($self, /)\n--\n\nOwn the vas, if its owner is gone. EBUSY: it is not." },
	{ "__enter__", handle_enter, METH_NOARGS, "__enter__($self, /)\n--\n\n" },
	{ "__exit__", handle_exit, METH_VARARGS, "__exit__($self, /, *args)\n--\n\nclose()" },
	METHODS_END,
};

static PyGetSetDef getters[] = {
	{ "closed", handle_closed, NULL, "Whether the handle is closed.", NULL },
	{ "generation", handle_generation, NULL,
	  "Counted up by each change of layout, tracking or freeze.", NULL },
	GETTERS_END,
};

static const PyMethodDef *const method_tables[] = {
	life_methods,	 handle_facts_methods, memory_methods,	 layout_methods,  backing_methods,
	vector_methods,	 search_methods,       map_methods,	 section_methods, event_methods,
	tracker_methods, freeze_methods,       snapshot_methods,
};

#define MAX_METHODS 96

/* All tables as one, which a type wants. */
static PyMethodDef *all_methods(void)
{
	static PyMethodDef all[MAX_METHODS];
	const PyMethodDef *m;
	size_t i, nr = 0;

	for (i = 0; i < sizeof(method_tables) / sizeof(method_tables[0]); i++)
		for (m = method_tables[i]; m->ml_name && nr < MAX_METHODS - 1; m++)
			all[nr++] = *m;
	return all;
}

int handle_init(PyObject *module)
{
	PyType_Slot slots[] = {
		{ Py_tp_doc, "A process's use of a vas, as owner, binder or observer." },
		{ Py_tp_dealloc, handle_dealloc },
		{ Py_tp_repr, handle_repr },
		{ Py_tp_methods, all_methods() },
		{ Py_tp_getset, getters },
		{ 0, NULL },
	};
	PyType_Spec spec = {
		.name = "vas.Handle",
		.basicsize = sizeof(struct handle),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	if (pthread_atfork(NULL, NULL, after_fork)) {
		PyErr_NoMemory();
		return -1;
	}
	return module_add_type(module, "Handle", &spec, &handle_type);
}
