/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Make the kernel's allocations and user copies fail, where it has been built for that. */
#ifndef TESTS_KERNEL_FAULTS_H
#define TESTS_KERNEL_FAULTS_H

/* 0, or -1: this kernel cannot. Once a process, and what is forked from it. */
int faults_init(void);

/* The n-th chance in this thread's next system calls fails; 0: none does. True: the one before did. */
int faults_arm(unsigned int n);

#endif
