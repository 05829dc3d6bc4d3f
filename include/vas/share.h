/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Shares: some regions of a vas for a peer that is to reach nothing else.
 *
 *	file = vas_backing_create(vas, "net", size, 0);
 *	region.backing = file;
 *	vas_region_add(vas, &region, &id);
 *	vas_share(vas, &id, 1, VAS_SHARE_READONLY, &share);
 *	vas_send_fds(share, sock, 0); // and the peer calls vas_recv_fds()
 *
 * A share is a vas of its own, with a control area of its own: threads, maps and marks of its peers
 * are there. Its regions have the gpa and the id that they have in the parent, and lie in the same
 * files. A peer gets the share's fd and those files', so a region can be shared only if its file
 * holds nothing that is not to be. Whoever needs all of the guest's memory binds to the parent.
 *
 * The owner of the parent owns the share. The share follows the parent: regions that are added in
 * its files, resized, moved or removed; freezing; the dirty log. It is a consumer of the parent,
 * <vas/consumer.h>: a peer that stays in a section, or keeps a map, makes a change of what it
 * shares fail at the change's deadline, and is the blocker, by name. Other regions' changes do not
 * ask it.
 */
#ifndef VAS_SHARE_H
#define VAS_SHARE_H

#include <vas/layout.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The peer reads: its regions are VAS_REGION_READONLY, and the fds of their files that
 * vas_send_fds() sends are read-only, as are all maps made of them. A process with the uid of the
 * owner, or with CAP_DAC_OVERRIDE, can open such a file anew for writing, by /proc/self/fd: give it
 * another uid, or no /proc.
 */
#define VAS_SHARE_READONLY 1u

/*
 * Share regions, by their ids. As the owner, who ends the share with vas_destroy(), before
 * vas_unbind() or vas_destroy() of the parent.
 *
 * *share is the owner's handle. vas_fd(), vas_send_fds(), vas_info() and events, which are the
 * share's own, work on it. Changes, consumers, freezing and trackers do not (-EPERM): the parent's
 * hold for the share. A peer binds as to any vas, and may do what a binder may, but for trackers,
 * which time out.
 *
 * A region that moves is a hole in the share while the change is made. Whoever has the fds keeps
 * them after the end: its maps then count as nobody's, and are not frozen any more. So end peers
 * first, and use files of their own for what others are not to see later.
 *
 * -EINVAL: flags; no ids; a region that lies in the vas's own file, in local memory, or in one file
 * with a region that is not named: vas_error() says which. -ENOENT: no such region. -EPERM: not the
 * owner, or a share. -EBUSY: the share was not ready within 1 s.
 * Else as vas_create() and vas_consumer_attach().
 */
VAS_API int vas_share(struct vas *vas, const uint64_t *ids, size_t nr, uint32_t flags,
		      struct vas **share);

#ifdef __cplusplus
}
#endif

#endif
