// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/guest.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "cli/target/name.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"
#include "cli/vmm/dimm.h"
#include "cli/vmm/pidfd.h"
#include "cli/vmm/turn.h"

#define END_MS	30000
#define LOOK_MS 50
#define LOOKS	100 /* until a QEMU listens whose command was killed */
#define SHOWN	4   /* writers in a message */

/* ---- owning it ---------------------------------------------------------------------------- */

int guest_adopt(const struct vas *binder, struct vas **vas)
{
	int err = vas_bind(vas_fd(binder), VAS_BIND_ADOPT, vas);

	for (uint32_t i = 0; !err && i < VAS_MAX_BACKINGS; i++) {
		const int fd = vas_backing_fd(binder, i);

		if (fd >= 0 && fd != vas_fd(binder))
			vas_backing_offer(*vas, fd);
	}
	return err;
}

static int take_over(struct guest *guest, struct vas *binder)
{
	struct vas_info info;
	int err = guest_adopt(binder, &guest->vas), code;

	if (!err)
		return EXIT_OK;
	if (err != -EBUSY || vas_info(binder, &info))
		return fail_vas(err, guest->name);
	code = guest->folder.path[0] ?
		       loan_take(&guest->folder, guest->name, &guest->vas, &guest->loan) :
		       -1;
	if (code >= 0)
		return code;
	return fail(EXIT_REFUSED,
		    "%s belongs to process %u, which does not lend it: this is for its owner to "
		    "do, or for a vas whose owner has ended",
		    guest->name, info.owner_pid);
}

int guest_find_folder(struct vas *vas, struct run_folder *folder)
{
	struct vas_info info;
	struct stat st;
	int err = vas_info(vas, &info);

	if (!err && fstat(vas_fd(vas), &st))
		err = -errno;
	return err ? err : run_folder_find(folder, info.uuid, st.st_uid);
}

/* Of a private clone, the vas has the layout alone. */
static int check_memory(const char *name, struct vas *vas)
{
	struct vas_region region;

	if (vas_regions(vas, &region, 1) < 1 || !(region.flags & VAS_REGION_LOCAL))
		return EXIT_OK;
	return fail(EXIT_REFUSED,
		    "%s: its memory is its QEMU's own and out of reach, as of what 'vas clone "
		    "--private' makes: it can be paused and resumed, but not saved or moved",
		    name);
}

/* Somebody has the memory but for the guest's QEMU, or we cannot tell. */
static int has_stranger(struct guest *guest)
{
	struct writers writers = { 0 };
	struct qmp *qmp;
	int err = monitor_open(&guest->folder, RUN_MONITOR, &qmp);

	if (!err)
		err = writers_find(guest->vas, qmp ? qmp_pid(qmp) : 0, &writers);
	qmp_close(qmp);
	free(writers.at);
	return err || writers.nr;
}

/*
 * Its holder was killed, and a command at work on it as well: the QEMU that this had started may
 * not listen yet. It has an fd of the memory by then, though.
 */
static void await_next(struct guest *guest)
{
	struct qmp *next;
	int looks = LOOKS, err;

	while (!(err = monitor_open(&guest->folder, RUN_NEXT_MONITOR, &next)) && !next &&
	       has_stranger(guest) && looks--)
		poll(NULL, 0, LOOK_MS);
	qmp_close(err ? NULL : next);
}

static int find_qemu(struct guest *guest)
{
	int err;

	if (guest->loan < 0 && run_folder_has(&guest->folder, RUN_NEXT_MONITOR))
		await_next(guest);
	err = turn_settle(&guest->folder, &guest->qmp);
	if (!err && guest->qmp)
		err = guest->was_running = qemu_is_running(guest->qmp);
	else if (!err)
		guest->is_saved = run_folder_has(&guest->folder, RUN_STATE);
	return err < 0 ? err : 0;
}

int guest_open_any(const char *name, struct guest *guest)
{
	struct vas *binder;
	int code = name_bind(name, VAS_ROLE_BINDER, &binder), err;

	*guest = (struct guest){ .name = name, .loan = -1, .process = -1 };
	if (code)
		return code;
	guest_find_folder(binder, &guest->folder);
	code = check_memory(name, binder);
	if (!code)
		code = take_over(guest, binder);
	vas_unbind(binder);
	if (code)
		return code;
	err = find_qemu(guest);
	if (!err)
		return EXIT_OK;
	code = fail_vas(err, name);
	guest_close(guest);
	return code;
}

