// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * vas_net.ko serves the queues, and makes an interface of the host's for the guest. This process
 * keeps it: it follows the bus, has the control queue, and tells the module where each queue is and
 * where it begins; a queue that stops tells where it stands.
 *
 *	bind	the session, and with it the interface, whose link is down
 *	start	the driver's features; link up
 *	serve	a queue is lent to the module
 *	reset	link down
 *	unbind	the interface goes
 *
 * Should the process die, its files are closed, and all queues stop with nothing in flight. Only
 * then others find the process dead: the module has the file by whose lock they do.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uapi/linux/vas_net.h>
#include <vas/consumer.h>
#include <vas/handle.h>
#include <vas/layout.h>

#include "device/net/port.h"

#define DEVICE	  "/dev/vas_net"
#define VERSION_1 (1ull << VIRTIO_F_VERSION_1)

/* What a connection of a bus offers for any device. */
#define RINGS                                                                             \
	(VERSION_1 | 1ull << VIRTIO_F_RING_PACKED | 1ull << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ull << VIRTIO_RING_F_EVENT_IDX)

struct session {
	const struct net *net;
	struct vas *vas;
	int fd; /* -1: it is not bound */
	char name[IFNAMSIZ];
	uint8_t mac[NET_MAC_LEN]; /* of the interface; all 0: a random one */
};

struct module_port {
	struct net_port port;
	uint32_t index;		 /* of the pair */
	bool takes;		 /* net->lock: the guest takes frames by it */
	struct session *session; /* of all pairs; the first one's */
};

static struct module_port *of(struct net_port *port)
{
	return (struct module_port *)port;
}

/* ---- opening ------------------------------------------------------------------------------ */

static int open_device(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return vas_error_set(-ENXIO, "there is no " DEVICE ": vas_net.ko is not loaded");
	return fd >= 0 ? fd : vas_error_set(-errno, DEVICE ": %s", strerror(errno));
}

/* What the module can do; what is more the guest is not offered. */
static int check_features(struct net *net)
{
	int fd = open_device(), err = 0;
	__u64 known = 0;

	if (fd < 0)
		return fd;
	if (ioctl(fd, VAS_NET_GET_FEATURES, &known))
		err = vas_error_set(-errno, DEVICE " says nothing of its features: %s",
				    strerror(errno));
	close(fd);
	if (!err && RINGS & ~known)
		err = vas_error_set(-EOPNOTSUPP, "vas_net.ko does not know all kinds of rings");
	/* The module knows IOMMUs, and this process does not tell it of one. */
	net->device.features &= known & ~(1ull << VIRTIO_F_ACCESS_PLATFORM);
	return err;
}

/* Asked before another process has made way for this one. */
static bool may_make_interfaces(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return !syscall(SYS_capget, &header, data) &&
	       data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective & CAP_TO_MASK(CAP_NET_ADMIN);
}

static int check(struct net *net, const struct net_options *options)
{
	int err;

	if (options->nr_pairs > VAS_NET_MAX_PAIRS)
		return vas_error_set(-EINVAL, "vas_net.ko has %u pairs of queues at most, not %u",
				     VAS_NET_MAX_PAIRS, options->nr_pairs);
	if (options->queue_size > VAS_NET_MAX_SIZE)
		return vas_error_set(-EINVAL, "a queue of vas_net.ko has %u entries at most",
				     VAS_NET_MAX_SIZE);
	if (options->name && strlen(options->name) >= IFNAMSIZ)
		return vas_error_set(-EINVAL, "'%s' is too long for an interface", options->name);
	err = check_features(net);
	if (!err && !may_make_interfaces())
		return vas_error_set(-EPERM, "an interface of vas_net.ko's takes CAP_NET_ADMIN");
	return err;
}

/*
 * The same again with each keeper, if the guest's is known, so that nobody's tables are out of
 * date. High, as a bridge takes the lowest of its ports' for itself.
 */
