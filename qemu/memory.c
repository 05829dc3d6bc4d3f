// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "qemu/memory.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#define MAX_DEVICES 4096

/* ---- what there is ------------------------------------------------------------------------ */

static uint64_t number_of(struct json_object *object, const char *key, const char *or_key)
{
	struct json_object *value;

	if (json_object_object_get_ex(object, key, &value) ||
	    json_object_object_get_ex(object, or_key, &value))
		return json_object_get_uint64(value);
	return 0;
}

static void take_device(struct json_object *one, struct qemu_memory_device *device)
{
	struct json_object *data, *value;

	*device = (struct qemu_memory_device){ .slot = -1 };
	if (!json_object_object_get_ex(one, "data", &data))
		return;
	if (json_object_object_get_ex(data, "id", &value))
		snprintf(device->id, sizeof(device->id), "%s", json_object_get_string(value));
	if (json_object_object_get_ex(data, "slot", &value))
		device->slot = json_object_get_int(value);
	device->gpa = number_of(data, "addr", "memaddr");
	device->size = number_of(data, "max-size", "size");
}

int qemu_memory_devices(struct qmp *qmp, struct qemu_memory_device **list, size_t *nr)
{
	struct json_object *devices = NULL;
	int err = qmp_command(qmp, "query-memory-devices", NULL, &devices);

	if (err)
		return err;
	*nr = json_object_is_type(devices, json_type_array) ? json_object_array_length(devices) : 0;
	*list = *nr > MAX_DEVICES ? NULL : malloc((*nr + 1) * sizeof(**list));
	if (!*list)
		err = vas_error_set(-ENOMEM, "no memory for a list of memory devices");
	for (size_t i = 0; !err && i < *nr; i++)
		take_device(json_object_array_get_idx(devices, i), &(*list)[i]);
	json_object_put(devices);
	return err;
}

/* ---- plugging ----------------------------------------------------------------------------- */

static struct json_object *with_id(struct json_object *arguments, const char *format,
				   const char *id)
{
	char text[80];

	snprintf(text, sizeof(text), format, id);
	json_object_object_add(arguments, "id", json_object_new_string(text));
	return arguments;
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static void add_number(struct json_object *object, const char *key, uint64_t number)
{
	json_object_object_add(object, key, json_object_new_int64((int64_t)number));
}

static int add_backend(struct qmp *qmp, const struct qemu_dimm *dimm, int number)
{
	struct json_object *arguments =
		with_id(json_object_new_object(), QEMU_DIMM_BACKEND("%s"), dimm->id);
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	add_text(arguments, "qom-type", "memory-backend-file");
	add_text(arguments, "mem-path", path);
	json_object_object_add(arguments, "share", json_object_new_boolean(1));
	add_number(arguments, "size", dimm->size);
	return qmp_command(qmp, "object-add", arguments, NULL);
}

static int add_device(struct qmp *qmp, const struct qemu_dimm *dimm)
{
	struct json_object *arguments = with_id(json_object_new_object(), "%s", dimm->id);
	char memory[80];

	snprintf(memory, sizeof(memory), QEMU_DIMM_BACKEND("%s"), dimm->id);
	add_text(arguments, "driver", "pc-dimm");
	add_text(arguments, "memdev", memory);
	add_number(arguments, "addr", dimm->gpa);
	add_number(arguments, "slot", (uint64_t)dimm->slot);
	return qmp_command(qmp, "device_add", arguments, NULL);
}

int qemu_plug(struct qmp *qmp, const struct qemu_dimm *dimm, int fd)
{
	int64_t set;
	char words[512];
	int number, err = qmp_add_fd(qmp, fd, &set, &number);

	if (err)
		return err;
	err = add_backend(qmp, dimm, number);
	/* It has opened the file by then. */
	if (!err)
		err = qmp_remove_fd(qmp, set);
	if (!err) {
		err = add_device(qmp, dimm);
		if (!err)
			return 0;
		snprintf(words, sizeof(words), "%s", vas_error());
		qemu_unplug_end(qmp, dimm->id);
		return vas_error_set(err, "%s", words);
	}
	snprintf(words, sizeof(words), "%s", vas_error());
	qmp_remove_fd(qmp, set);
	return vas_error_set(err, "%s", words);
}

int qemu_unplug_begin(struct qmp *qmp, const char *id)
{
	return qmp_command(qmp, "device_del", with_id(json_object_new_object(), "%s", id), NULL);
}

int qemu_unplug_end(struct qmp *qmp, const char *id)
{
	return qmp_command(qmp, "object-del",
			   with_id(json_object_new_object(), QEMU_DIMM_BACKEND("%s"), id), NULL);
}
