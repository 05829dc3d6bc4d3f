/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest that runs becomes private clones of itself: its memory is their template, as it is. */
#ifndef CLI_FORK_H
#define CLI_FORK_H

#include "cli/vmm/restored.h"
#include "cli/vmm/save.h"

/*
 * The guest's RAM must be apart ('vas run --template'). nr clones are started, it stops, they take
 * its state, it ends, its memory is sealed, and they go on. Until it ends, an error lets it
 * go on. Then as restored_run(). An exit code; FORK_NOT if this is no such guest, with no message.
 */
#define FORK_NOT (-1)
int fork_guest(const struct saving *saving, struct restored *restored, int nr, int as_json);

#endif
