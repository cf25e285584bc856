/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers as text, in OpenMetrics 1.0 or the older format of Prometheus. Pure: all
 * that is told comes in with the call.
 *
 * The two formats differ in little, all of it here: OpenMetrics names a counter's
 * family without `_total`, knows the type `info`, and ends with `# EOF`.
 *
 * Every family is there from the first scrape with all its series, zeros too: a
 * rate over a series that appears with its first event misses that event. Labels
 * are fixed sets and the operator's own names of workers and certificates, never
 * anything a peer sent. docs/metrics.md has the list.
 */
#include "metrics_int.h"
#include "metrics_put.h"
#include "stats.h"

#include <inttypes.h>
#include <pst_cycles.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
pst_put(struct pst_out *o, const char *fmt, ...)
{
	va_list ap;
	char *more;
	int n;

	if (o->p == NULL)
		return;
	for (;;) {
		va_start(ap, fmt);
		n = vsnprintf(o->p + o->n, o->cap - o->n, fmt, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < o->cap - o->n)
			break;
		more = n < 0 ? NULL : realloc(o->p, o->cap * 2 + (size_t)n);
		if (more == NULL) {
			free(o->p);
			o->p = NULL;
			return;
		}
		o->p = more;
		o->cap = o->cap * 2 + (size_t)n;
	}
	o->n += (size_t)n;
}

/*
 * A label's value between its quotes. OpenMetrics 1.0: "escaped-char: \n, \", \\", the rest
 * is UTF-8; ours is ASCII, and anything else becomes a question mark.
 */
const char *
pst_escaped(const char *value, char buf[160])
{
	size_t n = 0;

	for (; *value != '\0' && n < 156; value++) {
		if (*value == '\n' || *value == '"' || *value == '\\')
			buf[n++] = '\\';
		buf[n++] = *value == '\n' ? 'n' : *value < ' ' || *value == 0x7f ? '?' : *value;
	}
	buf[n] = '\0';
	return buf;
}

/* ---- families ---- */

/* HELP and TYPE of a family. The samples that follow are all there is of it. */
void
pst_family(struct pst_out *o, enum pst_family_type type, const char *name, const char *help)
{
	static const char *const types[] = {"counter", "gauge", "histogram", "info"};
	const char *suffix = "", *word = types[type];

	if (o->format == PST_METRICS_CLASSIC && type == COUNTER)
		suffix = "_total";
	if (o->format == PST_METRICS_CLASSIC && type == INFO) {
		suffix = "_info";
		word = "gauge";
	}
	pst_put(o, "# HELP postern_%s%s %s\n", name, suffix, help);
	pst_put(o, "# TYPE postern_%s%s %s\n", name, suffix, word);
}

static void
gauge(struct pst_out *o, const char *name, const char *help, uint64_t value)
{
	pst_family(o, GAUGE, name, help);
	pst_put(o, "postern_%s %" PRIu64 "\n", name, value);
}

static void
counter(struct pst_out *o, const char *name, const char *help, uint64_t value)
{
	pst_family(o, COUNTER, name, help);
	pst_put(o, "postern_%s_total %" PRIu64 "\n", name, value);
}

/* A number that each worker has, at `offset` of its statistics. */
void
pst_by_worker(struct pst_out *o, const struct pst_metrics_input *in, enum pst_family_type type,
	const char *name, const char *help, size_t offset)
{
	uint64_t v;

	pst_family(o, type, name, help);
	for (unsigned w = 0; w < in->nworkers; w++) {
		memcpy(&v, (const char *)&in->workers[w] + offset, sizeof(v));
		pst_put(o, "postern_%s%s{worker=\"%u\"} %" PRIu64 "\n", name,
			type == COUNTER ? "_total" : "", w, v);
	}
}

/* The same for a time, of which `unit` make a second. */
static void
seconds_by_worker(struct pst_out *o, const struct pst_metrics_input *in, const char *name,
	const char *help, size_t offset, uint64_t unit)
{
	uint64_t v;

	pst_family(o, COUNTER, name, help);
	for (unsigned w = 0; w < in->nworkers; w++) {
		memcpy(&v, (const char *)&in->workers[w] + offset, sizeof(v));
		pst_put(o, "postern_%s_total{worker=\"%u\"} %.6f\n", name, w,
			(double)v / (double)unit);
	}
}

/* ---- the process ---- */

