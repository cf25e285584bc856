/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions, draining, the end, the log's level. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "site.h"

static struct site site;

static void
start(void)
{
	site_open(&site);
}

static void
stop(void)
{
	site_close(&site);
}

TestSuite(run, .init = start, .fini = stop, .timeout = 60);

Test(run, sessions_are_listed_page_by_page_over_all_workers)
{
	unsigned seen = 0, pages = 0;
	char params[96] = "{'limit':7}";

	fake.nsessions = 10;
	for (;;) {
		json_t *r = site_result(&site, "sessions.list", params), *next;

		seen += (unsigned)json_array_size(json_object_get(r, "sessions"));
		pages++;
		next = json_object_get(r, "next");
		if (next != NULL)
			snprintf(params, sizeof(params), "{'limit':7,'worker':%lld,'after':%lld}",
				number_of(next, "worker"), number_of(next, "after"));
		cr_assert_lt(pages, 10);
		if (next == NULL && strstr(params, "'worker':1") == NULL) {
			/* A page of one worker ended: on to the next worker. */
			strcpy(params, "{'limit':7,'worker':1}");
			json_decref(r);
			continue;
		}
		json_decref(r);
		if (next == NULL)
			break;
	}
	cr_expect_eq(seen, 20);
}

Test(run, a_session_is_shown_with_what_is_known)
{
	json_t *r;

	fake.nsessions = 17;
	r = site_result(&site, "sessions.show", "{'id':'box.1a2b.1.11'}");
	cr_expect_str_eq(text_of(r, "id"), "box.1a2b.1.11");
	cr_expect_eq(number_of(r, "worker"), 1);
	cr_expect_eq(number_of(r, "counter"), 17);
	cr_expect_eq(number_of(r, "bytes"), 170);
	cr_expect_str_eq(text_of(r, "client"), "unknown[192.0.2.9]:1234");
	cr_expect_str_eq(text_of(r, "state"), "data");
	cr_expect_float_eq(json_number_value(json_object_get(r, "age")), 1.5, 1e-9);
	cr_expect_str_eq(text_of(r, "from"), "b\xc3\xbc"
					     "cher@example.org");
	json_decref(r);
}

Test(run, a_session_that_is_not_there_is_not_found)
{
	static const char *const ids[] = {"", ".", "..", "x", "box.1a2b.1.12", "box.1a2b.2.1",
		"box.1a2b.1.0", "box.1a2b.1.11x", "box.1a2b.1x.11", "other.1a2b.1.11",
		"box.1a2b..1", "box.1a2b.1.", "box.1a2b.99999999999.1", "box.1a2b.-1.1",
		"box.1a2b.1.-1", "box.1a2b.1.ffffffffffffffffffff"};

	fake.nsessions = 17;
	for (size_t i = 0; i < PST_COUNT(ids); i++) {
		char params[128];

		snprintf(params, sizeof(params), "{'id':'%s'}", ids[i]);
		json_decref(site_error(&site, "sessions.show", params, PST_RPC_NOT_FOUND));
		json_decref(site_error(&site, "sessions.kill", params, PST_RPC_NOT_FOUND));
	}
	cr_expect_str_eq(fake.killed, "");
}

Test(run, kill_ends_one_session)
{
	fake.nsessions = 3;
	json_decref(site_result(&site, "sessions.kill", "{'id':'box.1a2b.1.2'}"));
	cr_expect_str_eq(fake.killed, "box.1a2b.1.2");
}

Test(run, wrong_parameters_are_refused)
{
	static const char *const cases[][2] = {
		{"sessions.list", "{'worker':2}"},
		{"sessions.list", "{'limit':0}"},
		{"sessions.list", "{'limit':1001}"},
		{"sessions.list", "{'after':-1}"},
		{"sessions.show", NULL},
		{"sessions.kill", "{'id':7}"},
		{"sessions.kill",
			"{'id':'0123456789012345678901234567890123456789012345678901234567890123'"
			"}"},
		{"stop", "{'now':1}"},
		{"log.level", "{'level':'loud'}"},
		{"log.level", "{'level':1}"},
		{"subscribe", NULL},
		{"subscribe", "{'topics':'log'}"},
		{"subscribe", "{'topics':[]}"},
		{"subscribe", "{'topics':['log','mail']}"},
		{"subscribe", "{'topics':['stats'],'interval':0}"},
		{"subscribe", "{'topics':['stats'],'interval':'1'}"},
		{"subscribe", "{'topics':['stats'],'interval':3601}"},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++)
		json_decref(site_error(&site, cases[i][0], cases[i][1], PST_RPC_PARAMS));
	cr_expect(!fake.stopped);
}

Test(run, drain_and_undrain)
{
	json_t *r = site_result(&site, "drain", NULL);

	cr_expect(json_is_true(json_object_get(r, "draining")) && fake.draining);
	cr_expect_eq(number_of(r, "sessions"), 30);
	json_decref(r);
	r = site_result(&site, "undrain", NULL);
	cr_expect(json_is_false(json_object_get(r, "draining")) && !fake.draining);
	json_decref(r);
}

Test(run, stop_tells_the_application)
{
	json_decref(site_result(&site, "stop", NULL));
	cr_expect(fake.stopped && !fake.stopped_now);
	json_decref(site_result(&site, "stop", "{'now':true}"));
	cr_expect(fake.stopped_now);
}

Test(run, nobody_undrains_a_gateway_that_stops)
{
	pst_control_stopping(site.control);
	fake.draining = true;
	json_decref(site_error(&site, "undrain", NULL, PST_RPC_FAILED));
	cr_expect(fake.draining);
}

Test(run, the_log_level_holds_until_the_configured_one_changes)
{
	json_t *r = site_result(&site, "log.level", "{'level':'debug'}");

	cr_expect_str_eq(text_of(r, "configured"), "info");
	json_decref(r);
	json_decref(site_push_number(&site, "limits", "errors", 7));
	r = site_result(&site, "log.level", NULL);
	cr_expect_str_eq(text_of(r, "level"), "debug", "another change does not touch it");
	json_decref(r);
}
