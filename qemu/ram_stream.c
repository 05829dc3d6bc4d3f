// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "qemu/ram_stream.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "lib/base/deadline.h"
#include "qemu/state.h"

#define BUFFER	   (1u << 20)
#define PAGE_BITS  12
#define PAGE	   (1u << PAGE_BITS)
#define WORD	   (64u * PAGE)
#define MAX_NAME   255u
#define MAX_BLOCKS 1024u

#define MAGIC	0x5145564du /* "QEVM" */
#define VERSION 3u
enum section {
	SECTION_START = 1,
	SECTION_PART,
	SECTION_END,
	SECTION_FULL,
	SUBSECTION,
	CONFIGURATION = 7,
	COMMAND,
};
#define SWITCHOVER_START 11u
#define FOOTER		 0x7e
#define RAM_VERSION	 4u

enum page_flag {
	PAGE_ZERO = 0x02,
	PAGE_SIZES = 0x04,
	PAGE_BYTES = 0x08,
	PAGE_EOS = 0x10,
	PAGE_CONTINUE = 0x20,
	PAGE_FLAGS = PAGE - 1
};

struct ram_stream {
	int sock;
	char block[MAX_NAME + 1];
	uint64_t size;
	/* what was received, [at, end) of it not looked at yet */
	char *buffer;
	size_t at;
	size_t end;
	/* what is kept */
	char *kept;
	size_t nr_kept;
	size_t room;
	enum { BEGINS, BETWEEN, IN_RAM, DEVICES, ENDED } where;
	uint32_t ram_id;
	int has_ram;
	int stands;	     /* the last section of RAM has begun */
	int is_ours;	     /* the last page was of the block that is told */
	uint64_t timeout_ns; /* of the call */
	uint64_t nr_pages;
	struct vas_dirty_word *words;
	size_t nr_words; /* what is told by the call */
};

static int no_stream(const char *what)
{
	return vas_error_set(-EPROTO, "QEMU's stream makes no sense: %s", what);
}

/* ---- bytes -------------------------------------------------------------------------------- */

/* At least so many are there: 0; -ENODATA: the stream ends here. */
static int need(struct ram_stream *s, size_t nr)
{
	struct deadline deadline;

	if (s->end - s->at >= nr)
		return 0;
	if (s->at + nr > BUFFER) {
		memmove(s->buffer, s->buffer + s->at, s->end - s->at);
		s->end -= s->at;
		s->at = 0;
	}
	deadline = deadline_in(s->timeout_ns);
	while (s->end - s->at < nr) {
		ssize_t got;
		int err = deadline_wait(s->sock, POLLIN, deadline);

		if (err)
			return vas_error_set(err, "QEMU does not go on with its stream");
		got = recv(s->sock, s->buffer + s->end, BUFFER - s->end, MSG_DONTWAIT);
		if (!got)
			return -ENODATA;
		if (got > 0)
			s->end += (size_t)got;
		else if (errno != EAGAIN && errno != EINTR)
			return vas_error_set(-errno, "QEMU's stream: %s", strerror(errno));
	}
	return 0;
}

static int keep(struct ram_stream *s, const void *bytes, size_t nr)
{
	char *kept;
	size_t room = s->room ? s->room : BUFFER;

	if (s->nr_kept + nr > QEMU_MAX_STATE)
		return vas_error_set(-EFBIG,
				     "the state of the guest's devices is more than %u MiB: is "
				     "memory in it that is not the vas's?",
				     QEMU_MAX_STATE >> 20);
	while (room < s->nr_kept + nr)
		room *= 2;
	if (room != s->room) {
		kept = realloc(s->kept, room);
		if (!kept)
			return vas_error_set(-ENOMEM, "no memory for the devices' state");
		s->kept = kept;
		s->room = room;
	}
	memcpy(s->kept + s->nr_kept, bytes, nr);
	s->nr_kept += nr;
	return 0;
}

/* So many, which stay in the stream and are at *bytes until the next call. */
static int take(struct ram_stream *s, size_t nr, const char **bytes)
{
	int err = need(s, nr);

	if (err)
		return err == -ENODATA ? no_stream("it ends too early") : err;
	*bytes = s->buffer + s->at;
	s->at += nr;
	return keep(s, *bytes, nr);
}

static int take_copy(struct ram_stream *s, void *to, size_t size)
{
	const char *bytes = NULL;
	int err = take(s, size, &bytes);

	if (!err)
		memcpy(to, bytes, size);
	return err;
}

static int take_u8(struct ram_stream *s, uint8_t *value)
{
	return take_copy(s, value, sizeof(*value));
}

static int take_u16(struct ram_stream *s, uint16_t *value)
{
	int err = take_copy(s, value, sizeof(*value));

	if (!err)
		*value = be16toh(*value);
	return err;
}

static int take_u32(struct ram_stream *s, uint32_t *value)
{
	int err = take_copy(s, value, sizeof(*value));

	if (!err)
		*value = be32toh(*value);
	return err;
}