static void
build_info(struct pst_out *o, const struct pst_metrics_input *in)
{
	char version[160], crypto[160], dpdk[160];

	pst_family(o, INFO, "build", "Versions of Postern and of the libraries it runs with");
	pst_put(o, "postern_build_info{version=\"%s\",openssl=\"%s\",dpdk=\"%s\"} 1\n",
		pst_escaped(in->version, version), pst_escaped(in->crypto_library, crypto),
		pst_escaped(in->dpdk, dpdk));
}

static void
configuration(struct pst_out *o, const struct pst_metrics_input *in)
{
	char name[160];

	gauge(o, "config_generation", "Generation of the running configuration; 1 is the first",
		in->generation);
	pst_family(o, COUNTER, "config_reload", "Configurations pushed, by what became of them");
	pst_put(o, "postern_config_reload_total{result=\"ok\"} %" PRIu64 "\n", in->reloads);
	pst_put(o, "postern_config_reload_total{result=\"refused\"} %" PRIu64 "\n",
		in->reloads_refused);
	gauge(o, "config_last_reload_refused",
		"1 if the last configuration that was pushed was refused", in->last_reload_refused);
	pst_family(o, GAUGE, "cert_not_after_seconds",
		"End of validity of a configured certificate, seconds since the epoch");
	for (unsigned i = 0; i < in->ncerts; i++)
		if (in->certs[i].not_after != 0)
			pst_put(o, "postern_cert_not_after_seconds{name=\"%s\"} %" PRId64 "\n",
				pst_escaped(in->certs[i].name, name), in->certs[i].not_after);
}

static void
process(struct pst_out *o, const struct pst_metrics_input *in)
{
	build_info(o, in);
	gauge(o, "start_time_seconds", "When the gateway started, seconds since the epoch",
		in->start_time);
	gauge(o, "draining", "1 while no new sessions are taken", in->draining);
	configuration(o, in);
	counter(o, "log_lines_dropped", "Log lines lost because the log could not keep up",
		in->log_lines_dropped);
	gauge(o, "workers", "Workers", in->nworkers);
	gauge(o, "hugepages", "1 if packet memory is in hugepages", in->hugepages);
	gauge(o, "dpdk_heap_bytes", "Packet memory that DPDK has from the system", in->heap_bytes);
	gauge(o, "dpdk_heap_used_bytes", "Packet memory given out, pools counted whole",
		in->heap_used_bytes);
	gauge(o, "tls_heap_bytes", "OpenSSL's heap, contexts and certificates included",
		in->memory.tls_live_bytes);
	gauge(o, "session_record_bytes", "Size of a client session's record",
		in->memory.session_bytes);
	gauge(o, "nexthop_record_bytes", "Size of a next-hop connection's record",
		in->memory.hop_bytes);
}

/* ---- workers ---- */

static void
tcp_usage(struct pst_out *o, const struct pst_metrics_input *in)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} rows[] = {
		{"tcp_connections", "TCP connection records in use, half-open ones included",
			offsetof(struct pst_tcp_usage, conns)},
		{"tcp_connections_limit", "TCP connection records there are",
			offsetof(struct pst_tcp_usage, max_conns)},
		{"tcp_half_open", "TCP connections whose handshake is not finished",
			offsetof(struct pst_tcp_usage, half_open)},
		{"tcp_time_wait", "TCP connections in TIME_WAIT",
			offsetof(struct pst_tcp_usage, time_wait)},
	};
	uint32_t v;

	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		pst_family(o, GAUGE, rows[i].name, rows[i].help);
		for (unsigned w = 0; w < in->nworkers; w++) {
			memcpy(&v, (const char *)&in->workers[w].usage + rows[i].offset, sizeof(v));
			pst_put(o, "postern_%s{worker=\"%u\"} %" PRIu32 "\n", rows[i].name, w, v);
		}
	}
}

static void
gauges(struct pst_out *o, const struct pst_metrics_input *in)
{
#define AT(member) offsetof(struct pst_worker_stats, member)
	pst_by_worker(o, in, GAUGE, "sessions_live", "Client sessions now", AT(live_sessions));
	pst_by_worker(o, in, GAUGE, "pooled_connections",
		"Connections to next hops kept for the next message", AT(pooled_connections));
	pst_by_worker(o, in, GAUGE, "mbufs_in_use", "Packet buffers in use", AT(mbufs_in_use));
	pst_by_worker(o, in, GAUGE, "mbufs_limit", "Packet buffers there are", AT(mbufs_total));
	tcp_usage(o, in);
	pst_by_worker(o, in, COUNTER, "worker_loops", "Turns of the worker's loop", AT(loops));
	pst_by_worker(o, in, COUNTER, "worker_busy_loops", "Turns that found work", AT(busy_loops));
}

