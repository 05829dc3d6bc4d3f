// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * KVM's own copies, which modules could use as long as KVM exported them. Writes come from a thread
 * that has loaded a vCPU: from any other KVM complains, and may lose the dirty bit.
 */
#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "subject.h"

struct access {
	struct kvm *kvm;
	struct gfn_to_hva_cache cache;
	struct kvm_vcpu *vcpu;
};

static int open_vm(struct job *job)
{
	struct access *access;

	if (!file_is_kvm(job->file))
		return -EINVAL;
	access = kzalloc(sizeof(*access), GFP_KERNEL);
	if (!access)
		return -ENOMEM;
	access->kvm = job->file->private_data;
	job->priv = access;
	return 0;
}

static void close_vm(struct job *job)
{
	kfree(job->priv);
}

static int init_cache(struct access *access, const struct vas_bench_run *run)
{
	int idx = srcu_read_lock(&access->kvm->srcu);
	int err;

	err = kvm_gfn_to_hva_cache_init(access->kvm, &access->cache, run->gpa, run->len);
	srcu_read_unlock(&access->kvm->srcu, idx);
	return err;
}

static int open_cached(struct job *job)
{
	int err = open_vm(job);

	if (err)
		return err;
	err = init_cache(job->priv, job->run);
	if (err)
		close_vm(job);
	return err;
}

static int open_vcpu(struct job *job)
{
	struct access *access;
	int err = open_cached(job);

	if (err)
		return err;
	access = job->priv;
	access->vcpu = kvm_get_vcpu(access->kvm, 0);
	if (!access->vcpu) {
		close_vm(job);
		return -EINVAL;
	}
	vcpu_load(access->vcpu);
	return 0;
}

static void close_vcpu(struct job *job)
{
	struct access *access = job->priv;

	vcpu_put(access->vcpu);
	close_vm(job);
}

static int read(struct job *job)
{
	struct access *access = job->priv;
	int idx = srcu_read_lock(&access->kvm->srcu);
	int err = kvm_read_guest(access->kvm, job->run->gpa, job->buf, job->run->len);

	srcu_read_unlock(&access->kvm->srcu, idx);
	return err;
}

static int write(struct job *job)
{
	struct access *access = job->priv;
	int idx = srcu_read_lock(&access->kvm->srcu);
	int err = kvm_write_guest(access->kvm, job->run->gpa, job->buf, job->run->len);

	srcu_read_unlock(&access->kvm->srcu, idx);
	return err;
}

static int read_cached(struct job *job)
{
	struct access *access = job->priv;
	int idx = srcu_read_lock(&access->kvm->srcu);
	int err = kvm_read_guest_cached(access->kvm, &access->cache, job->buf, job->run->len);

	srcu_read_unlock(&access->kvm->srcu, idx);
	return err;
}

static int write_cached(struct job *job)
{
	struct access *access = job->priv;
	int idx = srcu_read_lock(&access->kvm->srcu);
	int err = kvm_write_guest_cached(access->kvm, &access->cache, job->buf, job->run->len);

	srcu_read_unlock(&access->kvm->srcu, idx);
	return err;
}

static struct subject kvm_subjects[] = {
	{ .name = "kvm-from", .begin = open_vm, .work = read, .end = close_vm },
	{ .name = "kvm-to", .begin = open_vcpu, .work = write, .end = close_vcpu },
	{ .name = "kvm-cached-from", .begin = open_cached, .work = read_cached, .end = close_vm },
	{ .name = "kvm-cached-to", .begin = open_vcpu, .work = write_cached, .end = close_vcpu },
};

static int __init kvm_bench_init(void)
{
	subjects_add(kvm_subjects, ARRAY_SIZE(kvm_subjects), THIS_MODULE);
	return 0;
}
module_init(kvm_bench_init);

static void __exit kvm_bench_exit(void)
{
	subjects_remove(kvm_subjects, ARRAY_SIZE(kvm_subjects));
}
module_exit(kvm_bench_exit);

MODULE_DESCRIPTION("What KVM's access to guest memory costs");
MODULE_LICENSE("Dual MIT/GPL");
