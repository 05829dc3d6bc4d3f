// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of the demo guest: an ordinary Linux whose RAM happens to be a vas.
 *
 * It puts a marker into a page of its memory and waits until somebody outside has written an answer
 * behind it. The guest needs no driver and no device for that: the page is just RAM. Its layout:
 *
 *	   0  "VAS-DEMO-MARKER:" and the nonce, NUL
 *	 256  the answer: empty (NUL) until it comes, then one line that ends in '\n'
 *
 * The nonce comes from the kernel's command line, so that the whole marker stands nowhere else in
 * RAM: neither in this program's file nor on the console.
 *
 *	vas_nonce=TEXT		up to 64 characters
 *	vas_wait=SECONDS	how long to wait for the answer (default 60)
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "console.h"

enum {
	PAGE = 4096,
	NONCE_MAX = 64,
	ANSWER = 256,
	ANSWER_MAX = 512,
	POLL_NS = 10 * 1000 * 1000,
};

static const char tag[] = "VAS-DEMO-MARKER:";

/* Nobody is left to return to: the machine is started with -no-reboot, so this ends it. */
static void leave(const char *why)
{
	printf("demo: %s\n", why);
	fflush(stdout);
	sync();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static double uptime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static long wait_seconds(void)
{
	const char *text = getenv("vas_wait");
	long seconds = text ? strtol(text, NULL, 10) : 0;

	return seconds > 0 ? seconds : 60;
}

/* The guest-physical address of a resident page, as this kernel sees it; 0 if it does not tell. */
static uint64_t gpa_of(const void *page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry), (uintptr_t)page / PAGE * sizeof(entry)) !=
	    (ssize_t)sizeof(entry))
		entry = 0;
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

static char *make_page(void)
{
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED || mlock(page, PAGE))
		leave("cannot get a page of memory");
	return page;
}

static void write_marker(char *page)
{
	const char *nonce = getenv("vas_nonce");

	if (!nonce || !*nonce || strlen(nonce) > NONCE_MAX)
		leave("no vas_nonce=... on the command line, or too long a one");
	strcpy(page + sizeof(tag) - 1, nonce);
	memcpy(page, tag, sizeof(tag) - 1);
}

/* Wait for a whole line in the answer field and copy it out, without its end. */
static int wait_answer(const char *page, char *answer, double deadline)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	const volatile char *field = page + ANSWER;
	size_t i;

	while (uptime() < deadline) {
		for (i = 0; i < ANSWER_MAX && field[i] && field[i] != '\n'; i++)
			answer[i] = field[i] < ' ' || field[i] > '~' ? '?' : field[i];
		if (i < ANSWER_MAX && field[i] == '\n') {
			answer[i] = '\0';
			return 0;
		}
		nanosleep(&pause, NULL);
	}
	return -1;
}

static void heartbeat(void)
{
	const struct timespec second = { .tv_sec = 1 };

	for (unsigned long beat = 1;; beat++) {
		printf("demo: heartbeat %lu, up %.1f s\n", beat, uptime());
		nanosleep(&second, NULL);
	}
}

int main(void)
{
	char answer[ANSWER_MAX];
	struct utsname kernel;
	char *page;

	take_console();
	uname(&kernel);
	printf("demo: Linux %s, up %.1f s\n", kernel.release, uptime());
	page = make_page();
	write_marker(page);
	printf("demo: marker at gpa 0x%llx, waiting\n", (unsigned long long)gpa_of(page));
	if (wait_answer(page, answer, uptime() + wait_seconds()))
		leave("nobody answered");
	printf("demo: answer: %s\n", answer);
	heartbeat();
}
