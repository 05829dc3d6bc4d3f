// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "qemu/state.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "lib/base/deadline.h"

#define FD_NAME	    "vas-state"
#define CAPABILITY  "x-ignore-shared"
#define MOVE_NS	    (120 * NSEC_PER_SEC) /* for all of a state */
#define END_NS	    (10 * NSEC_PER_SEC)	 /* from its last byte to QEMU's word that it is done */
#define LOOK_MS	    1			 /* between two looks */
#define MAX_RATE    (1ull << 40)	 /* bytes a second: no limit, but one that QEMU takes */
#define FIRST_CHUNK (1u << 20)

/* ---- answers ------------------------------------------------------------------------------ */

/* The text of a member, or "". */
static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return "";
	return json_object_get_string(value);
}

static int is_one_of(const char *text, const char *const *list)
{
	while (*list && strcmp(text, *list))
		list++;
	return *list != NULL;
}

/* A member of what a command without arguments returns, as text. */
static int ask_text(struct qmp *qmp, const char *name, const char *key, char *text, size_t size)
{
	struct json_object *result = NULL;
	int err = qmp_command(qmp, name, NULL, &result);

	if (!err)
		snprintf(text, size, "%s", text_of(result, key));
	json_object_put(result);
	return err;
}

/* ---- the guest ---------------------------------------------------------------------------- */

int qemu_is_running(struct qmp *qmp)
{
	static const char *const stands[] = { "paused",	  "prelaunch",	    "postmigrate",
					      "io-error", "suspended",	    "watchdog",
					      "shutdown", "guest-panicked", NULL };
	char status[32];
	int err = ask_text(qmp, "query-status", "status", status, sizeof(status));

	if (err)
		return err;
	if (!strcmp(status, "running"))
		return 1;
	if (is_one_of(status, stands))
		return 0;
	return vas_error_set(-EBUSY, "the guest neither runs nor stands: QEMU calls it '%s'",
			     status);
}

int qemu_stop(struct qmp *qmp)
{
	return qmp_command(qmp, "stop", NULL, NULL);
}

int qemu_cont(struct qmp *qmp)
{
	return qmp_command(qmp, "cont", NULL, NULL);
}

int qemu_quit(struct qmp *qmp)
{
	return qmp_command(qmp, "quit", NULL, NULL);
}

int qemu_kind(struct qmp *qmp, struct qemu_kind *kind)
{
	struct json_object *result = NULL, *numbers = NULL, *arguments = json_object_new_object();
	const char *names[] = { "major", "minor", "micro" };
	int number[3] = { 0 }, err = qmp_command(qmp, "query-version", NULL, &result);
	const char *type;

	if (!err)
		json_object_object_get_ex(result, "qemu", &numbers);
	for (int i = 0; i < 3 && numbers; i++) {
		struct json_object *value;

		if (json_object_object_get_ex(numbers, names[i], &value))
			number[i] = json_object_get_int(value);
	}
	snprintf(kind->version, sizeof(kind->version), "%d.%d.%d", number[0], number[1], number[2]);
	json_object_put(result);
	result = NULL;
	json_object_object_add(arguments, "path", json_object_new_string("/machine"));
	json_object_object_add(arguments, "property", json_object_new_string("type"));
	if (err) {
		json_object_put(arguments);
		return err;
	}
	err = qmp_command(qmp, "qom-get", arguments, &result);
	type = !err && json_object_is_type(result, json_type_string) ?
		       json_object_get_string(result) :
		       "";
	snprintf(kind->machine, sizeof(kind->machine), "%.*s",
		 (int)(strlen(type) - (strlen(type) > 8 ? strlen("-machine") : 0)), type);
	json_object_put(result);
	return err;
}

int qemu_genid(struct qmp *qmp, char genid[37])
{
	int err = ask_text(qmp, "query-vm-generation-id", "guid", genid, 37);

	if (err == -EREMOTEIO)
		genid[0] = '\0';
	return err == -EREMOTEIO ? 0 : err;
}

