// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A KVM guest moves from one process to another, vCPU and all, while it writes, and while another
 * process writes by copies and through a map that it keeps. Of the three processes one is killed at
 * a random moment, or none. After that it runs here or there, never both, never neither, and every
 * byte is what they have recorded. TEST_MOVES sets how often (default: 20; 1,000 take five
 * minutes).
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vas/access.h>

#include "tests/migrate/fd_passing.h"
#include "moving.h"
#include "tests/consumer/kvm/fixture.h"

enum who { SOURCE, DESTINATION, FOO, NOBODY };

static const char *const names[] = { "source", "destination", "foo", "nobody" };

struct process {
	pid_t pid; /* 0: it is dead */
	int sock;
	struct moving_report moved; /* what it said of the migration; what == 0: nothing */
};

struct trial {
	struct moving_order order;
	struct process
		processes[NOBODY]; /* whoever runs the guest in the end is SOURCE or DESTINATION */
	enum who victim;
	uint64_t kill_ns; /* after the start of the migration */
	int record_fd;
	struct moving_record *record;
	struct vas *source;

	/* What the destination has accepted. */
	struct moving_report accepted;
	void *state;
	struct vas *arrived;
};

/* Of all trials. */
struct tally {
	uint64_t typical_ns; /* that a migration takes */
	unsigned int victims[NOBODY + 1];
	unsigned int moved;
	unsigned int taken_over; /* by a standby */
	unsigned int stayed;
	unsigned int adopted;
};

/* ---- processes ---------------------------------------------------------------------------- */

