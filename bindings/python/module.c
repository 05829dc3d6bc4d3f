// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The module: its types, functions and constants. */
#include <vas/dirty.h>
#include <vas/event.h>
#include <vas/migrate.h>

#include "bindings/python/error.h"
#include "bindings/python/handle.h"
#include "bindings/python/tuples.h"

PyDoc_STRVAR(
	module_doc,
	"A guest's address space as a file descriptor.\n\n"
	"gpa is a guest-physical address, len and size are bytes, timeouts are seconds. All objects\n"
	"may be used from any thread, unless they say otherwise. What fails raises vas.Error; a\n"
	"closed object, ValueError. docs/python.md has examples.");

static const struct {
	const char *name;
	long value;
} constants[] = {
	{ "PAGE_SIZE", VAS_PAGE_SIZE },
	{ "CREATE_HUGETLB", VAS_CREATE_HUGETLB },
	{ "CREATE_THP", VAS_CREATE_THP },
	{ "CREATE_RESERVE", VAS_CREATE_RESERVE },
	{ "CREATE_FENCE", VAS_CREATE_FENCE },
	{ "CREATE_DUMP", VAS_CREATE_DUMP },
	{ "CREATE_RAM_APART", VAS_CREATE_RAM_APART },
	{ "BIND_OBSERVE", VAS_BIND_OBSERVE },
	{ "BIND_ADOPT", VAS_BIND_ADOPT },
	{ "BIND_NO_WINDOW", VAS_BIND_NO_WINDOW },
	{ "BIND_NO_SIGBUS", VAS_BIND_NO_SIGBUS },
	{ "BIND_FENCE", VAS_BIND_FENCE },
	{ "BIND_DUMP", VAS_BIND_DUMP },
	{ "BIND_PLAIN_FILES", VAS_BIND_PLAIN_FILES },
	{ "SEND_READONLY", VAS_SEND_READONLY },
	{ "NOTIFY_LAYOUT", VAS_NOTIFY_LAYOUT },
	{ "NOTIFY_TRACKING", VAS_NOTIFY_TRACKING },
	{ "NOTIFY_FREEZE", VAS_NOTIFY_FREEZE },
	{ "NOTIFY_REQUEST", VAS_NOTIFY_REQUEST },
	{ "NOTIFY_OWNER", VAS_NOTIFY_OWNER },
	{ "STATE_TRACKING", VAS_STATE_TRACKING },
	{ "STATE_FROZEN", VAS_STATE_FROZEN },
	{ "STATE_FENCE", VAS_STATE_FENCE },
	{ "STATE_LAZY", VAS_STATE_LAZY },
	{ "REGION_READONLY", VAS_REGION_READONLY },
	{ "REGION_LOCAL", VAS_REGION_LOCAL },
	{ "REGION_DEVICE", VAS_REGION_DEVICE },
	{ "REGION_ALIAS", VAS_REGION_ALIAS },
	{ "EVENT_PIO", VAS_EVENT_PIO },
	{ "EVENT_DATAMATCH", VAS_EVENT_DATAMATCH },
	{ "EVENT_MSI", VAS_EVENT_MSI },
	{ "EVENT_RESAMPLE", VAS_EVENT_RESAMPLE },
	{ "RESTORE_LAZY", VAS_RESTORE_LAZY },
	{ "RESTORE_CLONE", VAS_RESTORE_CLONE },
	{ "RESTORE_PRIVATE", VAS_RESTORE_PRIVATE },
	{ "RESTORE_ANY_FOLDER", VAS_RESTORE_ANY_FOLDER },
	{ "RESTORE_RAM_APART", VAS_RESTORE_RAM_APART },
};

int module_add_type(PyObject *module, const char *name, PyType_Spec *spec, PyTypeObject **type)
{
	*type = (PyTypeObject *)PyType_FromSpec(spec);
	return *type ? PyModule_AddObjectRef(module, name, (PyObject *)*type) : -1;
}

static int add_constants(PyObject *module)
{
	size_t i;

	for (i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
		if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value))
			return -1;
	return PyModule_AddStringConstant(module, "__version__", vas_version());
}

/* Python keeps the tables, and writes to none of them. */
static int add_functions(PyObject *module)
{
	if (PyModule_AddFunctions(module, (PyMethodDef *)handle_functions))
		return -1;
	return PyModule_AddFunctions(module, (PyMethodDef *)snapshot_functions);
}

static int fill(PyObject *module)
{
	int (*const init[])(PyObject * module) = {
		error_init,  tuples_init, handle_init,	map_init,      section_init,
		layout_init, event_init,  tracker_init, add_functions, add_constants,
	};
	size_t i;

	for (i = 0; i < sizeof(init) / sizeof(init[0]); i++)
		if (init[i](module))
			return -1;
	return 0;
}

/* One a process: like the library, which has one SIGBUS handler and one list of handles. */
PyMODINIT_FUNC PyInit_vas(void)
{
	static struct PyModuleDef definition = {
		PyModuleDef_HEAD_INIT,
		.m_name = "vas",
		.m_doc = module_doc,
		.m_size = -1,
	};
	PyObject *module = PyModule_Create(&definition);

	if (module && fill(module))
		Py_CLEAR(module);
	return module;
}
