// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/holders.h"

#include <stdio.h>

#include "cli/ui/json.h"
#include "cli/ui/text.h"

void holders_describe(const struct found *found, char text[HOLDERS_TEXT])
{
	size_t len = 0;

	*text = '\0';
	for (size_t i = 0; i < found->nr_holders; i++) {
		const struct holder *holder = &found->holders[i];

		if (len + 96 > HOLDERS_TEXT) {
			sprintf(text + len, ", and %zu more", found->nr_holders - i);
			break;
		}
		len += (size_t)sprintf(text + len, "%s%d %s", i ? ", " : "", holder->pid,
				       text_shown(holder->comm, sizeof(holder->comm)).s);
	}
}

static void print_one(const struct holder *holder)
{
	json_open(NULL, '{');
	json_number("pid", (uint64_t)holder->pid);
	if (holder->fd >= 0)
		json_number("fd", (uint64_t)holder->fd);
	else
		json_null("fd");
	json_text("command", holder->comm, sizeof(holder->comm));
	json_close();
}

void holders_print_json(const struct found *found)
{
	const struct holder *first = found_holder(found);

	json_number("pid", (uint64_t)first->pid);
	json_number("fd", (uint64_t)first->fd);
	json_open("holders", '[');
	for (size_t i = 0; i < found->nr_holders; i++)
		print_one(&found->holders[i]);
	json_close();
}
