// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "bindings/python/tuples.h"

#include <string.h>

#define MAX_FIELDS 24

enum kind { INFO, REGION, BLOCKER, EVENT, TRACKER, WORD, NR_KINDS };

static PyTypeObject *types[NR_KINDS];

static PyStructSequence_Field info_fields[] = {
	{ "name", "of the vas" },
	{ "uuid", "16 bytes, for uuid.UUID(bytes=...)" },
	{ "file_size", "bytes" },
	{ "ram_size", "bytes of the file that are guest RAM" },
	{ "limit", "no gpa is at or above it" },
	{ "generation", "each change of layout, tracking or freeze counts it up" },
	{ "owner_epoch", "how often it was adopted" },
	{ "page_size", "4096, or 2 MiB" },
	{ "nr_regions", NULL },
	{ "nr_backings", NULL },
	{ "nr_binders", "alive" },
	{ "nr_threads", "slots in use" },
	{ "nr_pins", NULL },
	{ "nr_events", NULL },
	{ "state_flags", "STATE_*" },
	{ "owner_pid", "as the owner reports it; 0: no living owner" },
	{ "consumers", "attached, as the owner reports" },
	{ "role", "of this handle: 'owner', 'binder' or 'observer'" },
	{ "has_window", "False: translations use the sorted map" },
	{ "nr_lazy", "pages that are not filled yet" },
	{ NULL, NULL },
};

static PyStructSequence_Field region_fields[] = {
	{ "gpa", NULL },
	{ "size", "bytes" },
	{ "offset", "in the backing" },
	{ "backing", "0: the RAM of the vas" },
	{ "flags", "REGION_*" },
	{ "id", "never used twice in one vas" },
	{ "name", NULL },
	{ NULL, NULL },
};

static PyStructSequence_Field blocker_fields[] = {
	{ "kind", "'section', 'pin', 'consumer' or 'binder'" },
	{ "pid", "as it reports" },
	{ "tid", NULL },
	{ "gpa", "of the range" },
	{ "size", NULL },
	{ "name", "of the process or the consumer" },
	{ NULL, NULL },
};

static PyStructSequence_Field event_fields[] = {
	{ "kind", "'doorbell' or 'irq'" },
	{ "id", NULL },
	{ "flags", "EVENT_*" },
	{ "len", "doorbell: width of the write; 0: any" },
	{ "addr", "doorbell: gpa or port; MSI: address" },
	{ "data", "doorbell: the value to match; MSI: data" },
	{ "gsi", "irq" },
	{ "name", NULL },
	{ NULL, NULL },
};

static PyStructSequence_Field tracker_fields[] = {
	{ "name", NULL },
	{ "epochs", "committed" },
	{ "pid", "as its binder reports it" },
	{ NULL, NULL },
};

static PyStructSequence_Field word_fields[] = {
	{ "gpa", "of the page that bit 0 stands for" },
	{ "bits", "bit n: the page at gpa + n * 4096 is dirty" },
	{ NULL, NULL },
};

#define COUNT(fields) ((int)(sizeof(fields) / sizeof((fields)[0])) - 1)

static PyStructSequence_Desc descriptions[NR_KINDS] = {
	[INFO] = { "vas.Info", "Facts about a vas.", info_fields, COUNT(info_fields) },
	[REGION] = { "vas.Region", "A range of guest memory, and where its bytes are.",
		     region_fields, COUNT(region_fields) },
	[BLOCKER] = { "vas.Blocker", "Who was in the way of a change, a freeze or a seal.",
		      blocker_fields, COUNT(blocker_fields) },
	[EVENT] = { "vas.EventInfo", "A doorbell or an interrupt.", event_fields,
		    COUNT(event_fields) },
	[TRACKER] = { "vas.TrackerInfo", "A consumer of the dirty log.", tracker_fields,
		      COUNT(tracker_fields) },
	[WORD] = { "vas.DirtyWord", "64 pages of guest memory, and which of them are dirty.",
		   word_fields, COUNT(word_fields) },
};

/* Steals the values, of which some may be NULL after a failure. */
static PyObject *fill(enum kind kind, PyObject *const *values)
{
	PyObject *tuple = PyStructSequence_New(types[kind]);
	int i, nr = descriptions[kind].n_in_sequence;

	for (i = 0; i < nr; i++) {
		if (tuple && values[i])
			PyStructSequence_SetItem(tuple, i, values[i]);
		else
			Py_CLEAR(tuple);
		if (!tuple)
			break;
	}
	if (tuple)
		return tuple;
	for (; i < nr; i++)
		Py_XDECREF(values[i]);
	return NULL;
}

