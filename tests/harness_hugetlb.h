/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef TESTS_HARNESS_HUGETLB_H
#define TESTS_HARNESS_HUGETLB_H

/* See that nr 2 MiB pages are free for this case while it lives, or skip it. */
void hugetlb_require(unsigned int nr);

#endif