static int take_u64(struct ram_stream *s, uint64_t *value)
{
	int err = take_copy(s, value, sizeof(*value));

	if (!err)
		*value = be64toh(*value);
	return err;
}

static int take_name(struct ram_stream *s, char name[MAX_NAME + 1])
{
	uint8_t len = 0;
	int err = take_u8(s, &len);

	if (!err)
		err = take_copy(s, name, len);
	if (!err)
		name[len] = '\0';
	return err;
}

/* ---- RAM ---------------------------------------------------------------------------------- */

/* What blocks there are, of so many bytes in all. */
static int take_sizes(struct ram_stream *s, uint64_t total)
{
	unsigned int nr = 0;
	int err = 0;

	while (!err && total) {
		char name[MAX_NAME + 1];
		uint64_t size = 0;

		err = take_name(s, name);
		if (!err)
			err = take_u64(s, &size);
		if (err)
			return err;
		if (size > total || ++nr > MAX_BLOCKS)
			return no_stream("its blocks are larger than all of them");
		total -= size;
		if (!strcmp(name, s->block) && size != s->size)
			return no_stream("its RAM is not as large as that of the vas");
	}
	return err;
}

static int tell(struct ram_stream *s, uint64_t offset)
{
	struct vas_dirty_word *last = s->nr_words ? &s->words[s->nr_words - 1] : NULL;
	const uint64_t start = offset / WORD * WORD, bit = 1ull << (offset - start) / PAGE;

	if (offset >= s->size)
		return no_stream("a page lies behind the RAM");
	s->nr_pages++;
	if (last && last->gpa == start)
		last->bits |= bit;
	else
		s->words[s->nr_words++] = (struct vas_dirty_word){ .gpa = start, .bits = bit };
	return 0;
}

/* What stands behind a page's offset: which block, unless it is the same, and the page. */
static int take_page(struct ram_stream *s, uint64_t header)
{
	const size_t size = header & PAGE_BYTES ? PAGE : 1, kept = s->nr_kept - sizeof(header);
	const char *bytes = NULL;
	char name[MAX_NAME + 1];
	int err = 0;

	if (!(header & PAGE_CONTINUE)) {
		err = take_name(s, name);
		if (!err)
			s->is_ours = !strcmp(name, s->block);
	}
	if (err || !s->is_ours)
		return err ? err : take(s, size, &bytes);
	err = need(s, size);
	if (err)
		return err == -ENODATA ? no_stream("it ends too early") : err;
	s->at += size;
	s->nr_kept = kept;
	return tell(s, header & ~(uint64_t)PAGE_FLAGS);
}

static int end_section(struct ram_stream *s)
{
	uint32_t id = 0;
	uint8_t mark = 0;
	int err = take_u8(s, &mark);

	if (!err)
		err = take_u32(s, &id);
	if (err)
		return err;
	if (mark != FOOTER || id != s->ram_id)
		return no_stream("a section does not end");
	s->where = BETWEEN;
	return 0;
}

static int take_ram(struct ram_stream *s)
{
	uint64_t header = 0;
	unsigned int flags;
	int err = take_u64(s, &header);

	flags = header & PAGE_FLAGS;
	if (err)
		return err;
	if (flags == PAGE_EOS)
		return end_section(s);
	if (flags == PAGE_SIZES)
		return take_sizes(s, header & ~(uint64_t)PAGE_FLAGS);
	flags &= ~(unsigned int)PAGE_CONTINUE;
	if (flags == PAGE_BYTES || flags == PAGE_ZERO)
		return take_page(s, header);
	return vas_error_set(-EOPNOTSUPP,
			     "QEMU sends its RAM in a way that is not known here (%#x): are "
			     "capabilities set for a migration, such as xbzrle?",
			     flags);
}

/* ---- sections ----------------------------------------------------------------------------- */

static int begin_ram(struct ram_stream *s)
{
	char name[MAX_NAME + 1];
	uint32_t instance, version = 0;
	int err = take_u32(s, &s->ram_id);

	if (!err)
		err = take_name(s, name);
	if (!err)
		err = take_u32(s, &instance);
	if (!err)
		err = take_u32(s, &version);
	if (err)
		return err;
	if (strcmp(name, "ram") || version != RAM_VERSION || s->has_ram)
		return vas_error_set(-EOPNOTSUPP,
				     "QEMU cannot be asked what '%.60s' writes while it runs",
				     name);
	s->has_ram = 1;
	s->where = IN_RAM;
	return 0;
}

static int continue_ram(struct ram_stream *s)
{
	uint32_t id = 0;
	int err = take_u32(s, &id);

	if (err)
		return err;
	if (!s->has_ram || id != s->ram_id)
		return no_stream("a section goes on that has not begun");
	s->where = IN_RAM;
	return 0;
}

static int take_configuration(struct ram_stream *s)
{
	const char *bytes = NULL;
	uint32_t len = 0;
	int err = take_u32(s, &len);

	if (!err && len > MAX_NAME)
		return no_stream("the machine's name is too long");
	return err ? err : take(s, len, &bytes);
}

