// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A monitor that is no QEMU: each way to be one is an error, and none a hang or a crash. */
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/vas.h>

#include "qemu/state.h"
#include "tests/harness.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define YES	 "{\"return\": {}, \"id\": %d}\r\n"
#define PATIENT	 TEST_HANG_NS
#define SOON	 300000000ull

static char path[64];

static void say(int sock, const char *text)
{
	if (send(sock, text, strlen(text), MSG_NOSIGNAL) < 0)
		_exit(0);
}

/* A command of the client's; false when it is gone. */
static int hear(int sock, char *line, size_t size)
{
	ssize_t nr = recv(sock, line, size - 1, 0);

	line[nr > 0 ? nr : 0] = '\0';
	return nr > 0;
}

static void agree(int sock)
{
	char line[4096], answer[64];

	say(sock, GREETING);
	if (!hear(sock, line, sizeof(line)))
		_exit(0);
	snprintf(answer, sizeof(answer), YES, 1);
	say(sock, answer);
}

/* A process that listens at `path`, and does this with whoever connects. */
static pid_t serve(void (*act)(int sock))
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t pid;

	snprintf(path, sizeof(path), "/tmp/vas-test-monitor-%d", getpid());
	strcpy(at.sun_path, path);
	unlink(path);
	CHECK_OK(bind(listener, (struct sockaddr *)&at, sizeof(at)));
	CHECK_OK(listen(listener, 1));
	pid = fork();
	if (!pid) {
		act(accept(listener, NULL, NULL));
		_exit(0);
	}
	close(listener);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
}

static void open_fails(void (*act)(int sock), int err, const char *words)
{
	struct qmp *qmp;
	pid_t pid = serve(act);

	CHECK_EQ(qmp_open(path, SOON, &qmp), err);
	CHECK_HAS(vas_error(), words);
	end(pid);
}

/* ---- who never gets as far as a command --------------------------------------------------- */

static void is_silent(int sock)
{
	(void)sock;
	pause();
}

static void dribbles(int sock)
{
	for (;;) {
		say(sock, "{");
		usleep(20000); /* between two bytes that lead nowhere */
	}
}

static void never_ends_a_line(int sock)
{
	char chunk[4097];

	memset(chunk, ' ', sizeof(chunk));
	chunk[4096] = '\0';
	for (;;)
		say(sock, chunk);
}

static void hangs_up(int sock)
{
	close(sock);
}

static void speaks_another_language(int sock)
{
	say(sock, "SSH-2.0-OpenSSH_9.2\r\n");
	pause();
}

static void is_too_deep(int sock)
{
	for (int i = 0; i < 10000; i++)
		say(sock, "[[[[[[[[[[");
	say(sock, "\n");
	pause();
}

static void greets_with_something_else(int sock)
{
	say(sock, "{\"hello\": 1}\n");
	pause();
}

static void sends_events_for_ever(int sock)
{
	say(sock, GREETING);
	for (;;)
		say(sock, "{\"event\": \"RTC_CHANGE\"}\n");
}

TEST(who_never_comes_to_a_command_is_an_error)
{
	open_fails(is_silent, -EBUSY, "another command");
	open_fails(dribbles, -EBUSY, "another command");
	open_fails(hangs_up, -ECONNRESET, "closed its monitor");
	open_fails(speaks_another_language, -EPROTO, "no QMP");
	open_fails(is_too_deep, -EPROTO, "no QMP");
	open_fails(greets_with_something_else, -EPROTO, "no QMP");
	open_fails(sends_events_for_ever, -ETIMEDOUT, "in time");
}

TEST(a_message_without_an_end_has_a_bound)
{
	struct qmp *qmp;
	pid_t pid = serve(never_ends_a_line);

	CHECK_EQ(qmp_open(path, PATIENT, &qmp), -EPROTO);
	CHECK_HAS(vas_error(), "at once");
	end(pid);
}

TEST(nobody_there_is_told_from_nobody_left)
{
	struct qmp *qmp;
	pid_t pid = serve(hangs_up);

	end(pid);
	CHECK_EQ(qmp_open(path, PATIENT, &qmp), -ENOENT);
	CHECK_HAS(vas_error(), "No such file");
}

/* ---- commands ----------------------------------------------------------------------------- */

