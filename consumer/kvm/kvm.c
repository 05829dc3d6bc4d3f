// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Attach a vas to KVM: what its parts can do, the ops, the beginning and the end. */
#include "consumer/kvm/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- what is under way --------------------------------------------------------------------- */

void vas_kvm_wake(struct vas_kvm *kvm)
{
	const uint64_t one = 1;

	if (write(kvm->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is readable, which is all that counts */
}

int vas_kvm_under_way(struct vas_kvm *kvm, enum kvm_work work)
{
	kvm->work = work;
	vas_kvm_wake(kvm);
	return VAS_CONSUMER_UNDER_WAY;
}

static int kvm_fd(struct vas_consumer *consumer)
{
	return kvm_of(consumer)->wake_fd;
}

static int pause_go_on(struct vas_kvm *kvm)
{
	kvm->work = KVM_WORK_PAUSE;
	return kvm->options.is_paused(kvm->options.priv) ? 0 : VAS_CONSUMER_UNDER_WAY;
}

static int track_go_on(struct vas_kvm *kvm)
{
	int err = vas_kvm_slots_track(kvm, &kvm->at);

	if (!err && kvm->at < kvm->nr_touched)
		return vas_kvm_under_way(kvm, KVM_WORK_TRACK);
	if (!err)
		return 0;
	vas_kvm_slots_untrack(kvm);
	kvm->tracking = 0;
	return vas_error_set(err, "KVM cannot switch its dirty log on: %s", strerror(-err));
}

static int kvm_finish(struct vas_consumer *consumer)
{
	struct vas_kvm *kvm = kvm_of(consumer);
	uint64_t count;
	int err = 0;

	/* Emptied before looking: what happens from here on makes it readable again. */
	if (read(kvm->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return -errno;
	if (kvm->work == KVM_WORK_PAUSE)
		return pause_go_on(kvm);
	pthread_mutex_lock(&kvm->lock);
	if (kvm->work == KVM_WORK_PREPARE)
		err = vas_kvm_layout_go_on(kvm);
	else if (kvm->work == KVM_WORK_TRACK)
		err = track_go_on(kvm);
	pthread_mutex_unlock(&kvm->lock);
	return err;
}

/* ---- dirty log and freeze ------------------------------------------------------------------ */

static int kvm_track(struct vas_consumer *consumer, uint64_t deadline_ns)
{
	struct vas_kvm *kvm = kvm_of(consumer);
	int err;

	(void)deadline_ns;
	pthread_mutex_lock(&kvm->lock);
	kvm->tracking = 1;
	kvm->at = 0;
	err = track_go_on(kvm);
	pthread_mutex_unlock(&kvm->lock);
	return err;
}

static void kvm_untrack(struct vas_consumer *consumer)
{
	struct vas_kvm *kvm = kvm_of(consumer);

	pthread_mutex_lock(&kvm->lock);
	vas_kvm_slots_untrack(kvm);
	kvm->tracking = 0;
	pthread_mutex_unlock(&kvm->lock);
}

static int kvm_harvest(struct vas_consumer *consumer)
{
	struct vas_kvm *kvm = kvm_of(consumer);
	int err;

	pthread_mutex_lock(&kvm->lock);
	if (kvm->dirty_log == VAS_KVM_DIRTY_RING)
		err = vas_kvm_ring_harvest(kvm);
	else
		err = vas_kvm_bitmap_harvest(kvm);
	pthread_mutex_unlock(&kvm->lock);
	return err ? vas_error_set(err, "cannot take KVM's dirty log: %s", strerror(-err)) : 0;
}

static int kvm_freeze(struct vas_consumer *consumer, enum vas_freeze_reason reason,
		      uint64_t deadline_ns)
{
	struct vas_kvm *kvm = kvm_of(consumer);

	(void)deadline_ns;
	if (reason == VAS_FREEZE_LAYOUT)
		kvm->paused_for_layout = kvm->options.pause && vas_kvm_layout_replaces(kvm);
	if (!kvm->options.pause || (reason == VAS_FREEZE_LAYOUT && !kvm->paused_for_layout))
		return 0;
	kvm->options.pause(kvm->options.priv);
	return pause_go_on(kvm);
}

static void kvm_thaw(struct vas_consumer *consumer, enum vas_freeze_reason reason)
{
	struct vas_kvm *kvm = kvm_of(consumer);

	if (kvm->options.pause && (reason == VAS_FREEZE_WRITERS || kvm->paused_for_layout))
		kvm->options.resume(kvm->options.priv);
	if (reason == VAS_FREEZE_LAYOUT)
		kvm->paused_for_layout = 0;
}

static const struct vas_consumer_ops kvm_ops = {
	.name = "kvm",
	.prepare = vas_kvm_layout_prepare,
	.commit = vas_kvm_layout_commit,
	.abort = vas_kvm_layout_abort,
	.retry = vas_kvm_layout_retry,
	.freeze = kvm_freeze,
	.thaw = kvm_thaw,
	.track = kvm_track,
	.untrack = kvm_untrack,
	.harvest = kvm_harvest,
	.fd = kvm_fd,
	.finish = kvm_finish,
};

/* ---- attach -------------------------------------------------------------------------------- */

int vas_kvm_capability(const struct vas_kvm *kvm, long capability)
{
	int val = ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, capability);

	return val > 0 ? val : 0;
}

static int vm_check(int vm_fd)
{
	/* /dev/kvm itself knows this call, a VM does not, and a VM of another process says EIO to
	 * all. */
	if (ioctl(vm_fd, KVM_GET_API_VERSION, 0) >= 0)
		return vas_error_set(-EINVAL, "fd %d is /dev/kvm, not a VM: KVM_CREATE_VM first",
				     vm_fd);
	if (errno == EIO)
		return vas_error_set(-EXDEV, "fd %d is a VM of another process, or a dead one",
				     vm_fd);
	if (ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) <= 0)
		return vas_error_set(-EINVAL, "fd %d is not a KVM VM", vm_fd);
	return 0;
}

static int options_check(const struct vas_kvm_options *o)
{
	uint64_t reserved = o->reserved0;
	size_t i;

	for (i = 0; i < sizeof(o->reserved) / sizeof(*o->reserved); i++)
		reserved |= o->reserved[i];
	if (reserved || o->flags & ~(VAS_KVM_DIRTY_BITMAP | VAS_KVM_DIRTY_RING) ||
	    o->ring_pages & (o->ring_pages - 1))
		return vas_error_set(-EINVAL, "bad options: flags, ring_pages or reserved fields");
	if (!o->pause != !o->is_paused || !o->pause != !o->resume)
		return vas_error_set(-EINVAL,
				     "bad options: pause, is_paused and resume go together");
	return 0;
}

/* How many slots are ours; 0: none. */
static uint32_t slots_of(const struct vas_kvm *kvm)
{
	uint32_t nr = vas_kvm_capability(kvm, KVM_CAP_NR_MEMSLOTS);
	uint32_t first = kvm->options.first_slot, wanted = kvm->options.nr_slots;

	if (first >= nr)
		return 0;
	return wanted && wanted < nr - first ? wanted : nr - first;
}

static int dirty_log_init(struct vas_kvm *kvm)
{
	int err;

	kvm->dirty_log = VAS_KVM_DIRTY_RING;
	err = kvm->options.flags & VAS_KVM_DIRTY_RING ? vas_kvm_ring_init(kvm) : -EOPNOTSUPP;
	if (!err || kvm->options.flags == VAS_KVM_DIRTY_RING)
		return err;
	kvm->dirty_log = VAS_KVM_DIRTY_BITMAP;
	return vas_kvm_bitmap_init(kvm);
}

static int machine_init(struct vas_kvm *kvm)
{
	uint32_t spaces = vas_kvm_capability(kvm, KVM_CAP_MULTI_ADDRESS_SPACE);
	uint32_t nr_slots = slots_of(kvm);
	struct vas_info info;
	int err;

	if (!nr_slots || kvm->options.address_space >= (spaces ? spaces : 1))
		return vas_error_set(-EINVAL, "this KVM has no such slots or address space");
	kvm->can_readonly = vas_kvm_capability(kvm, KVM_CAP_READONLY_MEM);
	err = vas_info(kvm->vas, &info);
	if (!err)
		err = vas_file_maps_get(kvm->vas, &kvm->maps);
	if (err)
		return err;
	err = vas_kvm_slots_init(kvm, nr_slots);
	if (err)
		return vas_error_set(err, "no memory for %u memslots", nr_slots);
	/* Said here as well as in prepare, for an enabled ring could not be taken back. */
	if (info.nr_regions > nr_slots)
		return vas_error_set(-ENOSPC, "%u regions, but KVM has %u memslots here",
				     info.nr_regions, nr_slots);
	return dirty_log_init(kvm);
}

static void machine_free(struct vas_kvm *kvm)
{
	vas_kvm_rings_clean(kvm);
	vas_kvm_slots_clean(kvm);
	free(kvm->bitmap);
	free(kvm->routes);
	if (kvm->maps)
		vas_file_maps_put(kvm->maps);
	close(kvm->wake_fd);
	close(kvm->vm_fd);
	pthread_mutex_destroy(&kvm->lock);
	free(kvm);
}

static int machine_new(struct vas *vas, int vm_fd, const struct vas_kvm_options *options,
		       struct vas_kvm **kvm)
{
	struct vas_kvm *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return vas_error_set(-ENOMEM, "no memory");
	k->vm_fd = fcntl(vm_fd, F_DUPFD_CLOEXEC, 0);
	err = -errno;
	if (k->vm_fd < 0)
		goto err_free;
	k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = -errno;
	if (k->wake_fd < 0)
		goto err_close;
	pthread_mutex_init(&k->lock, NULL);
	k->consumer.ops = &kvm_ops;
	k->consumer.flags = VAS_CONSUMER_DEVICE_REGIONS;
	k->vas = vas;
	if (options)
		k->options = *options;
	*kvm = k;
	return 0;

err_close:
	close(k->vm_fd);
err_free:
	free(k);
	return vas_error_set(err, "cannot duplicate the VM's fd, or make one: %s", strerror(-err));
}

int vas_kvm_attach(struct vas *vas, int vm_fd, const struct vas_kvm_options *options,
		   struct vas_kvm **kvm)
{
	uint64_t timeout_ns = options && options->timeout_ns ? options->timeout_ns : UINT64_MAX;
	struct vas_kvm *k = NULL;
	int err;

	err = vm_check(vm_fd);
	if (!err && options)
		err = options_check(options);
	if (!err)
		err = machine_new(vas, vm_fd, options, &k);
	if (err)
		return err;
	err = machine_init(k);
	if (!err)
		err = vas_consumer_attach(vas, &k->consumer, timeout_ns, NULL);
	if (err) {
		machine_free(k);
		return err;
	}
	*kvm = k;
	return 0;
}

void vas_kvm_detach(struct vas_kvm *kvm)
{
	if (!kvm)
		return;
	vas_kvm_events_clean(kvm);
	vas_consumer_detach(&kvm->consumer);
	machine_free(kvm);
}

uint32_t vas_kvm_dirty_log(const struct vas_kvm *kvm)
{
	return kvm->dirty_log;
}

struct vas_consumer *vas_kvm_consumer(struct vas_kvm *kvm)
{
	return &kvm->consumer;
}