int qemu_check_disks(struct qmp *qmp)
{
	struct json_object *disks = NULL, *medium, *value;
	int err = qmp_command(qmp, "query-block", NULL, &disks);
	size_t nr = !err && json_object_is_type(disks, json_type_array) ?
			    json_object_array_length(disks) :
			    0;

	for (size_t i = 0; !err && i < nr; i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);

		if (!json_object_object_get_ex(disk, "inserted", &medium) ||
		    (json_object_object_get_ex(medium, "ro", &value) &&
		     json_object_get_boolean(value)))
			continue;
		err = vas_error_set(-EBUSY, "the guest may write to its disk %.100s",
				    text_of(medium, "file"));
	}
	json_object_put(disks);
	return err;
}

/* ---- what a save sets, and sets back ------------------------------------------------------ */

static int set_capability(struct qmp *qmp, int state)
{
	struct json_object *arguments = json_object_new_object();
	struct json_object *list = json_object_new_array(), *one = json_object_new_object();

	json_object_object_add(one, "capability", json_object_new_string(CAPABILITY));
	json_object_object_add(one, "state", json_object_new_boolean(state));
	json_object_array_add(list, one);
	json_object_object_add(arguments, "capabilities", list);
	return qmp_command(qmp, "migrate-set-capabilities", arguments, NULL);
}

static int set_parameter(struct qmp *qmp, const char *name, uint64_t value)
{
	struct json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, name, json_object_new_int64((int64_t)value));
	return qmp_command(qmp, "migrate-set-parameters", arguments, NULL);
}

static int set_rate(struct qmp *qmp, uint64_t rate)
{
	return set_parameter(qmp, "max-bandwidth", rate);
}

int qemu_set_downtime(struct qmp *qmp, uint64_t ms)
{
	return set_parameter(qmp, "downtime-limit", ms);
}

static int get_limits(struct qmp *qmp, struct qemu_limits *limits)
{
	struct json_object *result = NULL, *value;
	int err = qmp_command(qmp, "query-migrate-parameters", NULL, &result);

	if (!err && json_object_object_get_ex(result, "max-bandwidth", &value))
		limits->rate = (uint64_t)json_object_get_int64(value);
	if (!err && json_object_object_get_ex(result, "downtime-limit", &value))
		limits->downtime_ms = (uint64_t)json_object_get_int64(value);
	json_object_put(result);
	return err;
}

static int get_rate(struct qmp *qmp, uint64_t *rate)
{
	struct qemu_limits limits = { 0 };
	int err = get_limits(qmp, &limits);

	*rate = limits.rate;
	return err;
}

/* ---- QEMU's migration --------------------------------------------------------------------- */

/* What is no more than this is not over. The first: one that comes in has not begun. */
static const char *const under_way[] = { "",	       "setup",	      "active",		"device",
					 "cancelling", "wait-unplug", "pre-switchover", NULL };
static const char *const *const incoming = under_way, *const *const outgoing = under_way + 1;

/* Until it is over, one way or the other: 0, completed. */
static int wait_for_end(struct qmp *qmp, const char *const *not_over, struct deadline deadline)
{
	char status[32];
	int err;

	while (!(err = ask_text(qmp, "query-migrate", "status", status, sizeof(status))) &&
	       is_one_of(status, not_over) && deadline_left_ns(deadline))
		poll(NULL, 0, LOOK_MS);
	if (err || !strcmp(status, "completed"))
		return err;
	if (is_one_of(status, not_over))
		return vas_error_set(-ETIMEDOUT, "QEMU does not come to an end with its devices' "
						 "state");
	return vas_error_set(-EIO, "QEMU could not save or load its devices' state: it is '%s'",
			     status);
}

int qemu_recover(struct qmp *qmp)
{
	struct deadline deadline = deadline_in(END_NS);
	int err = qmp_command(qmp, "migrate_cancel", NULL, NULL);

	if (err)
		return err;
	/* Completed, cancelled, never begun: it matters only that it is over. */
	err = wait_for_end(qmp, outgoing, deadline);
	if (err == -EIO)
		err = 0;
	while (!err && (err = qemu_cont(qmp)) == -EREMOTEIO && deadline_left_ns(deadline)) {
		poll(NULL, 0, LOOK_MS);
		err = 0;
	}
	return err;
}

