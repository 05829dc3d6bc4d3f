// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Every rule against every subject that can do what it needs; then the matrix. Arguments as the
 * harness takes them: "observer/" runs one subject, "/a_hole" the rules that begin so.
 */
#include <stdio.h>
#include <stdlib.h>

#include "subject.h"

static struct rule *rules;

struct cell {
	const struct rule *rule;
	const struct subject_kind *kind;
	struct test_case test;
	char name[128];
};

static struct cell *cells;
static size_t nr_cells;

/* Sorted by name, whatever the order of the objects. */
void rule_register(struct rule *rule)
{
	struct rule **at = &rules;

	while (*at && strcmp((*at)->name, rule->name) < 0)
		at = &(*at)->next;
	rule->next = *at;
	*at = rule;
}

static void run_cell(void *arg)
{
	struct cell *cell = arg;
	struct subject subject;

	subject_open(&subject, cell->kind);
	cell->rule->run(&subject);
	subject_close(&subject);
}

static void add_cell(const struct rule *rule, const struct subject_kind *kind)
{
	struct cell *cell = &cells[nr_cells++];

	cell->rule = rule;
	cell->kind = kind;
	snprintf(cell->name, sizeof(cell->name), "%s/%s", kind->name, rule->name);
	cell->test.name = cell->name;
	cell->test.run = run_cell;
	cell->test.arg = cell;
	test_register(&cell->test);
}

static void make_cells(void)
{
	size_t nr_rules = 0;

	for (struct rule *r = rules; r; r = r->next)
		nr_rules++;
	cells = calloc(nr_rules * nr_subject_kinds, sizeof(*cells));
	if (!cells)
		exit(1);
	for (size_t k = 0; k < nr_subject_kinds; k++)
		for (struct rule *r = rules; r; r = r->next)
			if (!(r->needs & ~subject_kinds[k].can))
				add_cell(r, &subject_kinds[k]);
}

static char cell_mark(const struct rule *rule, const struct subject_kind *kind)
{
	for (size_t i = 0; i < nr_cells; i++)
		if (cells[i].rule == rule && cells[i].kind == kind)
			return "?+Fs"[cells[i].test.result];
	return '.';
}

static int kind_ran(const struct subject_kind *kind)
{
	for (size_t i = 0; i < nr_cells; i++)
		if (cells[i].kind == kind && cells[i].test.result != TEST_PENDING)
			return 1;
	return 0;
}

static int rule_ran(const struct rule *rule)
{
	for (size_t i = 0; i < nr_cells; i++)
		if (cells[i].rule == rule && cells[i].test.result != TEST_PENDING)
			return 1;
	return 0;
}

static void print_matrix(void)
{
	printf("#\n# rule x subject: + passed, F failed, s skipped, . not its business\n#\n");
	for (size_t k = 0, column = 0; k < nr_subject_kinds; k++)
		if (kind_ran(&subject_kinds[k]))
			printf("# %*s%s\n", (int)(2 * column++), "", subject_kinds[k].name);
	for (struct rule *r = rules; r; r = r->next) {
		if (!rule_ran(r))
			continue;
		printf("# ");
		for (size_t k = 0; k < nr_subject_kinds; k++)
			if (kind_ran(&subject_kinds[k]))
				printf("%c ", cell_mark(r, &subject_kinds[k]));
		printf(" %s\n", r->name);
	}
}

int main(int argc, char **argv)
{
	int status;

	make_cells();
	status = test_main(argc, argv);
	for (size_t i = 0; i < nr_cells; i++)
		if (cells[i].test.result != TEST_PENDING) {
			print_matrix();
			break;
		}
	free(cells);
	return status;
}