static void answers(int sock)
{
	char line[4096];

	agree(sock);
	while (hear(sock, line, sizeof(line))) {
		say(sock, "{\"event\": \"STOP\"}\n{\"return\": {}, \"id\": 99}\n{\"ret");
		if (strstr(line, "query-status"))
			say(sock, "urn\": {\"status\": \"running\"}, \"id\": 2}\r\n");
		else if (strstr(line, "stop"))
			say(sock, "urn\": {}}\n{\"error\": {\"desc\": \"no \\u001b[2J today\"}, "
				  "\"id\": 3}\n");
	}
}

TEST(answers_are_told_from_events_and_refusals_have_words)
{
	struct qmp *qmp;
	pid_t pid = serve(answers);

	CHECK_OK(qmp_open(path, PATIENT, &qmp));
	CHECK_EQ(qmp_pid(qmp), getpid()); /* it was this process that listened */
	CHECK_EQ(qemu_is_running(qmp), 1);
	CHECK_EQ(qmp_command(qmp, "stop", NULL, NULL), -EREMOTEIO);
	CHECK_HAS(vas_error(), "QEMU refuses 'stop': no ");
	end(pid);
	CHECK_EQ(qemu_cont(qmp), -ECONNRESET);
	qmp_close(qmp);
}

static void answers_with_nonsense(int sock)
{
	static const char *const nonsense[] = { "[]",
						"17",
						"null",
						"{\"status\": {}}",
						"{\"qemu\": 3}",
						"\"x\"",
						"[{\"inserted\": 3}]" };
	char line[4096], answer[128];
	int id = 2;

	agree(sock);
	for (; hear(sock, line, sizeof(line)); id++) {
		snprintf(answer, sizeof(answer), "{\"return\": %s, \"id\": %d}\n", nonsense[id % 7],
			 id);
		say(sock, answer);
	}
}

TEST(answers_of_the_wrong_type_harm_nothing)
{
	struct qemu_kind kind;
	struct qmp *qmp;
	pid_t pid = serve(answers_with_nonsense);

	CHECK_OK(qmp_open(path, PATIENT, &qmp));
	for (int i = 0; i < 7; i++) {
		CHECK_EQ(qemu_is_running(qmp), -EBUSY);
		qemu_kind(qmp, &kind);
		qemu_check_disks(qmp);
		qemu_check_devices(qmp);
		qemu_check_served(qmp);
	}
	qmp_close(qmp);
	end(pid);
}

static void has_a_physical_device(int sock)
{
	char line[4096], answer[256];

	agree(sock);
	for (int id = 2; hear(sock, line, sizeof(line)); id++) {
		snprintf(answer, sizeof(answer),
			 "{\"return\": [{\"name\": \"type\", \"type\": \"string\"}, {\"name\": "
			 "\"%s\", \"type\": \"child<%s>\"}], \"id\": %d}\n",
			 strstr(line, "-anon") ? "device[0]" : "nic0",
			 id == 3 ? "vfio-pci" : "virtio-net-pci", id);
		say(sock, answer);
	}
}

TEST(a_physical_device_is_refused_by_its_name)
{
	struct qmp *qmp;
	pid_t pid = serve(has_a_physical_device);

	CHECK_OK(qmp_open(path, PATIENT, &qmp));
	CHECK_EQ(qemu_check_devices(qmp), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "device[0] (vfio-pci)");
	/* Only those with names of their own, of which there are others. */
	CHECK_OK(qemu_check_devices(qmp));
	qmp_close(qmp);
	end(pid);
}

#define SOCKET(label, path) "{\"label\": \"" label "\", \"filename\": \"" path "\"}"

/* Processes that are there when it is asked for the third time. */
static void is_served_later(int sock, const char *devices)
{
	char line[4096], text[512];
	int looks = 0;

	agree(sock);
	for (int id = 2; hear(sock, line, sizeof(line)); id++) {
		const char *answer =
			"[" SOCKET("disk", "unix:/s") ", " SOCKET("net", "unix:/t") "]";

		if (strstr(line, "qom-list"))
			answer = strstr(line, "-anon") ? "[]" : devices;
		else if (strstr(line, "qom-get"))
			answer = "\"disk\"";
		else if (strstr(line, "query-virtio"))
			answer = "{\"vhost-started\": true}";
		else if (strstr(line, "info network"))
			answer =
				"\"net0: type=nic\\r\\n n: type=vhost-user,vhost-user0 to net\\r\\n\"";
		else if (looks++ < 2)
			answer = "[" SOCKET("disk", "disconnected:unix:/s") ", " SOCKET(
				"net", "disconnected:unix:/t") "]";
		snprintf(text, sizeof(text), "{\"return\": %s, \"id\": %d}\n", answer, id);
		say(sock, text);
	}
}

