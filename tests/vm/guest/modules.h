/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The kernel modules of a run. */
#ifndef GUEST_MODULES_H
#define GUEST_MODULES_H

#include <stdbool.h>

/*
 * Load "FILE [PARAMETER...]", which is modified. Loading one that is itself tested (own) is a test
 * of its own. False, and reported, if it cannot be loaded: then no test makes sense any more.
 */
bool modules_load(char *what, bool own);

/* Unload the tested modules, the last one first; each is a test of its own. */
void modules_unload(void);

/* A line of the kernel's log names a function of a tested module, as stacks do: "function [module]". */
bool modules_named_in(const char *text);

#endif
