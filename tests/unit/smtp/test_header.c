/* SPDX-License-Identifier: BSD-3-Clause */
/* Loops: Received fields are counted in the header, and our own are known again. */
#include "drive.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define TOKEN "by gw.example (Postern)"
#define OWN   "Received: from x " TOKEN " id 1;\r\n date\r\n"
#define R     "Received: from y by z; date\r\n"

static const char *
outcome(const char *message, size_t cut)
{
	static char out[256];
	struct drive d;
	drive_init(&d);
	d.conf.max_received = 5;
	drive_greet(&d);
	drive_str(&d, "EHLO x\r\n");
	drive_str(&d, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
	drive_str(&d, "");
	drive_feed(&d, message, cut);
	drive_feed(&d, message + cut, strlen(message) - cut);
	drive_feed(&d, "\r\n.\r\n", 5);
	snprintf(out, sizeof(out), "%s", drive_out(&d));
	cr_assert(!d.closed);
	drive_fini(&d);
	return out;
}

Test(header, received_fields_and_own_traces_are_counted)
{
	static const struct {
		const char *message, *reply;
	} rows[] = {
		{R R R R R "Subject: x\r\n\r\nbody\r\n", "250 "},
		{R R R R R R "\r\n", "554 5.4.6 too many hops"},
		{R R R R R "rEcEiVeD : x\r\n", "554 5.4.6 too many hops"},
		{R R R R R "Received\t:x\r\n", "554 5.4.6 too many hops"},
		{R R R R R "Receiveds: x\r\n", "250 "},
		{R R R R R "X-Received: x\r\n", "250 "},
		{R R R R R "Receive: x\r\n", "250 "},
		{R R R R R " Received: x\r\n", "250 "},
		{R R R R R "Received\r\n", "250 "},
		{R R R R R "\r\n" R R, "250 "},
		{"\r\n" R R R R R R R R, "250 "},
		{R R R R R "..Received: x\r\n", "250 "},
		{R R R R R ".Received: x\r\n", "554 5.4.6 "}, /* the dot is the wire's */
		{OWN "Subject: x\r\n\r\n", "250 "},
		{OWN R OWN, "554 5.4.6 mail loops"},
		{OWN "Subject: " TOKEN "\r\n", "250 "},
		{OWN "Subject: x\r\n " TOKEN "\r\n", "250 "},
		{OWN "\r\n" OWN, "250 "},
		{"Received: " TOKEN " " TOKEN "\r\n", "250 "}, /* one hop, said twice */
		{OWN "Received: x\r\n\t" TOKEN "\r\n", "554 5.4.6 mail loops"},
		{OWN "Received: x by gw.example\r\n (Postern)\r\n", "554 5.4.6 mail loops"},
		{OWN "Received: by by gw.exby gw.example (Postern)\r\n", "554 5.4.6 mail loops"},
		{OWN "Received: by by gw.example (Postern)\r\n", "554 5.4.6 mail loops"},
		{OWN "Received: bby gw.example (Postern)\r\n", "554 5.4.6 mail loops"},
		{OWN "Received: by gw.example\r\nReceived: (Postern)\r\n", "250 "},
		{OWN "Received: by gw.example (postern)\r\n", "250 "},
		{OWN "Received: by gw.example\r\nX: (Postern)\r\n", "250 "},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		for (size_t cut = 0; cut <= strlen(rows[i].message); cut++) {
			const char *got = outcome(rows[i].message, cut);
			cr_assert_eq(strncmp(got, rows[i].reply, strlen(rows[i].reply)), 0,
				"row %u cut at %zu: %s", i, cut, got);
		}
	}
}

Test(header, without_limits_nothing_is_a_loop)
{
	struct drive d;
	drive_init(&d);
	d.conf.max_received = 0;
	d.conf.loop_token = NULL;
	drive_greet(&d);
	drive_str(&d, "EHLO x\r\n");
	drive_str(&d, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
	drive_str(&d, OWN OWN OWN R R R R R R R R "\r\n.\r\n");
	cr_assert_str_eq(drive_out(&d), "250 answer\r\n");
	drive_fini(&d);
}
