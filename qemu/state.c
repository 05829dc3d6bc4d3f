// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "qemu/state.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "lib/base/deadline.h"

#define FD_NAME	    "vas-state"
#define CAPABILITY  "x-ignore-shared"
#define MOVE_NS	    (120 * NSEC_PER_SEC) /* for all of a state */
#define END_NS	    (10 * NSEC_PER_SEC)	 /* from its last byte to QEMU's word that it is done */
#define LOOK_NS	    (200 * 1000ull)	 /* between two looks */
#define MAX_RATE    (1ull << 40)	 /* bytes a second: no limit, but one that QEMU takes */
#define FIRST_CHUNK (1u << 20)
#define PART	    (64u << 10) /* no more than FIRST_CHUNK */

static void wait_to_look(void)
{
	const struct timespec delay = { .tv_nsec = LOOK_NS };

	nanosleep(&delay, NULL);
}

/* ---- answers ------------------------------------------------------------------------------ */

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
		snprintf(text, size, "%s", qmp_text(result, key));
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

int qemu_is_waiting(struct qmp *qmp)
{
	char status[32];
	int err = ask_text(qmp, "query-status", "status", status, sizeof(status));

	return err ? err : !strcmp(status, "inmigrate");
}

int qemu_stop(struct qmp *qmp)
{
	int err = qemu_is_running(qmp) == 1 ? qemu_await_served(qmp) : 0;

	return err ? err : qmp_command(qmp, "stop", NULL, NULL);
}

int qemu_cont(struct qmp *qmp)
{
	return qmp_command(qmp, "cont", NULL, NULL);
}

int qemu_quit(struct qmp *qmp)
{
	return qmp_command(qmp, "quit", NULL, NULL);
}

/* Its vCPUs and its main loop have ended when it closes its monitors; then it unmaps the memory. */
int qemu_end(struct qmp *qmp)
{
	int err = qemu_quit(qmp);

	if (!err)
		err = qmp_await_close(qmp, END_NS);
	return err == -ECONNRESET ? 0 : err;
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

static struct json_object *parameter(const char *name, uint64_t value)
{
	struct json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, name, json_object_new_int64((int64_t)value));
	return arguments;
}

static int set_parameter(struct qmp *qmp, const char *name, uint64_t value)
{
	return qmp_command(qmp, "migrate-set-parameters", parameter(name, value), NULL);
}

static int set_rate(struct qmp *qmp, uint64_t rate)
{
	return set_parameter(qmp, "max-bandwidth", rate);
}

static int set_downtime(struct qmp *qmp, uint64_t ms)
{
	return set_parameter(qmp, "downtime-limit", ms);
}

static int get_rate(struct qmp *qmp, uint64_t *rate)
{
	struct json_object *result = NULL, *value;
	int err = qmp_command(qmp, "query-migrate-parameters", NULL, &result);

	if (!err && json_object_object_get_ex(result, "max-bandwidth", &value))
		*rate = (uint64_t)json_object_get_int64(value);
	json_object_put(result);
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
		wait_to_look();
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
		wait_to_look();
		err = 0;
	}
	return err;
}

