/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

unsigned fake_nworkers = 2;
struct fake fake = {.generation = 1};
struct fake_metrics fake_metrics;

void
fake_reset(void)
{
	fake = (struct fake){.generation = 1};
}

/* ---- relay: numbers ---- */

#define RELAY_DESC(name, help) PST_COUNTER_DESC(pst_relay_counters, name, help)
#define NET_DESC(name, help)   PST_COUNTER_DESC(pst_net_counters, name, help)
#define TCP_DESC(name, help)   PST_COUNTER_DESC(pst_tcp_counters, name, help)

const struct pst_counter_desc pst_relay_counter_descs[] = {PST_RELAY_COUNTERS(RELAY_DESC){NULL}};
const struct pst_counter_desc pst_net_counter_descs[] = {PST_NET_COUNTERS(NET_DESC){NULL}};
const struct pst_counter_desc pst_tcp_counter_descs[] = {PST_TCP_COUNTERS(TCP_DESC){NULL}};
#define NAMES_DESC(name, help) PST_COUNTER_DESC(pst_names_counters, name, help)
const struct pst_counter_desc pst_names_counter_descs[] = {PST_NAMES_COUNTERS(NAMES_DESC){NULL}};

unsigned
pst_relay_nworkers(const struct pst_relay *r)
{
	return fake_nworkers;
}

void
pst_relay_stats(const struct pst_relay *r, unsigned worker, struct pst_worker_stats *out)
{
	*out = (struct pst_worker_stats){.live_sessions = 10 * (worker + 1),
		.relay.body_bytes = 1000 + worker + fake.body_bytes,
		.tcp.in_segs = 7,
		.loops = (1ull << 40) + 4 * fake.body_bytes,
		.busy_loops = fake.body_bytes,
		.time = {.busy = fake.body_bytes, .empty = 3 * fake.body_bytes},
		.crypto = {.c.submitted = 50 + worker,
			.kinds[PST_OP_RSA_SIGN] = 100,
			.offloaded[PST_OP_RSA_SIGN] = 80,
			.wait_us_sum[PST_OP_RSA_SIGN] = 80 * 250,
			.ops_total = 1024,
			.ops_free = 1020,
			.ops_quarantined = worker,
			.jobs_max = 512,
			.jobs_in_use = 3,
			.jobs_waiting = 1,
			.backends = {{.open = worker == 1,
				.out = 3,
				.completed = 80,
				.failed = 2,
				.timeouts = 1}}}};
}

/* ---- the crypto engine ---- */

const char *const pst_op_kind_names[PST_OP_KINDS] = {
	"rsa_sign", "rsa_decrypt", "ecdsa_sign", "eddsa_sign", "verify", "keygen", "derive"};

unsigned
pst_engine_nbackends(const struct pst_engine *e)
{
	return 2;
}

void
pst_engine_backend_stats(const struct pst_engine *e, unsigned i, struct pst_cryptodrv_stats *out)
{
	*out = (struct pst_cryptodrv_stats){0};
	if (i == 0)
		*out = (struct pst_cryptodrv_stats){.ops = 160, .cpu_ns = 1500000000, .out = 6};
}

enum pst_rc
pst_engine_tune(struct pst_engine *e, const struct pst_engine_tuning *t)
{
	fake.tuned++;
	fake.tuning = *t;
	return PST_OK;
}

static void
check_drivers(const struct pst_config *cfg, struct pst_config_report *report)
{
	if (fake.drivers_refuse != NULL)
		pst_config_report_add(
			report, "/crypto/backends/x/driver", "%s", fake.drivers_refuse);
}

void
pst_relay_memory(const struct pst_relay *r, struct pst_relay_memory *out)
{
	*out = (struct pst_relay_memory){.session_bytes = 600,
		.hop_bytes = 500,
		.tls_live_bytes = 123456,
		.addresses_uncounted = 7};
}

void
pst_relay_names(
	struct pst_relay *r, struct pst_names_counters *out, unsigned *cached, unsigned *open)
{
	*out = (struct pst_names_counters){.hits = 41, .misses = fake.body_bytes};
	*cached = 43;
	*open = 44;
}

/* ---- relay: policy ---- */

const char *const pst_relay_hop_state_names[PST_HOP_STATES] = {
	"no_starttls", "good", "untrusted", "broken"};

/* The second rule, if there is one, is always unreachable here. */
unsigned
pst_relay_lint(const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg)
{
	if (cfg->policy.nrules < 2)
		return 0;
	report(arg, "/policy/outbound", "encrypt for all the Internet");
	report(arg, "/policy/rules/1", "unreachable: taken by 1");
	return 2;
}

