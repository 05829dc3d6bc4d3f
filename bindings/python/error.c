// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "bindings/python/error.h"

#include "bindings/python/tuples.h"

static PyObject *error_type;

PyDoc_STRVAR(error_doc,
	     "A call of libvas failed.\n\n"
	     "errno is one of the errno module's, strerror the library's sentence: what was wrong, "
	     "and what to do.\nblocker is the Blocker that was in the way of a change, a freeze "
	     "or a seal, or None.\ndone is how many bytes of a copy were copied before the one "
	     "that failed, or None.");

/* Steals `value`, which may be NULL after a failure. */
static int set_attribute(PyObject *error, const char *name, PyObject *value)
{
	int err = value ? PyObject_SetAttrString(error, name, value) : -1;

	Py_XDECREF(value);
	return err;
}

/* A new vas.Error. */
static PyObject *make(int err, const char *text)
{
	PyObject *sentence = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");

	return sentence ? PyObject_CallFunction(error_type, "iN", -err, sentence) : NULL;
}

/* Steals `error`, which may be NULL after a failure. */
static PyObject *raise(PyObject *error)
{
	if (error)
		PyErr_SetObject(error_type, error);
	Py_XDECREF(error);
	return NULL;
}

PyObject *error_raise_text(int err, const char *text)
{
	return raise(make(err, text));
}

PyObject *error_raise(int err)
{
	return error_raise_text(err, vas_error());
}

PyObject *error_raise_blocked(int err, const struct vas_blocker *blocker)
{
	PyObject *error = make(err, vas_error());

	if (error && blocker->kind != VAS_BLOCKER_NONE &&
	    set_attribute(error, "blocker", tuple_of_blocker(blocker)))
		Py_CLEAR(error);
	return raise(error);
}

PyObject *error_raise_partial(int err, size_t done)
{
	PyObject *error = make(err, vas_error());

	if (error && set_attribute(error, "done", PyLong_FromSize_t(done)))
		Py_CLEAR(error);
	return raise(error);
}

int error_init(PyObject *module)
{
	PyObject *attributes = Py_BuildValue("{sOsO}", "blocker", Py_None, "done", Py_None);

	if (!attributes)
		return -1;
	error_type = PyErr_NewExceptionWithDoc("vas.Error", error_doc, PyExc_OSError, attributes);
	Py_DECREF(attributes);
	return error_type ? PyModule_AddObjectRef(module, "Error", error_type) : -1;
}
