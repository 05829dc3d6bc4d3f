// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* From guest-physical address to pointer, checked, and one load through it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"
#include "peer.h"
#include "trail.h"

#define REGION_SIZE (64ULL << 10)

static const unsigned int region_counts[] = { 1, 2, 8, 64, 509, 4096, 32000 };

struct pattern {
	const char *name;
	bool every_region;
};

static const struct pattern patterns[] = {
	{ "same-region", false },
	{ "random-region", true },
};

struct walk {
	const struct peer *peer;
	void *ctx;
	struct peer_gpas at;
	uint64_t gpa;
};

static uint64_t run_dependent(void *ctx, uint64_t nr)
{
	struct walk *walk = ctx;

	walk->gpa = walk->peer->chase(walk->ctx, walk->gpa, nr);
	return walk->gpa;
}

static uint64_t run_independent(void *ctx, uint64_t nr)
{
	struct walk *walk = ctx;
	uint64_t sum = walk->peer->gather(walk->ctx, &walk->at, nr);

	/* On from there next time, as the other does: a short run must not stay on the same few
	 * pages. */
	walk->at.start += nr;
	return sum;
}

struct dependence {
	const char *name;
	uint64_t (*run)(void *ctx, uint64_t nr);
};

static const struct dependence dependences[] = {
	{ "dependent", run_dependent },
	{ "independent", run_independent },
};

static bool refuses(const struct walk *walk, uint64_t gpa)
{
	const struct peer_gpas at = { .gpas = &gpa, .mask = 0 };

	return walk->peer->gather(walk->ctx, &at, 1) == PEER_REFUSED;
}

/* Nothing is measured that does not find its way, or that would let a hole or a straddling word
 * pass. */
static int verify(const struct walk *walk, const struct guest *guest, const struct trail *trail)
{
	const struct guest_region *last = &guest->regions[guest->nr_regions - 1];
	uint64_t sum = 0;

	for (uint64_t i = 0; i < trail->nr; i++)
		sum += trail->gpas[i];
	if (walk->peer->chase(walk->ctx, trail->gpas[0], trail->nr - 1) !=
		    trail->gpas[trail->nr - 1] ||
	    walk->peer->gather(walk->ctx, &walk->at, trail->nr) != sum ||
	    !refuses(walk, guest->limit)) {
		fprintf(stderr, "translate: %s goes astray\n", walk->peer->name);
		return -EIO;
	}
	if (walk->peer != &peer_limit && (!refuses(walk, last->gpa + last->size) ||
					  !refuses(walk, last->gpa + last->size - 4))) {
		fprintf(stderr, "translate: %s walks into a hole\n", walk->peer->name);
		return -EIO;
	}
	return 0;
}

static int measure(struct bench_session *session, const char *name, const struct guest *guest,
		   const struct trail *trail, uint64_t (*run)(void *ctx, uint64_t nr))
{
	struct peer_binding bindings[PEER_MAX];
	struct walk walks[PEER_MAX];
	struct bench_case bcase = { .name = name };
	int nr = peers_open(session, guest, PEER_TRANSLATES, bindings);
	int ret = nr < 0 ? nr : 0;

	for (int i = 0; !ret && i < nr; i++) {
		walks[i] = (struct walk){
			.peer = bindings[i].peer,
			.ctx = bindings[i].ctx,
			.at = { .gpas = trail->gpas, .mask = trail->nr - 1 },
			.gpa = trail->gpas[0],
		};
		ret = verify(&walks[i], guest, trail);
		bench_case_add(&bcase, walks[i].peer->name, run, &walks[i]);
	}
	if (!ret)
		ret = bench_measure(session, &bcase);
	if (nr > 0)
		peers_close(bindings, nr);
	return ret;
}

static int run_case(struct bench_session *session, const struct pattern *pattern,
		    unsigned int nr_regions, const struct dependence *dependence)
{
	struct guest guest;
	struct trail trail;
	char name[64];
	int ret;

	snprintf(name, sizeof(name), "%s/%u/%s", pattern->name, nr_regions, dependence->name);
	if (!bench_wants(session, name))
		return 0;
	ret = guest_create(&guest, nr_regions, REGION_SIZE);
	if (ret)
		return ret;
	/* One region is the middle one: neither end of a list is favoured. */
	ret = trail_create(&trail, &guest, pattern->every_region ? 0 : nr_regions / 2,
			   pattern->every_region ? nr_regions : 1);
	if (ret)
		goto err_guest;
	ret = measure(session, name, &guest, &trail, dependence->run);
	trail_destroy(&trail);
err_guest:
	guest_destroy(&guest);
	return ret;
}

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static int run(struct bench_session *session)
{
	const unsigned int nr_counts = ARRAY_SIZE(region_counts);
	const unsigned int nr_dependences = ARRAY_SIZE(dependences);
	const unsigned int nr = ARRAY_SIZE(patterns) * nr_dependences * nr_counts;
	int ret = 0;

	for (unsigned int i = 0; !ret && i < nr; i++)
		ret = run_case(session, &patterns[i / nr_counts / nr_dependences],
			       region_counts[i % nr_counts],
			       &dependences[i / nr_counts % nr_dependences]);
	return ret;
}

static const struct bench bench = {
	.name = "translate",
	.summary = "From guest-physical address to pointer: PATTERN/REGIONS/DEPENDENCE.",
	.run = run,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
