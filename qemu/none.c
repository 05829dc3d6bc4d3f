// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* In the place of all of it, where json-c was not there when this was built. */
#include <errno.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "qemu/backend.h"
#include "qemu/memory.h"
#include "qemu/record.h"

static int none(void)
{
	return vas_error_set(-EOPNOTSUPP, "this was built without json-c, and cannot speak with "
					  "QEMU: install libjson-c-dev, and build again");
}

/* Where no monitor is, there is no QEMU to speak with. */
int qmp_open(const char *path, uint64_t timeout_ns, struct qmp **qmp)
{
	(void)timeout_ns;
	(void)qmp;
	return access(path, F_OK) ? -ENOENT : none();
}

/* Nothing of what follows can be called: there is no monitor that was opened. */
void qmp_close(struct qmp *qmp)
{
	(void)qmp;
}

pid_t qmp_pid(const struct qmp *qmp)
{
	(void)qmp;
	return 0;
}

int qemu_is_running(struct qmp *qmp)
{
	(void)qmp;
	return none();
}

int qemu_is_waiting(struct qmp *qmp)
{
	(void)qmp;
	return none();
}

int qemu_stop(struct qmp *qmp)
{
	(void)qmp;
	return none();
}

int qemu_cont(struct qmp *qmp)
{
	(void)qmp;
	return none();
}

int qemu_quit(struct qmp *qmp)
{
	(void)qmp;
	return none();
}

int qemu_end(struct qmp *qmp)
{
	(void)qmp;
	return none();
}

int qemu_recover(struct qmp *qmp)
{
	(void)qmp;
	return none();
}

int qemu_save(struct qmp *qmp, void **state, size_t *size)
{
	(void)qmp;
	(void)state;
	(void)size;
	return none();
}

int qemu_load(struct qmp *qmp, const void *state, size_t size, int with_ram)
{
	(void)qmp;
	(void)state;
	(void)size;
	(void)with_ram;
	return none();
}

int qemu_hand_over(struct qmp *from, struct qmp *to, struct qemu_save *save, uint64_t *stopped_ns)
{
	(void)from;
	(void)to;
	(void)save;
	(void)stopped_ns;
	return none();
}

int qemu_handed_over(struct qmp *to)
{
	(void)to;
	return none();
}

int qemu_stream_begin(struct qmp *qmp, struct qemu_stream *stream, uint64_t downtime_ms, int *sock)
{
	(void)qmp;
	(void)stream;
	(void)downtime_ms;
	(void)sock;
	return none();
}

int qemu_stream_ended(struct qemu_stream *stream)
{
	(void)stream;
	return none();
}

int qemu_stream_end(struct qemu_stream *stream, int err)
{
	(void)stream;
	return err;
}

int qemu_stream_stop(struct qemu_stream *stream)
{
	(void)stream;
	return none();
}

int qemu_stream_ask(struct qemu_stream *stream)
{
	(void)stream;
	return 0;
}

int qemu_stream_answer(struct qemu_stream *stream)
{
	(void)stream;
	return none();
}

int qemu_sees_all_writes(struct qmp *qmp)
{
	(void)qmp;
	return none();
}

int qemu_stream_set_downtime(struct qemu_stream *stream, uint64_t ms)
{
	(void)stream;
	(void)ms;
	return none();
}

int qemu_save_begin(struct qmp *qmp, struct qemu_save *save)
{
	(void)qmp;
	(void)save;
	return none();
}

int qemu_save_pass(struct qemu_save *save, int (*take)(void *arg, const void *bytes, size_t size),
		   void *arg)
{
	(void)save;
	(void)take;
	(void)arg;
	return none();
}

int qemu_save_take(struct qemu_save *save, void **state, size_t *size)
{
	(void)save;
	(void)state;
	(void)size;
	return none();
}

int qemu_save_end(struct qemu_save *save, int err)
{
	(void)save;
	return err;
}

int qemu_load_begin(struct qmp *qmp, int with_ram, int *sock)
{
	(void)qmp;
	(void)with_ram;
	(void)sock;
	return none();
}

int qemu_load_write(int sock, const void *bytes, size_t size)
{
	(void)sock;
	(void)bytes;
	(void)size;
	return none();
}

int qemu_load_end(struct qmp *qmp, int with_ram, int sock)
{
	(void)qmp;
	(void)with_ram;
	(void)sock;
	return none();
}

int qemu_kind(struct qmp *qmp, struct qemu_kind *kind)
{
	(void)qmp;
	(void)kind;
	return none();
}

int qemu_genid(struct qmp *qmp, char genid[37])
{
	(void)qmp;
	(void)genid;
	return none();
}

int qemu_check_disks(struct qmp *qmp)
{
	(void)qmp;
	return none();
}

int qemu_check_devices(struct qmp *qmp)
{
	(void)qmp;
	return none();
}

int qemu_await_served(struct qmp *qmp)
{
	(void)qmp;
	return none();
}

/* One by JSON, or in any other way that has to be rewritten: whoever asks says what to drop. */
int qemu_backend_parse(const char *value, struct qemu_backend *backend)
{
	(void)value;
	(void)backend;
	return 0;
}

char *qemu_backend_at(const char *value, const char *path, int is_shared)
{
	(void)value;
	(void)path;
	(void)is_shared;
	return NULL;
}

int qemu_device_memdev(const char *value, char id[QEMU_BACKEND_ID_LEN])
{
	(void)value;
	(void)id;
	return 0;
}

uint64_t qemu_device_gpa(const char *value)
{
	(void)value;
	return 0;
}

char *qemu_device_at(const char *value, uint64_t gpa)
{
	(void)value;
	(void)gpa;
	return NULL;
}

int qemu_memory_devices(struct qmp *qmp, struct qemu_memory_device **list, size_t *nr)
{
	(void)qmp;
	(void)list;
	(void)nr;
	return none();
}

int qemu_plug(struct qmp *qmp, const struct qemu_dimm *dimm, int fd)
{
	(void)qmp;
	(void)dimm;
	(void)fd;
	return none();
}

int qemu_unplug_begin(struct qmp *qmp, const char *id)
{
	(void)qmp;
	(void)id;
	return none();
}

int qemu_unplug_end(struct qmp *qmp, const char *id)
{
	(void)qmp;
	(void)id;
	return none();
}

int qemu_record_pack(const struct qemu_record *record, void **bytes, size_t *size)
{
	(void)record;
	(void)bytes;
	(void)size;
	return none();
}

int qemu_record_parse(const void *bytes, size_t size, struct qemu_record *record)
{
	(void)bytes;
	(void)size;
	(void)record;
	return none();
}

void qemu_record_clean(struct qemu_record *record)
{
	(void)record;
}
