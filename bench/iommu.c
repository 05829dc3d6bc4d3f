// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a device pays for an IOMMU: from iova to gpa, and an invalidation. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <vas/iommu.h>
#include <vas/vas.h>

#include "harness.h"

#define PAGE	4096ull
#define NR_ASKS 4096u /* addresses that are asked for in turn */
#define GAP	2ull  /* an entry of a page, and as much that is none */

static const uint32_t counts[] = { 1, 64, 1024, 16384, VAS_IOMMU_MAX_ENTRIES };

struct item {
	uint64_t iova, last, gpa;
	struct item *next;
};

struct scene {
	uint32_t nr;
	struct vas_iommu_view *view;
	struct vas_iommu_slot *slot;
	struct item *list;
	struct item *items;
	uint64_t *gpas;		/* by number of page, for the limit */
	uint64_t asks[NR_ASKS]; /* iovas */
};

/* Not in the order of addresses: entries come as a driver maps them. */
static uint64_t nth(const struct scene *scene, uint32_t i)
{
	return (i * 40503ull % scene->nr) * GAP * PAGE;
}

static int fill(struct scene *scene)
{
	const uint32_t prot = VAS_IOMMU_READ | VAS_IOMMU_WRITE;
	int err = 0;

	for (uint32_t i = 0; i < scene->nr && !err; i++) {
		uint64_t iova = nth(scene, i), gpa = (uint64_t)i * PAGE;

		err = vas_iommu_map(scene->view, iova, PAGE, gpa, prot);
		scene->gpas[iova / PAGE] = gpa;
		scene->items[i] = (struct item){ iova, iova + PAGE - 1, gpa, scene->list };
		scene->list = &scene->items[i];
	}
	return err;
}

static int open_scene(struct scene *scene, uint32_t nr)
{
	const struct vas_iommu_options options = { .max_entries = nr, .nr_slots = 1 };
	int err;

	*scene = (struct scene){ .nr = nr };
	scene->items = calloc(nr, sizeof(*scene->items));
	scene->gpas = calloc(nr * GAP, sizeof(*scene->gpas));
	if (!scene->items || !scene->gpas)
		return -ENOMEM;
	err = vas_iommu_view_create(&options, &scene->view);
	if (!err)
		err = vas_iommu_slot_claim(scene->view, &scene->slot);
	return err ? err : fill(scene);
}

static void close_scene(struct scene *scene)
{
	if (scene->slot)
		vas_iommu_slot_release(scene->slot);
	vas_iommu_view_destroy(scene->view);
	free(scene->items);
	free(scene->gpas);
}

static void ask(struct scene *scene, uint64_t offset)
{
	for (uint32_t i = 0; i < NR_ASKS; i++)
		scene->asks[i] = nth(scene, i * 2654435761u % scene->nr) + offset;
}

static uint64_t run_limit(void *ctx, uint64_t nr)
{
	struct scene *scene = ctx;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t iova = scene->asks[i % NR_ASKS];

		sum += scene->gpas[iova / PAGE] + iova % PAGE;
	}
	return sum;
}

static uint64_t run_vas(void *ctx, uint64_t nr)
{
	struct scene *scene = ctx;
	uint64_t sum = 0, gpa;

	vas_iommu_enter(scene->slot);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t len = 64;

		if (!vas_iommu_translate(scene->slot, scene->asks[i % NR_ASKS], VAS_IOMMU_READ,
					 &len, &gpa))
			sum += gpa;
	}
	vas_iommu_leave(scene->slot);
	return sum;
}

static uint64_t run_list(void *ctx, uint64_t nr)
{
	struct scene *scene = ctx;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t iova = scene->asks[i % NR_ASKS];
		const struct item *item = scene->list;

		while (item && (iova < item->iova || iova > item->last))
			item = item->next;
		sum += item ? item->gpa + (iova - item->iova) : 0;
	}
	return sum;
}

static uint64_t run_section(void *ctx, uint64_t nr)
{
	struct scene *scene = ctx;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < nr; i++) {
		vas_iommu_enter(scene->slot);
		sum += vas_iommu_generation(scene->slot);
		vas_iommu_leave(scene->slot);
	}
	return sum;
}

static uint64_t run_change(void *ctx, uint64_t nr)
{
	struct scene *scene = ctx;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t iova = scene->asks[i % NR_ASKS];

		vas_iommu_unmap(scene->view, iova, PAGE);
		sum += !vas_iommu_invalidate(scene->view, 0);
		vas_iommu_map(scene->view, iova, PAGE, 0, VAS_IOMMU_READ);
	}
	return sum;
}

static int measure_search(struct bench_session *session, struct scene *scene, const char *what)
{
	char name[64];
	struct bench_case bcase = { .name = name };

	snprintf(name, sizeof(name), "%s/%u", what, scene->nr);
	if (!bench_wants(session, name))
		return 0;
	if (run_vas(scene, NR_ASKS) != run_list(scene, NR_ASKS)) {
		fprintf(stderr, "iommu: %s goes astray\n", name);
		return -EIO;
	}
	bench_case_add(&bcase, BENCH_LIMIT, run_limit, scene);
	bench_case_add(&bcase, "vas", run_vas, scene);
	if (scene->nr <= 1024)
		bench_case_add(&bcase, "list", run_list, scene);
	return bench_measure(session, &bcase);
}

static int measure_change(struct bench_session *session, struct scene *scene)
{
	char name[64];
	struct bench_case bcase = { .name = name };

	snprintf(name, sizeof(name), "change/%u", scene->nr);
	if (!bench_wants(session, name))
		return 0;
	bench_case_add(&bcase, "vas", run_change, scene);
	bench_case_add(&bcase, "vas-section", run_section, scene);
	return bench_measure(session, &bcase);
}

static int run_scene(struct bench_session *session, uint32_t nr)
{
	struct scene scene;
	int err = open_scene(&scene, nr);

	if (!err) {
		ask(&scene, 64);
		err = measure_search(session, &scene, "hit");
	}
	if (!err) {
		ask(&scene, PAGE + 64);
		err = measure_search(session, &scene, "miss");
	}
	if (!err) {
		ask(&scene, 0);
		err = measure_change(session, &scene);
	}
	close_scene(&scene);
	return err;
}

static int run(struct bench_session *session)
{
	int err = 0;

	for (uint32_t i = 0; i < sizeof(counts) / sizeof(counts[0]) && !err; i++)
		err = run_scene(session, counts[i]);
	return err;
}

static const struct bench bench = {
	.name = "iommu",
	.summary = "A device behind an IOMMU: from iova to gpa, and what a change costs.",
	.run = run,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