static void say(int sock, const void *bytes, size_t size)
{
	CHECK_EQ(send(sock, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* False: it is dead, or done. */
static int hear(int sock, void *bytes, size_t size)
{
	ssize_t nr = recv(sock, bytes, size, MSG_WAITALL);

	return nr == (ssize_t)size;
}

static void spawn(struct trial *t, enum who who, const char *role)
{
	struct process *p = &t->processes[who];

	p->pid = test_spawn(role, &p->sock);
	p->moved.what = 0;
	say(p->sock, &t->order, sizeof(t->order));
}

static void kill_process(struct process *p)
{
	if (!p->pid)
		return;
	kill(p->pid, SIGKILL);
	CHECK_EQ(waitpid(p->pid, NULL, 0), p->pid);
	p->pid = 0;
}

/* It leaves by itself once its socket is closed, if it lives. */
static void finish_process(struct process *p)
{
	int status;

	close(p->sock);
	if (!p->pid)
		return;
	CHECK_EQ(waitpid(p->pid, &status, 0), p->pid);
	CHECK_EQ(status, 0);
	p->pid = 0;
}

static void foo_start(struct trial *t, struct vas *vas)
{
	spawn(t, FOO, "foo");
	fd_send(t->processes[FOO].sock, t->record_fd);
	CHECK_OK(vas_send_fds(vas, t->processes[FOO].sock, 0));
}

/* ---- progress ----------------------------------------------------------------------------- */

static uint64_t guest_writes(struct vas *vas)
{
	uint64_t done;

	CHECK_OK(vas_load_le64(vas, GUEST_MAILBOX + offsetof(struct guest_mailbox, done), &done,
			       __ATOMIC_ACQUIRE));
	return done;
}

struct progress {
	struct trial *t;
	struct vas *vas;
	uint64_t guest, copies, map; /* to be reached */
};

static int filled_so_far(void *arg)
{
	struct progress *p = arg;
	const uint64_t *done = p->t->record->done;

	return guest_writes(p->vas) >= p->guest &&
	       __atomic_load_n(&done[AREA_COPIES], __ATOMIC_ACQUIRE) >= p->copies &&
	       __atomic_load_n(&done[AREA_MAP], __ATOMIC_ACQUIRE) >= p->map;
}

/* All who write go on writing; the guest may be left out. */
static void await_progress(struct trial *t, struct vas *vas, int guest)
{
	const uint64_t *done = t->record->done;
	struct progress p = { t, vas, guest ? guest_writes(vas) + 20 : 0, done[AREA_COPIES] + 20,
			      done[AREA_MAP] + 20 };

	test_wait(filled_so_far, &p, TEST_HANG_MS);
}

/* ---- the migration ------------------------------------------------------------------------ */

static void start(struct trial *t)
{
	uint32_t i;

	t->record_fd = memfd_create("record", MFD_CLOEXEC);
	CHECK_OK(ftruncate(t->record_fd, sizeof(struct moving_record)));
	t->record = moving_record_map(t->record_fd);
	spawn(t, SOURCE, "source");
	spawn(t, DESTINATION, "destination");
	for (i = 0; i < t->order.nr_channels; i++) {
		int pair[2];

		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		fd_send(t->processes[SOURCE].sock, pair[0]);
		fd_send(t->processes[DESTINATION].sock, pair[1]);
		close(pair[0]);
		close(pair[1]);
	}
	CHECK_OK(vas_recv_fds(t->processes[SOURCE].sock, 0, &t->source));
	foo_start(t, t->source);
	await_progress(t, t->source, 1);
}

static void take_accepted(struct trial *t, int sock, const struct moving_report *report)
{
	t->accepted = *report;
	t->state = malloc(report->size);
	CHECK(t->state);
	/* It may be killed half way: then it has not been accepted. */
	if (!hear(sock, t->state, report->size) || vas_recv_fds(sock, 0, &t->arrived))
		t->arrived = NULL;
}

/* What one of the VMMs has to say; false if it is the last. */
static int listen_to(struct trial *t, struct process *p)
{
	struct moving_report report;

	if (!hear(p->sock, &report, sizeof(report)))
		return 0;
	if (report.what == REPORT_ACCEPTED) {
		take_accepted(t, p->sock, &report);
		return 1;
	}
	CHECK_EQ(report.what, REPORT_MOVED);
	p->moved = report;
	return 0;
}

static int timeout_ms(const struct trial *t, uint64_t begun_ns, int *may_kill)
{
	uint64_t now = test_now_ns() - begun_ns;

	*may_kill = t->victim != NOBODY && t->processes[t->victim].pid;
	if (!*may_kill)
		return TEST_HANG_MS;
	return now >= t->kill_ns ? 0 : (int)((t->kill_ns - now) / 1000000);
}

/* Until both VMMs have said what came of it, or are dead. */
static void migrate(struct trial *t)
{
	struct pollfd fds[2] = { { t->processes[SOURCE].sock, POLLIN, 0 },
				 { t->processes[DESTINATION].sock, POLLIN, 0 } };
	uint64_t begun_ns = test_now_ns();
	int i, nr, may_kill;

	say(t->processes[SOURCE].sock, "g", 1);
	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		nr = poll(fds, 2, timeout_ms(t, begun_ns, &may_kill));
		CHECK_OK(nr);
		CHECK(nr || may_kill);
		if (!nr)
			kill_process(&t->processes[t->victim]);
		for (i = 0; nr && i < 2; i++)
			if (fds[i].revents && !listen_to(t, &t->processes[i]))
				fds[i].fd = -1;
	}
}

/* ---- who has it --------------------------------------------------------------------------- */

enum outcome { MOVED, TAKEN_OVER, STAYED, ADOPTED };

static int has_said(const struct trial *t, enum who who, int moved)
{
	const struct moving_report *report = &t->processes[who].moved;

	return report->what == REPORT_MOVED && (report->err == 0) == moved;
}

static enum outcome judge(struct trial *t)
{
	const struct process *source = &t->processes[SOURCE];
	const struct process *destination = &t->processes[DESTINATION];
	int stayed = has_said(t, SOURCE, 0);
	int moved = has_said(t, SOURCE, 1) || has_said(t, DESTINATION, 1);

	test_note("%s killed after %llu us: source %s %d, destination %s %d, %s", names[t->victim],
		  (unsigned long long)t->kill_ns / 1000, source->pid ? "alive" : "dead",
		  source->moved.what ? source->moved.err : 1, destination->pid ? "alive" : "dead",
		  destination->moved.what ? destination->moved.err : 1,
		  t->arrived ? "accepted" : "not accepted");
	CHECK(!(stayed && moved));
	/* Who was not killed has said something; without a VMM's death it cannot but succeed. */
	CHECK(source->moved.what || !source->pid);
	CHECK(destination->moved.what || !destination->pid);
	CHECK(moved || t->victim == SOURCE || t->victim == DESTINATION);
	CHECK(!moved || t->arrived);
	if (moved)
		return destination->pid ? MOVED : TAKEN_OVER;
	if (stayed && source->pid)
		return STAYED;
	CHECK_EQ(t->victim, SOURCE);
	return ADOPTED;
}

static void standby_start(struct trial *t)
{
	struct process *p = &t->processes[DESTINATION];

	close(p->sock);
	spawn(t, DESTINATION, "standby");
	say(p->sock, &t->accepted, sizeof(t->accepted));
	say(p->sock, t->state, t->accepted.size);
	CHECK_OK(vas_send_fds(t->arrived, p->sock, 0));
}

/* It has arrived: all of it, and is started. The source's memory is as it was, and is still there.
 */
static void go_on_there(struct trial *t, enum outcome outcome)
{
	finish_process(&t->processes[FOO]);
	CHECK(!has_said(t, SOURCE, 1) || t->processes[SOURCE].moved.rounds >= 4);
	moving_check_same(t->source, t->arrived);
	moving_check(t->arrived, t->order.seed, guest_writes(t->arrived), t->record);
	if (outcome == TAKEN_OVER)
		standby_start(t);
	say(t->processes[DESTINATION].sock, "g", 1);
	foo_start(t, t->arrived);
}

/* The source is dead, with its vCPUs. Its memory goes on, and so does foo. */
static struct vas *adopt(struct trial *t)
{
	struct vas *adopted;

	CHECK_OK(vas_bind(vas_fd(t->source), VAS_BIND_ADOPT, &adopted));
	return adopted;
}

static void stop_guest(struct vas *vas, struct process *vmm)
{
	struct moving_report report;

	CHECK_OK(vas_store_le32(vas, GUEST_MAILBOX + offsetof(struct guest_mailbox, turn),
				GUEST_TURN_STOP, __ATOMIC_RELEASE));
	CHECK(hear(vmm->sock, &report, sizeof(report)));
	CHECK_EQ(report.what, REPORT_STOPPED);
	CHECK_EQ(report.err, 0);
}

/* Wherever it is, it is whole, and everyone writes on. */
static void check_it_goes_on(struct trial *t, enum outcome outcome)
{
	struct process *vmm = &t->processes[outcome == STAYED ? SOURCE : DESTINATION];
	struct vas *vas = outcome == STAYED ? t->source : t->arrived;

	if (outcome == MOVED || outcome == TAKEN_OVER)
		go_on_there(t, outcome);
	else if (!t->processes[FOO].pid)
		foo_start(t, t->source);
	if (outcome == ADOPTED)
		vas = adopt(t);
	await_progress(t, vas, outcome != ADOPTED);
	finish_process(&t->processes[FOO]);
	if (outcome != ADOPTED)
		stop_guest(vas, vmm);
	moving_check(vas, t->order.seed, guest_writes(vas), t->record);
	if (outcome == ADOPTED)
		vas_destroy(vas);
}

/* ---- trials ------------------------------------------------------------------------------- */

static void finish(struct trial *t)
{
	finish_process(&t->processes[SOURCE]);
	finish_process(&t->processes[DESTINATION]);
	vas_unbind(t->source);
	vas_unbind(t->arrived);
	free(t->state);
	munmap(t->record, sizeof(*t->record));
	close(t->record_fd);
}

static void run_trial(struct trial *t, struct tally *tally)
{
	uint64_t begun_ns;
	enum outcome outcome;

	start(t);
	begun_ns = test_now_ns();
	migrate(t);
	if (t->victim == NOBODY)
		tally->typical_ns = (3 * tally->typical_ns + test_now_ns() - begun_ns) / 4;
	/* It may be late. */
	if (t->victim != NOBODY)
		kill_process(&t->processes[t->victim]);
	outcome = judge(t);
	check_it_goes_on(t, outcome);
	finish(t);
	tally->victims[t->victim]++;
	tally->moved += outcome == MOVED;
	tally->taken_over += outcome == TAKEN_OVER;
	tally->stayed += outcome == STAYED;
	tally->adopted += outcome == ADOPTED;
}

static void draw_trial(struct trial *t, struct test_random *random, const struct tally *tally)
{
	*t = (struct trial){ 0 };
	t->order.seed = test_random_next(random);
	t->order.nr_channels = 1 + test_random_below(random, 2);
	t->order.kvm_flags = test_random_below(random, 2) ?
				     VAS_KVM_DIRTY_RING | VAS_KVM_DIRTY_BITMAP :
				     VAS_KVM_DIRTY_BITMAP;
	t->victim = test_random_below(random, NOBODY + 1);
	t->kill_ns = test_random_below(random, tally->typical_ns * 5 / 4);
}

TEST(guest_moves_with_all_that_was_written)
{
	struct test_random random = { test_seed() };
	struct tally tally = { .typical_ns = 100000000 };
	struct trial t;

	close(kvm_require());
	draw_trial(&t, &random, &tally);
	t.victim = NOBODY;
	run_trial(&t, &tally);
	CHECK_EQ(tally.moved, 1);
}

TEST(guest_runs_here_or_there_whoever_is_killed)
{
	const char *times = getenv("TEST_MOVES");
	unsigned long nr = times ? strtoul(times, NULL, 0) : 20, i;
	struct test_random random = { test_seed() };
	struct tally tally = { .typical_ns = 100000000 };
	struct trial t;

	close(kvm_require());
	for (i = 0; i < nr; i++) {
		draw_trial(&t, &random, &tally);
		run_trial(&t, &tally);
	}
	printf("# killed: source %u, destination %u, foo %u, nobody %u; moved %u, taken over %u, "
	       "stayed %u, adopted %u; a migration takes %llu ms\n",
	       tally.victims[SOURCE], tally.victims[DESTINATION], tally.victims[FOO],
	       tally.victims[NOBODY], tally.moved, tally.taken_over, tally.stayed, tally.adopted,
	       (unsigned long long)tally.typical_ns / 1000000);
}
