// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "goals.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct goal {
	const char *subject;
	const char *subject_case;
	const char *other;
	const char *other_case;
	double at_most; /* times the other */
};

/*
 * Constant means that the log of the number of regions isn't in it; a few instructions more or less
 * are where the structures happen to lie.
 */
static const struct goal goals_of_all[] = {
	{ "vas-cache", "from/8/1", "kvm", "from/8/1", 1.2 },
	{ "vas-cache", "from/8/64", "kvm", "from/8/64", 1.2 },
	{ "vas-cache", "from/8/4096", "kvm", "from/8/4096", 1.2 },
	{ "vas-cache", "from/8/32000", "kvm", "from/8/32000", 1.2 },
	{ "vas-cache", "to/8/1", "kvm", "to/8/1", 1.2 },
	{ "vas-cache", "to/8/32000", "kvm", "to/8/32000", 1.2 },
	{ "vas-cache", "from/8/32000", "vas-cache", "from/8/1", 1.01 },
	{ "vas-cache", "to/8/32000", "vas-cache", "to/8/1", 1.01 },
	{ "vas-cache", "from/4096/1", "user", "from/4096/1", 1.1 },
	{ "vas-cache", "from/4096/32000", "user", "from/4096/32000", 1.1 },
	{ "vas-cache", "to/4096/1", "user", "to/4096/1", 1.1 },
	{ "vas-cache", "to/4096/32000", "user", "to/4096/32000", 1.1 },
	{ "vas-map", "from/8/32000", "limit", "from/8/32000", 1.01 },
	{ "vas-map", "to/8/32000", "limit", "to/8/32000", 1.01 },
	{ "vas-map", "from/4096/32000", "limit", "from/4096/32000", 1.01 },
	{ "vas-map", "to/4096/32000", "limit", "to/4096/32000", 1.01 },
	{ "vas", "net-from-guest/64", "vhost-net", "net-from-guest/64", 0.8 },
	{ "vas", "net-to-guest/64", "vhost-net", "net-to-guest/64", 0.8 },
	{ "vas", "net-from-guest/1500", "vhost-net", "net-from-guest/1500", 0.8 },
	{ "vas", "net-to-guest/1500", "vhost-net", "net-to-guest/1500", 0.8 },
	{ "vas", "net-from-guest/65226", "vhost-net", "net-from-guest/65226", 1.0 },
	{ "vas", "net-to-guest/65226", "vhost-net", "net-to-guest/65226", 1.0 },
	/* What changes is paid for, not RAM. */
	{ "vas", "vfio-change/2/512", "vas", "vfio-change/2/64", 1.05 },
	{ "vas", "vfio-change/32/512", "vas", "vfio-change/2/512", 16.8 },
};

void goals_note(struct goals *goals, const char *case_name, const char *subject, double cost)
{
	if (goals->nr == GOALS_MAX_NOTES)
		return;
	snprintf(goals->notes[goals->nr].what, sizeof(goals->notes[0].what), "%s %s", case_name,
		 subject);
	goals->notes[goals->nr++].cost = cost;
}

/* 0 if it was not measured. */
static double cost_of(const struct goals *goals, const char *case_name, const char *subject)
{
	char what[64];

	snprintf(what, sizeof(what), "%s %s", case_name, subject);
	for (unsigned int i = 0; i < goals->nr; i++)
		if (!strcmp(goals->notes[i].what, what))
			return goals->notes[i].cost;
	return 0;
}

int goals_check(const struct goals *goals, bool quiet)
{
	int err = 0;

	for (unsigned int i = 0; i < sizeof(goals_of_all) / sizeof(*goals_of_all); i++) {
		const struct goal *goal = &goals_of_all[i];
		double cost = cost_of(goals, goal->subject_case, goal->subject);
		double other = cost_of(goals, goal->other_case, goal->other);
		bool met = cost <= other * goal->at_most;

		if (cost <= 0 || other <= 0)
			continue;
		if (!met)
			err = -ERANGE;
		if (!quiet)
			printf("goal %s: %s %s is %.3f times %s %s, at most %.2f\n",
			       met ? "met" : "MISSED", goal->subject_case, goal->subject,
			       cost / other, goal->other_case, goal->other, goal->at_most);
	}
	return err;
}
