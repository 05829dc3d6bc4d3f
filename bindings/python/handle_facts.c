// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a handle says of its vas, its fds, and notification. */
#include <stdlib.h>

#include "bindings/python/argument.h"
#include "bindings/python/handle.h"
#include "bindings/python/tuples.h"

/* ---- facts -------------------------------------------------------------------------------- */

static PyObject *handle_info(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	struct vas *vas = handle_vas(self);
	PyThreadState *state;
	struct vas_info info;
	int err;

	(void)unused;
	if (!vas)
		return NULL;
	state = call_begin(self);
	err = vas_info(vas, &info);
	call_end(self, state);
	return err ? error_raise(err) : tuple_of_info(&info);
}

/* Of what the library lists: it stores up to nr items, and returns how many there are. */
struct listing {
	ssize_t (*list)(struct vas *vas, void *items, size_t nr);
	size_t size;
	PyObject *(*tuple)(const void *item);
};

static ssize_t list_regions(struct vas *vas, void *items, size_t nr)
{
	return vas_regions(vas, items, nr);
}

static ssize_t list_events(struct vas *vas, void *items, size_t nr)
{
	return vas_events(vas, items, nr);
}

static ssize_t list_trackers(struct vas *vas, void *items, size_t nr)
{
	return vas_trackers(vas, items, nr);
}

static const struct listing regions = { list_regions, sizeof(struct vas_region), tuple_of_region };
static const struct listing events = { list_events, sizeof(struct vas_event), tuple_of_event };
static const struct listing trackers = { list_trackers, sizeof(struct vas_tracker_info),
					 tuple_of_tracker };

/* All of them, in memory that the caller frees. There may be more at each look. */
static ssize_t list_all(struct vas *vas, const struct listing *listing, void **items)
{
	size_t room = 16;
	ssize_t nr;
	void *more;

	for (*items = NULL;; room = (size_t)nr) {
		more = realloc(*items, room * listing->size);
		if (!more)
			return -ENOMEM;
		*items = more;
		nr = listing->list(vas, *items, room);
		if (nr < 0 || (size_t)nr <= room)
			return nr;
	}
}

static PyObject *list(PyObject *object, const struct listing *listing)
{
	struct handle *self = (struct handle *)object;
	struct vas *vas = handle_vas(self);
	PyThreadState *state;
	PyObject *result;
	void *items;
	ssize_t nr;

	if (!vas)
		return NULL;
	state = call_begin(self);
	nr = list_all(vas, listing, &items);
	call_end(self, state);
	if (nr < 0)
		result = error_raise((int)nr);
	else
		result = tuple_list(items, listing->size, (size_t)nr, listing->tuple);
	free(items);
	return result;
}

static PyObject *handle_regions(PyObject *self, PyObject *unused)
{
	(void)unused;
	return list(self, &regions);
}

static PyObject *handle_events(PyObject *self, PyObject *unused)
{
	(void)unused;
	return list(self, &events);
}

static PyObject *handle_trackers(PyObject *self, PyObject *unused)
{
	(void)unused;
	return list(self, &trackers);
}

static PyObject *find_region(PyObject *object, PyObject *key,
			     int (*find)(struct vas *, uint64_t, struct vas_region *))
{
	struct handle *self = (struct handle *)object;
	struct vas_region region;
	PyThreadState *state;
	struct vas *vas;
	uint64_t number;
	int err;

	if (argument_u64(key, &number))
		return NULL;
	vas = handle_vas(self);
	if (!vas)
		return NULL;
	state = call_begin(self);
	err = find(vas, number, &region);
	call_end(self, state);
	return err ? error_raise(err) : tuple_of_region(&region);
}

static PyObject *handle_region_at(PyObject *self, PyObject *gpa)
{
	return find_region(self, gpa, vas_region_at);
}

static PyObject *handle_region_by_id(PyObject *self, PyObject *id)
{
	return find_region(self, id, vas_region_by_id);
}

PyObject *handle_repr(PyObject *object)
{
	struct handle *self = (struct handle *)object;
	PyObject *name, *repr;
	struct vas_info info;

	if (!self->vas || self->closing)
		return PyUnicode_FromString("<vas.Handle, closed>");
	if (vas_info(self->vas, &info))
		return PyUnicode_FromString("<vas.Handle>");
	name = text_of(info.name, sizeof(info.name));
	if (!name)
		return NULL;
	repr = PyUnicode_FromFormat("<vas.Handle of %R, limit %llu, %u regions>", name,
				    (unsigned long long)info.limit, info.nr_regions);
	Py_DECREF(name);
	return repr;
}

