// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* /dev/vas_net: what the VMM sees, and what its queues are to vas_virtqueue.ko. */
#include <linux/etherdevice.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <linux/vas.h>

#include "port.h"

/* ---- queues -------------------------------------------------------------------------------- */

void net_queue_answer(struct net_queue *queue, u32 len)
{
	queue->answers[queue->nr_answers++] = (struct vas_virtq_answer){
		.head = queue->queue.chain.head,
		.nr_descs = queue->queue.chain.nr_descs,
		.len = len,
	};
}

void net_queue_flush(struct net_queue *queue)
{
	if (queue->nr_answers)
		vas_queue_give(&queue->queue, queue->answers, queue->nr_answers);
	queue->nr_answers = 0;
}

static void net_queue_free(struct vas_queue *queue)
{
	struct net_queue *net_queue = to_net(queue);
	int i;

	for (i = 0; i < NR_CACHES; i++)
		vas_cache_clean(&net_queue->caches[i]);
	pool_clean(&net_queue->pool);
	kvfree(net_queue);
}

static struct vas_queue *net_queue_alloc(struct vas_queue_set *set, u32 index)
{
	struct port *port = container_of(set, struct port, set);
	struct net_queue *queue;
	int i;

	if (index / 2 >= port->nr_pairs)
		return ERR_PTR(-EINVAL);
	queue = kvzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);
	if (!queue)
		return ERR_PTR(-ENOMEM);
	queue->port = port;
	queue->pair = &port->pairs[index / 2];
	queue->is_receiveq = !(index % 2);
	for (i = 0; i < NR_CACHES; i++)
		vas_cache_init(&queue->caches[i], set->vas);
	return &queue->queue;
}

static void net_queue_started(struct vas_queue *vas_queue)
{
	struct net_queue *queue = to_net(vas_queue);

	if (queue->is_receiveq)
		rcu_assign_pointer(queue->pair->receiveq, queue);
}

static void net_queue_stopping(struct vas_queue *vas_queue)
{
	struct net_queue *queue = to_net(vas_queue);

	if (!queue->is_receiveq)
		return;
	RCU_INIT_POINTER(queue->pair->receiveq, NULL);
	synchronize_net();
}

static int net_queue_serve(struct vas_queue *vas_queue)
{
	struct net_queue *queue = to_net(vas_queue);

	return queue->is_receiveq ? receive_serve(queue) : transmit_serve(queue);
}

static const struct vas_queue_ops net_queue_ops = {
	.max_size = VAS_NET_MAX_SIZE,
	.max_queues = 2 * VAS_NET_MAX_PAIRS,
	.alloc = net_queue_alloc,
	.free = net_queue_free,
	.started = net_queue_started,
	.stopping = net_queue_stopping,
	.serve = net_queue_serve,
};

/* ---- the file ------------------------------------------------------------------------------ */

static const struct vas_ops net_ops = VAS_QUEUE_SET_OPS("vas_net");

static long ioctl_get_features(void __user *user)
{
	u64 features = port_known_features();

	return copy_to_user(user, &features, sizeof(features)) ? -EFAULT : 0;
}

static int open_port(struct port *port, struct vas_net_open *arg)
{
	int err = vas_queue_set_bind(&port->set, arg->vas_fd, &net_ops, arg->features);

	if (err)
		return err;
	err = port_create(port, arg);
	if (err)
		vas_queue_set_clean(&port->set);
	return err;
}

static long ioctl_open(struct port *port, void __user *user)
{
	struct vas_net_open arg;
	int err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (port->dev)
		return -EBUSY;
	err = open_port(port, &arg);
	if (!err && copy_to_user(user, &arg, sizeof(arg)))
		err = -EFAULT; /* the interface is there, and goes with the file */
	return err;
}

static long ioctl_set_pairs(struct port *port, const void __user *user)
{
	u32 nr;

	if (copy_from_user(&nr, user, sizeof(nr)))
		return -EFAULT;
	return port->dev ? port_set_pairs(port, nr) : -ENXIO;
}

