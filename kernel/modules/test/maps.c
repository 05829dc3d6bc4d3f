// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Maps, and what a session does when they are requested back. */
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "session.h"

atomic64_t session_nr_released = ATOMIC64_INIT(0);

/* Take a map out of the table, if it is still there: whoever does has its reference. */
static struct vas_mapping *take(struct session *s, u32 id)
{
	struct vas_mapping *mapping;

	spin_lock(&s->maps_lock);
	mapping = s->maps[id];
	WRITE_ONCE(s->maps[id], NULL);
	spin_unlock(&s->maps_lock);
	return mapping;
}

static struct vas_mapping *get(struct session *s, u32 id, u32 *flags)
{
	struct vas_mapping *mapping = NULL;

	if (id >= VAS_TEST_MAX_MAPS)
		return NULL;
	spin_lock(&s->maps_lock);
	if (s->maps[id])
		mapping = vas_mapping_get(s->maps[id]);
	*flags = s->map_flags[id];
	spin_unlock(&s->maps_lock);
	return mapping;
}

static void drop_mapping(struct session *s, struct vas_mapping *mapping)
{
	u32 id;

	for (id = 0; id < VAS_TEST_MAX_MAPS; id++)
		if (READ_ONCE(s->maps[id]) == mapping)
			vas_mapping_destroy(take(s, id));
}

static int put_in_table(struct session *s, struct vas_mapping *mapping, struct vas_test_map *map)
{
	int err = -ENOSPC;
	u32 i;

	spin_lock(&s->maps_lock);
	for (i = 0; i < VAS_TEST_MAX_MAPS; i++) {
		if (s->maps[i])
			continue;
		WRITE_ONCE(s->maps[i], mapping); /* read without the lock, too */
		s->map_flags[i] = map->flags;
		map->id = i;
		err = 0;
		break;
	}
	spin_unlock(&s->maps_lock);
	return err;
}

int session_map(struct session *s, void *arg)
{
	struct vas_test_map *map = arg;
	struct vas_mapping *mapping;
	int err;

	err = vas_mapping_create(s->vas, map->gpa, map->len, map->flags, &mapping);
	if (err)
		return err;
	err = put_in_table(s, mapping, map);
	if (err)
		vas_mapping_destroy(mapping);
	return err;
}

int session_unmap(struct session *s, void *arg)
{
	u32 id = *(u32 *)arg;
	struct vas_mapping *mapping = id < VAS_TEST_MAX_MAPS ? take(s, id) : NULL;

	vas_mapping_destroy(mapping);
	return mapping ? 0 : -ENOENT;
}

void session_unmap_all(struct session *s)
{
	u32 id;

	for (id = 0; id < VAS_TEST_MAX_MAPS; id++)
		vas_mapping_destroy(take(s, id));
}

static int access_mapping(struct vas_mapping *mapping, const struct vas_test_map_access *access)
{
	void __user *user = u64_to_user_ptr(access->buf);
	void *p = vas_mapping_addr(mapping);
	u64 len = vas_mapping_len(mapping);

	if (!p)
		return -EOPNOTSUPP; /* VAS_MAPPING_PAGES */
	if (access->len > len || access->offset > len - access->len)
		return -ERANGE;
	p += access->offset;
	if (access->flags & VAS_TEST_WRITE)
		return copy_from_user(p, user, access->len) ? -EFAULT : 0;
	return copy_to_user(user, p, access->len) ? -EFAULT : 0;
}

int session_map_access(struct session *s, void *arg)
{
	const struct vas_test_map_access *access = arg;
	struct vas_mapping *mapping;
	u32 flags;
	int err;

	mapping = get(s, access->id, &flags);
	if (!mapping)
		return -ENOENT;
	/* Its pages are read-only to us as well. */
	if (access->flags & VAS_TEST_WRITE && !(flags & VAS_MAPPING_WRITE))
		err = -EACCES;
	else
		err = access_mapping(mapping, access);
	vas_mapping_destroy(mapping);
	return err;
}

int session_is_attached(struct session *s, void *id)
{
	struct vas_mapping *mapping;
	u32 flags;
	int err;

	mapping = get(s, *(u32 *)id, &flags);
	if (!mapping)
		return -ENOENT;
	err = vas_mapping_is_attached(mapping) ? 0 : -ESTALE;
	vas_mapping_destroy(mapping);
	return err;
}

static void count(struct session *s, u64 *what, ktime_t deadline)
{
	spin_lock(&s->maps_lock);
	++*what;
	s->counts.last_timeout_ns = ktime_to_ns(ktime_sub(deadline, ktime_get()));
	spin_unlock(&s->maps_lock);
}

/* A hang that nobody ends is a refusal that took long: whoever could end it may be gone. */
static u32 policy_of(struct session *s)
{
	u32 policy;

	wait_event_timeout(s->policy_changed, READ_ONCE(s->policy) != VAS_TEST_HANG,
			   VAS_TEST_LONGEST_HANG * HZ);
	policy = READ_ONCE(s->policy);
	return policy == VAS_TEST_HANG ? VAS_TEST_REFUSE : policy;
}

static void session_invalidate(void *priv, struct vas_mapping *mapping, ktime_t deadline)
{
	struct session *s = priv;

	count(s, &s->counts.invalidated, deadline);
	if (policy_of(s) == VAS_TEST_REFUSE)
		return;
	drop_mapping(s, mapping);
	session_sg_invalidate(s, mapping);
}

static int session_quiesce(void *priv, struct vas_mapping *mapping, ktime_t deadline)
{
	struct session *s = priv;

	count(s, &s->counts.quiesced, deadline);
	switch (policy_of(s)) {
	case VAS_TEST_COMPLY:
		return 0;
	case VAS_TEST_UNMAP:
		drop_mapping(s, mapping);
		return 0;
	default:
		return -EBUSY;
	}
}

static void session_resume(void *priv, struct vas_mapping *mapping)
{
	struct session *s = priv;

	count(s, &s->counts.resumed, ktime_get());
}

static void session_released(void *priv)
{
	struct session *s = priv;

	atomic64_inc(&session_nr_released);
	complete(&s->released);
}

const struct vas_ops session_ops = {
	.owner = THIS_MODULE,
	.name = "vas_test",
	.invalidate = session_invalidate,
	.quiesce = session_quiesce,
	.resume = session_resume,
	.release = session_released,
};
