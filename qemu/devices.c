// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a guest's devices are, for those who save and move it. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <vas/consumer.h>

#include "lib/base/deadline.h"
#include "qemu/state.h"

#define SERVED_NS (10 * NSEC_PER_SEC) /* QEMU itself tries once a second, or as it is told */
#define LOOK_NS	  (20 * 1000000)      /* between two looks */

/* A device: a child of /machine/peripheral, or -anon. */
struct device {
	char path[320]; /* a longer name ends it */
	const char *name;
	const char *type; /* "vfio-pci" */
	size_t type_size;
};

/* ---- asking ------------------------------------------------------------------------------- */

static size_t items(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

static int is_true(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) && json_object_get_boolean(value);
}

/* A command with a path, and maybe a property. */
static int ask(struct qmp *qmp, const char *name, const char *path, const char *property,
	       struct json_object **result)
{
	struct json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, "path", json_object_new_string(path));
	if (property)
		json_object_object_add(arguments, "property", json_object_new_string(property));
	return qmp_command(qmp, name, arguments, result);
}

/* 1: this child is a device; -ENAMETOOLONG. */
static int device_of(const char *folder, struct json_object *child, struct device *device)
{
	const char *type = qmp_text(child, "type");
	const size_t before = strlen("child<"), size = strlen(type);

	if (strncmp(type, "child<", before) || type[size - 1] != '>')
		return 0;
	device->name = qmp_text(child, "name");
	device->type = type + before;
	device->type_size = size - before - 1;
	if (snprintf(device->path, sizeof(device->path), "%s/%s", folder, device->name) <
	    (int)sizeof(device->path))
		return 1;
	return vas_error_set(-ENAMETOOLONG, "the name of the guest's device %.100s... is too long",
			     device->name);
}

/* check() each, up to the first error. Devices that have an id are named so, the others not. */
static int each_device(struct qmp *qmp, int (*check)(const struct device *device, void *arg),
		       void *arg)
{
	static const char *const folders[] = { "/machine/peripheral", "/machine/peripheral-anon" };
	int err = 0;

	for (int i = 0; !err && i < 2; i++) {
		struct json_object *children = NULL;

		err = ask(qmp, "qom-list", folders[i], NULL, &children);
		for (size_t j = 0; !err && j < items(children); j++) {
			struct device device;

			err = device_of(folders[i], json_object_array_get_idx(children, j),
					&device);
			if (err > 0)
				err = check(&device, arg);
		}
		json_object_put(children);
	}
	return err;
}

static int is_kind(const struct device *device, const char *prefix)
{
	return !strncmp(device->type, prefix, strlen(prefix));
}

/* ---- what stays on this host -------------------------------------------------------------- */

static int check_physical(const struct device *device, void *arg)
{
	(void)arg;
	if (!is_kind(device, "vfio-"))
		return 0;
	return vas_error_set(-EOPNOTSUPP,
			     "the guest has a physical device, %.100s (%.*s), which stays on this "
			     "host: unplug it, 'device_del', before the guest moves",
			     device->name, (int)device->type_size, device->type);
}

int qemu_check_devices(struct qmp *qmp)
{
	return each_device(qmp, check_physical, NULL);
}

int qemu_check_disks(struct qmp *qmp)
{
	struct json_object *disks = NULL, *medium;
	int err = qmp_command(qmp, "query-block", NULL, &disks);

	for (size_t i = 0; !err && i < items(disks); i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);

		if (json_object_object_get_ex(disk, "inserted", &medium) && !is_true(medium, "ro"))
			err = vas_error_set(-EBUSY, "the guest may write to its disk %.100s",
					    qmp_text(medium, "file"));
	}
	json_object_put(disks);
	return err;
}

/* ---- devices of other processes (vhost-user) ---------------------------------------------- */

struct served {
	struct qmp *qmp;
	int stands;
	struct json_object *sockets; /* query-chardev */
};

static int is_disconnected(struct json_object *socket)
{
	static const char prefix[] = "disconnected:";

	return !strncmp(qmp_text(socket, "filename"), prefix, strlen(prefix));
}

