// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The files that regions lie in; and giving memory back. */
#include "bindings/python/argument.h"
#include "bindings/python/handle.h"

/* A call of the library that changes the vas: in the handle's turn, without the GIL. */
struct change {
	int (*call)(struct vas *vas, struct change *change);
	int fd;
	uint32_t backing;
	const char *name;
	uint64_t gpa;
	uint64_t len;
	uint32_t flags;
	struct vas_blocker blocker;
};

/* What the library returned: 0, a number, or an error, which is raised: -1. */
static int change(PyObject *object, struct change *change)
{
	struct handle *self = (struct handle *)object;
	struct vas *vas = handle_turn(self);
	PyThreadState *state;
	int result;

	if (!vas)
		return -1;
	state = call_begin(self);
	result = change->call(vas, change);
	call_end(self, state);
	handle_turn_end(self);
	if (result < 0)
		error_raise_blocked(result, &change->blocker);
	return result < 0 ? -1 : result;
}

static PyObject *number_result(int number)
{
	return number < 0 ? NULL : PyLong_FromLong(number);
}

static PyObject *nothing_result(int err)
{
	return err < 0 ? NULL : Py_NewRef(Py_None);
}

static int call_backing_add(struct vas *vas, struct change *c)
{
	return vas_backing_add(vas, c->fd);
}

static int call_backing_create(struct vas *vas, struct change *c)
{
	return vas_backing_create(vas, c->name, c->len, c->flags);
}

static int call_backing_remove(struct vas *vas, struct change *c)
{
	return vas_backing_remove(vas, c->backing);
}

static int call_backing_offer(struct vas *vas, struct change *c)
{
	return vas_backing_offer(vas, c->fd);
}

static int call_discard(struct vas *vas, struct change *c)
{
	return vas_discard(vas, c->gpa, c->len, &c->blocker);
}

static int call_ram_seal(struct vas *vas, struct change *c)
{
	return vas_ram_seal(vas, &c->blocker);
}

static PyObject *handle_backing_add(PyObject *self, PyObject *fd)
{
	struct change c = { .call = call_backing_add };

	return convert_fd(fd, &c.fd) ? number_result(change(self, &c)) : NULL;
}

static PyObject *handle_backing_create(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "size", "name", "flags", NULL };
	struct change c = { .call = call_backing_create };

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|zO&:backing_create", names, convert_u64,
					 &c.len, &c.name, convert_u32, &c.flags))
		return NULL;
	return number_result(change(self, &c));
}

static PyObject *handle_backing_remove(PyObject *self, PyObject *backing)
{
	struct change c = { .call = call_backing_remove };

	return convert_u32(backing, &c.backing) ? nothing_result(change(self, &c)) : NULL;
}

static PyObject *handle_backing_offer(PyObject *self, PyObject *fd)
{
	struct change c = { .call = call_backing_offer };

	return convert_fd(fd, &c.fd) ? number_result(change(self, &c)) : NULL;
}

static PyObject *handle_backing_fd(PyObject *self, PyObject *backing)
{
	struct vas *vas;
	uint32_t number;
	int fd;

	if (!convert_u32(backing, &number))
		return NULL;
	vas = handle_vas((struct handle *)self);
	if (!vas)
		return NULL;
	fd = vas_backing_fd(vas, number);
	return fd < 0 ? error_raise(fd) : PyLong_FromLong(fd);
}

static PyObject *handle_discard(PyObject *self, PyObject *args)
{
	struct change c = { .call = call_discard };

	if (!PyArg_ParseTuple(args, "O&O&:discard", convert_u64, &c.gpa, convert_u64, &c.len))
		return NULL;
	return nothing_result(change(self, &c));
}

static PyObject *handle_ram_seal(PyObject *self, PyObject *unused)
{
	struct change c = { .call = call_ram_seal };

	(void)unused;
	return nothing_result(change(self, &c));
}

const PyMethodDef backing_methods[] = {
	{ "backing_add", handle_backing_add, METH_O,
	  "backing_add($self, fd, /)\n--\n\n"
	  "Make a further file usable as a backing; returns its number. Owner only." },
	{ "backing_create", METHOD(handle_backing_create), KEYWORDS,
	  "backing_create($self, /, size, name=None, flags=0)\n--\n\n"
	  "A new sealed memfd of size bytes as a backing; returns its number. Owner only." },
	{ "backing_remove", handle_backing_remove, METH_O,
	  "backing_remove($self, backing, /)\n--\n\nRemove a backing in which no region lies." },
	{ "backing_offer", handle_backing_offer, METH_O,
	  "backing_offer($self, fd, /)\n--\n\n"
	  "Give this handle the fd of a backing that the layout names; returns its number." },
	{ "backing_fd", handle_backing_fd, METH_O,
	  "backing_fd($self, backing, /)\n--\n\nA backing's fd, which belongs to the handle." },
	{ "discard", handle_discard, METH_VARARGS,
	  "discard($self, gpa, len, /)\n--\n\n"
	  "Give the memory of a range back to the system: it reads as zeros. Owner only." },
	{ "ram_seal", handle_ram_seal, METH_NOARGS,
	  "ram_seal($self, /)\n--\n\n"
	  "Make a template of a vas whose RAM is apart: nobody can ever write it again." },
	METHODS_END,
};