/* QEMU has the socket from here on, which migrate_by_fd() is for. */
static int give(struct qmp *qmp, int sock)
{
	int err = qmp_give_fd(qmp, FD_NAME, sock);

	close(sock);
	return err;
}

/* "migrate" or "migrate-incoming". */
static int migrate_by_fd(struct qmp *qmp, const char *name)
{
	struct json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, "uri", json_object_new_string("fd:" FD_NAME));
	return qmp_command(qmp, name, arguments, NULL);
}

static int make_pair(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return vas_error_set(-errno, "no socket to be had: %s", strerror(errno));
	return 0;
}

/* The same by a socket whose other end is *sock. */
static int begin(struct qmp *qmp, const char *name, int *sock)
{
	int pair[2], err = make_pair(pair);

	if (err)
		return err;
	err = give(qmp, pair[1]);
	if (!err)
		err = migrate_by_fd(qmp, name);
	if (err)
		close(pair[0]);
	else
		*sock = pair[0];
	return err;
}

struct bytes {
	char *at;
	size_t nr;
	size_t room;
};

static int make_room(struct bytes *bytes)
{
	size_t room = bytes->room ? 2 * bytes->room : FIRST_CHUNK;
	char *at;

	if (bytes->nr < bytes->room)
		return 0;
	if (room > QEMU_MAX_STATE)
		return vas_error_set(-EFBIG,
				     "the state of the guest's devices is more than %u "
				     "MiB: is memory in it that is not the vas's?",
				     QEMU_MAX_STATE >> 20);
	at = realloc(bytes->at, room);
	if (!at)
		return vas_error_set(-ENOMEM, "no memory for the devices' state");
	bytes->at = at;
	bytes->room = room;
	return 0;
}

static int moved(int err)
{
	return vas_error_set(err, "the state of QEMU's devices: %s",
			     err == -ETIMEDOUT ? "it takes too long" : strerror(-err));
}

/* Up to the end of file. */
static int read_all(int sock, struct bytes *bytes)
{
	struct deadline deadline = deadline_in(MOVE_NS);

	for (;;) {
		ssize_t nr;
		int err = make_room(bytes);

		if (err)
			return err;
		err = deadline_wait(sock, POLLIN, deadline);
		if (err)
			return moved(err);
		nr = recv(sock, bytes->at + bytes->nr, bytes->room - bytes->nr, MSG_DONTWAIT);
		if (nr < 0 && errno != EAGAIN && errno != EINTR)
			return moved(-errno);
		if (!nr)
			return 0;
		if (nr > 0)
			bytes->nr += (size_t)nr;
	}
}

