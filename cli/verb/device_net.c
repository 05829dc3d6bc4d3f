// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <stdio.h>
#include <vas/vas.h>

#include "cli/target/parse.h"
#include "cli/verb/device.h"
#include "device/net/net.h"

static struct net net;
static struct net_options options = { .nr_pairs = 1, .queue_size = DEVICE_QUEUE_SIZE };
static int nr_networks; /* --tap, --packet, --stream, --null, --loopback, --module given */
static uint8_t mac[NET_MAC_LEN];

static int take_network(enum net_kind kind)
{
	options.kind = kind;
	options.name = optarg;
	nr_networks++;
	return EXIT_OK;
}

static int take_null(void)
{
	take_network(NET_NULL);
	return optarg ? device_take_number("--null", NET_MIN_FRAME, NET_MAX_FRAME,
					   &options.generate) :
			EXIT_OK;
}

static int take_mac(void)
{
	char end;

	if (sscanf(optarg, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5], &end) != 6 ||
	    mac[0] & 1)
		return fail_usage("'%s' is no address of one interface: write 52:54:00:12:34:56",
				  optarg);
	options.mac = mac;
	return EXIT_OK;
}

static int take_mtu(void)
{
	uint32_t mtu = 0;
	int code = device_take_number("--mtu", NET_MIN_MTU, UINT16_MAX, &mtu);

	options.mtu = (uint16_t)mtu;
	return code;
}

static int take(int c)
{
	switch (c) {
	case DEVICE_TAP:
		return take_network(NET_TAP);
	case DEVICE_PACKET:
		return take_network(NET_PACKET);
	case DEVICE_STREAM:
		return take_network(NET_STREAM);
	case DEVICE_NULL:
		return take_null();
	case DEVICE_LOOPBACK:
		return take_network(NET_LOOPBACK);
	case DEVICE_MODULE:
		return take_network(NET_MODULE);
	case DEVICE_MAC:
		return take_mac();
	case DEVICE_MTU:
		return take_mtu();
	case DEVICE_QUEUES:
		return device_take_number("--num-queues", 1, NET_MAX_PAIRS, &options.nr_pairs);
	default:
		return DEVICE_OPTION_UNKNOWN;
	}
}

static int open_net(struct vas_device **device)
{
	if (nr_networks != 1)
		return fail_usage("where do frames go? Give one of --tap, --packet, --stream, "
				  "--null, --loopback and --module");
	if (net_open(&net, &options))
		return fail(EXIT_REFUSED, "%s", vas_error());
	*device = &net.device;
	return EXIT_OK;
}

static void close_net(void)
{
	net_close(&net);
}

static void print_counters(const char *what, uint32_t pair, const struct net_counters *counters)
{
	printf("%s %u: %llu frames, %llu bytes, %llu dropped\n", what, pair,
	       (unsigned long long)__atomic_load_n(&counters->frames, __ATOMIC_RELAXED),
	       (unsigned long long)__atomic_load_n(&counters->bytes, __ATOMIC_RELAXED),
	       (unsigned long long)__atomic_load_n(&counters->dropped, __ATOMIC_RELAXED));
}

static void print_net(void)
{
	uint32_t i;

	for (i = 0; i < net.nr_pairs; i++) {
		print_counters("sent", i, &net.pairs[i].sent);
		print_counters("received", i, &net.pairs[i].received);
	}
	fflush(stdout);
}

const struct device_kind device_net = {
	.name = "net",
	.capabilities = "{ \"type\": \"net\" }",
	.take = take,
	.open = open_net,
	.close = close_net,
	.print = print_net,
};
