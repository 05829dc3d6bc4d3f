// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of a guest that talks to its host by sockets of the kind AF_VSOCK, and checks what it hears.
 *
 *	vsock: 1700 checked	blocks of a stream so far, ten lines a second
 *	vsock: BROKEN ...	an error, or other bytes than were sent
 *
 * Each of WORKERS streams goes to port 4711 of the host: streams.h.
 */
#include <linux/vm_sockets.h>

#include "console.h"

#define WORD "vsock"
#include "streams.h"

enum { WORKERS = 4, PORT = 4711 };

static void work(int index)
{
	struct sockaddr_vm host = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = PORT,
	};
	int sock = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (connect(sock, (struct sockaddr *)&host, sizeof(host)))
		broken("connect", (uint64_t)index);
	stream_both_ways(sock, index);
}

int main(void)
{
	take_console();
	load_listed_modules(WORD);
	stream_all(work, WORKERS);
}
