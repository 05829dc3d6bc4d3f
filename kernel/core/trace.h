/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vas

#if !defined(VAS_KERNEL_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VAS_KERNEL_TRACE_H

#include <linux/tracepoint.h>

#include "binding.h"
#include "mapping.h"

TRACE_DEFINE_ENUM(VAS_REQUEST_NONE);
TRACE_DEFINE_ENUM(VAS_REQUEST_UNMAP);
TRACE_DEFINE_ENUM(VAS_REQUEST_QUIESCE);

#define show_request(request)                                                                   \
	__print_symbolic(request, { VAS_REQUEST_NONE, "keep" }, { VAS_REQUEST_UNMAP, "unmap" }, \
			 { VAS_REQUEST_QUIESCE, "quiesce" })

/* A binding begins or ends. */
DECLARE_EVENT_CLASS(vas_binding, TP_PROTO(const struct vas *vas), TP_ARGS(vas),
		    TP_STRUCT__entry(__field(const void *, vas) __field(u64, ino)
					     __field(bool, readonly) __array(char, name, 24)),
		    TP_fast_assign(__entry->vas = vas;
				   __entry->ino = file_inode(vas->backings[0].file)->i_ino;
				   __entry->readonly = vas->readonly;
				   strscpy(__entry->name, vas->ops->name, sizeof(__entry->name));),
		    TP_printk("vas=%p ino=%llu holder=%s%s", __entry->vas, __entry->ino,
			      __entry->name, __entry->readonly ? " read-only" : ""));

DEFINE_EVENT(vas_binding, vas_bind, TP_PROTO(const struct vas *vas), TP_ARGS(vas));
DEFINE_EVENT(vas_binding, vas_unbind, TP_PROTO(const struct vas *vas), TP_ARGS(vas));

/* A map begins or ends. */
DECLARE_EVENT_CLASS(vas_mapping, TP_PROTO(const struct vas_mapping *mapping), TP_ARGS(mapping),
		    TP_STRUCT__entry(__field(const void *, vas) __field(u64, gpa) __field(u64, len)
					     __field(u32, flags)),
		    TP_fast_assign(__entry->vas = mapping->vas; __entry->gpa = mapping->gpa;
				   __entry->len = mapping->len; __entry->flags = mapping->flags;),
		    TP_printk("vas=%p gpa=0x%llx len=0x%llx flags=%u", __entry->vas, __entry->gpa,
			      __entry->len, __entry->flags));

DEFINE_EVENT(vas_mapping, vas_mapping_create, TP_PROTO(const struct vas_mapping *mapping),
	     TP_ARGS(mapping));
DEFINE_EVENT(vas_mapping, vas_mapping_destroy, TP_PROTO(const struct vas_mapping *mapping),
	     TP_ARGS(mapping));

/* A holder is told what is wanted of its map. */
TRACE_EVENT(vas_invalidate, TP_PROTO(const struct vas_mapping *mapping, enum vas_request request),
	    TP_ARGS(mapping, request),
	    TP_STRUCT__entry(__field(const void *, vas) __field(u64, gpa) __field(u64, len)
				     __field(int, request)),
	    TP_fast_assign(__entry->vas = mapping->vas; __entry->gpa = mapping->gpa;
			   __entry->len = mapping->len; __entry->request = request;),
	    TP_printk("vas=%p gpa=0x%llx len=0x%llx request=%s", __entry->vas, __entry->gpa,
		      __entry->len, show_request(__entry->request)));

/* The binding follows a new generation: its state says whether the vas is frozen or tracked. */
TRACE_EVENT(vas_generation, TP_PROTO(const struct vas *vas, u64 generation, u32 state),
	    TP_ARGS(vas, generation, state),
	    TP_STRUCT__entry(__field(const void *, vas) __field(u64, generation)
				     __field(u32, state)),
	    TP_fast_assign(__entry->vas = vas; __entry->generation = generation;
			   __entry->state = state;),
	    TP_printk("vas=%p generation=%llu%s%s", __entry->vas, __entry->generation,
		      __entry->state &VAS_STATE_TRACKING ? " tracking" : "",
		      __entry->state &VAS_STATE_FROZEN ? " frozen" : ""));

/* An owner has tried to freeze through /dev/vas, or has thawed. */
TRACE_EVENT(vas_freeze, TP_PROTO(const struct inode *inode, bool on, int err),
	    TP_ARGS(inode, on, err),
	    TP_STRUCT__entry(__field(u64, ino) __field(bool, on) __field(int, err)),
	    TP_fast_assign(__entry->ino = inode->i_ino; __entry->on = on; __entry->err = err;),
	    TP_printk("ino=%llu %s err=%d", __entry->ino, __entry->on ? "freeze" : "thaw",
		      __entry->err));

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
