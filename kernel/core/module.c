// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas.ko: a guest's address space, behind a file descriptor, for kernel modules. */
#include <linux/module.h>
#include <linux/workqueue.h>

#include "debugfs.h"
#include "device_file.h"
#include "mapping.h"
#include "workqueue.h"

struct workqueue_struct *vas_workqueue;

static int __init vas_module_init(void)
{
	int err;

	vas_workqueue = alloc_workqueue("vas", WQ_UNBOUND, 0);
	if (!vas_workqueue)
		return -ENOMEM;
	err = vas_device_file_init();
	if (err)
		goto err_destroy_workqueue;
	vas_debugfs_init();
	return 0;
err_destroy_workqueue:
	destroy_workqueue(vas_workqueue);
	return err;
}

/* No binding is left, as each holds a module that uses our symbols; what is deferred may be. */
static void __exit vas_module_exit(void)
{
	vas_debugfs_exit();
	vas_device_file_exit();
	vas_invalidate_exit();
	destroy_workqueue(vas_workqueue);
}

module_init(vas_module_init);
module_exit(vas_module_exit);
MODULE_DESCRIPTION("Guest address spaces as file descriptors, for kernel modules");
MODULE_LICENSE("Dual MIT/GPL");
