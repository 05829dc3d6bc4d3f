// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/device/front_end.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NO_INTERRUPTS_BEFORE 0x8000u /* used_event that far behind is never passed in a ring */

/* ---- messages ----------------------------------------------------------------------------- */

int front_end_connect(struct front_end *front, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	front->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (front->sock < 0)
		return -errno;
	return connect(front->sock, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
}

int front_end_send(struct front_end *front, uint32_t request, uint32_t flags, const void *payload,
		   uint32_t size, const int *fds, uint32_t nr_fds)
{
	uint32_t head[] = { request, VHOST_USER_VERSION | flags, size };
	struct iovec iov[] = { { head, sizeof(head) }, { (void *)payload, size } };
	union {
		char space[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr header = { .msg_iov = iov, .msg_iovlen = 2 };

	if (nr_fds) {
		struct cmsghdr *cmsg = &control.align;

		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nr_fds * sizeof(int));
	}
	return sendmsg(front->sock, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int front_end_receive(struct front_end *front, struct vhost_user_message *message)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &message->request, VHOST_USER_HEADER };
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	ssize_t nr = recvmsg(front->sock, &header, MSG_WAITALL | MSG_CMSG_CLOEXEC);

	if (nr != (ssize_t)VHOST_USER_HEADER)
		return nr < 0 ? -errno : -EPROTO;
	cmsg = CMSG_FIRSTHDR(&header);
	message->nr_fds = cmsg != NULL;
	if (cmsg)
		memcpy(&message->fds[0], CMSG_DATA(cmsg), sizeof(int));
	if (message->size > sizeof(message->config))
		return -EPROTO;
	nr = message->size ? recv(front->sock, &message->u64, message->size, MSG_WAITALL) : 0;
	return nr == (ssize_t)message->size ? 0 : -EPROTO;
}

int front_end_ask(struct front_end *front, uint32_t request, uint64_t *answer)
{
	struct vhost_user_message message;
	int err = front_end_send(front, request, 0, NULL, 0, NULL, 0);

	if (!err)
		err = front_end_receive(front, &message);
	if (err)
		return err;
	if (message.request != request || message.size != sizeof(*answer))
		return -EPROTO;
	*answer = message.u64;
	return 0;
}

static int tell_number(struct front_end *front, uint32_t request, uint64_t number, int fd)
{
	return front_end_send(front, request, 0, &number, sizeof(number), &fd, fd >= 0);
}

/* ---- setting up --------------------------------------------------------------------------- */

int front_end_init(struct front_end *front, uint64_t ram_size)
{
	int fd = memfd_create("front-end", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)ram_size))
		return -errno;
	return front_end_init_at(front, fd, ram_size);
}