enum pst_rc
pst_relay_explain(struct pst_relay *r, const struct pst_explain_query *q, struct pst_explain *out,
	char *err, size_t errlen)
{
	struct pst_explain_host *h = &out->hosts[0];

	if (strcmp(q->to, "nobody") == 0) {
		snprintf(err, errlen, "no listener is called \"%s\"",
			q->listener != NULL ? q->listener : "");
		return PST_INVAL;
	}
	*out = (struct pst_explain){.generation = fake.generation,
		.listener = "smtp",
		.starttls_offered = true,
		.mail = {250, "2.1.0", "Sender OK", ""},
		.rcpt = {451, "4.7.4", "TLS is required, but was not offered", "tls_not_offered"},
		.rule = "bank",
		.rule_line = "* bank.example - required",
		.sender_policy = "optional",
		.recipient_policy = "required",
		.route = "bank.example",
		.next_hop = "mail1",
		.trace = {1, {{"recipient", "rule", "mandatory", "rule bank\033[2J"}}},
		.nhosts = 1};
	snprintf(h->name, sizeof(h->name), "%s", q->tls ? "over-tls" : "in-clear");
	pst_ip_parse("192.0.2.5", &h->at.ip);
	h->at.port = 25;
	strcpy(h->demand, "secure");
	strcpy(h->match, "bank.example,.bank.example");
	h->outcome[PST_HOP_GOOD].reply = (struct pst_explain_reply){250, "2.1.5", "OK", ""};
	strcpy(h->outcome[PST_HOP_GOOD].channel, "tls");
	h->outcome[PST_HOP_BROKEN].reply =
		(struct pst_explain_reply){451, "4.7.5", "TLS failed", "tls_failed"};
	h->live.tried = q->live;
	h->live.code = 250;
	h->live.ok = true;
	strcpy(h->live.verify, "verified");
	return PST_OK;
}

unsigned
pst_relay_broken(struct pst_relay *r, struct pst_broken_row *rows, unsigned max)
{
	for (unsigned i = 0; i < fake.nbroken && i < max; i++) {
		rows[i] = (struct pst_broken_row){.client = i % 2 != 0,
			.left_ms = 1500 + i,
			.failures = i + 1,
			.cause = "handshake\033"};
		pst_ip_parse("192.0.2.7", &rows[i].ip);
	}
	return PST_MIN(fake.nbroken, max);
}

unsigned
pst_relay_broken_flush(struct pst_relay *r)
{
	unsigned n = fake.nbroken;

	fake.nbroken = 0;
	return n;
}

/* ---- relay: generations ---- */

void
pst_relay_set_release(
	struct pst_relay *r, void (*release)(void *arg, const struct pst_config *cfg), void *arg)
{
	fake.release = release;
	fake.release_arg = arg;
	fake.snap = arg; /* control gives the first one, which the relay began with */
}

uint64_t
pst_relay_generation(const struct pst_relay *r)
{
	return fake.generation;
}

enum pst_rc
pst_relay_publish(struct pst_relay *r, const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg,
	struct pst_publish_result *out)
{
	if (fake.refuse != NULL) {
		report(arg, "/listeners", fake.refuse);
		return PST_INVAL;
	}
	cr_assert_lt(fake.nretired, PST_COUNT(fake.retired));
	fake.retired[fake.nretired++] = fake.snap;
	fake.snap = cfg;
	fake.published++;
	*out = (struct pst_publish_result){++fake.generation, 1, 2};
	return PST_OK;
}

unsigned
pst_relay_check(const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg)
{
	if (fake.refuse == NULL)
		return 0;
	report(arg, "/listeners", fake.refuse);
	return 1;
}

static void
give_back(const struct pst_config *cfg)
{
	fake.released++;
	fake.release(fake.release_arg, cfg);
}

unsigned
pst_relay_reclaim(struct pst_relay *r)
{
	if (!fake.held)
		while (fake.nretired > 0)
			give_back(fake.retired[--fake.nretired]);
	return fake.nretired;
}

void
pst_relay_rotate(struct pst_relay *r, uint64_t now_ns)
{
}

void
fake_relay_free(void)
{
	fake.held = false;
	pst_relay_reclaim(NULL);
	give_back(fake.snap);
}

/* ---- relay: sessions ---- */

static void
session_id(char *buf, size_t size, unsigned worker, uint64_t counter)
{
	snprintf(buf, size, "box.1a2b.%u.%llx", worker, (unsigned long long)counter);
}