static void has_a_disk_that_is_served_later(int sock)
{
	is_served_later(sock, "[{\"name\": \"d0\", \"type\": \"child<vhost-user-blk-pci>\"}]");
}

static void has_a_network_that_is_served_later(int sock)
{
	is_served_later(sock, "[{\"name\": \"n0\", \"type\": \"child<virtio-net-pci>\"}]");
}

TEST(a_device_that_nobody_serves_is_waited_for)
{
	struct qmp *qmp;
	pid_t pid = serve(has_a_disk_that_is_served_later);

	CHECK_OK(qmp_open(path, PATIENT, &qmp));
	CHECK_EQ(qemu_check_served(qmp), -ENOTCONN);
	CHECK_HAS(vas_error(), "nobody serves the guest's device d0 (vhost-user-blk-pci)");
	CHECK_OK(qemu_await_served(qmp));
	/* It came late, if the guest stands. */
	CHECK_EQ(qemu_check_served(qmp), -ENOTCONN);
	CHECK_HAS(vas_error(), "came while the guest stood");
	qmp_close(qmp);
	end(pid);
}

TEST(a_network_that_nobody_serves_is_waited_for)
{
	struct qmp *qmp;
	pid_t pid = serve(has_a_network_that_is_served_later);

	CHECK_OK(qmp_open(path, PATIENT, &qmp));
	CHECK_EQ(qemu_check_served(qmp), -ENOTCONN);
	CHECK_HAS(vas_error(), "network interface at the socket net");
	CHECK_OK(qemu_await_served(qmp));
	CHECK_OK(qemu_check_served(qmp));
	qmp_close(qmp);
	end(pid);
}

static void takes_the_fd_and_hangs_up(int sock)
{
	char line[4096];

	agree(sock);
	for (int i = 2; hear(sock, line, sizeof(line)) && !strstr(line, "migrate\""); i++) {
		char answer[64];

		snprintf(answer, sizeof(answer), YES, i);
		say(sock, answer);
	}
}

TEST(a_qemu_that_dies_while_it_saves_is_an_error)
{
	void *state = NULL;
	size_t size;
	struct qmp *qmp;
	pid_t pid = serve(takes_the_fd_and_hangs_up);

	CHECK_OK(qmp_open(path, PATIENT, &qmp));
	CHECK_EQ(qemu_save(qmp, &state, &size), -ECONNRESET);
	CHECK(!state);
	qmp_close(qmp);
	end(pid);
}

static void never_stops_sending(int sock)
{
	char chunk[65536] = { 0 }, line[4096], answer[64];
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	int fd = -1;

	agree(sock);
	for (int i = 2;; i++) {
		struct iovec part = { line, sizeof(line) - 1 };
		struct msghdr header = { .msg_iov = &part,
					 .msg_iovlen = 1,
					 .msg_control = control.bytes,
					 .msg_controllen = sizeof(control.bytes) };
		ssize_t nr = recvmsg(sock, &header, 0);

		if (nr <= 0)
			_exit(0);
		line[nr] = '\0';
		if (header.msg_controllen)
			memcpy(&fd, CMSG_DATA(&control.align), sizeof(fd));
		snprintf(answer, sizeof(answer), YES, i);
		say(sock, answer);
		while (strstr(line, "\"migrate\"") &&
		       send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL) > 0)
			;
	}
}

TEST(a_state_without_an_end_has_a_bound)
{
	void *state;
	size_t size;
	struct qmp *qmp;
	pid_t pid = serve(never_stops_sending);

	CHECK_OK(qmp_open(path, PATIENT, &qmp));
	CHECK_EQ(qemu_save(qmp, &state, &size), -EFBIG);
	CHECK_HAS(vas_error(), "256 MiB");
	qmp_close(qmp);
	end(pid);
}

/* ---- a guest that runs -------------------------------------------------------------------- */

struct fake {
	const char *const *measures; /* two answers */
	int nr_measures, nr_looks;
	char count[64];
};

/* In a migration in which marks are taken for the second time after two looks. */
static const char *answer_of(struct fake *fake, const char *command)
{
	if (strstr(command, "query-dirty-rate"))
		return fake->measures[fake->nr_measures++ > 0];
	if (!strstr(command, "query-migrate\"") || fake->nr_looks == 4)
		return "{}";
	fake->nr_looks++;
	snprintf(fake->count, sizeof(fake->count), "{\"ram\": {\"dirty-sync-count\": %d}}",
		 fake->nr_looks < 3 ? 1 : fake->nr_looks - 1);
	return fake->count;
}

