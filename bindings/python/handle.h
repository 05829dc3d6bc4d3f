/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * vas.Handle, and what makes it safe from any thread, in any order of calls.
 *
 * All fields here are written with the GIL held, and that is their lock. A call of the library that
 * may wait is made without it:
 *
 *	vas = handle_vas(self);		raises if the handle is closed; after the arguments are
 *					taken, for that may run code of theirs, which may close it
 *	state = call_begin(self);	counted, the GIL released: close() waits for its end
 *	err = vas_...();
 *	call_end(self, state);
 *
 * The library makes one change of a vas (layout, freeze, trackers) at a time, and holds a mutex
 * meanwhile, from the begin of a transaction to its end. Here such a call takes the handle's turn
 * first, handle_turn() instead of handle_vas(): waiting for that can be interrupted, and whoever
 * would wait for itself is told so.
 *
 * What is made of a handle (mappings, sections, transactions, trackers) is its child: it has a
 * reference to the handle, the handle a list of them, and close() ends them or says which is in
 * use.
 *
 * After fork(), in the child, calls of other threads will never end, and no longer count.
 */
#ifndef VAS_PYTHON_HANDLE_H
#define VAS_PYTHON_HANDLE_H

#include <stdbool.h>
#include <vas/dirty.h>
#include <vas/vas.h>

#include "bindings/python/error.h"

struct handle {
	PyObject_HEAD struct vas *vas; /* NULL: closed */
	uint64_t limit;		       /* no gpa is at or above it */
	bool is_observer;
	bool closing;		 /* a thread is in close(): no new calls */
	unsigned long nr_calls;	 /* without the GIL */
	unsigned long nr_forks;	 /* of the process, when the above was true */
	struct child *children;	 /* that have not ended */
	struct waiter *waiters;	 /* event.c: threads that wait for an event */
	PyThread_type_lock turn; /* for who changes the vas */
	unsigned long turn_thread;
	struct late *late; /* tracker.c: trackers to be detached at the turn's end */
};

extern PyTypeObject *handle_type;

/* A handle for what the library made, which it owns from now on, also on an error: NULL then. */
PyObject *handle_new(struct vas *vas);

/* The vas; or NULL with ValueError set: the handle is closed. */
struct vas *handle_vas(struct handle *self);

PyThreadState *call_begin(struct handle *self);
void call_end(struct handle *self, PyThreadState *state);

/* The vas, after taking the turn; or NULL with an exception set. */
struct vas *handle_turn(struct handle *self);
void handle_turn_end(struct handle *self);
/* Take the turn if nobody has it. */
bool handle_try_turn(struct handle *self);
/* Does this thread have the turn? */
bool handle_has_turn(const struct handle *self);

/*
 * Wait in slices, so that signals are handled: wait() of the library with a part of what is left of
 * timeout_ns at a time, until it returns something other than -ETIMEDOUT and -EINTR. An error is
 * raised, with `late` as the sentence of -ETIMEDOUT: -1.
 */
struct wait {
	int64_t (*wait)(struct vas *vas, uint32_t id, uint64_t timeout_ns);
	uint32_t id;
	uint64_t timeout_ns; /* UINT64_MAX: for ever */
	const char *late;
};
int64_t handle_wait(struct handle *self, const struct wait *wait);

/* ---- children ----------------------------------------------------------------------------- */

struct child;

struct child_ops {
	/* -1 with an exception set: the handle cannot be closed now. */
	int (*check)(struct child *child);
	/* End it. Called once, with the GIL, which it may release: the handle is still there. */
	void (*end)(struct child *child);
};

struct child {
	PyObject_HEAD struct handle *handle; /* a reference */
	const struct child_ops *ops;
	bool ended;
	struct child *next;
	struct child **link; /* what points to this one; NULL: not in a list */
};

/* A new object of a type whose struct begins with struct child, not ended yet. NULL: raised. */
void *child_new(PyTypeObject *type, struct handle *handle, const struct child_ops *ops);
/* End it, unless it has ended. */
void child_end(struct child *child);
/* For Py_tp_dealloc: ends it, too. */
void child_dealloc(PyObject *self);
/* The vas; or NULL with ValueError set: child or handle have ended. */
struct vas *child_vas(struct child *child);

/* ---- methods ------------------------------------------------------------------------------ */

/* Of vas.Handle, by the files that have them. */
extern const PyMethodDef handle_facts_methods[];
extern const PyMethodDef memory_methods[];
extern const PyMethodDef vector_methods[];
extern const PyMethodDef search_methods[];
extern const PyMethodDef map_methods[];
extern const PyMethodDef section_methods[];
extern const PyMethodDef layout_methods[];
extern const PyMethodDef backing_methods[];
extern const PyMethodDef event_methods[];
extern const PyMethodDef tracker_methods[];
extern const PyMethodDef freeze_methods[];
extern const PyMethodDef snapshot_methods[];

/* For Py_tp_repr. */
PyObject *handle_repr(PyObject *object);

/* Of the module: functions that return a handle. */
extern const PyMethodDef handle_functions[];
extern const PyMethodDef snapshot_functions[];

int handle_init(PyObject *module);
int map_init(PyObject *module);
int section_init(PyObject *module);
int layout_init(PyObject *module);
int event_init(PyObject *module);
int tracker_init(PyObject *module);

#endif