static void
worker_time(struct pst_out *o, const struct pst_metrics_input *in)
{
	uint64_t hz = pst_tsc_hz(), ns = PST_NS_PER_SEC;

	seconds_by_worker(o, in, "worker_busy_seconds",
		"Time in turns that found work, by the processor's counter", AT(time.busy), hz);
	seconds_by_worker(o, in, "worker_empty_seconds", "Time in polls that found nothing",
		AT(time.empty), hz);
	seconds_by_worker(
		o, in, "worker_asleep_seconds", "Time asleep, as it passed", AT(time.asleep), hz);
	seconds_by_worker(o, in, "worker_sleep_cpu_seconds",
		"CPU time of going to sleep and waking, from samples", AT(time.sleep_cpu_ns), ns);
	seconds_by_worker(o, in, "worker_cpu_seconds",
		"CPU time of the worker's thread, as the system has it", AT(time.cpu_ns), ns);
}

/* A counter's family as its library's table has it; "bytes sent" begins a sentence here. */
static void
described(const struct pst_counter_desc *desc, const char *lib, char name[96], char help[160])
{
	snprintf(name, 96, "%s_%s", lib, desc->name);
	snprintf(help, 160, "%s", desc->help);
	if (help[0] >= 'a' && help[0] <= 'z')
		help[0] = (char)(help[0] - 'a' + 'A');
}

/* All counters of one library that workers have. */
static void
counters(struct pst_out *o, const struct pst_metrics_input *in, const char *lib,
	const struct pst_counter_desc *desc, size_t base)
{
	char name[96], help[160];

	for (; desc->name != NULL; desc++) {
		described(desc, lib, name, help);
		pst_by_worker(o, in, COUNTER, name, help, base + desc->offset);
	}
}

/* DNS is asked by one thread for all workers. */
static void
names(struct pst_out *o, const struct pst_metrics_input *in)
{
	char name[96], help[160];
	uint64_t v;

	for (const struct pst_counter_desc *d = pst_names_counter_descs; d->name != NULL; d++) {
		described(d, "names", name, help);
		memcpy(&v, (const char *)&in->names + d->offset, sizeof(v));
		counter(o, name, help, v);
	}
	gauge(o, "names_cached", "Answers of DNS that are kept", in->names_cached);
	gauge(o, "names_open", "Questions to DNS under way", in->names_open);
}

/* ---- families with labels: the sum of all workers ---- */

static const char *const legs[PST_LEGS] = {
	[PST_LEG_CLIENT] = "client", [PST_LEG_NEXTHOP] = "nexthop"};

/* Labels are nothing but uint64_t, so adding them up needs no list of members. */
static void
sum_labels(const struct pst_metrics_input *in, struct pst_relay_labels *sum)
{
	uint64_t *to = (uint64_t *)sum;

	_Static_assert(sizeof(*sum) % sizeof(*to) == 0, "labels are an array of counters");
	memset(sum, 0, sizeof(*sum));
	for (unsigned w = 0; w < in->nworkers; w++) {
		const uint64_t *from = (const uint64_t *)&in->workers[w].labels;

		for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
			to[i] += from[i];
	}
}

static void
handshakes(struct pst_out *o, const struct pst_relay_labels *l)
{
	pst_family(o, COUNTER, "handshakes", "TLS handshakes finished");
	for (unsigned leg = 0; leg < PST_LEGS; leg++)
		for (unsigned v = 0; v < 2; v++)
			for (unsigned c = 0; c < PST_CIPHERS; c++)
				for (unsigned r = 0; r < 2; r++)
					pst_put(o,
						"postern_handshakes_total{leg=\"%s\",version=\"%"
						"s\","
						"cipher=\"%s\",resumed=\"%u\"} %" PRIu64 "\n",
						legs[leg], v ? "TLSv1.3" : "TLSv1.2",
						pst_relay_cipher_names[c], r,
						l->handshakes[leg][v][c][r]);
}

static void
by_leg(struct pst_out *o, const char *name, const char *help, const uint64_t values[PST_LEGS])
{
	pst_family(o, COUNTER, name, help);
	for (unsigned leg = 0; leg < PST_LEGS; leg++)
		pst_put(o, "postern_%s_total{leg=\"%s\"} %" PRIu64 "\n", name, legs[leg],
			values[leg]);
}

