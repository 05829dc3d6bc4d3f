// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <string.h>

#include "peer.h"

static const struct peer *const peers[] = {
	&peer_limit,	 &peer_vas,	      &peer_vas_load, &peer_vas_cached,
	&peer_vas_const, &peer_vas_section,   &peer_vas_rust, &peer_vas_rust_each,
	&peer_vm_memory, &peer_vm_memory_obj, &peer_dpdk,
};

#define NR_PEERS (sizeof(peers) / sizeof(peers[0]))

_Static_assert(NR_PEERS <= PEER_MAX, "a binding for each peer");

/* A bench opens many guests, and one word about a missing peer is enough. */
static void report_if_missing(const struct bench_session *session, size_t i)
{
	static bool said[NR_PEERS];
	const char *why = peers[i]->missing ? peers[i]->missing() : NULL;

	if (why && !said[i]) {
		bench_skip(session, peers[i]->name, why);
		said[i] = true;
	}
}

static bool can(const struct peer *peer, enum peer_use use)
{
	if (peer->missing && peer->missing())
		return false;
	return use == PEER_COPIES ? peer->read != NULL : peer->chase != NULL;
}

int peers_open(const struct bench_session *session, const struct guest *guest, enum peer_use use,
	       struct peer_binding bindings[PEER_MAX])
{
	int nr = 0;

	for (size_t i = 0; i < NR_PEERS; i++) {
		int ret;

		report_if_missing(session, i);
		if (!can(peers[i], use))
			continue;
		bindings[nr].peer = peers[i];
		ret = peers[i]->open(guest, &bindings[nr].ctx);
		if (ret) {
			peers_close(bindings, nr);
			return ret;
		}
		nr++;
	}
	return nr;
}

void peers_close(struct peer_binding *bindings, int nr)
{
	while (nr--)
		bindings[nr].peer->close(bindings[nr].ctx);
}
