/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* QEMUs without a guest that a command has left behind, which was killed. */
#ifndef CLI_ORPHAN_H
#define CLI_ORPHAN_H

#include "cli/vmm/run_folder.h"

/*
 * End the QEMU of a folder if nobody holds its vas any more and it
 *
 *	waits for a state that cannot come;
 *	is a private clone, and its template is not closed: the guest is where it came from;
 *	has the RAM of a template that is closed: the guest is its clones'.
 *
 * Any other stays as it is. The template of a clone that stays is sealed, if it was not yet.
 */
void orphan_end(const struct run_folder *folder);

#endif
