/* SPDX-License-Identifier: BSD-3-Clause */
/* What is told, in both formats. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lint.h"
#include "sample.h"
#include "stats.h"

static char *
text_of(const struct pst_metrics_input *in, enum pst_metrics_format f)
{
	size_t len = 0;
	char *text = pst_metrics_text(in, f, &len);

	cr_assert_not_null(text);
	cr_assert_eq(strlen(text), len);
	return text;
}

static void
expect_line(const char *text, const char *line)
{
	char with[600];

	snprintf(with, sizeof(with), "\n%s\n", line);
	cr_expect_not_null(strstr(text, with), "no line \"%s\"", line);
}

static unsigned
nworker_counters(void)
{
	unsigned n = 0;

	for (const struct pst_counter_desc *d = pst_relay_counter_descs; d->name != NULL; d++)
		n++;
	for (const struct pst_counter_desc *d = pst_net_counter_descs; d->name != NULL; d++)
		n++;
	for (const struct pst_counter_desc *d = pst_tcp_counter_descs; d->name != NULL; d++)
		n++;
	for (const struct pst_counter_desc *d = pst_lane_counter_descs; d->name != NULL; d++)
		n++;
	return n;
}

Test(text, both_formats_pass_the_strict_reader)
{
	static const enum pst_metrics_format formats[] = {
		PST_METRICS_CLASSIC, PST_METRICS_OPENMETRICS};
	/* Of which the parts are told elsewhere: a change here should be meant. */
	unsigned want = 13 + 2 /* reloads */ + 2 /* certificates */ + (10 + 5) * SAMPLE_WORKERS +
			PST_LEGS * 2 * PST_CIPHERS * 2 + PST_LEGS * (2 + PST_HS_BUCKETS + 2) +
			4 * PST_STAGES + PST_LIMITS + PST_REFUSALS + PST_DOWNGRADES +
			PST_LEGS * (PST_TLS_FLOODS - 1) + 6 + 2 /* names */ +
			nworker_counters() * SAMPLE_WORKERS + 3 * PST_OP_KINDS +
			6 * 2 /* back-ends */ + 6 * SAMPLE_WORKERS;

	for (unsigned i = 0; i < PST_COUNT(formats); i++) {
		char *text = text_of(sample(), formats[i]);
		unsigned n = 0;
		const char *why =
			lint(text, strlen(text), formats[i] == PST_METRICS_OPENMETRICS, &n);

		cr_expect_null(why, "%s", why);
		cr_expect_eq(n, want, "%u series, not %u", n, want);
		free(text);
	}
}

Test(text, is_well_formed_without_workers_certificates_and_names)
{
	struct pst_metrics_input in = {.version = "", .crypto_library = "", .dpdk = ""};
	char *text = text_of(&in, PST_METRICS_OPENMETRICS);
	unsigned n = 0;
	const char *why = lint(text, strlen(text), true, &n);

	cr_expect_null(why, "%s", why);
	expect_line(text, "postern_replies_total{class=\"2xx\",stage=\"body\"} 0");
	free(text);
}

Test(text, many_workers_and_large_numbers_fit)
{
	static struct pst_worker_stats w[PST_NET_MAX_WORKERS];
	struct pst_metrics_input in = *sample();
	unsigned n = 0;
	const char *why;
	char *text;

	memset(w, 0xff, sizeof(w));
	for (unsigned i = 0; i < PST_COUNT(w); i++) {
		memset(&w[i].labels, 0, sizeof(w[i].labels));
		memset(&w[i].crypto.backends, 0, sizeof(w[i].crypto.backends));
	}
	in.workers = w;
	in.nworkers = PST_COUNT(w);
	text = text_of(&in, PST_METRICS_OPENMETRICS);
	why = lint(text, strlen(text), true, &n);
	cr_expect_null(why, "%s", why);
	expect_line(text, "postern_net_rx_packets_total{worker=\"63\"} 18446744073709551615");
	expect_line(text, "postern_tcp_connections{worker=\"63\"} 4294967295");
	free(text);
}

