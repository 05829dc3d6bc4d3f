// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/target/name.h"
#include "cli/ui/verb.h"
#include "cli/vmm/orphan.h"

#define NEW_PREFIX  ".new-"
#define TMP_FORMAT  "/tmp/vas-%u"
#define MAKE_TRIES  10
#define MAX_COMMAND (1u << 20)
#define MAX_FILE    (512u << 20) /* QEMU_MAX_STATE, and more */

static const char *const files[] = { "owner",	       RUN_MONITOR,    "qemu/command", "qemu/ram",
				     RUN_NEXT_MONITOR, "next/command", "next/ram",     RUN_START,
				     RUN_STATE,	       RUN_OFFER,      "new" };
static const char *const folders[] = { "qemu", "next" };

/* ---- the folder of all -------------------------------------------------------------------- */

static int base_path(char path[RUN_FOLDER_LEN])
{
	const char *given = getenv("VAS_RUN_DIR"), *runtime = getenv("XDG_RUNTIME_DIR");
	int nr;

	if (given && *given)
		nr = snprintf(path, RUN_FOLDER_LEN, "%s", given);
	else if (!geteuid())
		nr = snprintf(path, RUN_FOLDER_LEN, "/run/vas");
	else if (runtime && *runtime == '/')
		nr = snprintf(path, RUN_FOLDER_LEN, "%s/vas", runtime);
	else
		nr = snprintf(path, RUN_FOLDER_LEN, TMP_FORMAT, geteuid());
	/* Behind it come a slash and a uuid. */
	return nr < RUN_FOLDER_LEN - UUID_TEXT_LEN - 1 ? 0 : -ENAMETOOLONG;
}

/* An fd of it. It must be ours alone: in /tmp anybody may have made it. */
static int open_base(const char *path)
{
	struct stat st;
	int fd;

	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && st.st_uid == geteuid() && !(st.st_mode & 077))
		return fd;
	close(fd);
	return -EPERM;
}

static void empty(int base, int fd, const char *name)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlinkat(fd, files[i], 0);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		unlinkat(fd, folders[i], AT_REMOVEDIR);
	unlinkat(base, name, AT_REMOVEDIR);
}

static void end_orphan(const char *base, const char *name)
{
	struct run_folder folder = { .lock = -1 };

	if (snprintf(folder.path, sizeof(folder.path), "%s/%s", base, name) <
	    (int)sizeof(folder.path))
		orphan_end(&folder);
}

/* Each name in the folder of all, until look() returns other than 0: that, or 0. */
static int walk(const char *path, int base,
		int (*look)(void *arg, const char *path, int base, const char *name), void *arg)
{
	DIR *dir = fdopendir(fcntl(base, F_DUPFD_CLOEXEC, 0));
	struct dirent *entry;
	int found = 0;

	while (dir && !found && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			found = look(arg, path, base, entry->d_name);
	if (dir)
		closedir(dir);
	return found;
}

/* Remove what nobody needs: its processes were killed, or are to end. */
static int sweep_one(void *arg, const char *path, int base, const char *name)
{
	int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	(void)arg;
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_EX | LOCK_NB))
		end_orphan(path, name);
	else
		empty(base, fd, name);
	close(fd);
	return 0;
}

static void sweep(const char *path, int base)
{
	walk(path, base, sweep_one, NULL);
}

struct each {
	int (*look)(void *arg, const struct run_folder *folder);
	void *arg;
};

static int look_at(void *arg, const char *path, int base, const char *name)
{
	const struct each *each = arg;
	struct run_folder folder = { .lock = -1 };

	(void)base;
	if (snprintf(folder.path, sizeof(folder.path), "%s/%s", path, name) >=
	    (int)sizeof(folder.path))
		return 0;
	return each->look(each->arg, &folder);
}

int run_folder_each(int (*look)(void *arg, const struct run_folder *folder), void *arg)
{
	struct each each = { look, arg };
	char path[RUN_FOLDER_LEN];
	int base = base_path(path) ? -1 : open_base(path), found;

	if (base < 0)
		return 0;
	found = walk(path, base, look_at, &each);
	close(base);
	return found;
}

void run_folder_sweep(void)
{
	char base[RUN_FOLDER_LEN];
	int fd = base_path(base) ? -1 : open_base(base);

	if (fd < 0)
		return;
	sweep(base, fd);
	close(fd);
}

/* ---- one folder --------------------------------------------------------------------------- */

static void set_path(struct run_folder *folder, const char *base, const uint8_t uuid[16])
{
	char text[UUID_TEXT_LEN];

	name_format_uuid(uuid, text);
	snprintf(folder->path, sizeof(folder->path), "%.*s/%s", RUN_FOLDER_LEN - UUID_TEXT_LEN - 1,
		 base, text);
}