/* A socket whose other end QEMU knows by our name, and writes a whole state to before we read. */
static int give_socket(struct qmp *qmp, int *sock)
{
	const int size = FIRST_CHUNK;
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return vas_error_set(-errno, "no socket to be had: %s", strerror(errno));
	/* Without privilege it is less. */
	if (setsockopt(pair[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	err = qmp_give_fd(qmp, FD_NAME, pair[1]);
	close(pair[1]);
	if (err)
		close(pair[0]);
	else
		*sock = pair[0];
	return err;
}

/* "migrate" or "migrate-incoming", by that socket. */
static int begin(struct qmp *qmp, const char *name)
{
	struct json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, "uri", json_object_new_string("fd:" FD_NAME));
	return qmp_command(qmp, name, arguments, NULL);
}

struct bytes {
	char *at;
	size_t nr;
	size_t room;
};

static int make_room(struct bytes *bytes, size_t size)
{
	size_t room = bytes->room ? 2 * bytes->room : FIRST_CHUNK;
	char *at;

	if (size <= bytes->room - bytes->nr)
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
static int pass_all(int sock, int (*take)(void *arg, const void *bytes, size_t size), void *arg)
{
	struct deadline deadline = deadline_in(MOVE_NS);
	char part[PART];

	for (;;) {
		ssize_t nr;
		int err = deadline_wait(sock, POLLIN, deadline);

		if (err)
			return moved(err);
		nr = recv(sock, part, sizeof(part), MSG_DONTWAIT);
		if (nr < 0 && errno != EAGAIN && errno != EINTR)
			return moved(-errno);
		if (!nr)
			return 0;
		err = nr > 0 ? take(arg, part, (size_t)nr) : 0;
		if (err)
			return err;
	}
}

static int take_bytes(void *arg, const void *part, size_t size)
{
	struct bytes *bytes = arg;
	int err = make_room(bytes, size);

	if (err)
		return err;
	memcpy(bytes->at + bytes->nr, part, size);
	bytes->nr += size;
	return 0;
}

/* ---- saving ------------------------------------------------------------------------------- */

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

int qemu_save_begin(struct qmp *qmp, struct qemu_save *save)
{
	int err = check_ran(qmp);

	*save = (struct qemu_save){ .qmp = qmp, .sock = -1 };
	if (!err)
		err = get_rate(qmp, &save->rate);
	if (err)
		return err;
	err = set_rate(qmp, MAX_RATE);
	if (!err)
		err = set_capability(qmp, 1);
	if (!err)
		err = give_socket(qmp, &save->sock);
	return err ? qemu_save_end(save, err) : 0;
}

int qemu_save_pass(struct qemu_save *save, int (*take)(void *arg, const void *bytes, size_t size),
		   void *arg)
{
	int err = qemu_check_served(save->qmp);

	if (!err)
		err = begin(save->qmp, "migrate");
	return err ? err : pass_all(save->sock, take, arg);
}

/* But for that the guest is in postmigrate. The first error is what counts. */
int qemu_save_end(struct qemu_save *save, int err)
{
	char words[512];
	int end, back;

	snprintf(words, sizeof(words), "%s", vas_error());
	if (save->sock >= 0)
		close(save->sock);
	if (err)
		qmp_command(save->qmp, "migrate_cancel", NULL, NULL);
	end = wait_for_end(save->qmp, outgoing, deadline_in(END_NS));
	/* A later migration of the user's own has to have the RAM in it. */
	back = set_capability(save->qmp, 0);
	if (!back)
		back = set_rate(save->qmp, save->rate);
	if (err)
		return vas_error_set(err, "%s", words);
	return end ? end : back;
}

int qemu_save_take(struct qemu_save *save, void **state, size_t *size)
{
	struct bytes bytes = { 0 };
	int err = qemu_save_end(save, qemu_save_pass(save, take_bytes, &bytes));

	if (err) {
		free(bytes.at);
		return err;
	}
	*state = bytes.at;
	*size = bytes.nr;
	return 0;
}

int qemu_save(struct qmp *qmp, void **state, size_t *size)
{
	struct qemu_save save;
	int err = qemu_save_begin(qmp, &save);

	return err ? err : qemu_save_take(&save, state, size);
}

/* ---- loading ------------------------------------------------------------------------------ */

int qemu_load_begin(struct qmp *qmp, int with_ram, int *sock)
{
	int err = set_capability(qmp, !with_ram);

	if (!err)
		err = give_socket(qmp, sock);
	if (err)
		return err;
	err = begin(qmp, "migrate-incoming");
	if (err)
		close(*sock);
	return err;
}

int qemu_load_write(int sock, const void *bytes, size_t size)
{
	struct deadline deadline = deadline_in(MOVE_NS);
	const char *at = bytes;

	while (size) {
		ssize_t nr;
		int err = deadline_wait(sock, POLLOUT, deadline);

		if (err)
			return moved(err);
		nr = send(sock, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (nr < 0 && errno != EAGAIN && errno != EINTR)
			return moved(-errno);
		if (nr > 0) {
			at += nr;
			size -= (size_t)nr;
		}
	}
	return 0;
}

int qemu_load_end(struct qmp *qmp, int with_ram, int sock)
{
	int err;

	close(sock);
	err = wait_for_end(qmp, incoming, deadline_in(MOVE_NS));
	return err || with_ram ? err : set_capability(qmp, 0);
}

int qemu_load(struct qmp *qmp, const void *state, size_t size, int with_ram)
{
	int sock, err = qemu_load_begin(qmp, with_ram, &sock);

	if (err)
		return err;
	err = qemu_load_write(sock, state, size);
	if (!err)
		return qemu_load_end(qmp, with_ram, sock);
	close(sock);
	return err;
}

/* ---- while the guest runs ----------------------------------------------------------------- */

static int get_downtime(struct qmp *qmp, uint64_t *ms)
{
	struct json_object *result = NULL, *value;
	int err = qmp_command(qmp, "query-migrate-parameters", NULL, &result);

	if (!err && json_object_object_get_ex(result, "downtime-limit", &value))
		*ms = (uint64_t)json_object_get_int64(value);
	json_object_put(result);
	return err;
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

/* When the last measurement began; -1: one is going on, or it cannot be told. */
static int64_t measured_at(struct json_object *rate)
{
	struct json_object *value;

	if (!strcmp(qmp_text(rate, "status"), "measuring") ||
	    !json_object_object_get_ex(rate, "start-time", &value))
		return -1;
	return json_object_get_int64(value);
}

static int64_t get_measured_at(struct qmp *qmp)
{
	struct json_object *rate = NULL;
	int64_t at = qmp_command(qmp, "query-dirty-rate", NULL, &rate) ? -1 : measured_at(rate);

	json_object_put(rate);
	return at;
}

int qemu_stream_begin(struct qmp *qmp, struct qemu_stream *stream, uint64_t downtime_ms, int *sock)
{
	struct qemu_save *save = &stream->save;
	int err = qemu_save_begin(qmp, save);

	if (err) {
		save->qmp = NULL;
		return err;
	}
	*sock = save->sock;
	save->sock = -1;
	err = set_capability(qmp, 0);
	if (!err)
		err = get_downtime(qmp, &stream->downtime_ms);
	if (!err)
		err = set_downtime(qmp, downtime_ms);
	stream->measured_at = err ? -1 : get_measured_at(qmp);
	stream->asked = QEMU_MEASURE_ASKED;
	if (!err)
		err = begin(qmp, "migrate");
	if (!err)
		err = qmp_send(qmp, "query-dirty-rate", NULL);
	if (!err)
		return 0;
	close(*sock);
	err = qemu_save_end(save, err);
	save->qmp = NULL;
	return err;
}

int qemu_stream_ended(struct qemu_stream *stream)
{
	struct qmp *qmp = stream->save.qmp;
	int err = qemu_check_served(qmp);

	return err ? err : wait_for_end(qmp, outgoing, deadline_in(END_NS));
}

int qemu_stream_end(struct qemu_stream *stream, int err)
{
	struct qmp *qmp = stream->save.qmp;
	int back;

	if (!qmp)
		return err;
	stream->save.qmp = NULL;
	if (err)
		err = qemu_save_end(&(struct qemu_save){ qmp, -1, stream->save.rate }, err);
	else
		err = set_rate(qmp, stream->save.rate);
	back = set_downtime(qmp, stream->downtime_ms);
	return err ? err : back;
}

int qemu_stream_set_downtime(struct qemu_stream *stream, uint64_t ms)
{
	return qmp_send(stream->save.qmp, "migrate-set-parameters",
			parameter("downtime-limit", ms));
}

int qemu_stream_stop(struct qemu_stream *stream)
{
	return qmp_send(stream->save.qmp, "stop", NULL);
}

/* Marks are ours alone, if nobody has begun to measure since. */
static int take_measure(struct qemu_stream *stream)
{
	struct json_object *rate = NULL;
	int got = qmp_poll(stream->save.qmp, &rate);

	if (got)
		stream->asked = got > 0 && stream->measured_at >= 0 &&
						measured_at(rate) == stream->measured_at ?
					QEMU_ASKED_NOTHING :
					QEMU_IS_UNSURE;
	json_object_put(rate);
	return got;
}

int qemu_stream_ask(struct qemu_stream *stream)
{
	if (stream->asked == QEMU_MEASURE_ASKED)
		take_measure(stream);
	if (stream->asked != QEMU_ASKED_NOTHING)
		return 0;
	stream->asked = qmp_send(stream->save.qmp, "query-migrate", NULL) ? QEMU_IS_UNSURE :
									    QEMU_MARKS_ASKED;
	return stream->asked == QEMU_MARKS_ASKED;
}

int qemu_stream_answer(struct qemu_stream *stream)
{
	struct json_object *result = NULL, *ram, *value;
	int got = stream->asked == QEMU_MARKS_ASKED ? qmp_poll(stream->save.qmp, &result) : -EINVAL;
	int has_missed_none = got > 0 && json_object_object_get_ex(result, "ram", &ram) &&
			      json_object_object_get_ex(ram, "dirty-sync-count", &value) &&
			      json_object_get_int64(value) == 1;

	json_object_put(result);
	if (!got)
		return 0;
	stream->asked = has_missed_none ? QEMU_ASKED_NOTHING : QEMU_IS_UNSURE;
	return has_missed_none ? 1 : -ENODATA;
}

/* ---- from one to another ------------------------------------------------------------------ */

/* All that can be done before the guest stops. */
static int connect_both(struct qmp *to, struct qemu_save *save)
{
	int err = set_capability(to, 1);

	if (!err)
		err = qmp_give_fd(to, FD_NAME, save->sock);
	close(save->sock);
	save->sock = -1;
	return err ? err : begin(to, "migrate-incoming");
}

static int pass(struct qmp *from, struct qmp *to)
{
	int err = qemu_stop(from);

	if (!err)
		err = qemu_check_served(from);
	if (!err)
		err = begin(from, "migrate");
	if (!err)
		err = wait_for_end(to, incoming, deadline_in(MOVE_NS));
	return err ? err : wait_for_end(from, outgoing, deadline_in(END_NS));
}

int qemu_hand_over(struct qmp *from, struct qmp *to, struct qemu_save *save, uint64_t *stopped_ns)
{
	int err = qemu_save_begin(from, save);

	*stopped_ns = 0;
	if (err) {
		save->qmp = NULL;
		return err;
	}
	err = connect_both(to, save);
	*stopped_ns = monotonic_ns();
	return err ? err : pass(from, to);
}

int qemu_handed_over(struct qmp *to)
{
	return set_capability(to, 0);
}