static int label_is_disconnected(struct json_object *sockets, const char *label)
{
	for (size_t i = 0; i < items(sockets); i++) {
		struct json_object *socket = json_object_array_get_idx(sockets, i);

		if (!strcmp(qmp_text(socket, "label"), label))
			return is_disconnected(socket);
	}
	return 0;
}

/* The answer, if QEMU has one: not every device has what it is asked for. */
static int ask_if_any(struct qmp *qmp, const char *name, const char *path, const char *property,
		      struct json_object **result)
{
	int err = ask(qmp, name, path, property, result);

	return err == -EREMOTEIO ? 0 : err;
}

/* 1: QEMU has made its process work on it. */
static int is_started(struct qmp *qmp, const struct device *device)
{
	struct json_object *status = NULL;
	char path[sizeof(device->path) + 16];
	int err;

	snprintf(path, sizeof(path), "%s/virtio-backend", device->path);
	err = ask_if_any(qmp, "x-query-virtio-status", path, NULL, &status);
	if (!err)
		err = is_true(status, "vhost-started");
	json_object_put(status);
	return err;
}

static int check_served(const struct device *device, void *arg)
{
	struct served *served = arg;
	struct json_object *label = NULL;
	int err;

	if (!is_kind(device, "vhost-user-"))
		return 0;
	err = ask_if_any(served->qmp, "qom-get", device->path, "chardev", &label);
	if (!err && label && label_is_disconnected(served->sockets, json_object_get_string(label)))
		err = vas_error_set(-ENOTCONN,
				    "nobody serves the guest's device %.100s (%.*s), which may be "
				    "in the middle of requests: start its process",
				    device->name, (int)device->type_size, device->type);
	json_object_put(label);
	if (!err && served->stands)
		err = is_started(served->qmp, device);
	if (err > 0)
		err = vas_error_set(
			-ENOTCONN,
			"the process of the guest's device %.100s (%.*s) came while "
			"the guest stood, and works on requests: let the guest run, and "
			"try again",
			device->name, (int)device->type_size, device->type);
	return err;
}

/*
 * A network's socket is its back end's, a netdev, of which the human monitor alone tells:
 * " \ net0: index=0,type=vhost-user,vhost-user0 to SOCKET". Without its process the interface's link
 * is down, and would be so where the guest goes on.
 */
static int check_network(struct served *served, const char *label)
{
	struct json_object *arguments = json_object_new_object(), *text = NULL;
	char end[128];
	int err;

	json_object_object_add(arguments, "command-line", json_object_new_string("info network"));
	err = qmp_command(served->qmp, "human-monitor-command", arguments, &text);
	snprintf(end, sizeof(end), " to %s\r\n", label);
	if (!err && json_object_is_type(text, json_type_string) &&
	    strstr(json_object_get_string(text), end))
		err = vas_error_set(-ENOTCONN,
				    "nobody serves the guest's network interface at the socket "
				    "%.100s: start its process",
				    label);
	json_object_put(text);
	return err;
}

static int check_networks(struct served *served)
{
	int err = 0;

	for (size_t i = 0; !err && i < items(served->sockets); i++) {
		struct json_object *socket = json_object_array_get_idx(served->sockets, i);

		if (is_disconnected(socket))
			err = check_network(served, qmp_text(socket, "label"));
	}
	return err;
}

static int check_all_served(struct qmp *qmp, int stands)
{
	struct served served = { .qmp = qmp, .stands = stands };
	int err = qmp_command(qmp, "query-chardev", NULL, &served.sockets);

	if (!err)
		err = each_device(qmp, check_served, &served);
	if (!err)
		err = check_networks(&served);
	json_object_put(served.sockets);
	return err;
}

int qemu_check_served(struct qmp *qmp)
{
	return check_all_served(qmp, 1);
}

int qemu_await_served(struct qmp *qmp)
{
	const struct timespec delay = { .tv_nsec = LOOK_NS };
	struct deadline deadline = deadline_in(SERVED_NS);
	int err;

	while ((err = check_all_served(qmp, 0)) == -ENOTCONN && deadline_left_ns(deadline))
		nanosleep(&delay, NULL);
	return err;
}