Test(text, every_counter_of_a_worker_is_told_with_its_own_value)
{
	char *text;
	char line[200];
	const struct pst_metrics_input *in = sample();
	static const struct {
		const char *lib;
		const struct pst_counter_desc *desc;
		size_t base;
	} rows[] = {
		{"relay", pst_relay_counter_descs, offsetof(struct pst_worker_stats, relay)},
		{"net", pst_net_counter_descs, offsetof(struct pst_worker_stats, net)},
		{"tcp", pst_tcp_counter_descs, offsetof(struct pst_worker_stats, tcp)},
		{"crypto", pst_lane_counter_descs, offsetof(struct pst_worker_stats, crypto.c)},
	};

	text = text_of(in, PST_METRICS_OPENMETRICS);
	for (unsigned i = 0; i < PST_COUNT(rows); i++)
		for (const struct pst_counter_desc *d = rows[i].desc; d->name != NULL; d++)
			for (unsigned w = 0; w < SAMPLE_WORKERS; w++) {
				uint64_t v;

				memcpy(&v, (const char *)&in->workers[w] + rows[i].base + d->offset,
					sizeof(v));
				snprintf(line, sizeof(line),
					"postern_%s_%s_total{worker=\"%u\"} %llu", rows[i].lib,
					d->name, w, (unsigned long long)v);
				expect_line(text, line);
			}
	free(text);
}

Test(text, openmetrics_has_these_lines)
{
	static const char *const lines[] = {
		"# TYPE postern_build info",
		"postern_build_info{version=\"0.1.0\",openssl=\"OpenSSL 3\",dpdk=\"DPDK 22.11\"} 1",
		"postern_config_generation 7",
		"# TYPE postern_config_reload counter",
		"postern_config_reload_total{result=\"ok\"} 6",
		"postern_config_reload_total{result=\"refused\"} 2",
		"postern_config_last_reload_refused 1",
		"postern_cert_not_after_seconds{name=\"mx-rsa\"} 1900000000",
		"postern_cert_not_after_seconds{name=\"mx-ecdsa\"} 1900000001",
		"postern_log_lines_dropped_total 3",
		"postern_start_time_seconds 1700000000",
		"postern_tls_heap_bytes 123456",
		"postern_sessions_live{worker=\"1\"} 24002",
		"postern_mbufs_in_use{worker=\"0\"} 14004",
		"postern_mbufs_limit{worker=\"0\"} 16384",
		"postern_tcp_connections_limit{worker=\"1\"} 65536",
		"postern_worker_busy_loops_total{worker=\"0\"} 14001",
		"postern_worker_busy_seconds_total{worker=\"0\"} 10000.000000",
		"postern_worker_asleep_seconds_total{worker=\"1\"} 60000.000000",
		"postern_worker_sleep_cpu_seconds_total{worker=\"0\"} 0.010000",
		"postern_worker_cpu_seconds_total{worker=\"1\"} 20.000000",
		"# TYPE postern_handshakes counter",
		"# TYPE postern_handshake_seconds histogram",
		"# TYPE postern_net_rx_bytes counter",
		"# HELP postern_net_rx_bytes Bytes received",
	};
	char *text = text_of(sample(), PST_METRICS_OPENMETRICS);

	for (unsigned i = 0; i < PST_COUNT(lines); i++)
		expect_line(text, lines[i]);
	/* A certificate whose end nobody knows has none, rather than 1970. */
	cr_expect_null(strstr(text, "name=\"broken\""));
	cr_expect_str_eq(text + strlen(text) - 7, "\n# EOF\n");
	free(text);
}

Test(text, classic_names_a_counter_by_its_sample_and_has_no_eof)
{
	char *text = text_of(sample(), PST_METRICS_CLASSIC);

	expect_line(text, "# TYPE postern_net_rx_bytes_total counter");
	expect_line(text, "# TYPE postern_build_info gauge");
	cr_expect_null(strstr(text, "# EOF"));
	free(text);
}