static void choose_mac(struct session *session, const uint8_t *guest)
{
	memcpy(session->mac, guest, NET_MAC_LEN);
	session->mac[0] = guest[0] == 0xfe ? 0xfa : 0xfe;
}

static int open_session(struct net *net, const struct net_options *options,
			struct session **session)
{
	int err = check(net, options);

	if (err)
		return err;
	*session = calloc(1, sizeof(**session));
	if (!*session)
		return vas_error_set(-ENOMEM, "no memory for a network");
	(*session)->net = net;
	(*session)->fd = -1;
	if (options->name)
		strcpy((*session)->name, options->name);
	if (options->mac)
		choose_mac(*session, options->mac);
	return 0;
}

static int open_module(struct net *net, const struct net_options *options, struct net_port **port)
{
	struct module_port *module = calloc(1, sizeof(*module));
	int err = 0;

	if (!module)
		return vas_error_set(-ENOMEM, "no memory for a network");
	module->port.fd = -1;
	module->index = net->nr_pairs;
	if (!module->index)
		err = open_session(net, options, &module->session);
	else
		module->session = of(net->pairs[0].port)->session;
	if (err)
		free(module);
	else
		*port = &module->port;
	return err;
}

static void close_module(struct net_port *port)
{
	if (!of(port)->index)
		free(of(port)->session);
	free(port);
}

/* ---- the session -------------------------------------------------------------------------- */

/* Memory in further files, of which each fd is brought; those that it has it refuses. */
static void offer_files(const struct session *session)
{
	uint32_t i;

	for (i = 1; i < VAS_MAX_BACKINGS; i++) {
		__s32 fd = vas_backing_fd(session->vas, i);

		if (fd >= 0)
			ioctl(session->fd, VAS_NET_OFFER, &fd);
	}
}

static void set_link(const struct session *session, __u32 is_up)
{
	ioctl(session->fd, VAS_NET_SET_LINK, &is_up);
}

static int make_interface(struct session *session)
{
	struct vas_net_open arg = {
		.vas_fd = vas_lock_fd(session->vas),
		.mtu = session->net->mtu,
		.features = VERSION_1,
		.nr_pairs = (__u16)session->net->nr_pairs,
	};

	memcpy(arg.mac, session->mac, sizeof(arg.mac));
	memcpy(arg.name, session->name, sizeof(arg.name));
	if (!ioctl(session->fd, VAS_NET_OPEN, &arg))
		return 0;
	return vas_error_set(-errno, "vas_net.ko makes no interface %s: %s", session->name,
			     strerror(errno));
}

static int bind_module(struct net_port *port, struct vas *vas)
{
	struct session *session = of(port)->session;
	int err, fd = open_device();

	if (fd < 0)
		return fd;
	session->vas = vas;
	session->fd = fd;
	err = make_interface(session);
	if (!err) {
		set_link(session, 0);
		return 0;
	}
	close(fd);
	session->fd = -1;
	return err;
}

static void unbind_module(struct net_port *port)
{
	struct session *session = of(port)->session;

	close(session->fd);
	session->fd = -1;
	session->vas = NULL;
}

static int start(struct net_port *port, uint64_t features)
{
	const struct session *session = of(port)->session;
	__u64 arg = features;

	if (of(port)->index)
		return 0;
	if (ioctl(session->fd, VAS_NET_SET_FEATURES, &arg))
		return vas_error_set(-errno, "vas_net.ko takes no features %#llx: %s",
				     (unsigned long long)features, strerror(errno));
	set_link(session, 1);
	return 0;
}

static void reset(struct net_port *port)
{
	of(port)->takes = false;
	if (!of(port)->index && of(port)->session->fd >= 0)
		set_link(of(port)->session, 0);
}

/* How many of the first pairs the guest takes frames by. */
static uint32_t nr_taking(const struct net *net)
{
	uint32_t nr = 0;

	while (nr < net->nr_pairs && of(net->pairs[nr].port)->takes)
		nr++;
	return nr;
}

