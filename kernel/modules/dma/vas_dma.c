// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * DMA into and out of guest memory: two scatterlists of vas.ko, mapped for a device by the kernel's
 * own DMA API (through an IOMMU if there is one), and a device that walks them: QEMU's teaching
 * device, which moves data between memory and a buffer of 4 KiB, of which it never fills the last
 * byte.
 */
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/iopoll.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <linux/vas.h>

#include "vas_dma.h"

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8

#define EDU_SOURCE	0x80
#define EDU_DESTINATION 0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98
#define EDU_RUN		1u
#define EDU_TO_MEMORY	2u
#define EDU_BUFFER	0x40000u
#define EDU_BUFFER_SIZE 2048u
#define EDU_POLL_US	1000u
#define EDU_TIMEOUT_US	20000000u

/**
 * struct edu - the device
 * @refs: open files', and the driver's, from whom the device may be taken before they are closed
 * @lock: one copy at a time
 * @pci: where it is; NULL: it is gone, and @registers with it. Under @lock
 * @registers: its first BAR
 * @misc: what user space sees
 */
struct edu {
	refcount_t refs;
	struct mutex lock;
	struct pci_dev *pci;
	void __iomem *registers;
	struct miscdevice misc;
};

static void edu_put(struct edu *edu)
{
	if (refcount_dec_and_test(&edu->refs))
		kfree(edu);
}

/* A place in a mapped list. */
struct cursor {
	struct scatterlist *entry;
	unsigned int at;
};

static dma_addr_t cursor_addr(const struct cursor *cursor)
{
	return sg_dma_address(cursor->entry) + cursor->at;
}

static unsigned int cursor_left(const struct cursor *cursor)
{
	return sg_dma_len(cursor->entry) - cursor->at;
}

static void cursor_move(struct cursor *cursor, unsigned int len)
{
	cursor->at += len;
	if (cursor->at == sg_dma_len(cursor->entry)) {
		cursor->entry = sg_next(cursor->entry);
		cursor->at = 0;
	}
}

static int transfer(struct edu *edu, u64 from, u64 to, u32 len, u32 direction)
{
	u32 command;

	writeq(from, edu->registers + EDU_SOURCE);
	writeq(to, edu->registers + EDU_DESTINATION);
	writeq(len, edu->registers + EDU_COUNT);
	writel(EDU_RUN | direction, edu->registers + EDU_COMMAND);
	return readl_poll_timeout(edu->registers + EDU_COMMAND, command, !(command & EDU_RUN),
				  EDU_POLL_US, EDU_TIMEOUT_US);
}

static int copy_mapped(struct edu *edu, struct vas_sg *from, struct vas_sg *to, u32 len)
{
	struct cursor source = { .entry = from->table.sgl };
	struct cursor destination = { .entry = to->table.sgl };
	int err = 0;

	while (len && !err) {
		u32 nr = min3(cursor_left(&source), cursor_left(&destination), EDU_BUFFER_SIZE);

		err = transfer(edu, cursor_addr(&source), EDU_BUFFER, nr, 0);
		if (!err)
			err = transfer(edu, EDU_BUFFER, cursor_addr(&destination), nr,
				       EDU_TO_MEMORY);
		cursor_move(&source, nr);
		cursor_move(&destination, nr);
		len -= nr;
	}
	return err;
}

static int map_and_copy(struct edu *edu, struct vas_sg *from, struct vas_sg *to, u32 len)
{
	struct device *dev = &edu->pci->dev;
	int err;

	err = dma_map_sgtable(dev, &from->table, DMA_TO_DEVICE, 0);
	if (err)
		return err;
	err = dma_map_sgtable(dev, &to->table, DMA_FROM_DEVICE, 0);
	if (err)
		goto out_unmap_from;
	err = copy_mapped(edu, from, to, len);
	dma_unmap_sgtable(dev, &to->table, DMA_FROM_DEVICE, 0);
out_unmap_from:
	dma_unmap_sgtable(dev, &from->table, DMA_TO_DEVICE, 0);
	return err;
}

