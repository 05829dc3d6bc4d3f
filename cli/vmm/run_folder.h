/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What belongs to a vas beside its memory, for other commands of the same user to find:
 *
 *	/run/vas/UUID/		mode 0700; for others than root $XDG_RUNTIME_DIR/vas or
 *				/tmp/vas-UID; or else $VAS_RUN_DIR
 *		owner		socket: who holds the vas lends it, see loan.h
 *		qemu/monitor	socket: a monitor of the guest's QEMU (QMP)
 *		qemu/command	how it was started: size of RAM, its arguments; NUL behind each
 *		qemu/ram	struct run_ram
 *		next/		the same of a QEMU that is not the guest's: not yet, or no more
 *		start		what the holder is to start (qemu_record_pack()), see loan.h
 *		template	what private clones have their memory of (template_offer())
 *		state		the guest, while no QEMU has it (qemu_record_pack())
 *
 * The guest is in one place, and one rename puts it into another (run_folder_turn()): it is in the
 * QEMU that listens at qemu/monitor, if one does, and then `state` is void; or else in `state`. A
 * QEMU is always started as the next one: by that name it unlinks its socket as it ends, when that
 * is the other's folder again, or gone.
 *
 * Somebody lives who needs the folder as long as its lock (flock) is held: by the process that made
 * it, and by the QEMU that it started, which inherits the lock's fd. Whoever makes a folder removes
 * those without a lock, and ends QEMUs whose command was killed before they had a guest (orphan.h).
 */
#ifndef CLI_RUN_FOLDER_H
#define CLI_RUN_FOLDER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RUN_FOLDER_LEN 96

struct run_folder {
	char path[RUN_FOLDER_LEN]; /* "": there is none */
	int lock;		   /* -1: not held by this process */
};

/* How a QEMU has its RAM. */
struct run_ram {
	int fd;		 /* in its process, if RAM is in a file of its own; else -1 */
	int is_private;	 /* of that file it has a copy */
	int is_incoming; /* it was started to take a state */
};

/* Remove and end what nobody needs. */
void run_folder_sweep(void);

/* For a new vas: 0 or -errno, with a message. */
int run_folder_make(struct run_folder *folder, const uint8_t uuid[16]);
void run_folder_remove(struct run_folder *folder);

/*
 * That of another process's vas, which the user uid has made: 0 or -ENOENT. For root it is also
 * where the user has it who does not say otherwise. Nothing is to be released.
 */
int run_folder_find(struct run_folder *folder, const uint8_t uuid[16], uid_t uid);

/*
 * All that this user has, until look() returns other than 0: that, or 0. They may go away at any
 * time.
 */
int run_folder_each(int (*look)(void *arg, const struct run_folder *folder), void *arg);

#define RUN_MONITOR	 "qemu/monitor"
#define RUN_NEXT_MONITOR "next/monitor"
#define RUN_START	 "start"
#define RUN_STATE	 "state"
#define RUN_OFFER	 "template"

/* The path of a file in it. */
struct run_path {
	char s[108]; /* fits a socket's address */
};
struct run_path run_folder_path(const struct run_folder *folder, const char *file);

/* A Unix socket (mode 0600) that is bound to the file, and does not listen yet: fd or -errno. */
int run_folder_socket(const struct run_folder *folder, const char *file);

/* A folder for the next QEMU: 0 or -errno. */
int run_folder_next(const struct run_folder *folder);

/* Set for the next one, got of the guest's. 0 or -errno. */
int run_folder_set_ram(const struct run_folder *folder, const struct run_ram *ram);
int run_folder_get_ram(const struct run_folder *folder, struct run_ram *ram);

/*
 * How a QEMU was started, likewise; NULL: by a program that alone can start it again. argv ends
 * with NULL, is malloced in one piece, and may be free()d; of another user's there is no word in
 * it, since an argument is a command.
 */
int run_folder_set_command(const struct run_folder *folder, uint64_t memory, char *const *argv);
int run_folder_get_command(const struct run_folder *folder, uint64_t *memory, char ***argv);

/* The next QEMU is the guest's from here on, and the one that was it is the next. 0 or -errno. */
int run_folder_turn(const struct run_folder *folder);
/* There is no next one any more. */
void run_folder_drop_next(const struct run_folder *folder);

/* A file in it as a whole: 0 or -errno. What is got is malloced. */
int run_folder_put(const struct run_folder *folder, const char *file, const void *bytes,
		   size_t size);
int run_folder_get(const struct run_folder *folder, const char *file, void **bytes, size_t *size);
int run_folder_has(const struct run_folder *folder, const char *file);
void run_folder_drop(const struct run_folder *folder, const char *file);

/* Keep a folder that was found from being swept away: it has a lock from here on. 0 or -errno. */
int run_folder_lock(struct run_folder *folder);

#endif
