/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <gateway.h>

Test(gateway, workers_are_added_up_and_names_are_taken_whole)
{
	struct gateway_reading r;

	gateway_parse("# HELP postern_tls_heap_bytes 99\n"
		      "postern_tls_heap_bytes 1000\n"
		      "postern_tls_heap_bytes_max 5\n"
		      "postern_worker_busy_seconds_total{worker=\"0\"} 1.5\n"
		      "postern_worker_busy_seconds_total{worker=\"1\"} 2.25\n"
		      "postern_worker_cpu_seconds_total{worker=\"0\"} 4\n"
		      "postern_session_record_bytes 600\n"
		      "postern_sessions_live{worker=\"0\"} 7",
		&r);
	cr_expect_float_eq(r.tls_bytes, 1000, 1e-9);
	cr_expect_float_eq(r.busy_s, 3.75, 1e-9);
	cr_expect_float_eq(r.cpu_s, 4, 1e-9);
	cr_expect_float_eq(r.record_bytes, 600, 1e-9);
	cr_expect_float_eq(r.sessions, 7, 1e-9);
}

Test(gateway, what_is_no_answer_is_said_so)
{
	static const char *const urls[] = {"", "https://127.0.0.1:1/metrics",
		"http://127.0.0.1/metrics", "http://127.0.0.1:70000/metrics",
		"http://127.0.0.1:9464", "http://127.0.0.1:1/metrics"};
	struct gateway_reading r;
	char err[256];

	for (unsigned i = 0; i < PST_COUNT(urls); i++) {
		err[0] = '\0';
		cr_expect_not(gateway_read(urls[i], &r, err, sizeof(err)), "%s", urls[i]);
		cr_expect_neq(err[0], '\0', "%s", urls[i]);
	}
}
