// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* KVM's dirty log by rings, one a vCPU. */
#include "consumer/kvm/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_RING_PAGES 16

/* Pages that lie in one word of the log, gathered: neighbours mostly follow each other in a ring.
 */
struct ring_word {
	uint64_t gpa;
	uint64_t bits;
};

static size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

int vas_kvm_ring_init(struct vas_kvm *kvm)
{
	uint32_t pages = kvm->options.ring_pages ? kvm->options.ring_pages : DEFAULT_RING_PAGES;
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL };
	uint64_t max = vas_kvm_capability(kvm, cap.cap);

	cap.args[0] = pages * page_size();
	if (!max) {
		cap.cap = KVM_CAP_DIRTY_LOG_RING;
		max = vas_kvm_capability(kvm, cap.cap);
	}
	if (!max)
		return vas_error_set(-EOPNOTSUPP, "this KVM has no dirty ring");
	if (cap.args[0] > max)
		return vas_error_set(-EINVAL,
				     "a dirty ring of %u pages is more than the %llu bytes of KVM",
				     pages, (unsigned long long)max);
	if (ioctl(kvm->vm_fd, KVM_ENABLE_CAP, &cap))
		return vas_error_set(
			-EBUSY,
			"KVM refuses a dirty ring of %u pages (%s): it is enabled once, before "
			"the first vCPU, and not too small",
			pages, strerror(errno));
	kvm->ring_entries = cap.args[0] / sizeof(struct kvm_dirty_gfn);
	return 0;
}

static size_t ring_size(const struct vas_kvm *kvm)
{
	return kvm->ring_entries * sizeof(struct kvm_dirty_gfn);
}

static void word_flush(struct vas_kvm *kvm, struct ring_word *word)
{
	if (word->bits)
		vas_mark_dirty_word(kvm->vas, word->gpa, word->bits);
	word->bits = 0;
}

/*
 * KVM writes the ring, but whoever has the vCPU's fd can map it too: nothing in it is believed. An
 * entry of another's memslot, or of one that has gone, is of no concern.
 */
static void gfn_gather(struct vas_kvm *kvm, struct ring_word *word, uint32_t slot, uint64_t offset)
{
	uint32_t number = slot - vas_kvm_slot_id(kvm, 0);
	uint64_t page, gpa;

	if (number >= kvm->nr_touched || offset >= kvm->slots[number].size >> VAS_PAGE_SHIFT)
		return;
	page = (kvm->slots[number].gpa >> VAS_PAGE_SHIFT) + offset;
	gpa = page / VAS_LOG_PAGES_PER_WORD * VAS_LOG_PAGES_PER_WORD << VAS_PAGE_SHIFT;
	if (gpa != word->gpa)
		word_flush(kvm, word);
	word->gpa = gpa;
	word->bits |= 1ull << page % VAS_LOG_PAGES_PER_WORD;
}

/* At most one turn of the ring, however fast a vCPU may fill it behind us. */
static uint32_t ring_take(struct vas_kvm *kvm, struct kvm_vcpu_ring *ring)
{
	struct ring_word word = { 0 };
	uint32_t nr;

	for (nr = 0; nr < kvm->ring_entries; nr++) {
		struct kvm_dirty_gfn *gfn = &ring->gfns[ring->next & (kvm->ring_entries - 1)];

		/* Pairs with KVM's release: slot and offset are there. */
		if (!(__atomic_load_n(&gfn->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
			break;
		gfn_gather(kvm, &word, __atomic_load_n(&gfn->slot, __ATOMIC_RELAXED),
			   __atomic_load_n(&gfn->offset, __ATOMIC_RELAXED));
		/* Pairs with KVM's acquire in KVM_RESET_DIRTY_RINGS: both have been read. */
		__atomic_store_n(&gfn->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		ring->next++;
	}
	word_flush(kvm, &word);
	return nr;
}

int vas_kvm_ring_harvest(struct vas_kvm *kvm)
{
	struct kvm_vcpu_ring *ring;
	uint32_t taken = 0;

	for (ring = kvm->rings; ring; ring = ring->following)
		taken += ring_take(kvm, ring);
	/* Marked first, write-protected again only then: nothing is lost in between. */
	while (taken && ioctl(kvm->vm_fd, KVM_RESET_DIRTY_RINGS, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static void ring_free(struct vas_kvm *kvm, struct kvm_vcpu_ring *ring)
{
	munmap(ring->gfns, ring_size(kvm));
	free(ring);
}

void vas_kvm_rings_clean(struct vas_kvm *kvm)
{
	while (kvm->rings) {
		struct kvm_vcpu_ring *ring = kvm->rings;

		kvm->rings = ring->following;
		ring_free(kvm, ring);
	}
}

int vas_kvm_add_vcpu(struct vas_kvm *kvm, int vcpu_fd)
{
	struct kvm_vcpu_ring *ring;
	int err;

	if (kvm->dirty_log != VAS_KVM_DIRTY_RING)
		return 0;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return vas_error_set(-ENOMEM, "no memory");
	ring->vcpu_fd = vcpu_fd;
	ring->gfns = mmap(NULL, ring_size(kvm), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd,
			  KVM_DIRTY_LOG_PAGE_OFFSET * page_size());
	if (ring->gfns == MAP_FAILED) {
		err = -errno;
		free(ring);
		return vas_error_set(err, "cannot map the dirty ring of vCPU fd %d: %s", vcpu_fd,
				     strerror(-err));
	}
	pthread_mutex_lock(&kvm->lock);
	ring->following = kvm->rings;
	kvm->rings = ring;
	pthread_mutex_unlock(&kvm->lock);
	return 0;
}

int vas_kvm_remove_vcpu(struct vas_kvm *kvm, int vcpu_fd)
{
	struct kvm_vcpu_ring **link, *ring;
	int err;

	if (kvm->dirty_log != VAS_KVM_DIRTY_RING)
		return 0;
	pthread_mutex_lock(&kvm->lock);
	err = vas_kvm_ring_harvest(kvm);
	for (link = &kvm->rings; *link && (*link)->vcpu_fd != vcpu_fd; link = &(*link)->following)
		;
	ring = *link;
	if (ring)
		*link = ring->following;
	pthread_mutex_unlock(&kvm->lock);
	if (!ring)
		return vas_error_set(-ENOENT, "fd %d was not given to vas_kvm_add_vcpu()", vcpu_fd);
	ring_free(kvm, ring);
	return err;
}

int vas_kvm_collect(struct vas_kvm *kvm)
{
	int err;

	if (kvm->dirty_log != VAS_KVM_DIRTY_RING)
		return 0;
	pthread_mutex_lock(&kvm->lock);
	err = vas_kvm_ring_harvest(kvm);
	pthread_mutex_unlock(&kvm->lock);
	return err ? vas_error_set(err, "cannot reset KVM's dirty rings: %s", strerror(-err)) : 0;
}
