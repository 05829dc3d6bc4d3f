// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas.Section: what is read and written in it is of one layout. And single fields, atomically. */
#include <errno.h>
#include <vas/field.h>

#include "bindings/python/argument.h"
#include "bindings/python/handle.h"
#include "bindings/python/memory.h"

struct section {
	struct child child;
	unsigned long depth; /* of nested `with` */
	unsigned long thread;
	unsigned long nr_forks; /* of the handle, when it was entered */
};

static PyTypeObject *section_type;

/* ---- enter, leave ------------------------------------------------------------------------- */

/* After a fork nobody is in it. */
static bool is_entered(const struct section *self)
{
	return self->depth && self->nr_forks == self->child.handle->nr_forks;
}

static bool is_mine(const struct section *self)
{
	return self->thread == PyThread_get_thread_ident();
}

static int section_check(struct child *child)
{
	if (!is_entered((struct section *)child))
		return 0;
	error_raise_text(-EBUSY, "a section is open: leave it first");
	return -1;
}

/* Another thread cannot leave it: that thread's slot is free when it ends. */
static void section_end(struct child *child)
{
	struct section *self = (struct section *)child;

	if (!is_entered(self) || !is_mine(self))
		return;
	for (; self->depth; self->depth--)
		vas_leave(child->handle->vas);
}

static const struct child_ops section_ops = { .check = section_check, .end = section_end };

static PyObject *handle_section(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (!handle_vas((struct handle *)self))
		return NULL;
	return child_new(section_type, (struct handle *)self, &section_ops);
}

static PyObject *refuse_thread(void)
{
	PyErr_SetString(PyExc_RuntimeError, "a section is for the thread that has entered it");
	return NULL;
}

static PyObject *section_enter(PyObject *object, PyObject *unused)
{
	struct section *self = (struct section *)object;
	struct vas *vas = child_vas(&self->child);
	int err;

	(void)unused;
	if (!vas)
		return NULL;
	if (is_entered(self) && !is_mine(self))
		return refuse_thread();
	err = vas_enter(vas);
	if (err)
		return error_raise(err);
	if (!is_entered(self))
		self->depth = 0;
	self->depth++;
	self->thread = PyThread_get_thread_ident();
	self->nr_forks = self->child.handle->nr_forks;
	return Py_NewRef(object);
}

static PyObject *section_exit(PyObject *object, PyObject *args)
{
	struct section *self = (struct section *)object;

	(void)args;
	if (!is_entered(self))
		Py_RETURN_NONE;
	if (!is_mine(self))
		return refuse_thread();
	vas_leave(self->child.handle->vas);
	self->depth--;
	Py_RETURN_NONE;
}

/* ---- fields ------------------------------------------------------------------------------- */

enum access { LOAD, STORE, FETCH_ADD, FETCH_OR, FETCH_AND, EXCHANGE, CMPXCHG };

struct field {
	enum access access;
	uint64_t gpa;
	uint32_t bits;
	uint64_t value;	   /* to store, to add, ... */
	uint64_t expected; /* of CMPXCHG */
	uint64_t old;	   /* the result */
};

#define ORDER __ATOMIC_SEQ_CST

