// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/backends.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#include "cli/target/parse.h"
#include "cli/target/regions.h"
#include "cli/ui/verb.h"
#include "cli/vmm/arguments.h"

#define MOST (VAS_MAX_BACKINGS - 1)

static int add(struct backends *backends, const struct backend *backend)
{
	struct backend *at = realloc(backends->at, (backends->nr + 1) * sizeof(*at));

	if (!at || backends->nr == MOST)
		return fail(EXIT_OWN, "there are more than %u memory back ends", MOST);
	backends->at = at;
	at[backends->nr++] = *backend;
	return EXIT_OK;
}

/* The -object of that id, and how large it is. */
static int find_object(char *const *argv, const char *id, size_t len, struct backend *backend)
{
	struct qemu_backend object;

	for (size_t i = 1; argv[i] && argv[i + 1]; i++) {
		if (!argument_is(argv[i], "-object") || !qemu_backend_parse(argv[i + 1], &object) ||
		    strlen(object.id) != len || strncmp(object.id, id, len))
			continue;
		backend->object = i + 1;
		if (!parse_size(object.size, &backend->size) && backend->size)
			return EXIT_OK;
	}
	return fail_usage("memdev=%.*s: there is no -object memory-backend-... of that id, with a "
			  "size",
			  (int)len, id);
}

/* ---- what there is ------------------------------------------------------------------------ */

static int take_node(char *const *argv, const char *value, struct backends *backends)
{
	size_t id_len, nr_len;
	const char *id = argument_part(value, "memdev=", &id_len);
	const char *nr = argument_part(value, "nodeid=", &nr_len);
	struct backend backend = { .fd = -1 };
	uint64_t node = backends->nr;
	int code;

	if (!id)
		return EXIT_OK;
	if (nr && parse_size_n(nr, nr_len, &node))
		return fail_usage("-numa %s: the node's number is not understood", value);
	backend.node = (int)node;
	code = find_object(argv, id, id_len, &backend);
	snprintf(backend.region, sizeof(backend.region), "ram-node%d", backend.node);
	return code ? code : add(backends, &backend);
}

static int take_device(char *const *argv, size_t at, struct backends *backends)
{
	char id[QEMU_BACKEND_ID_LEN];
	struct backend backend = { .fd = -1, .device = at };
	int code;

	if (!qemu_device_memdev(argv[at], id))
		return EXIT_OK;
	if (strlen(id) >= sizeof(backend.region))
		return fail_usage("-device %s: memdev=%s is longer than a region's name may be: "
				  "%zu bytes",
				  argv[at], id, sizeof(backend.region) - 1);
	if (!strncmp(id, "dimm", 4))
		return fail_usage("-device %s: what begins with dimm is called so by 'vas plug': "
				  "name the back end otherwise",
				  argv[at]);
	memcpy(backend.region, id, strlen(id) + 1);
	backend.gpa = qemu_device_gpa(argv[at]);
	code = find_object(argv, id, strlen(id), &backend);
	return code ? code : add(backends, &backend);
}

static int by_node(const void *a, const void *b)
{
	const struct backend *x = a, *y = b;

	return (x->node > y->node) - (x->node < y->node);
}

int backends_read(char *const *argv, struct backends *backends)
{
	int code = EXIT_OK;

	*backends = (struct backends){ 0 };
	for (size_t i = 1; !code && argv[i] && argv[i + 1]; i++)
		if (argument_is(argv[i], "-numa"))
			code = take_node(argv, argv[i + 1], backends);
	if (backends->nr)
		qsort(backends->at, backends->nr, sizeof(*backends->at), by_node);
	backends->nr_nodes = backends->nr;
	for (size_t i = 1; !code && argv[i] && argv[i + 1]; i++)
		if (argument_is(argv[i], "-device"))
			code = take_device(argv, i + 1, backends);
	return code;
}

void backends_clean(struct backends *backends)
{
	free(backends->at);
	*backends = (struct backends){ 0 };
}

/* ---- for QEMU ----------------------------------------------------------------------------- */

static int inherit(struct backend *backend, const struct regions *regions, struct vas *vas,
		   struct child *child)
{
	size_t i = 0;
	int fd;

	while (i < regions->nr && strcmp(regions->at[i].name, backend->region))
		i++;
	if (i == regions->nr || regions->at[i].size > backend->size)
		return vas_error_set(-ENOENT, "it has no region %s, as QEMU's arguments need one",
				     backend->region);
	fd = vas_backing_fd(vas, regions->at[i].backing);
	backend->fd = fd < 0 ? fd : child_inherit(child, fd);
	backend->gpa = regions->at[i].gpa;
	return backend->fd < 0 ? backend->fd : 0;
}

int backends_inherit(struct backends *backends, struct vas *vas, struct child *child)
{
	struct regions regions;
	int err = regions_get(vas, &regions);

	/* The first node's is the vas's own. */
	for (size_t i = backends->nr_nodes > 0; !err && i < backends->nr; i++)
		err = inherit(&backends->at[i], &regions, vas, child);
	regions_clean(&regions);
	return err;
}