/* Commands may come several at once. */
static void migrates(int sock, const char *const *measures)
{
	static const char begin[] = "{\"execute\"";
	struct fake fake = { .measures = measures };
	char line[4096], text[256];
	int id = 2;

	agree(sock);
	while (hear(sock, line, sizeof(line))) {
		for (char *at = strstr(line, begin), *next; at; at = next, id++) {
			next = strstr(at + 1, begin);
			if (next)
				next[-1] = '\0';
			snprintf(text, sizeof(text), "{\"return\": %s, \"id\": %d}\n",
				 answer_of(&fake, at), id);
			say(sock, text);
		}
	}
}

static void begins(void (*act)(int sock), struct qmp **qmp, struct qemu_stream *stream, pid_t *pid)
{
	int sock;

	*pid = serve(act);
	CHECK_OK(qmp_open(path, PATIENT, qmp));
	CHECK_OK(qemu_stream_begin(*qmp, stream, 1, &sock));
	close(sock);
}

#define UNIT(status, at) "{\"status\": \"" status "\", \"start-time\": " at "}"

static void migrates_alone(int sock)
{
	static const char *const measures[] = { UNIT("measured", "7"), UNIT("measured", "7") };

	migrates(sock, measures);
}

static void ask(struct qemu_stream *stream)
{
	while (!qemu_stream_ask(stream))
		usleep(1000);
}

static int answer(struct qemu_stream *stream)
{
	int got;

	while (!(got = qemu_stream_answer(stream)))
		usleep(1000);
	return got;
}

TEST(a_stream_has_missed_no_write_until_marks_are_taken_again)
{
	struct qemu_stream stream;
	struct qmp *qmp;
	pid_t pid;

	begins(migrates_alone, &qmp, &stream, &pid);
	for (int i = 0; i < 2; i++) {
		ask(&stream);
		CHECK_EQ(answer(&stream), 1);
	}
	ask(&stream);
	CHECK_EQ(answer(&stream), -ENODATA);
	/* It has no answer but that from here on. */
	CHECK(!qemu_stream_ask(&stream));
	/* What nobody waited for is in nobody's way. */
	CHECK_OK(qemu_stream_set_downtime(&stream, 2));
	CHECK_EQ(qemu_is_running(qmp), -EBUSY);
	qmp_close(qmp);
	end(pid);
}

static void is_measured_as_it_begins(int sock)
{
	static const char *const measures[] = { UNIT("measuring", "7"), UNIT("measured", "7") };

	migrates(sock, measures);
}

static void is_measured_since(int sock)
{
	static const char *const measures[] = { UNIT("unstarted", "0"), UNIT("measuring", "9") };

	migrates(sock, measures);
}

static void does_not_know(int sock)
{
	static const char *const measures[] = { "{}", "3" };

	migrates(sock, measures);
}

TEST(a_stream_may_have_missed_writes_if_marks_were_taken_before)
{
	void (*const acts[])(int sock) = { is_measured_as_it_begins, is_measured_since,
					   does_not_know };

	for (int i = 0; i < 3; i++) {
		struct qemu_stream stream;
		struct qmp *qmp;
		pid_t pid;

		begins(acts[i], &qmp, &stream, &pid);
		while (stream.asked == QEMU_MEASURE_ASKED)
			CHECK(!qemu_stream_ask(&stream));
		CHECK_EQ(stream.asked, QEMU_IS_UNSURE);
		CHECK(!qemu_stream_ask(&stream));
		qmp_close(qmp);
		end(pid);
	}
}

/* As one that writes its last pages, until somebody reads them. */
static void says_nothing_while_it_migrates(int sock)
{
	char line[4096], text[64];
	int is_over = 0;

	agree(sock);
	for (int id = 2; hear(sock, line, sizeof(line)); id++) {
		snprintf(text, sizeof(text), YES, id);
		if (!is_over)
			say(sock, text);
		is_over |= strstr(line, "\"migrate\"") != NULL;
	}
}

TEST(nobody_waits_for_a_monitor_while_there_is_a_stream)
{
	struct qemu_stream stream;
	struct qmp *qmp;
	pid_t pid;

	begins(says_nothing_while_it_migrates, &qmp, &stream, &pid);
	for (int i = 0; i < 100; i++) {
		CHECK_OK(qemu_stream_set_downtime(&stream, 5));
		CHECK(!qemu_stream_ask(&stream));
	}
	CHECK_OK(qemu_stream_stop(&stream));
	CHECK_EQ(qemu_stream_answer(&stream), -ENODATA);
	qmp_close(qmp);
	end(pid);
}