/* ---- fds ---------------------------------------------------------------------------------- */

static PyObject *fd_result(int fd)
{
	return fd < 0 ? error_raise(fd) : PyLong_FromLong(fd);
}

static PyObject *handle_fileno(PyObject *self, PyObject *unused)
{
	struct vas *vas = handle_vas((struct handle *)self);

	(void)unused;
	return vas ? fd_result(vas_fd(vas)) : NULL;
}

static PyObject *handle_readonly_fd(PyObject *self, PyObject *unused)
{
	struct vas *vas = handle_vas((struct handle *)self);

	(void)unused;
	return vas ? fd_result(vas_readonly_fd(vas)) : NULL;
}

static PyObject *handle_send_fds(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "sock", "flags", NULL };
	struct handle *self = (struct handle *)object;
	struct vas *vas;
	PyThreadState *state;
	uint32_t flags = 0;
	int err, sock;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|O&:send_fds", names, convert_fd, &sock,
					 convert_u32, &flags))
		return NULL;
	vas = handle_vas(self);
	if (!vas)
		return NULL;
	state = call_begin(self);
	err = vas_send_fds(vas, sock, flags);
	call_end(self, state);
	if (err)
		return error_raise(err);
	Py_RETURN_NONE;
}

/* ---- notification ------------------------------------------------------------------------- */

static PyObject *handle_notify_fd(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	struct vas *vas = handle_vas(self);
	PyThreadState *state;
	int fd;

	(void)unused;
	if (!vas)
		return NULL;
	state = call_begin(self);
	fd = vas_notify_fd(vas);
	call_end(self, state);
	return fd_result(fd);
}

static PyObject *handle_notifications(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	struct vas *vas = handle_turn(self);
	PyThreadState *state;
	int bits;

	(void)unused;
	if (!vas)
		return NULL;
	state = call_begin(self);
	bits = vas_notifications(vas);
	call_end(self, state);
	handle_turn_end(self);
	return bits < 0 ? error_raise(bits) : PyLong_FromLong(bits);
}

PyDoc_STRVAR(
	notifications_doc,
	"notifications($self, /)\n--\n\n"
	"NOTIFY_* bits of what happened since the last call, and clear notify_fd(). An owner must\n"
	"call it when that is readable: trackers of other processes need its help.");

const PyMethodDef handle_facts_methods[] = {
	{ "info", handle_info, METH_NOARGS, "info($self, /)\n--\n\nFacts about the vas, now." },
	{ "regions", handle_regions, METH_NOARGS,
	  "regions($self, /)\n--\n\nThe layout now: a list of Region, sorted by gpa." },
	{ "region_at", handle_region_at, METH_O,
	  "region_at($self, gpa, /)\n--\n\nThe region that holds gpa. ENOENT: there is none." },
	{ "region_by_id", handle_region_by_id, METH_O,
	  "region_by_id($self, id, /)\n--\n\nThe region with this id. ENOENT: there is none." },
	{ "events", handle_events, METH_NOARGS,
	  "events($self, /)\n--\n\nDoorbells and interrupts: a list of EventInfo." },
	{ "trackers", handle_trackers, METH_NOARGS,
	  "trackers($self, /)\n--\n\nTrackers in use, of all processes: a list of TrackerInfo." },
	{ "fileno", handle_fileno, METH_NOARGS,
	  "fileno($self, /)\n--\n\nThe fd of the vas, which belongs to the handle." },
	{ "readonly_fd", handle_readonly_fd, METH_NOARGS,
	  "readonly_fd($self, /)\n--\n\nA new fd with which a process observes. The caller closes it." },
	{ "send_fds", METHOD(handle_send_fds), KEYWORDS,
	  "send_fds($self, /, sock, flags=0)\n--\n\n"
	  "Send the fds of the vas, its backings and its events over a Unix socket. flags: SEND_*." },
	{ "notify_fd", handle_notify_fd, METH_NOARGS,
	  "notify_fd($self, /)\n--\n\n"
	  "An fd that is readable when something happened: see notifications()." },
	{ "notifications", handle_notifications, METH_NOARGS, notifications_doc },
	METHODS_END,
};
