/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Kernel modules that have bound to a vas by vas.ko, as a consumer of it: through /dev/vas, vas(4).
 * They follow the vas without this, too; but then they find out by looking at their pins 50 times a
 * second. With it they are asked at once, before anything is published, and the one that does not
 * let go is in the struct vas_blocker by name, with the process that bound it.
 */
#ifndef VAS_MODULE_H
#define VAS_MODULE_H

#include <vas/consumer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_module;

/*
 * Attach the modules of this kernel, also those that bind later, to a vas that this handle owns.
 * *module is freed by vas_module_detach(), which comes before vas_unbind().
 * -ENODEV: there is no /dev/vas, so no module has bound; -EACCES: it may not be opened;
 * -EBUSY: another fd drives the vas; -EPERM: not the owner; -ENOMEM; else as vas_consumer_attach(),
 * with the default timeout.
 */
VAS_API int vas_module_attach(struct vas *vas, struct vas_module **module);

/* Modules keep what they have, and look at their pins again. NULL is allowed. */
VAS_API void vas_module_detach(struct vas_module *module);

/* The consumer that it is. */
VAS_API struct vas_consumer *vas_module_consumer(struct vas_module *module);

#ifdef __cplusplus
}
#endif

#endif
