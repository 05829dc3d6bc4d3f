/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the guest tells the host: lines on the second serial port, apart from the console.
 *
 *	run NAME		a test begins; if no result follows, the kernel died in it
 *	ok NAME
 *	not ok NAME # REASON
 *	skip NAME # REASON
 *	# TEXT			a line of the kernel's log that made the next result a failure
 *	success | failure	the last line, only after all tests
 */
#ifndef GUEST_REPORT_H
#define GUEST_REPORT_H

/* Open the port. Without it there is nobody to report to: does not return on failure. */
void report_open(void);

/* Send a line; the line end is added. A "not ok" is remembered for report_close(). */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Send the last line and wait until the host has it all. */
void report_close(void);

#endif
