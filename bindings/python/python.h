/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Python's API, as all files here see it: the limited one, so that one binary is for 3.11 and all
 * later ones. The buffer protocol is in it from 3.11 on.
 *
 *	error.c		vas.Error
 *	argument.c	numbers, times and names from Python
 *	tuples.c	what is handed out as a tuple with names: regions, events, ...
 *	handle.c	vas.Handle: its life, and the rules of threads
 *	handle_facts.c	what a handle says of itself
 *	memory.c, vector.c, search.c	copies
 *	map.c section.c layout.c event.c tracker.c freeze.c snapshot.c	as their names say
 *	module.c	puts all of it together
 */
#ifndef VAS_PYTHON_H
#define VAS_PYTHON_H

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* For PyMethodDef: of whatever arguments. */
#define METHOD(function) ((PyCFunction)(void (*)(void))(function))
#define KEYWORDS	 (METH_VARARGS | METH_KEYWORDS)

/* The end of a table of methods or getters. */
#define METHODS_END                 \
	{                           \
		NULL, NULL, 0, NULL \
	}
#define GETTERS_END                          \
	{                                    \
		NULL, NULL, NULL, NULL, NULL \
	}

/* A type's name in Python, and the object. */
int module_add_type(PyObject *module, const char *name, PyType_Spec *spec, PyTypeObject **type);

#endif