/* Of the configuration: machines whose pages may have several sizes say which. */
static int take_subsection(struct ram_stream *s)
{
	char name[MAX_NAME + 1];
	uint32_t version, bits = 0;
	int err = take_name(s, name);

	if (!err)
		err = take_u32(s, &version);
	if (err)
		return err;
	if (strcmp(name, "configuration/target-page-bits"))
		return vas_error_set(-EOPNOTSUPP,
				     "QEMU's stream has '%.60s', which is not known here", name);
	err = take_u32(s, &bits);
	if (!err && bits != PAGE_BITS)
		err = vas_error_set(-EOPNOTSUPP, "the guest's pages are not of %u bytes", PAGE);
	return err;
}

/* QEMU 10 says when the guest stands. Other commands belong to migrations of other kinds. */
static int take_command(struct ram_stream *s)
{
	uint16_t command = 0, len = 0;
	int err = take_u16(s, &command);

	if (!err)
		err = take_u16(s, &len);
	if (err || (command == SWITCHOVER_START && !len))
		return err;
	return vas_error_set(-EOPNOTSUPP, "QEMU's stream has a command that is not known here (%u)",
			     command);
}

static int take_section(struct ram_stream *s)
{
	uint8_t type = 0;
	int err = take_u8(s, &type);

	if (err)
		return err;
	switch (type) {
	case CONFIGURATION:
		return take_configuration(s);
	case SUBSECTION:
		return take_subsection(s);
	case COMMAND:
		return take_command(s);
	case SECTION_START:
		return begin_ram(s);
	case SECTION_END:
		s->stands = 1;
		return continue_ram(s);
	case SECTION_PART:
		return continue_ram(s);
	case SECTION_FULL:
		if (!s->has_ram)
			return no_stream("there is no RAM in it");
		s->where = DEVICES;
		return 0;
	default:
		return vas_error_set(-EOPNOTSUPP,
				     "a section of QEMU's stream is not known here (%u)", type);
	}
}

static int take_magic(struct ram_stream *s)
{
	uint32_t magic = 0, version = 0;
	int err = take_u32(s, &magic);

	if (!err)
		err = take_u32(s, &version);
	if (err)
		return err;
	if (magic != MAGIC || version != VERSION)
		return no_stream("it begins with something else");
	s->where = BETWEEN;
	return 0;
}

/* All that is there. */
static int take_devices(struct ram_stream *s)
{
	int err = need(s, 1);

	if (err == -ENODATA) {
		s->where = ENDED;
		return 0;
	}
	if (!err)
		err = keep(s, s->buffer + s->at, s->end - s->at);
	s->at = s->end;
	return err;
}

static int step(struct ram_stream *s)
{
	switch (s->where) {
	case BEGINS:
		return take_magic(s);
	case BETWEEN:
		return take_section(s);
	case IN_RAM:
		return take_ram(s);
	case DEVICES:
		return take_devices(s);
	default:
		return 0;
	}
}

/* The longest step is one page with a block's name; with less, it would wait. */
static int has_more(const struct ram_stream *s)
{
	return s->end - s->at >= sizeof(uint64_t) + 1 + MAX_NAME + PAGE;
}

/* As soon as the guest stands, what is told is told apart. */
ssize_t ram_stream_next(struct ram_stream *s, uint64_t timeout_ns, struct vas_dirty_word *words,
			size_t nr)
{
	const int stood = s->stands;
	int err = 0;

	s->timeout_ns = timeout_ns;
	s->words = words;
	s->nr_words = 0;
	while (!err && s->where < DEVICES && s->nr_words < nr &&
	       (!s->nr_words || (has_more(s) && s->stands == stood)))
		err = step(s);
	return err ? err : (ssize_t)s->nr_words;
}

int ram_stream_state(struct ram_stream *s, uint64_t timeout_ns, void **state, size_t *size)
{
	int err = 0;

	s->timeout_ns = timeout_ns;
	while (!err && s->where == DEVICES)
		err = step(s);
	if (!err && s->where != ENDED)
		err = no_stream("its RAM has not ended");
	if (err)
		return err;
	*state = s->kept;
	*size = s->nr_kept;
	s->kept = NULL;
	s->nr_kept = s->room = 0;
	return 0;
}

/* ---- the whole ---------------------------------------------------------------------------- */

int ram_stream_open(int sock, const char *block, uint64_t size, struct ram_stream **out)
{
	struct ram_stream *s = calloc(1, sizeof(*s));

	if (s)
		s->buffer = malloc(BUFFER);
	if (!s || !s->buffer) {
		free(s);
		close(sock);
		return vas_error_set(-ENOMEM, "no memory for QEMU's stream");
	}
	s->sock = sock;
	s->size = size;
	strncpy(s->block, block, MAX_NAME);
	*out = s;
	return 0;
}

void ram_stream_close(struct ram_stream *s)
{
	if (!s)
		return;
	close(s->sock);
	free(s->buffer);
	free(s->kept);
	free(s);
}

uint64_t ram_stream_pages(const struct ram_stream *s)
{
	return s->nr_pages;
}

int ram_stream_stands(const struct ram_stream *s)
{
	return s->stands;
}