unsigned
pst_relay_sessions(struct pst_relay *r, unsigned worker, uint64_t after,
	struct pst_session_row *rows, unsigned max)
{
	unsigned n = 0;

	for (uint64_t counter = after + 1; counter <= fake.nsessions && n < max; counter++, n++) {
		rows[n] = (struct pst_session_row){.counter = counter,
			.client = "unknown[192.0.2.9]:1234",
			.listener = "smtp",
			.state = "data",
			.client_tls = "TLSv1.3",
			.from = "b\xc3\xbc"
				"cher@example.org",
			.age_ms = 1500,
			.bytes = 10 * counter,
			.generation = 1};
		session_id(rows[n].id, sizeof(rows[n].id), worker, counter);
	}
	return n;
}

enum pst_rc
pst_relay_kill(struct pst_relay *r, const char *sid)
{
	char id[64];

	for (unsigned i = 1; i <= fake.nsessions; i++) {
		session_id(id, sizeof(id), 1, i);
		if (strcmp(id, sid) != 0)
			continue;
		strcpy(fake.killed, sid);
		return PST_OK;
	}
	return PST_INVAL;
}

unsigned
pst_relay_live(const struct pst_relay *r)
{
	return 30;
}

bool
pst_relay_draining(const struct pst_relay *r)
{
	return fake.draining;
}

void
pst_relay_drain(struct pst_relay *r)
{
	fake.draining = true;
}

void
pst_relay_undrain(struct pst_relay *r)
{
	fake.draining = false;
}

void
fake_stop(void *arg, bool now)
{
	fake.stopped = true;
	fake.stopped_now = now;
}

/* ---- fabric ---- */

unsigned
pst_fabric_nports(const struct pst_fabric *f)
{
	return 1;
}

const char *
pst_fabric_port_name(const struct pst_fabric *f, unsigned port)
{
	return "wan";
}

size_t
pst_fabric_describe(const struct pst_fabric *f, unsigned port, char *buf, size_t len)
{
	return (size_t)snprintf(buf, len, "wan: net_tap queues=1");
}

/* ---- metrics: another test's ---- */

struct pst_metrics *
pst_metrics_new(const struct pst_metrics_deps *deps, char *err, size_t errlen)
{
	return (struct pst_metrics *)&fake_metrics;
}

void
pst_metrics_free(struct pst_metrics *m)
{
}

enum pst_rc
pst_metrics_listen(struct pst_metrics *m, const struct pst_endpoint *at, char *err, size_t errlen)
{
	if (at != NULL && fake_metrics.refuse) {
		snprintf(err, errlen, "address in use");
		return PST_INVAL;
	}
	fake_metrics.port = at != NULL ? at->port : 0;
	return PST_OK;
}

void
pst_metrics_published(struct pst_metrics *m, const struct pst_config *cfg)
{
	fake_metrics.published++;
}

void
pst_metrics_refused(struct pst_metrics *m)
{
	fake_metrics.refused++;
}

/* ---- configurations ---- */

struct pst_config *
fake_config(const char *socket, const char *log, const char *path)
{
	struct pst_config_report report = {0};
	struct pst_config *c;
	char put[256], *doc;

	snprintf(put, sizeof(put), "'log': {'file': '%s'}, 'control': {'socket': '%s'}", log,
		socket);
	doc = spoiled_twice("'log': {'file': 'p.log', 'format': 'json', 'level': 'debug'},\n"
			    "  'control': {'socket': '/tmp/c.sock', 'group': 'root'}",
		put, "'crypto': {}",
		"'crypto': {'backends': {'cores': {'driver': 'lcore'}, 'qat': {'driver': "
		"'cryptodev', 'options': {'device': '0000:3d:00.0'}}}, 'operations': {'default': "
		"['cores'], 'verify': ['qat']}, 'deadline': 0.02}");
	c = pst_config_parse(doc, strlen(doc), path, &report);
	if (c == NULL)
		pst_config_report_print(&report, path, stderr);
	cr_assert_not_null(c);
	free(doc);
	return c;
}

static struct pst_config *given[16]; /* reachable for the leak checker; the caller's all the same */

struct pst_control_deps
fake_deps(const char *socket)
{
	static unsigned n;

	fake_reset();
	given[n++ % PST_COUNT(given)] = fake_config(socket, "-", "/nonexistent/p.json");
	fake_metrics = (struct fake_metrics){0};
	return (struct pst_control_deps){.config = given[(n - 1) % PST_COUNT(given)],
		.engine = (struct pst_engine *)&fake,
		.check = check_drivers,
		.started_ns = pst_now_ns(),
		.crypto_library = "OpenSSL 3",
		.stop = fake_stop};
}