/* One function a width: the library has a function for each. */
#define DEFINE_FIELD(bits)                                                                \
	static int access_##bits(struct vas *vas, struct field *f)                        \
	{                                                                                 \
		uint##bits##_t old = (uint##bits##_t)f->expected;                         \
		uint##bits##_t value = (uint##bits##_t)f->value;                          \
		int err = -EINVAL;                                                        \
                                                                                          \
		switch (f->access) {                                                      \
		case LOAD:                                                                \
			err = vas_load_le##bits(vas, f->gpa, &old, ORDER);                \
			break;                                                            \
		case STORE:                                                               \
			err = vas_store_le##bits(vas, f->gpa, value, ORDER);              \
			break;                                                            \
		case FETCH_ADD:                                                           \
			err = vas_fetch_add_le##bits(vas, f->gpa, value, &old, ORDER);    \
			break;                                                            \
		case FETCH_OR:                                                            \
			err = vas_fetch_or_le##bits(vas, f->gpa, value, &old, ORDER);     \
			break;                                                            \
		case FETCH_AND:                                                           \
			err = vas_fetch_and_le##bits(vas, f->gpa, value, &old, ORDER);    \
			break;                                                            \
		case EXCHANGE:                                                            \
			err = vas_exchange_le##bits(vas, f->gpa, value, &old, ORDER);     \
			break;                                                            \
		case CMPXCHG:                                                             \
			err = vas_cmpxchg_le##bits(vas, f->gpa, &old, value, ORDER);      \
			/* It was another value: that is no error here. But frozen is. */ \
			if (err == -EAGAIN && old != (uint##bits##_t)f->expected)         \
				err = 0;                                                  \
			break;                                                            \
		}                                                                         \
		f->old = old;                                                             \
		return err;                                                               \
	}

DEFINE_FIELD(8)
DEFINE_FIELD(16)
DEFINE_FIELD(32)
DEFINE_FIELD(64)

static int access_field(struct vas *vas, struct field *f)
{
	switch (f->bits) {
	case 8:
		return access_8(vas, f);
	case 16:
		return access_16(vas, f);
	case 32:
		return access_32(vas, f);
	default:
		return access_64(vas, f);
	}
}

/* -1: raised. */
static int check_field(const struct field *f)
{
	if (f->bits != 8 && f->bits != 16 && f->bits != 32 && f->bits != 64) {
		PyErr_SetString(PyExc_ValueError, "a field has 8, 16, 32 or 64 bits");
		return -1;
	}
	if (f->bits < 64 && (f->value | f->expected) >> f->bits) {
		PyErr_Format(PyExc_OverflowError, "the value has more than %u bits", f->bits);
		return -1;
	}
	return 0;
}

/* Make the access, in a section that this thread is in. -1: raised. */
static int field_do(PyObject *object, struct field *f)
{
	struct section *self = (struct section *)object;
	struct vas *vas = child_vas(&self->child);
	PyThreadState *state;
	int err;

	if (!vas || check_field(f))
		return -1;
	if (!is_entered(self)) {
		PyErr_SetString(PyExc_ValueError, "the section is not entered");
		return -1;
	}
	if (!is_mine(self)) {
		refuse_thread();
		return -1;
	}
	if (memory_may_wait(vas, f->bits / 8)) {
		state = call_begin(self->child.handle);
		err = access_field(vas, f);
		call_end(self->child.handle, state);
	} else {
		err = access_field(vas, f);
	}
	if (err)
		error_raise(err);
	return err ? -1 : 0;
}

static PyObject *section_load(PyObject *self, PyObject *const *args, Py_ssize_t nr)
{
	struct field f = { .access = LOAD };

	if (argument_count(nr, 2, "load") || argument_u64(args[0], &f.gpa) ||
	    !convert_u32(args[1], &f.bits) || field_do(self, &f))
		return NULL;
	return PyLong_FromUnsignedLongLong(f.old);
}

/* gpa, value, bits */
static int modify(PyObject *self, PyObject *const *args, Py_ssize_t nr, struct field *f,
		  const char *name)
{
	if (argument_count(nr, 3, name) || argument_u64(args[0], &f->gpa) ||
	    argument_u64(args[1], &f->value) || !convert_u32(args[2], &f->bits))
		return -1;
	return field_do(self, f);
}

static PyObject *section_store(PyObject *self, PyObject *const *args, Py_ssize_t nr)
{
	struct field f = { .access = STORE };

	if (modify(self, args, nr, &f, "store"))
		return NULL;
	Py_RETURN_NONE;
}

#define DEFINE_MODIFY(name, kind)                                                              \
	static PyObject *section_##name(PyObject *self, PyObject *const *args, Py_ssize_t nr)  \
	{                                                                                      \
		struct field f = { .access = kind };                                           \
                                                                                               \
		return modify(self, args, nr, &f, #name) ? NULL :                              \
							   PyLong_FromUnsignedLongLong(f.old); \
	}

DEFINE_MODIFY(fetch_add, FETCH_ADD)
DEFINE_MODIFY(fetch_or, FETCH_OR)
DEFINE_MODIFY(fetch_and, FETCH_AND)
DEFINE_MODIFY(exchange, EXCHANGE)

static PyObject *section_cmpxchg(PyObject *self, PyObject *const *args, Py_ssize_t nr)
{
	struct field f = { .access = CMPXCHG };

	if (argument_count(nr, 4, "cmpxchg") || argument_u64(args[0], &f.gpa) ||
	    argument_u64(args[1], &f.expected) || argument_u64(args[2], &f.value) ||
	    !convert_u32(args[3], &f.bits) || field_do(self, &f))
		return NULL;
	return PyLong_FromUnsignedLongLong(f.old);
}

/* ---- the type ----------------------------------------------------------------------------- */

const PyMethodDef section_methods[] = {
	{ "section", handle_section, METH_NOARGS,
	  "section($self, /)\n--\n\n"
	  "A Section, to be entered by `with`. A change of the layout waits for its end: be short." },
	METHODS_END,
};

static PyMethodDef methods[] = {
	{ "load", METHOD(section_load), METH_FASTCALL,
	  "load($self, gpa, bits, /)\n--\n\nThe little-endian field of 8, 16, 32 or 64 bits." },
	{ "store", METHOD(section_store), METH_FASTCALL,
	  "store($self, gpa, value, bits, /)\n--\n\nStore a field, in one access of its width." },
	{ "fetch_add", METHOD(section_fetch_add), METH_FASTCALL,
	  "fetch_add($self, gpa, value, bits, /)\n--\n\nAdd to a field; returns the old value." },
	{ "fetch_or", METHOD(section_fetch_or), METH_FASTCALL,
	  "fetch_or($self, gpa, value, bits, /)\n--\n\nSet bits of a field; returns the old value." },
	{ "fetch_and", METHOD(section_fetch_and), METH_FASTCALL,
	  "fetch_and($self, gpa, value, bits, /)\n--\n\n"
	  "Keep only some bits of a field; returns the old value." },
	{ "exchange", METHOD(section_exchange), METH_FASTCALL,
	  "exchange($self, gpa, value, bits, /)\n--\n\nStore a field; returns the old value." },
	{ "cmpxchg", METHOD(section_cmpxchg), METH_FASTCALL,
	  "cmpxchg($self, gpa, expected, desired, bits, /)\n--\n\n"
	  "Store desired if the field is expected; returns the old value: expected, if it was." },
	{ "__enter__", section_enter, METH_NOARGS, "__enter__($self, /)\n--\n\n" },
	{ "__exit__", section_exit, METH_VARARGS, "__exit__($self, /, *args)\n--\n\n" },
	METHODS_END,
};

int section_init(PyObject *module)
{
	PyType_Slot slots[] = {
		{ Py_tp_doc, "A part of a thread's code in which the layout does not change." },
		{ Py_tp_dealloc, child_dealloc },
		{ Py_tp_methods, methods },
		{ 0, NULL },
	};
	PyType_Spec spec = {
		.name = "vas.Section",
		.basicsize = sizeof(struct section),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	return module_add_type(module, "Section", &spec, &section_type);
}
