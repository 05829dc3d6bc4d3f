// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A new owner in another process, nothing copied.
 *
 *	old owner			new owner
 *	the vas, state -------------->	binds: what can fail, fails here
 *		<-------------- READY
 *	gives up the owner's lock
 *	YOURS ------------------------>	takes the lock, publishes (adopts)
 *		<-------------- MINE
 *
 * The lock decides, as always: nobody has it between YOURS and the new owner's taking it, and never
 * two. If the new one falls silent, the old one takes the lock again; if it cannot, it has been
 * taken.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vas/handover.h>

#include "lib/access/view.h"
#include "lib/base/deadline.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/handle/lock.h"
#include "lib/layout/adopt.h"
#include "lib/share/fd_passing.h"

#define MAGIC	  0x52564f44u /* "DOVR" */
#define MAX_STATE (256u << 20)
#define ANSWER_NS (5 * NSEC_PER_SEC)
#define BEGIN_NS  (30 * NSEC_PER_SEC)
#define MIN_RATE  (16u << 20) /* bytes a second: a state gets time for so many more */

enum word { READY = 1, YOURS, MINE };

struct message {
	uint32_t magic;
	uint32_t word; /* or, with the state, its size */
};

/* ---- messages ----------------------------------------------------------------------------- */

static struct deadline deadline_for(size_t size)
{
	return deadline_in(ANSWER_NS + size * NSEC_PER_SEC / MIN_RATE);
}

static int wait_for_peer(int sock, short events, struct deadline deadline)
{
	int err = deadline_wait(sock, events, deadline);

	if (err == -ETIMEDOUT)
		return vas_error_set(err, "the other process does not answer in time");
	return err ? vas_error_set(err, "cannot wait for the other process: %s", strerror(-err)) :
		     0;
}

/* Whether nr < 0 is a reason to wait and try again. */
static bool is_not_yet(ssize_t nr)
{
	return nr < 0 && (errno == EAGAIN || errno == EINTR);
}