/* The lock is held, and the device is there. */
static int copy(struct edu *edu, struct vas *vas, const struct vas_dma_copy *arg)
{
	struct vas_range source = { arg->from, arg->len }, destination = { arg->to, arg->len };
	struct vas_sg from = { .max_segment = dma_get_max_seg_size(&edu->pci->dev) };
	struct vas_sg to = from;
	int err;

	err = vas_sg_map(vas, &source, 1, 0, &from);
	if (err)
		return err;
	err = vas_sg_map(vas, &destination, 1, VAS_MAPPING_WRITE, &to);
	if (err)
		goto out_unmap_from;
	err = map_and_copy(edu, &from, &to, arg->len);
	vas_sg_unmap(&to);
out_unmap_from:
	vas_sg_unmap(&from);
	return err;
}

/* What is mapped is let go at the end of a copy: nothing to do before, so no ops but a name. */
static const struct vas_ops dma_ops = {
	.owner = THIS_MODULE,
	.name = "vas_dma",
};

static long edu_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	struct edu *edu = container_of(file->private_data, struct edu, misc);
	struct vas_dma_copy arg;
	struct vas *vas;
	int err;

	if (cmd != VAS_DMA_COPY)
		return -ENOTTY;
	if (copy_from_user(&arg, (void __user *)user, sizeof(arg)))
		return -EFAULT;
	if (!arg.len || arg.len > VAS_DMA_MAX_LEN)
		return -EINVAL;
	err = vas_bind(arg.vas_fd, &dma_ops, NULL, &vas);
	if (err)
		return err;
	mutex_lock(&edu->lock);
	err = edu->pci ? copy(edu, vas, &arg) : -ENODEV;
	mutex_unlock(&edu->lock);
	vas_put(vas);
	return err;
}

/* misc_deregister() waits for who is in here, and lets nobody in after. */
static int edu_open(struct inode *inode, struct file *file)
{
	struct edu *edu = container_of(file->private_data, struct edu, misc);

	refcount_inc(&edu->refs);
	return 0;
}

static int edu_release(struct inode *inode, struct file *file)
{
	edu_put(container_of(file->private_data, struct edu, misc));
	return 0;
}

static const struct file_operations edu_fops = {
	.owner = THIS_MODULE,
	.open = edu_open,
	.release = edu_release,
	.unlocked_ioctl = edu_ioctl,
};

static int edu_init(struct edu *edu, struct pci_dev *pci)
{
	int err;

	err = pcim_enable_device(pci);
	if (err)
		return err;
	edu->registers = pcim_iomap(pci, 0, 0);
	if (!edu->registers)
		return -ENOMEM;
	err = dma_set_mask_and_coherent(&pci->dev, DMA_BIT_MASK(64));
	if (err)
		return err;
	pci_set_master(pci);
	refcount_set(&edu->refs, 1);
	mutex_init(&edu->lock);
	edu->pci = pci;
	edu->misc = (struct miscdevice){ .minor = MISC_DYNAMIC_MINOR,
					 .name = "vas_dma",
					 .fops = &edu_fops };
	pci_set_drvdata(pci, edu);
	return misc_register(&edu->misc);
}

static int edu_probe(struct pci_dev *pci, const struct pci_device_id *id)
{
	struct edu *edu = kzalloc(sizeof(*edu), GFP_KERNEL);
	int err;

	if (!edu)
		return -ENOMEM;
	err = edu_init(edu, pci);
	if (err)
		kfree(edu);
	return err;
}

static void edu_remove(struct pci_dev *pci)
{
	struct edu *edu = pci_get_drvdata(pci);

	misc_deregister(&edu->misc);
	mutex_lock(&edu->lock);
	edu->pci = NULL;
	mutex_unlock(&edu->lock);
	edu_put(edu);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(EDU_VENDOR, EDU_DEVICE) },
	{},
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = "vas_dma",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};

module_pci_driver(edu_driver);
MODULE_DESCRIPTION("DMA by QEMU's edu device into guests whose memory is a vas");
MODULE_LICENSE("Dual MIT/GPL");