static PyObject *number(uint64_t value)
{
	return PyLong_FromUnsignedLongLong(value);
}

PyObject *text_of(const char *bytes, size_t len)
{
	return PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)strnlen(bytes, len), "replace");
}

static const char *role_name(enum vas_role role)
{
	switch (role) {
	case VAS_ROLE_OWNER:
		return "owner";
	case VAS_ROLE_BINDER:
		return "binder";
	default:
		return "observer";
	}
}

static const char *blocker_kind(enum vas_blocker_kind kind)
{
	switch (kind) {
	case VAS_BLOCKER_SECTION:
		return "section";
	case VAS_BLOCKER_PIN:
		return "pin";
	case VAS_BLOCKER_CONSUMER:
		return "consumer";
	default:
		return "binder";
	}
}

const char *tuple_event_kind(uint32_t kind)
{
	return kind == VAS_EVENT_IRQ ? "irq" : "doorbell";
}

PyObject *tuple_of_info(const struct vas_info *info)
{
	return fill(INFO, (PyObject *[MAX_FIELDS]){
				  text_of(info->name, sizeof(info->name)),
				  PyBytes_FromStringAndSize((const char *)info->uuid, 16),
				  number(info->file_size),
				  number(info->ram_size),
				  number(info->limit),
				  number(info->generation),
				  number(info->owner_epoch),
				  number(info->page_size),
				  number(info->nr_regions),
				  number(info->nr_backings),
				  number(info->nr_binders),
				  number(info->nr_threads),
				  number(info->nr_pins),
				  number(info->nr_events),
				  number(info->state_flags),
				  number(info->owner_pid),
				  text_of(info->consumers, sizeof(info->consumers)),
				  PyUnicode_FromString(role_name(info->role)),
				  PyBool_FromLong(info->has_window),
				  number(info->nr_lazy),
			  });
}

PyObject *tuple_of_region(const void *item)
{
	const struct vas_region *region = item;

	return fill(REGION, (PyObject *[MAX_FIELDS]){
				    number(region->gpa),
				    number(region->size),
				    number(region->offset),
				    number(region->backing),
				    number(region->flags),
				    number(region->id),
				    text_of(region->name, sizeof(region->name)),
			    });
}

PyObject *tuple_of_blocker(const struct vas_blocker *blocker)
{
	return fill(BLOCKER, (PyObject *[MAX_FIELDS]){
				     PyUnicode_FromString(blocker_kind(blocker->kind)),
				     number(blocker->pid),
				     number(blocker->tid),
				     number(blocker->gpa),
				     number(blocker->size),
				     text_of(blocker->name, sizeof(blocker->name)),
			     });
}

PyObject *tuple_of_event(const void *item)
{
	const struct vas_event *event = item;

	return fill(EVENT, (PyObject *[MAX_FIELDS]){
				   PyUnicode_FromString(tuple_event_kind(event->kind)),
				   number(event->id),
				   number(event->flags),
				   number(event->len),
				   number(event->addr),
				   number(event->data),
				   number(event->gsi),
				   text_of(event->name, sizeof(event->name)),
			   });
}

PyObject *tuple_of_tracker(const void *item)
{
	const struct vas_tracker_info *tracker = item;

	return fill(TRACKER, (PyObject *[MAX_FIELDS]){
				     text_of(tracker->name, sizeof(tracker->name)),
				     number(tracker->epochs),
				     number(tracker->pid),
			     });
}

PyObject *tuple_of_word(const void *item)
{
	const struct vas_dirty_word *word = item;

	return fill(WORD, (PyObject *[MAX_FIELDS]){ number(word->gpa), number(word->bits) });
}

PyObject *tuple_list(const void *items, size_t size, size_t nr, PyObject *(*make)(const void *))
{
	PyObject *list = PyList_New(0), *item;
	size_t i;
	int err;

	for (i = 0; list && i < nr; i++) {
		item = make((const char *)items + i * size);
		err = item ? PyList_Append(list, item) : -1;
		Py_XDECREF(item);
		if (err)
			Py_CLEAR(list);
	}
	return list;
}

int tuples_init(PyObject *module)
{
	int i;

	for (i = 0; i < NR_KINDS; i++) {
		types[i] = PyStructSequence_NewType(&descriptions[i]);
		if (!types[i] ||
		    PyModule_AddObjectRef(module, strchr(descriptions[i].name, '.') + 1,
					  (PyObject *)types[i]))
			return -1;
	}
	return 0;
}