/*
 * What the host sends while a queue stands for a moment, in a freeze, waits for it. So a pair that
 * has been used stays in use until the driver says otherwise.
 */
static void attach(struct net_port *port, bool takes)
{
	const struct session *session = of(port)->session;
	__u32 nr;

	if (!takes && of(port)->index < session->net->active_pairs)
		return;
	of(port)->takes = takes;
	nr = nr_taking(session->net);
	if (nr && session->fd >= 0)
		ioctl(session->fd, VAS_NET_SET_PAIRS, &nr);
}

/* ---- queues ------------------------------------------------------------------------------- */

/* For who comes after this process, if it dies. A split ring says itself where it stands. */
static int keep_place(const struct session *session, const struct device_queue *queue)
{
	struct inflight_packed_part *part = queue->inflight;
	struct vas_queue_keep keep = { .index = queue->index };

	if (queue->format == VAS_VIRTQ_SPLIT || !part)
		return 0;
	keep.place = (uintptr_t)&part->used_idx;
	return ioctl(session->fd, VAS_NET_KEEP, &keep) ? -errno : 0;
}

/* Of a queue that is lent. */
struct events {
	int err;    /* the ring makes no sense */
	int unread; /* in the place of an interrupt, if nobody wants one */
};

static void close_events(const struct events *events)
{
	if (events->err >= 0)
		close(events->err);
	if (events->unread >= 0)
		close(events->unread);
}

static int open_events(struct events *events)
{
	int err;

	events->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	events->unread = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (events->err >= 0 && events->unread >= 0)
		return 0;
	err = -errno;
	close_events(events);
	return err;
}

static int start_queue(const struct session *session, const struct device_queue *queue,
		       uint32_t base, const struct events *events)
{
	struct vas_queue_start arg = {
		.index = queue->index,
		.size = queue->size,
		.parts = { queue->gpas.desc, queue->gpas.driver, queue->gpas.device },
		.kick_fd = queue->kick_fd,
		.call_fd = queue->call_fd >= 0 ? queue->call_fd : events->unread,
		.err_fd = events->err,
		.base = base,
	};
	int err = keep_place(session, queue);

	if (err)
		return err;
	offer_files(session);
	return ioctl(session->fd, VAS_NET_START, &arg) ? -errno : 0;
}

static void wait_for_end(struct device_queue *queue, int err_fd)
{
	eventfd_t count;

	while (!device_queue_is_stopping(queue)) {
		device_queue_wait(queue, err_fd);
		if (!eventfd_read(err_fd, &count))
			device_queue_break(queue);
	}
}

static int stop_queue(const struct session *session, struct device_queue *queue)
{
	struct vas_queue_stopped stopped = { .index = queue->index };
	struct vas_device_counters *counters = queue->counters;

	if (ioctl(session->fd, VAS_NET_STOP, &stopped))
		return -errno;
	device_queue_count(&counters->taken, stopped.nr_requests);
	device_queue_count(&counters->answered, stopped.nr_requests);
	return device_queue_take_back(queue, stopped.base);
}

static int serve(struct net_port *port, struct device_queue *queue)
{
	const struct session *session = of(port)->session;
	struct events events;
	uint32_t base;
	int err;

	if (!device_queue_lend(queue, &base))
		return 0;
	err = open_events(&events);
	if (err)
		return err;
	err = start_queue(session, queue, base, &events);
	if (!err) {
		wait_for_end(queue, events.err);
		err = stop_queue(session, queue);
	}
	close_events(&events);
	return err;
}

const struct net_port_ops net_module = {
	.name = "module",
	.features = NET_KERNEL_FEATURES,
	.open = open_module,
	.close = close_module,
	.bind = bind_module,
	.unbind = unbind_module,
	.start = start,
	.reset = reset,
	.attach = attach,
	.serve = serve,
};
