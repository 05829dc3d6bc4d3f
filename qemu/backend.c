// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "qemu/backend.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VALUE 65536
#define MAX_DEPTH 4

/* Both ways to write it become an object; of keys, each value is a text. */

static int is_json(const char *value)
{
	return *value == '{';
}

static struct json_object *parse_json(const char *value)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	struct json_object *object = NULL;

	if (tokener)
		object = json_tokener_parse_ex(tokener, value, (int)strlen(value));
	json_tokener_free(tokener);
	return object;
}

/* Up to the next comma; two of them are one that belongs to the text. */
static const char *take_part(const char *from, char *part)
{
	for (; *from && (*from != ',' || from[1] == ','); from++) {
		from += *from == ',';
		*part++ = *from;
	}
	*part = '\0';
	return *from ? from + 1 : from;
}

static struct json_object *parse_keys(const char *value, const char *first)
{
	struct json_object *object = json_object_new_object();
	char *part = malloc(strlen(value) + 1);

	while (part && *value) {
		char *text;

		value = take_part(value, part);
		text = strchr(part, '=');
		if (text)
			*text++ = '\0';
		/* The first is the type, and needs no key. */
		json_object_object_add(object, text ? part : first,
				       json_object_new_string(text ? text : part));
	}
	free(part);
	return object;
}

static struct json_object *parse(const char *value, const char *first)
{
	struct json_object *object = NULL;

	if (strlen(value) <= MAX_VALUE)
		object = is_json(value) ? parse_json(value) : parse_keys(value, first);
	if (json_object_is_type(object, json_type_object))
		return object;
	json_object_put(object);
	return NULL;
}

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) && value ?
		       json_object_get_string(value) :
		       "";
}

int qemu_backend_parse(const char *value, struct qemu_backend *backend)
{
	struct json_object *object = parse(value, "qom-type");
	const char *huge = text_of(object, "hugetlb");
	int is_one = !strncmp(text_of(object, "qom-type"), "memory-backend-", 15);

	snprintf(backend->id, sizeof(backend->id), "%s", text_of(object, "id"));
	snprintf(backend->size, sizeof(backend->size), "%s", text_of(object, "size"));
	snprintf(backend->path, sizeof(backend->path), "%s", text_of(object, "mem-path"));
	backend->is_huge = !strcmp(huge, "true") || !strcmp(huge, "on") || !strcmp(huge, "yes");
	json_object_put(object);
	return is_one;
}

static void put_doubled(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == ',')
			fputc(',', out);
		fputc(*text, out);
	}
}

static char *format_keys(struct json_object *object, const char *first)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fputs(text_of(object, first), out);
	json_object_object_foreach(object, key, value)
	{
		if (!strcmp(key, first))
			continue;
		fprintf(out, ",%s=", key);
		put_doubled(json_object_get_string(value), out);
	}
	return fclose(out) ? NULL : text;
}

static char *format_json(struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);

	return text ? strdup(text) : NULL;
}

/* As the value was written; the object is released. */
static char *format(const char *value, struct json_object *object, const char *first)
{
	char *text = is_json(value) ? format_json(object) : format_keys(object, first);

	json_object_put(object);
	return text;
}

char *qemu_backend_at(const char *value, const char *path, int is_shared)
{
	static const char *const place[] = { "hugetlb", "hugetlbsize", "seal",
					     "align",	"offset",      "readonly",
					     "rom",	"pmem",	       "discard-data" };
	struct json_object *object = parse(value, "qom-type");

	if (!object)
		return NULL;
	for (size_t i = 0; i < sizeof(place) / sizeof(place[0]); i++)
		json_object_object_del(object, place[i]);
	json_object_object_add(object, "qom-type", json_object_new_string("memory-backend-file"));
	json_object_object_add(object, "mem-path", json_object_new_string(path));
	json_object_object_add(object, "share",
			       is_json(value) ? json_object_new_boolean(is_shared) :
						json_object_new_string(is_shared ? "on" : "off"));
	return format(value, object, "qom-type");
}

/* Other devices with a back end show it elsewhere, or keep what they have in a file. */
static int is_memory(struct json_object *device)
{
	const char *driver = text_of(device, "driver");

	return !strcmp(driver, "pc-dimm") || !strncmp(driver, "virtio-mem-", 11);
}

int qemu_device_memdev(const char *value, char id[QEMU_BACKEND_ID_LEN])
{
	struct json_object *object = parse(value, "driver");
	const char *text = text_of(object, "memdev");
	int is_there = is_memory(object) && *text && strlen(text) < QEMU_BACKEND_ID_LEN;

	snprintf(id, QEMU_BACKEND_ID_LEN, "%s", is_there ? text : "");
	json_object_put(object);
	return is_there;
}

static const char *address_key(struct json_object *device)
{
	return strncmp(text_of(device, "driver"), "virtio-", 7) ? "addr" : "memaddr";
}

uint64_t qemu_device_gpa(const char *value)
{
	struct json_object *object = parse(value, "driver");
	uint64_t gpa = strtoull(text_of(object, address_key(object)), NULL, 0);

	json_object_put(object);
	return gpa;
}

char *qemu_device_at(const char *value, uint64_t gpa)
{
	struct json_object *object = parse(value, "driver");
	char text[24];

	if (!object)
		return NULL;
	snprintf(text, sizeof(text), "%#" PRIx64, gpa);
	json_object_object_add(object, address_key(object),
			       is_json(value) ? json_object_new_int64((int64_t)gpa) :
						json_object_new_string(text));
	return format(value, object, "driver");
}
