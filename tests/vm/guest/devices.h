/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a guest that is saved and cloned finds around it, where it has it: its disk has what it wrote last,
 * its network answers, its clock goes on. Each returns NULL, or what is wrong.
 */
#ifndef TESTS_VM_GUEST_DEVICES_H
#define TESTS_VM_GUEST_DEVICES_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DISK_BLOCK 4096
#define ANSWER_MS  60000 /* a busy host is slow */
#define JUMP_S	   300	 /* nor is the clock then */

/* Block n of /dev/vda, of 64, has the number of the last round in it that was n modulo 64. */
static inline const char *check_disk(uint64_t round)
{
	static int fd = -1;
	static uint64_t *block, first;
	const off_t now = (off_t)(round % 64) * DISK_BLOCK;
	const off_t before = (off_t)((round - 1) % 64) * DISK_BLOCK;

	if (!block && posix_memalign((void **)&block, DISK_BLOCK, DISK_BLOCK))
		return "no memory for a block";
	if (fd < 0)
		fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return access("/sys/block/vda", F_OK) ? NULL : "the disk cannot be opened";
	first = first ? first : round;
	if (round > first) {
		if (pread(fd, block, DISK_BLOCK, before) != DISK_BLOCK)
			return "the disk cannot be read";
		for (int i = 0; i < DISK_BLOCK / 8; i++)
			if (block[i] != (round - 1) * 1000 + (uint64_t)i)
				return "the disk has other bytes than were written";
	}
	for (int i = 0; i < DISK_BLOCK / 8; i++)
		block[i] = round * 1000 + (uint64_t)i;
	return pwrite(fd, block, DISK_BLOCK, now) == DISK_BLOCK ? NULL :
								  "the disk cannot be written";
}

/* eth0 is up, and a socket has its packets: the fd; -1: it has no such interface; or -2. */
static inline int open_network(struct ifreq *ifr)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP) };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ARP));

	memset(ifr, 0, sizeof(*ifr));
	strcpy(ifr->ifr_name, "eth0");
	if (fd < 0)
		return -2;
	if (ioctl(fd, SIOCGIFINDEX, ifr)) {
		close(fd);
		return -1;
	}
	to.sll_ifindex = ifr->ifr_ifindex;
	ifr->ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, ifr) || ioctl(fd, SIOCGIFHWADDR, ifr) ||
	    bind(fd, (struct sockaddr *)&to, sizeof(to)))
		return -2;
	return fd;
}

/* Who has 10.0.2.2, QEMU's gateway? It answers. */
static inline const char *check_network(void)
{
	static int fd = -3;
	static struct ifreq ifr;
	struct pollfd answer;
	struct {
		struct ether_header ether;
		struct ether_arp arp;
	} __attribute__((packed)) packet = { 0 };

	if (fd == -3)
		fd = open_network(&ifr);
	if (fd < 0)
		return fd == -1 ? NULL : "the network cannot be used";
	memset(packet.ether.ether_dhost, 0xff, ETH_ALEN);
	memcpy(packet.ether.ether_shost, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	packet.ether.ether_type = htons(ETH_P_ARP);
	packet.arp.ea_hdr = (struct arphdr){ htons(ARPHRD_ETHER), htons(ETH_P_IP), ETH_ALEN, 4,
					     htons(ARPOP_REQUEST) };
	memcpy(packet.arp.arp_sha, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	memcpy(packet.arp.arp_spa, "\x0a\x00\x02\x0f", 4);
	memcpy(packet.arp.arp_tpa, "\x0a\x00\x02\x02", 4);
	if (send(fd, &packet, sizeof(packet), 0) != sizeof(packet))
		return "the network cannot be written to";
	answer = (struct pollfd){ fd, POLLIN, 0 };
	if (poll(&answer, 1, ANSWER_MS) != 1)
		return "the network does not answer";
	while (recv(fd, &packet, sizeof(packet), MSG_DONTWAIT) > 0)
		;
	return NULL;
}

/* Time in the guest stands while it does, however long that is. */
static inline const char *check_clock(void)
{
	static struct timespec before;
	struct timespec now;
	const char *wrong = NULL;

	if (clock_gettime(CLOCK_MONOTONIC, &now))
		return "it has no clock";
	if (before.tv_sec || before.tv_nsec) {
		if (now.tv_sec < before.tv_sec ||
		    (now.tv_sec == before.tv_sec && now.tv_nsec < before.tv_nsec))
			wrong = "its clock has gone back";
		else if (now.tv_sec - before.tv_sec > JUMP_S)
			wrong = "its clock has jumped";
	}
	before = now;
	return wrong;
}

static inline const char *found(void)
{
	return access("/sys/block/vda", F_OK) || access("/sys/class/net/eth0", F_OK) ?
		       "no disk, or no network" :
		       "a disk, a network";
}

#endif