/* Before it is locked it has another name, under which it may be swept away: -ENOENT then. */
static int make_locked(struct run_folder *folder, const char *base)
{
	char name[RUN_FOLDER_LEN + 16];
	int err = 0;

	snprintf(name, sizeof(name), "%s/" NEW_PREFIX "XXXXXX", base);
	if (!mkdtemp(name))
		return -errno;
	folder->lock = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder->lock < 0 || flock(folder->lock, LOCK_SH) || rename(name, folder->path))
		err = -errno;
	if (!err)
		return 0;
	if (folder->lock >= 0)
		close(folder->lock);
	folder->lock = -1;
	rmdir(name);
	return err;
}

int run_folder_make(struct run_folder *folder, const uint8_t uuid[16])
{
	char base[RUN_FOLDER_LEN] = "";
	int err = base_path(base), fd = err ? err : open_base(base), tries = MAKE_TRIES;

	*folder = (struct run_folder){ .lock = -1 };
	if (fd >= 0) {
		sweep(base, fd);
		close(fd);
		set_path(folder, base, uuid);
		err = 0;
		while (!err && (err = make_locked(folder, base)) == -ENOENT && tries--)
			err = 0;
	} else {
		err = fd;
	}
	if (!err)
		return 0;
	folder->path[0] = '\0';
	note("%s: %s: other commands cannot ask for this vas while it is held", base,
	     err == -EPERM ? "it belongs to another user, or others may use it" : strerror(-err));
	return err;
}

void run_folder_remove(struct run_folder *folder)
{
	char base[RUN_FOLDER_LEN];
	int fd;

	if (folder->lock < 0)
		return;
	/* With our lock given up, a QEMU that goes on without us keeps it. */
	if (!base_path(base) && (fd = open_base(base)) >= 0) {
		int other = open(folder->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		close(folder->lock);
		if (other >= 0 && !flock(other, LOCK_EX | LOCK_NB))
			empty(fd, other, strrchr(folder->path, '/') + 1);
		if (other >= 0)
			close(other);
		close(fd);
	} else {
		close(folder->lock);
	}
	folder->lock = -1;
}

/* Under the given folder of all: 0 if it is there and the user's. */
static int find_in(struct run_folder *folder, const char *base, const uint8_t uuid[16], uid_t uid)
{
	struct stat st;

	set_path(folder, base, uuid);
	if (!lstat(folder->path, &st) && S_ISDIR(st.st_mode) && st.st_uid == uid)
		return 0;
	folder->path[0] = '\0';
	return -ENOENT;
}

/* Where another user's folder of all is, unless that has said otherwise. */
static int find_of_user(struct run_folder *folder, const uint8_t uuid[16], uid_t uid)
{
	char base[RUN_FOLDER_LEN];

	snprintf(base, sizeof(base), "/run/user/%u/vas", uid);
	if (!find_in(folder, base, uuid, uid))
		return 0;
	snprintf(base, sizeof(base), TMP_FORMAT, uid);
	return find_in(folder, base, uuid, uid);
}

int run_folder_find(struct run_folder *folder, const uint8_t uuid[16], uid_t uid)
{
	char base[RUN_FOLDER_LEN];
	int err = base_path(base);

	*folder = (struct run_folder){ .lock = -1 };
	if (!err)
		err = find_in(folder, base, uuid, uid);
	return err && uid != geteuid() ? find_of_user(folder, uuid, uid) : err;
}

struct run_path run_folder_path(const struct run_folder *folder, const char *file)
{
	struct run_path path;

	snprintf(path.s, sizeof(path.s), "%.*s/%s", RUN_FOLDER_LEN - 2, folder->path, file);
	return path;
}

int run_folder_next(const struct run_folder *folder)
{
	return mkdir(run_folder_path(folder, "next").s, 0700) ? -errno : 0;
}

int run_folder_socket(const struct run_folder *folder, const char *file)
{
	struct run_path path = run_folder_path(folder, file);
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	memcpy(at.sun_path, path.s, sizeof(path.s));
	/* bind() makes the file with the mode of the socket. */
	if (!fchmod(fd, 0600) && !bind(fd, (const struct sockaddr *)&at, sizeof(at)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* ---- files of it -------------------------------------------------------------------------- */

int run_folder_has(const struct run_folder *folder, const char *file)
{
	return folder->path[0] && !access(run_folder_path(folder, file).s, F_OK);
}

void run_folder_drop(const struct run_folder *folder, const char *file)
{
	unlink(run_folder_path(folder, file).s);
}

int run_folder_put(const struct run_folder *folder, const char *file, const void *bytes,
		   size_t size)
{
	struct run_path new = run_folder_path(folder, "new"), path = run_folder_path(folder, file);
	int fd = open(new.s, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600), err = 0;

	if (fd < 0)
		return -errno;
	while (size && !err) {
		ssize_t nr = write(fd, bytes, size);

		err = nr < 0 ? -errno : 0;
		bytes = (const char *)bytes + (err ? 0 : nr);
		size -= err ? 0 : (size_t)nr;
	}
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(new.s, path.s))
		err = -errno;
	if (err)
		unlink(new.s);
	return err;
}

static int read_whole(int fd, char *bytes, size_t size)
{
	while (size) {
		ssize_t nr = read(fd, bytes, size);

		if (nr <= 0)
			return nr ? -errno : -EPROTO;
		bytes += nr;
		size -= (size_t)nr;
	}
	return 0;
}

int run_folder_get(const struct run_folder *folder, const char *file, void **bytes, size_t *size)
{
	struct run_path path = run_folder_path(folder, file);
	int fd = open(path.s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), err = -EPROTO;
	struct stat st;

	*bytes = NULL;
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= MAX_FILE) {
		*size = (size_t)st.st_size;
		*bytes = malloc(*size);
		err = *bytes ? read_whole(fd, *bytes, *size) : -ENOMEM;
	}
	close(fd);
	if (err)
		free(*bytes);
	return err;
}

int run_folder_turn(const struct run_folder *folder)
{
	struct run_path next = run_folder_path(folder, "next"),
			now = run_folder_path(folder, "qemu");

	/* Not every C library has a function for it. */
	if (!syscall(SYS_renameat2, AT_FDCWD, next.s, AT_FDCWD, now.s, RENAME_EXCHANGE))
		return 0;
	return errno == ENOENT && !rename(next.s, now.s) ? 0 : -errno;
}

void run_folder_drop_next(const struct run_folder *folder)
{
	run_folder_drop(folder, RUN_NEXT_MONITOR);
	run_folder_drop(folder, "next/command");
	run_folder_drop(folder, "next/ram");
	rmdir(run_folder_path(folder, "next").s);
}

int run_folder_lock(struct run_folder *folder)
{
	int fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_SH | LOCK_NB)) {
		int err = -errno;

		close(fd);
		return err;
	}
	folder->lock = fd;
	return 0;
}

