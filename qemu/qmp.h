/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A client of QEMU's monitor protocol (QMP) over a Unix socket:
 *
 *	{"QMP": {...}}					the greeting, from QEMU
 *	{"execute": "qmp_capabilities"}			ends the negotiation
 *	{"execute": "stop", "id": 2}			a command
 *	{"event": "STOP", ...}				at any time: skipped
 *	{"return": {}, "id": 2}				or {"error": {"desc": ...}, "id": 2}
 *
 * QEMU answers a line a message. It serves one client a monitor: others wait for its greeting.
 *
 * The other side may be anybody. A message has a deadline, however its bytes trickle and however
 * many events come before it, and a bound of its size. After -EPROTO, -ECONNRESET and -ETIMEDOUT
 * nothing more can be said: close it.
 */
#ifndef QEMU_QMP_H
#define QEMU_QMP_H

#include <stdint.h>
#include <sys/types.h>

struct json_object;
struct qmp;

/*
 * Connect to the socket, and negotiate; timeout_ns for all of it. The caller ends *qmp with
 * qmp_close(). -ENOENT, -ECONNREFUSED: no QEMU is there any more. -EBUSY: another client is served,
 * or QEMU hangs. -EPROTO: no monitor. -EOPNOTSUPP: built without json-c.
 */
int qmp_open(const char *path, uint64_t timeout_ns, struct qmp **qmp);
void qmp_close(struct qmp *qmp);

/* The process that listens at the socket: QEMU's. */
pid_t qmp_pid(const struct qmp *qmp);

/*
 * One command, and its answer. The arguments (NULL: none) are taken over. *result is what QEMU
 * returns, for json_object_put(); result may be NULL. -EREMOTEIO: QEMU refuses, and vas_error() has
 * its words.
 */
int qmp_command(struct qmp *qmp, const char *name, struct json_object *arguments,
		struct json_object **result);

/*
 * In two steps, for those who may not wait here for a QEMU that waits for them. poll: 1, that is
 * the answer to what was sent last; 0: none yet. Answers to what was sent before are dropped.
 */
int qmp_send(struct qmp *qmp, const char *name, struct json_object *arguments);
int qmp_poll(struct qmp *qmp, struct json_object **result);

/* The text of a member of what was returned, or "". */
const char *qmp_text(struct json_object *object, const char *key);

/* Until QEMU has closed the connection, as it does when it ends: 0. */
int qmp_await_close(struct qmp *qmp, uint64_t timeout_ns);

/* Give QEMU an fd (getfd), which its commands then know as "fd:NAME". The caller keeps his own. */
int qmp_give_fd(struct qmp *qmp, const char *name, int fd);

/*
 * Give QEMU an fd to keep (add-fd), in a set of its own, under a number of QEMU's; until the set is
 * removed.
 */
int qmp_add_fd(struct qmp *qmp, int fd, int64_t *set, int *number);
int qmp_remove_fd(struct qmp *qmp, int64_t set);

#endif