static int send_all(int sock, const void *bytes, size_t size)
{
	struct deadline deadline = deadline_for(size);
	const char *p = bytes;
	int err = 0;

	while (size && !err) {
		ssize_t nr = send(sock, p, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (is_not_yet(nr)) {
			err = wait_for_peer(sock, POLLOUT, deadline);
			continue;
		}
		if (nr < 0)
			return vas_error_set(errno == EPIPE ? -ECONNRESET : -errno,
					     "cannot write to the other process: %s",
					     strerror(errno));
		p += nr;
		size -= (size_t)nr;
	}
	return err;
}

static int recv_all(int sock, void *bytes, size_t size)
{
	struct deadline deadline = deadline_for(size);
	char *p = bytes;

	while (size) {
		int err = wait_for_peer(sock, POLLIN, deadline);
		ssize_t nr = err ? 0 : recv(sock, p, size, MSG_DONTWAIT);

		if (err)
			return err;
		if (is_not_yet(nr))
			continue;
		if (nr <= 0)
			return vas_error_set(-ECONNRESET, "the other process is gone");
		p += nr;
		size -= (size_t)nr;
	}
	return 0;
}

static int send_word(int sock, uint32_t word)
{
	struct message message = { MAGIC, word };

	return send_all(sock, &message, sizeof(message));
}

static int recv_word(int sock, uint32_t *word)
{
	struct message message;
	int err = recv_all(sock, &message, sizeof(message));

	if (!err && message.magic != MAGIC)
		err = vas_error_set(-EPROTO, "the other process speaks of something else");
	*word = message.word;
	return err;
}

static int expect(int sock, enum word wanted)
{
	uint32_t word;
	int err = recv_word(sock, &word);

	if (!err && word != wanted)
		err = vas_error_set(-EPROTO, "the other process says %u instead of %u", word,
				    wanted);
	return err;
}

/* ---- the old owner ------------------------------------------------------------------------ */

static int check_give(const struct vas *vas, size_t size)
{
	int err = vas_owner_check(vas, "hands it over");
	uint32_t i;

	if (err)
		return err;
	if (vas->own.flags & VAS_STATE_LAZY)
		return vas_error_set(-EBUSY,
				     "lazy pages are not all filled: vas_lazy_wait() first");
	if (vas->consumers)
		return vas_error_set(-EBUSY, "detach the consumer %s first",
				     vas->consumers->ops->name);
	for (i = 0; i < vas->own.nr; i++)
		if (vas->own.regions[i].flags & VAS_REGION_LOCAL)
			return vas_error_set(-EOPNOTSUPP,
					     "region %s is local memory of this process",
					     vas->own.regions[i].name);
	if (size > MAX_STATE)
		return vas_error_set(-EFBIG, "a state of %zu bytes is too large", size);
	return 0;
}

static void set_role(struct vas *vas, enum vas_role role)
{
	pthread_mutex_lock(&vas->lock);
	__atomic_store_n(&vas->role, role, __ATOMIC_RELAXED);
	vas_binder_set_flags(&vas->proto, role == VAS_ROLE_OWNER ? VAS_BINDER_OWNER : 0);
	pthread_mutex_unlock(&vas->lock);
}

/*
 * It was not taken. If it was, and its taker is dead already, it is there to be adopted. A peer
 * that counts the epoch up makes that of one that was not taken: no more than it can have by
 * holding the owner's lock itself. What the owner goes on with is its own copy in any case.
 */
static int take_back(struct vas *vas, uint64_t epoch, int err)
{
	if (vas_lock_owner(vas))
		return 0;
	if (__atomic_load_n(&vas->ctl->owner_epoch, __ATOMIC_ACQUIRE) != epoch) {
		vas_unlock_owner(vas);
		return 0;
	}
	set_role(vas, VAS_ROLE_OWNER);
	vas->ctl->owner_pid = (uint32_t)getpid();
	return err;
}

/* vas->change is held: no layout changes hands half made. */
static int give(struct vas *vas, int sock, const void *state, size_t size)
{
	uint64_t epoch = __atomic_load_n(&vas->ctl->owner_epoch, __ATOMIC_ACQUIRE);
	int err = check_give(vas, size);

	if (!err)
		err = vas_pass_send(vas, sock, 0, deadline_in(ANSWER_NS));
	if (!err)
		err = send_word(sock, (uint32_t)size);
	if (!err)
		err = send_all(sock, state, size);
	if (!err)
		err = expect(sock, READY);
	if (err)
		return err;
	set_role(vas, VAS_ROLE_BINDER);
	vas_unlock_owner(vas);
	err = send_word(sock, YOURS);
	if (!err)
		err = expect(sock, MINE);
	return err ? take_back(vas, epoch, err) : 0;
}

int vas_handover_give(struct vas *vas, int sock, const void *state, size_t size)
{
	NO_CANCEL;
	int err;

	pthread_mutex_lock(&vas->change);
	err = give(vas, sock, state, size);
	pthread_mutex_unlock(&vas->change);
	return err;
}

/* ---- the new owner ------------------------------------------------------------------------ */

static int take_state(int sock, void **state, size_t *size)
{
	uint32_t there;
	int err = recv_word(sock, &there);

	if (err)
		return err;
	if (there > MAX_STATE)
		return vas_error_set(-EPROTO, "a state of %u bytes is too large", there);
	*state = malloc(there + 1);
	if (!*state)
		return vas_error_set(-ENOMEM, "no memory for a state of %u bytes", there);
	*size = there;
	return recv_all(sock, *state, there);
}

static int take(struct vas *vas, int sock, void **state, size_t *size)
{
	int err = take_state(sock, state, size);

	if (!err)
		err = send_word(sock, READY);
	if (!err)
		err = expect(sock, YOURS);
	if (!err)
		err = vas_adopt(vas);
	/* If the old one does not receive it, that changes nothing: the lock is here. */
	if (!err)
		send_word(sock, MINE);
	return err;
}

int vas_handover_take(int sock, uint32_t bind_flags, struct vas **out, void **state, size_t *size)
{
	NO_CANCEL;
	struct vas *vas;
	int err = vas_pass_recv(sock, bind_flags, deadline_in(BEGIN_NS), &vas);

	if (err)
		return err;
	*state = NULL;
	*size = 0;
	if (vas->role == VAS_ROLE_OBSERVER)
		err = vas_error_set(-EPERM, "an observer cannot own a vas");
	if (!err)
		err = take(vas, sock, state, size);
	if (err) {
		free(*state);
		*state = NULL;
		vas_unbind(vas);
		return err;
	}
	*out = vas;
	return 0;
}
