// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What the back end writes: it sets a bit a page in a file that is shared with it; a harvest moves
 * them to the vas's log. The file cannot be truncated by it; what bits it clears are its own lies.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "consumer/page_log.h"
#include "consumer/vhost_user/front.h"

static size_t log_size(const struct vas_vhost_user *front)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (front->log_words * sizeof(*front->log) + page - 1) & ~(page - 1);
}

uint64_t vas_front_features(const struct vas_vhost_user *front)
{
	return front->features | front->transport_features |
	       (front->is_log_wanted ? 1ull << VHOST_F_LOG_ALL : 0);
}

int vas_front_log_send(struct vas_vhost_user *front)
{
	const struct vhost_user_log log = { log_size(front), 0 };

	if (!front->is_started || !front->is_log_wanted || front->is_log_sent)
		return 0;
	/* Some have a number in the answer, which nobody has defined. */
	vas_front_ask(front, FRONT_LOG, 0,
		      &(struct channel_request){ VHOST_USER_SET_LOG_BASE, sizeof(log), &log,
						 &front->log_fd, 1 },
		      (struct front_answer){ 0, sizeof(uint64_t) });
	return 1;
}

/* Only what is written takes memory. */
static int log_open(struct vas_vhost_user *front)
{
	size_t size = log_size(front);
	int err;

	front->log_fd = memfd_create("vas-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (front->log_fd < 0)
		return vas_error_set(-errno, "%s: no file for its log: %s", front->name,
				     strerror(errno));
	if (ftruncate(front->log_fd, (off_t)size) ||
	    fcntl(front->log_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto err_close;
	front->log = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  front->log_fd, 0);
	if (front->log == MAP_FAILED)
		goto err_close;
	madvise(front->log, size, MADV_DONTFORK);
	return 0;

err_close:
	err = vas_error_set(-errno, "%s: its log cannot be mapped: %s", front->name,
			    strerror(errno));
	close(front->log_fd);
	front->log_fd = -1;
	front->log = NULL;
	return err;
}

/* The back end logs until it hears of it, into a file that nobody reads. */
static void log_end(struct vas_vhost_user *front)
{
	if (!front->log)
		return;
	munmap(front->log, log_size(front));
	close(front->log_fd);
	front->log = NULL;
	front->log_fd = -1;
	front->is_log_wanted = front->is_log_sent = 0;
	vas_front_forget(front, FRONT_LOG);
	vas_front_settle(front);
}

int vas_front_track(struct vas_consumer *consumer, uint64_t deadline_ns)
{
	struct vas_vhost_user *front = front_of(consumer);
	int result;

	(void)deadline_ns;
	pthread_mutex_lock(&front->lock);
	result = log_open(front);
	front->is_log_wanted = !result;
	if (!result)
		result = vas_front_step(front, log_end);
	pthread_mutex_unlock(&front->lock);
	return result;
}

void vas_front_untrack(struct vas_consumer *consumer)
{
	struct vas_vhost_user *front = front_of(consumer);

	pthread_mutex_lock(&front->lock);
	vas_front_step_end(front);
	log_end(front);
	pthread_mutex_unlock(&front->lock);
}

/* Bits of regions that have gone stay, and count for what comes there: rather too often. */
int vas_front_harvest(struct vas_consumer *consumer)
{
	struct vas_vhost_user *front = front_of(consumer);
	size_t i;

	pthread_mutex_lock(&front->lock);
	for (i = 0; front->log && i < front->layout.nr; i++)
		page_log_move(front->log, front->vas, &front->layout.at[i]);
	pthread_mutex_unlock(&front->lock);
	return 0;
}