Test(text, labels_are_the_sum_of_the_workers_each_in_its_place)
{
	struct pst_worker_stats *w = sample_workers();
	char *text, line[200];

	sample();
	for (unsigned i = 0; i < SAMPLE_WORKERS; i++)
		memset(&w[i].labels, 0, sizeof(w[i].labels));
	w[0].labels.handshakes[PST_LEG_NEXTHOP][1][0][1] = 5;
	w[1].labels.handshakes[PST_LEG_NEXTHOP][1][0][1] = 6;
	w[0].labels.handshakes[PST_LEG_CLIENT][0][PST_CIPHERS - 1][0] = 7;
	w[1].labels.handshake_failures[PST_LEG_CLIENT] = 8;
	w[1].labels.plaintext_transactions[PST_LEG_NEXTHOP] = 9;
	w[0].labels.replies[4][PST_STAGE_RCPT] = 10;
	w[0].labels.limit_refusals[PST_LIMITS - 1] = 11;
	w[1].labels.policy_refusals[PST_REFUSED_CONFLICT] = 12;
	w[0].labels.downgrades[PST_DOWNGRADE_BROKEN] = 13;
	w[1].labels.tls_floods[PST_LEG_CLIENT][PST_TLS_FLOOD_KEY_UPDATE] = 14;
	text = text_of(sample_input(), PST_METRICS_OPENMETRICS);
	snprintf(line, sizeof(line),
		"postern_handshakes_total{leg=\"nexthop\",version=\"TLSv1.3\",cipher=\"%s\","
		"resumed=\"1\"} 11",
		pst_relay_cipher_names[0]);
	expect_line(text, line);
	expect_line(text, "postern_handshakes_total{leg=\"client\",version=\"TLSv1.2\",cipher="
			  "\"other\",resumed=\"0\"} 7");
	expect_line(text, "postern_handshake_failures_total{leg=\"client\"} 8");
	expect_line(text, "postern_plaintext_transactions_total{leg=\"nexthop\"} 9");
	expect_line(text, "postern_replies_total{class=\"4xx\",stage=\"rcpt\"} 10");
	snprintf(line, sizeof(line), "postern_limit_refusals_total{limit=\"%s\"} 11",
		pst_relay_limit_names[PST_LIMITS - 1]);
	expect_line(text, line);
	expect_line(text, "postern_policy_refusals_total{reason=\"policy_conflict\"} 12");
	expect_line(text, "postern_downgrades_total{cause=\"tls_failed\"} 13");
	expect_line(text, "postern_tls_floods_total{leg=\"client\",cause=\"key_update\"} 14");
	expect_line(text, "postern_names_misses_total 9002");
	expect_line(text, "postern_names_cached 9007");
	expect_line(text, "postern_handshake_failures_total{leg=\"nexthop\"} 0");
	free(text);
}

Test(text, the_crypto_engine_is_told_by_kind_by_back_end_and_by_worker)
{
	static const char *const lines[] = {
		"postern_crypto_asked_total{kind=\"rsa_sign\"} 40200",
		"postern_crypto_offloaded_total{kind=\"derive\"} 40412",
		"postern_crypto_wait_seconds_total{kind=\"rsa_decrypt\"} 0.040602",
		"postern_crypto_backend_open{backend=\"cores\"} 0",
		"postern_crypto_backend_open{backend=\"qat\"} 2",
		"postern_crypto_backend_out{backend=\"qat\"} 16",
		"postern_crypto_backend_completed_total{backend=\"cores\"} 40800",
		"postern_crypto_backend_failed_total{backend=\"qat\"} 41002",
		"postern_crypto_backend_timeouts_total{backend=\"qat\"} 41202",
		"postern_crypto_backend_cpu_seconds_total{backend=\"cores\"} 1.5",
		"postern_crypto_backend_cpu_seconds_total{backend=\"qat\"} 0.0",
		"postern_crypto_ops_limit{worker=\"0\"} 1024",
		"postern_crypto_ops_free{worker=\"1\"} 1000",
		"postern_crypto_ops_quarantined{worker=\"1\"} 3",
		"postern_crypto_jobs_in_use{worker=\"0\"} 21",
		"postern_crypto_jobs_waiting{worker=\"0\"} 5",
	};
	char *text = text_of(sample(), PST_METRICS_OPENMETRICS);

	for (unsigned i = 0; i < PST_COUNT(lines); i++)
		expect_line(text, lines[i]);
	free(text);
}