int guest_open(const char *name, struct guest *guest)
{
	int code = guest_open_any(name, guest);

	if (code || !guest->is_saved)
		return code;
	code = fail(EXIT_REFUSED,
		    "%s: its guest stands between two QEMUs, in %s: 'vas resume' lets it go on",
		    name, guest->folder.path);
	guest_close(guest);
	return code;
}

void guest_close(struct guest *guest)
{
	int err = guest_go_on(guest);

	if (err)
		note("the guest stands still: %s: 'vas resume' makes it go on", vas_error());
	qmp_close(guest->qmp);
	free(guest->writers.at);
	if (guest->process >= 0)
		close(guest->process);
	vas_unbind(guest->vas);
	loan_return(guest->loan, LOAN_DONE);
}

void guest_end(struct guest *guest)
{
	turn_let_begin();
	if (guest->qmp && qemu_quit(guest->qmp))
		note("QEMU, process %d, does not end: %s", qmp_pid(guest->qmp), vas_error());
	qmp_close(guest->qmp);
	free(guest->writers.at);
	vas_destroy(guest->vas);
	loan_return(guest->loan, LOAN_MOVED);
}

int guest_fail_without(const char *name)
{
	return fail(EXIT_REFUSED,
		    "%s: no QEMU runs in it that was started by 'vas run', 'restore', "
		    "'clone' or 'receive'",
		    name);
}

int guest_open_monitor(const char *name, struct qmp **qmp)
{
	struct run_folder folder;
	struct vas *vas;
	int code, err;

	/* What has no guest is not to be one. */
	run_folder_sweep();
	code = name_bind(name, VAS_ROLE_OBSERVER, &vas);
	if (code)
		return code;
	guest_find_folder(vas, &folder);
	err = monitor_open(&folder, RUN_MONITOR, qmp);
	vas_unbind(vas);
	if (err)
		return fail_vas(err, name);
	if (run_folder_has(&folder, "next") || (!*qmp && run_folder_has(&folder, RUN_STATE))) {
		qmp_close(*qmp);
		return -1;
	}
	return *qmp ? EXIT_OK : guest_fail_without(name);
}

/* ---- who writes --------------------------------------------------------------------------- */

struct list_text {
	char s[256];
};

/* "4711 (dd), 4712 (qemu-system-x86) and 3 more": who has it mapped. */
static struct list_text list_maps(const struct writers *writers)
{
	struct list_text text = { "" };
	size_t len = 0, nr = 0;

	for (size_t i = 0; i < writers->nr; i++) {
		const struct writer *writer = &writers->at[i];

		if (writer->has_map && nr++ < SHOWN)
			len += (size_t)sprintf(text.s + len, "%s%d (%s)", nr > 1 ? ", " : "",
					       writer->pid,
					       text_shown(writer->comm, PROCESS_COMM_LEN).s);
	}
	if (nr > SHOWN)
		sprintf(text.s + len, " and %zu more", nr - SHOWN);
	return text;
}

static int find_writers(struct guest *guest, struct writers *writers)
{
	return writers_find(guest->vas, guest->qmp ? qmp_pid(guest->qmp) : 0, writers);
}

int guest_check_writers(struct guest *guest, enum guest_force force)
{
	int err;

	free(guest->writers.at);
	err = find_writers(guest, &guest->writers);
	if (err)
		return fail(EXIT_REFUSED, "%s: who may write to it cannot be told: %s", guest->name,
			    strerror(-err));
	if (!guest->writers.nr_maps)
		return EXIT_OK;
	if (force != GUEST_FORCED)
		return fail(EXIT_REFUSED,
			    "%s: mapped by process %s, which may write to it and cannot be "
			    "stopped: end it%s",
			    guest->name, list_maps(&guest->writers).s,
			    force == GUEST_UNLESS_FORCED ?
				    ", or give --force, and what it writes meanwhile may be torn" :
				    "");
	note("mapped by process %s: what it writes meanwhile may be torn",
	     list_maps(&guest->writers).s);
	return EXIT_OK;
}

static int compare(const struct writers *before, const struct writers *after)
{
	const struct writer *ran = writers_ran(before, after);

	if (after->nr_maps)
		return vas_error_set(-EBUSY,
				     "mapped meanwhile by process %s, which may have "
				     "written to it",
				     list_maps(after).s);
	if (ran)
		return vas_error_set(-EBUSY,
				     "process %d (%s) has an fd of it and ran meanwhile, so "
				     "it may have written to it: end it, or give --force",
				     ran->pid, text_shown(ran->comm, PROCESS_COMM_LEN).s);
	return 0;
}

