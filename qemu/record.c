// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "qemu/record.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#define VERSION	      1u
#define MAX_JSON      (1u << 20)
#define MAX_DEPTH     4
#define MAX_ARGUMENTS 4096

static struct json_object *to_json(const struct qemu_record *record)
{
	struct json_object *json = json_object_new_object(), *command = json_object_new_array();

	for (char **word = record->command; *word; word++)
		json_object_array_add(command, json_object_new_string(*word));
	json_object_object_add(json, "qemu", json_object_new_string(record->kind.version));
	json_object_object_add(json, "machine", json_object_new_string(record->kind.machine));
	json_object_object_add(json, "memory", json_object_new_int64((int64_t)record->memory));
	json_object_object_add(json, "running", json_object_new_boolean(record->is_running));
	if (record->with_ram)
		json_object_object_add(json, "with-ram", json_object_new_boolean(1));
	if (record->genid[0])
		json_object_object_add(json, "vmgenid", json_object_new_string(record->genid));
	json_object_object_add(json, "command", command);
	return json;
}

int qemu_record_pack(const struct qemu_record *record, void **bytes, size_t *size)
{
	struct qemu_record_header header = { .magic = QEMU_RECORD_MAGIC, .version = VERSION };
	struct json_object *json = to_json(record);
	size_t len;
	const char *text = json_object_to_json_string_length(json, JSON_C_TO_STRING_PLAIN, &len);
	char *p = NULL;

	if (text && len <= MAX_JSON)
		p = malloc(sizeof(header) + len + record->state_size);
	if (p) {
		header.json_size = (uint32_t)len;
		memcpy(p, &header, sizeof(header));
		memcpy(p + sizeof(header), text, len);
		memcpy(p + sizeof(header) + len, record->state, record->state_size);
		*bytes = p;
		*size = sizeof(header) + len + record->state_size;
	}
	json_object_put(json);
	return p ? 0 : vas_error_set(-ENOMEM, "no memory for a record of the guest");
}

/* ---- reading ------------------------------------------------------------------------------ */

static int no_record(const char *what)
{
	return vas_error_set(-EPROTO, "what is saved beside the memory is no guest of QEMU's: %s",
			     what);
}

/* A string without a NUL in it, or NULL. */
static const char *string_of(struct json_object *value)
{
	const char *text =
		json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;

	return text && strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

static int take_command(struct json_object *json, struct qemu_record *record)
{
	struct json_object *list;
	size_t nr;

	if (!json_object_object_get_ex(json, "command", &list) ||
	    !json_object_is_type(list, json_type_array))
		return no_record("it has no command");
	nr = json_object_array_length(list);
	if (nr > MAX_ARGUMENTS)
		return no_record("its command makes no sense");
	record->command = calloc(nr + 1, sizeof(*record->command));
	if (!record->command)
		return vas_error_set(-ENOMEM, "no memory for a command");
	for (size_t i = 0; i < nr; i++) {
		const char *word = string_of(json_object_array_get_idx(list, i));

		record->command[i] = word ? strdup(word) : NULL;
		if (!record->command[i])
			return no_record("its command makes no sense");
	}
	return 0;
}

static int take_text(struct json_object *json, const char *key, char *text, size_t size)
{
	struct json_object *value;
	const char *from = json_object_object_get_ex(json, key, &value) ? string_of(value) : NULL;

	if (!from || strlen(from) >= size)
		return no_record("its version makes no sense");
	strcpy(text, from);
	return 0;
}

/* It becomes a part of an argument. */
static int take_genid(struct json_object *json, struct qemu_record *record)
{
	struct json_object *value;
	int err;

	if (!json_object_object_get_ex(json, "vmgenid", &value))
		return 0;
	err = take_text(json, "vmgenid", record->genid, sizeof(record->genid));
	if (err || record->genid[strspn(record->genid, "0123456789abcdefABCDEF-")])
		return no_record("its generation makes no sense");
	return 0;
}

static int take_json(struct json_object *json, struct qemu_record *record)
{
	struct json_object *value;
	int err = take_text(json, "qemu", record->kind.version, sizeof(record->kind.version));

	if (!err)
		err = take_text(json, "machine", record->kind.machine,
				sizeof(record->kind.machine));
	if (err)
		return err;
	if (json_object_object_get_ex(json, "memory", &value))
		record->memory = (uint64_t)json_object_get_int64(value);
	if (json_object_object_get_ex(json, "running", &value))
		record->is_running = json_object_get_boolean(value);
	if (json_object_object_get_ex(json, "with-ram", &value))
		record->with_ram = json_object_get_boolean(value);
	err = take_genid(json, record);
	return err ? err : take_command(json, record);
}

int qemu_record_parse(const void *bytes, size_t size, struct qemu_record *record)
{
	struct qemu_record_header header;
	struct json_tokener *tokener;
	struct json_object *json;
	int err;

	*record = (struct qemu_record){ 0 };
	if (size < sizeof(header))
		return no_record("it is too short");
	memcpy(&header, bytes, sizeof(header));
	if (header.magic != QEMU_RECORD_MAGIC || header.version != VERSION)
		return no_record("it is of another kind, or of a newer version");
	if (header.json_size > MAX_JSON || header.json_size > size - sizeof(header))
		return no_record("it is too short");
	tokener = json_tokener_new_ex(MAX_DEPTH);
	if (!tokener)
		return vas_error_set(-ENOMEM, "no memory for a record");
	json = json_tokener_parse_ex(tokener, (const char *)bytes + sizeof(header),
				     (int)header.json_size);
	json_tokener_free(tokener);
	err = json_object_is_type(json, json_type_object) ? take_json(json, record) :
							    no_record("it cannot be read");
	json_object_put(json);
	if (err)
		qemu_record_clean(record);
	record->state = (const char *)bytes + sizeof(header) + header.json_size;
	record->state_size = size - sizeof(header) - header.json_size;
	return err;
}

void qemu_record_clean(struct qemu_record *record)
{
	for (char **word = record->command; word && *word; word++)
		free(*word);
	free(record->command);
	record->command = NULL;
}