/*
 * Seconds from microseconds, without an exponent and with at least one decimal:
 * OpenMetrics 1.0 wants le="1.0" rather than "1", so that a bound has one spelling.
 */
const char *
pst_seconds(uint64_t us, char buf[32])
{
	int n = snprintf(buf, 32, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);

	while (buf[n - 1] == '0' && buf[n - 2] != '.')
		buf[--n] = '\0';
	return buf;
}

/* `le` buckets are cumulative here and are not in the workers' counters. */
static void
handshake_seconds(struct pst_out *o, const struct pst_relay_labels *l)
{
	char text[32];

	pst_family(o, HISTOGRAM, "handshake_seconds",
		"Time from the first to the last byte of a TLS handshake");
	for (unsigned leg = 0; leg < PST_LEGS; leg++) {
		uint64_t n = 0;

		for (unsigned b = 0; b < PST_HS_BUCKETS; b++) {
			n += l->handshake_us[leg][b];
			pst_put(o,
				"postern_handshake_seconds_bucket{leg=\"%s\",le=\"%s\"} %" PRIu64
				"\n",
				legs[leg],
				b < PST_HS_BUCKETS - 1
					? pst_seconds(pst_relay_hs_bounds_us[b], text)
					: "+Inf",
				n);
		}
		/* The count is that of the buckets: a worker may be between its two additions. */
		pst_put(o, "postern_handshake_seconds_sum{leg=\"%s\"} %s\n", legs[leg],
			pst_seconds(l->handshake_us_sum[leg], text));
		pst_put(o, "postern_handshake_seconds_count{leg=\"%s\"} %" PRIu64 "\n", legs[leg],
			n);
	}
}

static void
replies(struct pst_out *o, const struct pst_relay_labels *l)
{
	pst_family(o, COUNTER, "replies", "Replies to clients, by class and stage of the session");
	for (unsigned c = 2; c <= 5; c++)
		for (unsigned s = 0; s < PST_STAGES; s++)
			pst_put(o,
				"postern_replies_total{class=\"%uxx\",stage=\"%s\"} %" PRIu64 "\n",
				c, pst_relay_stage_names[s], l->replies[c][s]);
}

static void
limits(struct pst_out *o, const struct pst_relay_labels *l)
{
	pst_family(o, COUNTER, "limit_refusals", "Clients refused with 421, by the limit they met");
	for (unsigned i = 0; i < PST_LIMITS; i++)
		pst_put(o, "postern_limit_refusals_total{limit=\"%s\"} %" PRIu64 "\n",
			pst_relay_limit_names[i], l->limit_refusals[i]);
}

static void
tls_floods(struct pst_out *o, const struct pst_relay_labels *l)
{
	pst_family(o, COUNTER, "tls_floods",
		"TLS sessions ended because of a flood, by leg and cause");
	for (unsigned leg = 0; leg < PST_LEGS; leg++)
		for (unsigned i = PST_TLS_FLOOD_NONE + 1; i < PST_TLS_FLOODS; i++)
			pst_put(o,
				"postern_tls_floods_total{leg=\"%s\",cause=\"%s\"} %" PRIu64 "\n",
				legs[leg], pst_tls_flood_names[i], l->tls_floods[leg][i]);
}

static void
refusals(struct pst_out *o, const struct pst_relay_labels *l)
{
	pst_family(o, COUNTER, "policy_refusals",
		"Recipients and senders that policy refused, by why");
	for (unsigned i = 0; i < PST_REFUSALS; i++)
		pst_put(o, "postern_policy_refusals_total{reason=\"%s\"} %" PRIu64 "\n",
			pst_relay_refusal_names[i], l->policy_refusals[i]);
	pst_family(o, COUNTER, "downgrades",
		"Messages that went to the next hop in clear although TLS was preferred, by why");
	for (unsigned i = 0; i < PST_DOWNGRADES; i++)
		pst_put(o, "postern_downgrades_total{cause=\"%s\"} %" PRIu64 "\n",
			pst_relay_downgrade_names[i], l->downgrades[i]);
}

static void
labelled(struct pst_out *o, const struct pst_metrics_input *in)
{
	struct pst_relay_labels sum;

	sum_labels(in, &sum);
	handshakes(o, &sum);
	by_leg(o, "handshake_failures", "TLS handshakes that failed", sum.handshake_failures);
	handshake_seconds(o, &sum);
	by_leg(o, "plaintext_transactions",
		"Messages the next hop took that crossed this leg in clear",
		sum.plaintext_transactions);
	replies(o, &sum);
	limits(o, &sum);
	tls_floods(o, &sum);
	refusals(o, &sum);
}

