/* SPDX-License-Identifier: BSD-3-Clause */
/* When the watchdog is fed and when not; what the service manager reads. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "notify.h"

#define SEC  PST_NS_PER_SEC
#define USEC "30000000" /* WATCHDOG_USEC: judged every 7.5 s */

static char dir[64], path[96];
static int manager = -1;

static void
begin(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	strcpy(dir, "/tmp/pst-notify-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	strcpy(sun.sun_path, path);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(manager, (struct sockaddr *)&sun, sizeof(sun)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("WATCHDOG_USEC", USEC, 1);
	unsetenv("WATCHDOG_PID");
}

static void
end(void)
{
	close(manager);
	unlink(path);
	rmdir(dir);
}

TestSuite(notify, .init = begin, .fini = end, .timeout = 20);

/* The next message, or "". */
static const char *
told(void)
{
	static char buf[4096];
	ssize_t n = recv(manager, buf, sizeof(buf) - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

Test(notify, the_watchdog_is_fed_while_every_worker_turns)
{
	uint64_t loops[3] = {5, 6, 7};
	struct notify n;
	unsigned fed = 0;

	notify_init(&n, 3, loops, 100 * SEC);
	for (unsigned s = 1; s <= 60; s++) {
		for (unsigned w = 0; w < 3; w++)
			loops[w]++;
		fed += notify_watchdog(&n, loops, (100 + s) * SEC);
	}
	/* systemd wants one in 30 s; half of that is asked for, and a quarter is done. */
	cr_expect(fed >= 60 / 15 && fed <= 60 / 7, "%u", fed);
}

Test(notify, one_worker_that_stands_starves_the_watchdog)
{
	for (unsigned stuck = 0; stuck < 3; stuck++) {
		uint64_t loops[3] = {0}, now = 100 * SEC;
		struct notify n;

		notify_init(&n, 3, loops, now);
		for (unsigned i = 0; i < 20; i++) {
			for (unsigned w = 0; w < 3; w++)
				loops[w] += w != stuck;
			now += 5 * SEC;
			cr_expect_not(notify_watchdog(&n, loops, now), "worker %u", stuck);
		}
		/* And when it goes on, it is fed again. */
		loops[stuck]++;
		cr_expect(notify_watchdog(&n, loops, now + 8 * SEC));
	}
}

Test(notify, a_worker_must_move_between_two_feedings_not_only_once)
{
	uint64_t loops[1] = {0};
	struct notify n;

	notify_init(&n, 1, loops, 0);
	loops[0] = 1000000;
	cr_expect(notify_watchdog(&n, loops, 8 * SEC));
	cr_expect_not(notify_watchdog(&n, loops, 16 * SEC));
	loops[0]--; /* a counter that wrapped has moved too */
	cr_expect(notify_watchdog(&n, loops, 24 * SEC));
}

Test(notify, nothing_is_fed_too_early_or_without_a_watchdog)
{
	uint64_t loops[1] = {0};
	struct notify n;

	notify_init(&n, 1, loops, 0);
	loops[0] = 1;
	cr_expect_not(notify_watchdog(&n, loops, 7 * SEC));
	cr_expect(notify_watchdog(&n, loops, 7 * SEC + SEC / 2));
	setenv("WATCHDOG_PID", "1", 1); /* meant for another process */
	notify_init(&n, 1, loops, 0);
	loops[0] = 2;
	cr_expect_not(notify_watchdog(&n, loops, 1000 * SEC));
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	notify_init(&n, 1, loops, 0);
	cr_expect_not(notify_watchdog(&n, loops, 1000 * SEC));
}

Test(notify, the_manager_hears_each_state)
{
	uint64_t loops[1] = {0};
	struct notify n;

	notify_ready("3 sessions");
	cr_expect_str_eq(told(), "READY=1\nSTATUS=3 sessions");
	notify_reloading();
	cr_expect_eq(strncmp(told(), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	notify_stopping("draining");
	cr_expect_str_eq(told(), "STOPPING=1\nSTATUS=draining");
	notify_init(&n, 1, loops, 0);
	loops[0] = 1;
	notify_tick(&n, loops, 8 * SEC, "idle");
	cr_expect_str_eq(told(), "WATCHDOG=1");
	cr_expect_str_eq(told(), "");
	notify_tick(&n, loops, 16 * SEC, "5 sessions");
	cr_expect_str_eq(told(), "STATUS=5 sessions"); /* no food: the worker stands */
	cr_expect_str_eq(told(), "");
}

Test(notify, without_a_manager_nothing_happens)
{
	uint64_t loops[1] = {0};
	struct notify n;

	unsetenv("NOTIFY_SOCKET");
	notify_init(&n, 1, loops, 0);
	notify_ready("x");
	notify_tick(&n, loops, 100 * SEC, "x");
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	notify_stopping("x");
	cr_expect_str_eq(told(), "");
}