int guest_has_written(struct guest *guest)
{
	struct writers now;
	int err = find_writers(guest, &now);

	if (err)
		err = vas_error_set(err, "who may write to it cannot be told: %s", strerror(-err));
	else
		err = compare(&guest->writers, &now);
	free(now.at);
	return err;
}

static void *look_for_writes(void *arg)
{
	struct guest_look *look = arg;

	look->err = guest_has_written(look->guest);
	if (look->err)
		snprintf(look->error, sizeof(look->error), "%s", vas_error());
	return NULL;
}

void guest_look_begin(struct guest_look *look, struct guest *guest)
{
	*look = (struct guest_look){ .guest = guest };
	look->has_thread = !pthread_create(&look->thread, NULL, look_for_writes, look);
}

int guest_look_end(struct guest_look *look)
{
	if (look->has_thread)
		pthread_join(look->thread, NULL);
	else
		look_for_writes(look);
	return look->err ? vas_error_set(look->err, "%s", look->error) : 0;
}

/* ---- the guest ---------------------------------------------------------------------------- */

int guest_stop(struct guest *guest)
{
	int err = guest->was_running ? qemu_stop(guest->qmp) : 0;

	guest->is_stopped = guest->was_running && !err;
	return err;
}

int guest_go_on(struct guest *guest)
{
	int err = guest->is_stopped ? qemu_cont(guest->qmp) : 0;

	guest->is_stopped &= err != 0;
	return err;
}

int guest_may_move(struct guest *guest)
{
	int err = loan_may_move(guest->loan);

	return err ? vas_error_set(err, "the holder cannot be told: %s", strerror(-err)) : 0;
}

static int get_command(struct guest *guest, uint64_t *memory, char ***command)
{
	int err = run_folder_get_command(&guest->folder, memory, command);

	if (err)
		vas_error_set(err, "how QEMU was started cannot be read from %s: %s",
			      guest->folder.path, strerror(-err));
	return err;
}

int guest_memory(struct guest *guest, uint64_t *memory, int *is_ours)
{
	char **command;
	int err = get_command(guest, memory, &command);

	if (err)
		return err;
	/* Without a word it is not known how it was started. */
	*is_ours = command[0] != NULL;
	for (char **word = command; *word; word++)
		*is_ours &= !strstr(*word, "memory-backend");
	free(command);
	return 0;
}

int guest_record(struct guest *guest, struct qemu_record *record)
{
	int err = get_command(guest, &record->memory, &record->command);

	if (err)
		return err;
	record->is_running = guest->was_running;
	err = qemu_kind(guest->qmp, &record->kind);
	return err ? err : qemu_genid(guest->qmp, record->genid);
}

static int pack(struct guest *guest, struct qemu_record *record, void **bytes, size_t *size)
{
	int err = guest_record(guest, record);

	if (!err)
		err = qemu_record_pack(record, bytes, size);
	free(record->command);
	return err;
}

int guest_describe(struct guest *guest, int with_ram, void **bytes, size_t *size)
{
	struct qemu_record record = { .state = "", .with_ram = with_ram };

	return pack(guest, &record, bytes, size);
}

int guest_save(struct guest *guest, void **bytes, size_t *size)
{
	struct qemu_record record = { 0 };
	void *state = NULL;
	int err = dimm_check(guest->qmp, guest->vas);

	if (!err)
		err = qemu_save(guest->qmp, &state, &record.state_size);
	record.state = state;
	if (!err)
		err = pack(guest, &record, bytes, size);
	free(state);
	return err;
}

void guest_end_here(struct guest *guest)
{
	guest->process = process_open(qmp_pid(guest->qmp));
	/* One that does not answer is not to run on either. */
	if (qemu_end(guest->qmp) && guest->process >= 0)
		process_signal(guest->process, SIGKILL);
	guest->is_stopped = 0;
}

static int await_end(const struct guest *guest)
{
	struct pollfd fd = { .fd = guest->process, .events = POLLIN };

	if (guest->process < 0 || poll(&fd, 1, END_MS) == 1)
		return 0;
	return vas_error_set(-ETIMEDOUT, "QEMU, process %d, does not end", qmp_pid(guest->qmp));
}

int guest_take(struct guest *guest)
{
	int err = loan_keep(guest->loan);

	guest->loan = -1;
	if (err)
		return vas_error_set(err, "the holder does not let go: %s", strerror(-err));
	return await_end(guest);
}
