// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "modules.h"
#include "report.h"
#include "stage.h"

enum { TESTED_MAX = 16 };

struct module {
	char name[64]; /* as the kernel knows it: '_' for '-' */
};

/* In load order; those that are unloaded again are still known. */
static struct module tested[TESTED_MAX];
static int nr_tested, nr_loaded;

static struct module module_of(const char *file)
{
	const char *base = strrchr(file, '/');
	struct module module;

	snprintf(module.name, sizeof(module.name), "%s", base ? base + 1 : file);
	module.name[strcspn(module.name, ".")] = '\0';
	for (char *c = module.name; *c; c++)
		if (*c == '-')
			*c = '_';
	return module;
}

static int load(const char *file, const char *parameters)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, parameters, 0) && errno != EEXIST)
		err = -errno;
	close(fd);
	return err;
}

bool modules_load(char *what, bool own)
{
	char *parameters = what + strcspn(what, " ");
	char stage[64 + sizeof("load ")];
	struct module module;

	if (*parameters)
		*parameters++ = '\0';
	module = module_of(what);
	snprintf(stage, sizeof(stage), "load %s", module.name);
	report("run %s", stage);
	if (!stage_end(stage, load(what, parameters)))
		return false;
	if (!own)
		return true;
	report("ok %s", stage);
	if (nr_tested < TESTED_MAX) {
		tested[nr_tested++] = module;
		nr_loaded = nr_tested;
	}
	return true;
}

bool modules_named_in(const char *text)
{
	char tag[64 + sizeof("[]")];

	for (int i = 0; i < nr_tested; i++) {
		snprintf(tag, sizeof(tag), "[%s]", tested[i].name);
		if (strstr(text, tag))
			return true;
	}
	return false;
}

void modules_unload(void)
{
	while (nr_loaded) {
		const struct module *module = &tested[--nr_loaded];
		char stage[64 + sizeof("unload ")];
		int err = 0;

		snprintf(stage, sizeof(stage), "unload %s", module->name);
		report("run %s", stage);
		if (syscall(SYS_delete_module, module->name, O_NONBLOCK))
			err = -errno;
		if (stage_end(stage, err))
			report("ok %s", stage);
	}
}