static long ioctl_set_link(struct port *port, const void __user *user)
{
	u32 is_up;

	if (copy_from_user(&is_up, user, sizeof(is_up)))
		return -EFAULT;
	if (!port->dev)
		return -ENXIO;
	port_set_link(port, is_up);
	return 0;
}

static long ioctl_set_features(struct port *port, const void __user *user)
{
	u64 features;

	if (copy_from_user(&features, user, sizeof(features)))
		return -EFAULT;
	if (!port->dev)
		return -ENXIO;
	if (!port_can(features))
		return -EINVAL;
	if (!vas_queue_set_is_idle(&port->set))
		return -EBUSY;
	if (features != port->set.features)
		port_set_features(port, features);
	else
		port_set_offloads(port, features); /* that the one before has turned off */
	return 0;
}

static long ioctl_set_offloads(struct port *port, const void __user *user)
{
	u64 offloads;

	if (copy_from_user(&offloads, user, sizeof(offloads)))
		return -EFAULT;
	if (!port->dev)
		return -ENXIO;
	port_set_offloads(port, offloads);
	return 0;
}

static long do_ioctl(struct port *port, unsigned int cmd, void __user *user)
{
	switch (cmd) {
	case VAS_NET_GET_FEATURES:
		return ioctl_get_features(user);
	case VAS_NET_OPEN:
		return ioctl_open(port, user);
	case VAS_NET_START:
		return vas_queue_set_start(&port->set, user);
	case VAS_NET_STOP:
		return vas_queue_set_stop(&port->set, user);
	case VAS_NET_SET_PAIRS:
		return ioctl_set_pairs(port, user);
	case VAS_NET_SET_LINK:
		return ioctl_set_link(port, user);
	case VAS_NET_OFFER:
		return vas_queue_set_offer(&port->set, user);
	case VAS_NET_SET_OFFLOADS:
		return ioctl_set_offloads(port, user);
	case VAS_NET_SET_FEATURES:
		return ioctl_set_features(port, user);
	case VAS_NET_KEEP:
		return vas_queue_set_keep(&port->set, user);
	case VAS_QUEUE_VIEW:
		return vas_queue_set_view(&port->set, user);
	default:
		return -ENOTTY;
	}
}

static long net_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct port *port = file->private_data;
	long result = vas_queue_view_ioctl(&port->set, cmd, (void __user *)arg);

	if (result != -ENOTTY)
		return result;
	mutex_lock(&port->lock);
	result = do_ioctl(port, cmd, (void __user *)arg);
	mutex_unlock(&port->lock);
	return result;
}

static __poll_t net_poll(struct file *file, poll_table *table)
{
	struct port *port = file->private_data;

	return vas_queue_view_poll(&port->set, file, table);
}

static int net_open(struct inode *inode, struct file *file)
{
	struct port *port = kzalloc(sizeof(*port), GFP_KERNEL_ACCOUNT);

	if (!port)
		return -ENOMEM;
	mutex_init(&port->lock);
	vas_queue_set_init(&port->set, &net_queue_ops, "vas_net");
	file->private_data = port;
	return 0;
}

static int net_release(struct inode *inode, struct file *file)
{
	struct port *port = file->private_data;

	/* Whoever serves the guest next may have an interface of the same name. */
	vas_queue_set_stop_all(&port->set);
	if (port->dev)
		port_destroy(port);
	vas_queue_set_clean(&port->set);
	kfree(port);
	return 0;
}

static const struct file_operations net_fops = {
	.owner = THIS_MODULE,
	.open = net_open,
	.release = net_release,
	.unlocked_ioctl = net_ioctl,
	.poll = net_poll,
};

static struct miscdevice net_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vas_net",
	.fops = &net_fops,
};

module_misc_device(net_device);
MODULE_DESCRIPTION("virtio-net for guests whose memory is a vas");
MODULE_LICENSE("Dual MIT/GPL");