static int write_all(int sock, const char *bytes, size_t size)
{
	struct deadline deadline = deadline_in(MOVE_NS);

	while (size) {
		ssize_t nr;
		int err = deadline_wait(sock, POLLOUT, deadline);

		if (err)
			return moved(err);
		nr = send(sock, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (nr < 0 && errno != EAGAIN && errno != EINTR)
			return moved(-errno);
		if (nr > 0) {
			bytes += nr;
			size -= (size_t)nr;
		}
	}
	return 0;
}

static int save(struct qmp *qmp, struct bytes *bytes)
{
	int sock, err = begin(qmp, "migrate", &sock);

	if (err)
		return err;
	err = read_all(sock, bytes);
	close(sock);
	return err ? err : wait_for_end(qmp, outgoing, deadline_in(END_NS));
}

/* QEMU is as it was, but for that the guest is in postmigrate. The first error is what counts. */
static int set_back(struct qmp *qmp, uint64_t rate, int err)
{
	char words[512];
	int back = 0;

	snprintf(words, sizeof(words), "%s", vas_error());
	if (err) {
		qmp_command(qmp, "migrate_cancel", NULL, NULL);
		wait_for_end(qmp, outgoing, deadline_in(END_NS));
	}
	/* A later migration of the user's own has to have the RAM in it. */
	back = set_capability(qmp, 0);
	if (!back)
		back = set_rate(qmp, rate);
	return err ? vas_error_set(err, "%s", words) : back;
}

/* QEMU does not migrate what stands since a migration. */
static int check_ran(struct qmp *qmp)
{
	char status[32];
	int err = ask_text(qmp, "query-status", "status", status, sizeof(status));

	if (err || strcmp(status, "postmigrate"))
		return err;
	return vas_error_set(-EBUSY, "the guest stands since it was saved, and QEMU saves it again "
				     "only when it has run: 'vas resume' lets it");
}

/* For a state as fast as it goes, without the memory that others have as well. */
static int set_up(struct qmp *qmp, uint64_t *rate)
{
	int err = check_ran(qmp);

	if (!err)
		err = get_rate(qmp, rate);
	if (!err)
		err = set_rate(qmp, MAX_RATE);
	return err ? err : set_capability(qmp, 1);
}

int qemu_save(struct qmp *qmp, void **state, size_t *size)
{
	struct bytes bytes = { 0 };
	uint64_t rate = 0;
	int err = set_up(qmp, &rate);

	if (!err)
		err = save(qmp, &bytes);
	if (rate)
		err = set_back(qmp, rate, err);
	if (err) {
		free(bytes.at);
		return err;
	}
	*state = bytes.at;
	*size = bytes.nr;
	return 0;
}

int qemu_sees_all_writes(struct qmp *qmp)
{
	struct json_object *result = NULL, *value;
	int err = qmp_command(qmp, "query-kvm", NULL, &result);
	int is_kvm = !err && json_object_object_get_ex(result, "enabled", &value) &&
		     json_object_get_boolean(value);

	json_object_put(result);
	return err ? err : is_kvm;
}

int qemu_stream_begin(struct qmp *qmp, struct qemu_limits *limits, int *sock)
{
	int err = check_ran(qmp);

	if (!err)
		err = get_limits(qmp, limits);
	if (!err)
		err = set_rate(qmp, MAX_RATE);
	if (!err)
		err = set_capability(qmp, 0);
	return err ? err : begin(qmp, "migrate", sock);
}

int qemu_stream_end(struct qmp *qmp, const struct qemu_limits *limits, int err)
{
	int back = 0;

	if (!err)
		err = wait_for_end(qmp, outgoing, deadline_in(END_NS));
	if (limits->rate)
		err = set_back(qmp, limits->rate, err);
	if (limits->rate)
		back = qemu_set_downtime(qmp, limits->downtime_ms);
	return err ? err : back;
}

int qemu_load(struct qmp *qmp, const void *state, size_t size, int with_ram)
{
	int sock, err = set_capability(qmp, !with_ram);

	if (!err)
		err = begin(qmp, "migrate-incoming", &sock);
	if (err)
		return err;
	err = write_all(sock, state, size);
	close(sock);
	if (!err)
		err = wait_for_end(qmp, incoming, deadline_in(MOVE_NS));
	return err ? err : set_capability(qmp, 0);
}

/* All that can be done before the guest stops. */
static int connect_both(struct qmp *from, struct qmp *to)
{
	int pair[2], err = make_pair(pair);

	if (err)
		return err;
	err = give(from, pair[0]);
	if (err)
		close(pair[1]);
	else
		err = give(to, pair[1]);
	return err ? err : migrate_by_fd(to, "migrate-incoming");
}

static int pass(struct qmp *from, struct qmp *to)
{
	int err = qemu_stop(from);

	if (!err)
		err = migrate_by_fd(from, "migrate");
	if (!err)
		err = wait_for_end(to, incoming, deadline_in(MOVE_NS));
	return err ? err : wait_for_end(from, outgoing, deadline_in(END_NS));
}

int qemu_hand_over(struct qmp *from, struct qmp *to, struct qemu_handing *handing)
{
	int err;

	*handing = (struct qemu_handing){ 0 };
	err = set_up(from, &handing->rate);
	if (!err)
		err = set_capability(to, 1);
	if (!err)
		err = connect_both(from, to);
	handing->stopped_ns = monotonic_ns();
	return err ? err : pass(from, to);
}

int qemu_handed_over(struct qmp *to)
{
	return set_capability(to, 0);
}

void qemu_take_back(struct qmp *from, const struct qemu_handing *handing)
{
	if (handing->rate)
		set_back(from, handing->rate, -ECANCELED);
}