/* ---- RAM ---------------------------------------------------------------------------------- */

int run_folder_set_ram(const struct run_folder *folder, const struct run_ram *ram)
{
	struct run_path path = run_folder_path(folder, "next/ram");
	int fd = open(path.s, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), nr;

	if (fd < 0)
		return -errno;
	nr = dprintf(fd, "%d %d %d\n", ram->fd, ram->is_private, ram->is_incoming);
	close(fd);
	return nr < 0 ? -EIO : 0;
}

int run_folder_get_ram(const struct run_folder *folder, struct run_ram *ram)
{
	struct run_path path = run_folder_path(folder, "qemu/ram");
	int fd = open(path.s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char text[64];
	ssize_t size;

	if (fd < 0)
		return -errno;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size < 0 ? 0 : size] = '\0';
	return sscanf(text, "%d %d %d", &ram->fd, &ram->is_private, &ram->is_incoming) == 3 ?
		       0 :
		       -EPROTO;
}

/* ---- the command -------------------------------------------------------------------------- */

int run_folder_set_command(const struct run_folder *folder, uint64_t memory, char *const *argv)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int err = -ENOMEM;

	if (!out)
		return err;
	fprintf(out, "%" PRIu64 "%c", memory, '\0');
	for (; argv && *argv; argv++)
		fwrite(*argv, 1, strlen(*argv) + 1, out);
	if (!fclose(out))
		err = run_folder_put(folder, "next/command", text, size);
	free(text);
	return err;
}

/* The words of the text, each ended by a NUL, as pointers before a copy of it. */
static char **split(const char *text, size_t size)
{
	size_t nr = 0, i = 0;
	char **argv, *copy;

	for (const char *p = text; p < text + size; p++)
		nr += !*p;
	argv = malloc((nr + 1) * sizeof(*argv) + size);
	if (!argv)
		return NULL;
	copy = memcpy(argv + nr + 1, text, size);
	for (; i < nr; i++, copy += strlen(copy) + 1)
		argv[i] = copy;
	argv[nr] = NULL;
	return argv;
}

/* What another user says is to be started is not. */
static int is_ours(const struct run_folder *folder)
{
	struct stat st;

	return !stat(run_folder_path(folder, "qemu/command").s, &st) && st.st_uid == geteuid();
}

int run_folder_get_command(const struct run_folder *folder, uint64_t *memory, char ***argv)
{
	char *text, *end;
	size_t size, first;
	void *bytes;
	int err = run_folder_get(folder, "qemu/command", &bytes, &size);

	if (err)
		return err;
	text = bytes;
	err = -EPROTO;
	if (!text[size - 1] && size <= MAX_COMMAND) {
		*memory = strtoull(text, &end, 10);
		first = (size_t)(end + 1 - text);
		if (!is_ours(folder))
			size = first;
		if (!*end && first <= size) {
			*argv = split(text + first, size - first);
			err = *argv ? 0 : -ENOMEM;
		}
	}
	free(text);
	return err;
}