Test(text, histogram_buckets_are_cumulative_and_times_are_seconds)
{
	struct pst_worker_stats *w = sample_workers();
	char *text;

	sample();
	for (unsigned i = 0; i < SAMPLE_WORKERS; i++)
		memset(&w[i].labels, 0, sizeof(w[i].labels));
	for (unsigned b = 0; b < PST_HS_BUCKETS; b++)
		w[b % 2].labels.handshake_us[PST_LEG_CLIENT][b] = 1;
	w[0].labels.handshake_us_sum[PST_LEG_CLIENT] = 1500000;
	w[1].labels.handshake_us_sum[PST_LEG_CLIENT] = 1;
	text = text_of(sample_input(), PST_METRICS_OPENMETRICS);
	expect_line(text, "postern_handshake_seconds_bucket{leg=\"client\",le=\"+Inf\"} 12");
	expect_line(text, "postern_handshake_seconds_sum{leg=\"client\"} 1.500001");
	expect_line(text, "postern_handshake_seconds_count{leg=\"client\"} 12");
	expect_line(text, "postern_handshake_seconds_sum{leg=\"nexthop\"} 0.0");
	cr_expect_null(strstr(text, "le=\"0.0\""));
	free(text);
}

Test(text, what_stands_in_a_label_is_escaped)
{
	struct pst_metrics_cert certs[] = {
		{.name = "a\"b\\c\nd", .not_after = 1}, {.name = "\x01\xff", .not_after = 2}};
	struct pst_metrics_input in = *sample();
	char *text, long_name[300];
	unsigned n = 0;
	const char *why;

	memset(long_name, '"', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	in.crypto_library = long_name;
	in.certs = certs;
	in.ncerts = 2;
	text = text_of(&in, PST_METRICS_OPENMETRICS);
	expect_line(text, "postern_cert_not_after_seconds{name=\"a\\\"b\\\\c\\nd\"} 1");
	expect_line(text, "postern_cert_not_after_seconds{name=\"??\"} 2");
	why = lint(text, strlen(text), true, &n);
	cr_expect_null(why, "%s", why);
	free(text);
}

Test(text, accept_chooses_the_format)
{
	static const struct {
		const char *accept;
		enum pst_metrics_format want;
	} rows[] = {
		{NULL, PST_METRICS_CLASSIC},
		{"", PST_METRICS_CLASSIC},
		{"*/*", PST_METRICS_CLASSIC},
		{"text/html", PST_METRICS_CLASSIC},
		{"text/plain;version=0.0.4", PST_METRICS_CLASSIC},
		{"application/openmetrics-text", PST_METRICS_OPENMETRICS},
		{"Application/OpenMetrics-Text ; Version=1.0.0 ; q=0.3", PST_METRICS_OPENMETRICS},
		{"application/openmetrics-text;version=0.0.1", PST_METRICS_CLASSIC},
		{"application/openmetrics-text;version=2.0.0", PST_METRICS_CLASSIC},
		{"application/openmetrics-text;q=0", PST_METRICS_CLASSIC},
		{"application/openmetrics-text;q=0.000,*/*", PST_METRICS_CLASSIC},
		{"application/openmetrics-text;q=9", PST_METRICS_CLASSIC},
		{"application/openmetrics-text;q=0.5,text/plain;q=0.6", PST_METRICS_CLASSIC},
		{"text/plain;q=0.5,application/openmetrics-text;q=0.51", PST_METRICS_OPENMETRICS},
		{"application/openmetrics-textual", PST_METRICS_CLASSIC},
		{",,;;,=;q=,application/openmetrics-text", PST_METRICS_OPENMETRICS},
		{"text/plain;x=application/openmetrics-text", PST_METRICS_CLASSIC},
		/* Prometheus 2.42 */
		{"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version="
		 "0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
			PST_METRICS_OPENMETRICS},
	};

	for (unsigned i = 0; i < PST_COUNT(rows); i++)
		cr_expect_eq(
			pst_metrics_negotiate(rows[i].accept), rows[i].want, "%s", rows[i].accept);
}