char *
pst_metrics_text(const struct pst_metrics_input *in, enum pst_metrics_format format, size_t *len)
{
	struct pst_out o = {.cap = 64 * 1024, .format = format};

	o.p = malloc(o.cap);
	process(&o, in);
	gauges(&o, in);
	worker_time(&o, in);
	labelled(&o, in);
	names(&o, in);
	counters(
		&o, in, "relay", pst_relay_counter_descs, offsetof(struct pst_worker_stats, relay));
	counters(&o, in, "net", pst_net_counter_descs, offsetof(struct pst_worker_stats, net));
	counters(&o, in, "tcp", pst_tcp_counter_descs, offsetof(struct pst_worker_stats, tcp));
	counters(&o, in, "crypto", pst_lane_counter_descs,
		offsetof(struct pst_worker_stats, crypto.c));
	pst_put_crypto(&o, in);
	/* OpenMetrics 1.0: "MUST end with EOF", so that a text cut short is known as such. */
	if (format == PST_METRICS_OPENMETRICS)
		pst_put(&o, "# EOF\n");
	*len = o.n;
	return o.p;
}

/* ---- which of the two ---- */

const char *
pst_metrics_content_type(enum pst_metrics_format format)
{
	return format == PST_METRICS_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}

static size_t
trim(const char **p, size_t n)
{
	while (n > 0 && (**p == ' ' || **p == '\t')) {
		(*p)++;
		n--;
	}
	while (n > 0 && ((*p)[n - 1] == ' ' || (*p)[n - 1] == '\t'))
		n--;
	return n;
}

static bool
is_word(const char *p, size_t n, const char *word)
{
	return n == strlen(word) && strncasecmp(p, word, n) == 0;
}

/* A weight of RFC 9110 12.4.2, "0.75", in thousandths; what is no weight is none. */
static unsigned
weight(const char *p, size_t n)
{
	unsigned v = 0, scale = 1000;

	if (n == 0 || n > 5 || (p[0] != '0' && p[0] != '1') || (n > 1 && p[1] != '.'))
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (i == 1)
			continue;
		if (p[i] < '0' || p[i] > '9')
			return 0;
		v += (unsigned)(p[i] - '0') * scale;
		scale /= 10;
	}
	return v > 1000 ? 0 : v;
}

struct media {
	bool openmetrics, plain;
	unsigned q;
};

/* One element of the list, "type/subtype;name=value;...": what it names, and its weight. */
static struct media
media_range(const char *p, size_t n)
{
	size_t end = strcspn(p, ";") < n ? strcspn(p, ";") : n;
	const char *word = p;
	size_t len = trim(&word, end);
	struct media m = {.openmetrics = is_word(word, len, "application/openmetrics-text"),
		.plain = is_word(word, len, "text/plain") || is_word(word, len, "text/*") ||
			 is_word(word, len, "*/*"),
		.q = 1000};

	while (end < n) {
		const char *param = p + end + 1;
		size_t rest = n - end - 1;
		size_t plen = strcspn(param, ";") < rest ? strcspn(param, ";") : rest;

		end += plen + 1;
		plen = trim(&param, plen);
		if (plen >= 2 && strncasecmp(param, "q=", 2) == 0)
			m.q = weight(param + 2, plen - 2);
		/* Only 1.0.0 is spoken; who asks for another version does not get it for that. */
		else if (plen >= 8 && strncasecmp(param, "version=", 8) == 0 &&
			 !is_word(param + 8, plen - 8, "1.0.0"))
			m.openmetrics = false;
	}
	return m;
}

enum pst_metrics_format
pst_metrics_negotiate(const char *accept)
{
	unsigned openmetrics = 0, plain = 0;

	if (accept == NULL)
		return PST_METRICS_CLASSIC;
	for (const char *p = accept;; p++) {
		size_t n = strcspn(p, ",");
		struct media m = media_range(p, n);

		if (m.openmetrics)
			openmetrics = PST_MAX(openmetrics, m.q);
		if (m.plain)
			plain = PST_MAX(plain, m.q);
		p += n;
		if (*p == '\0')
			break;
	}
	return openmetrics > 0 && openmetrics >= plain ? PST_METRICS_OPENMETRICS
						       : PST_METRICS_CLASSIC;
}