int front_end_init_at(struct front_end *front, int fd, uint64_t ram_size)
{
	uint32_t i;

	memset(front, 0, sizeof(*front));
	front->sock = front->inflight_fd = -1;
	front->ram_size = ram_size;
	front->memory_fd = fd;
	front->ram = mmap(NULL, ram_size, PROT_READ | PROT_WRITE, MAP_SHARED, front->memory_fd, 0);
	if (front->ram == MAP_FAILED)
		return -errno;
	for (i = 0; i < FRONT_MAX_RINGS; i++) {
		struct front_ring *ring = &front->rings[i];
		uint8_t *at = front->ram + i * FRONT_RING_SPACE;

		ring->desc = (void *)at;
		ring->avail = (void *)(at + 16384);
		ring->used = (void *)(at + 32768);
		ring->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ring->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	return 0;
}

void front_end_clean(struct front_end *front)
{
	uint32_t i;

	for (i = 0; i < FRONT_MAX_RINGS; i++) {
		close(front->rings[i].kick_fd);
		close(front->rings[i].call_fd);
	}
	munmap(front->ram, front->ram_size);
	close(front->memory_fd);
	if (front->sock >= 0)
		close(front->sock);
	if (front->inflight_fd >= 0)
		close(front->inflight_fd);
}

int front_end_negotiate(struct front_end *front, uint64_t drop)
{
	uint64_t protocol;
	int err = front_end_ask(front, VHOST_USER_GET_FEATURES, &front->features);

	if (!err)
		err = front_end_ask(front, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol);
	if (err)
		return err;
	front->features &= ~(drop | 1ull << VHOST_F_LOG_ALL);
	if (!front->is_packed)
		front->features &= ~(1ull << VIRTIO_F_RING_PACKED);
	protocol &= 1ull << VHOST_USER_PROTOCOL_MQ | 1ull << VHOST_USER_PROTOCOL_LOG_SHMFD |
		    1ull << VHOST_USER_PROTOCOL_REPLY_ACK | 1ull << VHOST_USER_PROTOCOL_CONFIG |
		    1ull << VHOST_USER_PROTOCOL_INFLIGHT |
		    (front->has_iommu ? 1ull << VHOST_USER_PROTOCOL_BACKEND_REQ : 0);
	err = tell_number(front, VHOST_USER_SET_PROTOCOL_FEATURES, protocol, -1);
	if (!err)
		err = front_end_send(front, VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0);
	return err ? err : tell_number(front, VHOST_USER_SET_FEATURES, front->features, -1);
}

int front_end_send_memory(struct front_end *front)
{
	struct vhost_user_mem_table table = {
		.nr = 1,
		.regions = { { 0, front->ram_size, FRONT_USER, 0 } },
	};

	return front_end_send(front, VHOST_USER_SET_MEM_TABLE, 0, &table,
			      offsetof(struct vhost_user_mem_table, regions[1]), &front->memory_fd,
			      1);
}

int front_end_send_inflight(struct front_end *front, uint32_t nr_rings)
{
	uint16_t nr_descs = front->inflight_descs ? front->inflight_descs : FRONT_RING_SIZE;
	struct vhost_user_message message;
	int err;

	if (front->inflight_fd < 0) {
		front->inflight = (struct vhost_user_inflight){
			.nr_queues = (uint16_t)nr_rings,
			.queue_size = nr_descs,
		};
		err = front_end_send(front, VHOST_USER_GET_INFLIGHT_FD, 0, &front->inflight,
				     sizeof(front->inflight), NULL, 0);
		if (!err)
			err = front_end_receive(front, &message);
		if (err || !message.nr_fds)
			return err ? err : -EPROTO;
		front->inflight = message.inflight;
		front->inflight.queue_size = nr_descs; /* QEMU's is its own, whatever comes back */
		front->inflight_fd = message.fds[0];
	}
	return front_end_send(front, VHOST_USER_SET_INFLIGHT_FD, 0, &front->inflight,
			      sizeof(front->inflight), &front->inflight_fd, 1);
}

static int tell_state(struct front_end *front, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state state = { index, num };

	return front_end_send(front, request, 0, &state, sizeof(state), NULL, 0);
}

int front_end_start_ring(struct front_end *front, uint32_t index)
{
	struct front_ring *ring = &front->rings[index];
	uint64_t user = (front->has_iommu ? FRONT_IOVA : FRONT_USER) + index * FRONT_RING_SPACE;
	struct vhost_user_vring_addr addr = {
		.index = index,
		.desc = user,
		.avail = user + 16384,
		.used = user + 32768,
	};
	int err = tell_state(front, VHOST_USER_SET_VRING_NUM, index, FRONT_RING_SIZE);

	if (!err)
		err = tell_state(front, VHOST_USER_SET_VRING_BASE, index,
				 front->is_packed ? VAS_PACKED_BASE : ring->used->idx);
	if (!err)
		err = front_end_send(front, VHOST_USER_SET_VRING_ADDR, 0, &addr, sizeof(addr), NULL,
				     0);
	if (!err)
		err = tell_number(front, VHOST_USER_SET_VRING_KICK, index, ring->kick_fd);
	if (!err)
		err = tell_number(front, VHOST_USER_SET_VRING_CALL, index, ring->call_fd);
	return err ? err : tell_state(front, VHOST_USER_SET_VRING_ENABLE, index, 1);
}

int front_end_stop_ring(struct front_end *front, uint32_t index, uint32_t *base)
{
	struct vhost_user_message message;
	int err = tell_state(front, VHOST_USER_GET_VRING_BASE, index, 0);

	if (!err)
		err = front_end_receive(front, &message);
	if (!err)
		*base = message.state.num;
	return err;
}

/* ---- the driver --------------------------------------------------------------------------- */

void front_ring_post(struct front_ring *ring, uint16_t slot, uint64_t header_gpa, uint64_t data_gpa,
		     uint32_t data_len, int data_is_written, uint64_t status_gpa)
{
	uint16_t first = (uint16_t)(3 * slot), data_flags = VAS_VIRTQ_DESC_NEXT;

	if (data_is_written)
		data_flags |= VAS_VIRTQ_DESC_WRITE;
	ring->desc[first] = (struct vas_virtq_desc){ header_gpa, 16, VAS_VIRTQ_DESC_NEXT,
						     (uint16_t)(first + 1) };
	ring->desc[first + 1] =
		(struct vas_virtq_desc){ data_gpa, data_len, data_flags, (uint16_t)(first + 2) };
	ring->desc[first + 2] = (struct vas_virtq_desc){ status_gpa, 1, VAS_VIRTQ_DESC_WRITE, 0 };
	ring->avail->ring[ring->next_avail % FRONT_RING_SIZE] = first;
	ring->next_avail++;
	/* used_event: no interrupts, since used->idx does not get there before it is moved on. */
	ring->avail->ring[FRONT_RING_SIZE] = (uint16_t)(ring->next_avail + NO_INTERRUPTS_BEFORE);
	__atomic_store_n(&ring->avail->idx, ring->next_avail, __ATOMIC_RELEASE);
}

void front_ring_kick(struct front_ring *ring)
{
	uint16_t *avail_event = (uint16_t *)&ring->used->ring[FRONT_RING_SIZE], event;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(avail_event, __ATOMIC_RELAXED);
	if ((uint16_t)(ring->next_avail - event - 1) < (uint16_t)(ring->next_avail - ring->kicked))
		eventfd_write(ring->kick_fd, 1);
	ring->kicked = ring->next_avail;
}

int front_ring_take(struct front_ring *ring)
{
	if (__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) == ring->next_used)
		return -1;
	return (int)(ring->used->ring[ring->next_used++ % FRONT_RING_SIZE].head / 3);
}
