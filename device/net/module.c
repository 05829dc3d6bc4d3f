// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * vas_net.ko serves the queues, and makes an interface of the host's for the guest. This process
 * keeps it, as device/module.h has it, and has the control queue.
 *
 *	bind	the session, and with it the interface, whose link is down
 *	start	the driver's features; link up
 *	serve	a queue is lent to the module
 *	reset	link down
 *	unbind	the interface goes
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <linux/virtio_config.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uapi/linux/vas_net.h>
#include <vas/consumer.h>
#include <vas/handle.h>

#include "device/module.h"
#include "device/net/port.h"

static const struct device_module_kind vas_net = {
	.name = "vas_net.ko",
	.device = "/dev/vas_net",
	.get_features = VAS_NET_GET_FEATURES,
	.set_features = VAS_NET_SET_FEATURES,
	.start = VAS_NET_START,
	.stop = VAS_NET_STOP,
	.offer = VAS_NET_OFFER,
	.keep = VAS_NET_KEEP,
	.no_iommu = "vas_net.ko knows none",
};

struct session {
	const struct net *net;
	struct device_module module; /* its fd is -1: it is not bound */
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

/* Asked before another process has made way for this one. */
static bool may_make_interfaces(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return !syscall(SYS_capget, &header, data) &&
	       data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective & CAP_TO_MASK(CAP_NET_ADMIN);
}

/* False: there is no such interface. */
static bool get_info(const char *name, struct ethtool_drvinfo *info)
{
	struct ifreq ifreq = { .ifr_data = (char *)info };
	int err, sock;

	*info = (struct ethtool_drvinfo){ .cmd = ETHTOOL_GDRVINFO };
	if (!if_nametoindex(name))
		return false;
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return false;
	strcpy(ifreq.ifr_name, name);
	err = ioctl(sock, SIOCETHTOOL, &ifreq) ? errno : 0;
	close(sock);
	return err != ENODEV;
}

static int check_name(const char *name)
{
	struct ethtool_drvinfo info;

	if (strlen(name) >= IFNAMSIZ)
		return vas_error_set(-EINVAL, "'%s' is too long for an interface", name);
	if (get_info(name, &info) && strcmp(info.driver, "vas_net"))
		return vas_error_set(-EEXIST, "there is an interface '%s' already, of another kind",
				     name);
	return 0;
}

/* One of this guest's goes with its keeper, who may be asked to leave. */
static int may_bind(struct net_port *port, struct vas *vas)
{
	const char *name = of(port)->session->name;
	struct ethtool_drvinfo info;
	char guest[sizeof(info.bus_info)];
	struct stat stat;

	if (!*name || !get_info(name, &info) || fstat(vas_lock_fd(vas), &stat))
		return 0;
	snprintf(guest, sizeof(guest), "vas:%lu", (unsigned long)stat.st_ino);
	if (!strcmp(info.bus_info, guest))
		return 0;
	return vas_error_set(-EEXIST, "there is an interface '%s' already, of another guest's",
			     name);
}

static int check(struct net *net, const struct net_options *options)
{
	int err = options->name ? check_name(options->name) : 0;

	if (err)
		return err;
	if (options->nr_pairs > VAS_NET_MAX_PAIRS)
		return vas_error_set(-EINVAL, "vas_net.ko has %u pairs of queues at most, not %u",
				     VAS_NET_MAX_PAIRS, options->nr_pairs);
	if (options->queue_size > VAS_NET_MAX_SIZE)
		return vas_error_set(-EINVAL, "a queue of vas_net.ko has %u entries at most",
				     VAS_NET_MAX_SIZE);
	err = device_module_check(&vas_net, &net->device);
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
	(*session)->module.fd = -1;
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

static void set_link(const struct session *session, __u32 is_up)
{
	ioctl(session->module.fd, VAS_NET_SET_LINK, &is_up);
}

static int make_interface(struct session *session)
{
	struct vas_net_open arg = {
		.vas_fd = device_module_vas_fd(&session->module),
		.mtu = session->net->mtu,
		.features = 1ull << VIRTIO_F_VERSION_1,
		.nr_pairs = (__u16)session->net->nr_pairs,
	};

	memcpy(arg.mac, session->mac, sizeof(arg.mac));
	memcpy(arg.name, session->name, sizeof(arg.name));
	if (!ioctl(session->module.fd, VAS_NET_OPEN, &arg))
		return 0;
	return vas_error_set(-errno, "vas_net.ko makes no interface %s: %s", session->name,
			     strerror(errno));
}

static int bind_module(struct net_port *port, struct vas *vas)
{
	struct session *session = of(port)->session;
	int err = device_module_begin(&session->module, &vas_net, vas);

	if (err)
		return err;
	err = make_interface(session);
	if (err)
		device_module_end(&session->module);
	else
		set_link(session, 0);
	return err;
}

static void unbind_module(struct net_port *port)
{
	device_module_end(&of(port)->session->module);
}

static int make_iotlb(struct net_port *port, uint32_t max_entries, struct vas_iotlb *iotlb)
{
	return device_module_iotlb(&of(port)->session->module, max_entries, iotlb);
}

static int start(struct net_port *port, uint64_t features)
{
	const struct session *session = of(port)->session;
	int err = of(port)->index ? 0 : device_module_set_features(&session->module, features);

	if (!err && !of(port)->index)
		set_link(session, 1);
	return err;
}

static void reset(struct net_port *port)
{
	of(port)->takes = false;
	if (!of(port)->index && of(port)->session->module.fd >= 0)
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
	if (nr && session->module.fd >= 0)
		ioctl(session->module.fd, VAS_NET_SET_PAIRS, &nr);
}

static int serve(struct net_port *port, struct device_queue *queue)
{
	return device_module_serve(&of(port)->session->module, queue);
}

const struct net_port_ops net_module = {
	.name = "module",
	.features = NET_KERNEL_FEATURES,
	.open = open_module,
	.close = close_module,
	.may_bind = may_bind,
	.bind = bind_module,
	.unbind = unbind_module,
	.iotlb = make_iotlb,
	.start = start,
	.reset = reset,
	.attach = attach,
	.serve = serve,
};
