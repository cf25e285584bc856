/* SPDX-License-Identifier: BSD-3-Clause */
#include "kit.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <urcu-qsbr.h>

/* There with ASan only. */
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

/* ---- replies ---- */

struct reply {
	char bytes[64][300];
	char *data[65];
	int len[64];
};

/* A name's wire form; \DDD is a byte. */
static size_t
name_wire(const char *s, char *out)
{
	size_t label = 0, at = 1;

	if (strcmp(s, ".") == 0)
		s = "";
	for (; *s != 0; s++) {
		if (*s == '.') {
			out[label] = (char)(at - label - 1);
			label = at++;
		} else if (*s == '\\') {
			out[at++] = (char)((s[1] - '0') * 100 + (s[2] - '0') * 10 + s[3] - '0');
			s += 3;
		} else {
			out[at++] = *s;
		}
	}
	out[label] = (char)(at - label - 1);
	if (out[label] != 0)
		out[at++] = 0;
	return at;
}

static int
rdata(uint16_t type, const char *value, char *out)
{
	unsigned preference;

	if (type == DNS_A || type == DNS_AAAA) {
		cr_assert_eq(inet_pton(type == DNS_A ? AF_INET : AF_INET6, value, out), 1);
		return type == DNS_A ? 4 : 16;
	}
	if (type != DNS_MX)
		return (int)name_wire(value, out);
	cr_assert_eq(sscanf(value, "%u:", &preference), 1);
	out[0] = (char)(preference >> 8);
	out[1] = (char)preference;
	return 2 + (int)name_wire(strchr(value, ':') + 1, out + 2);
}

static void
feed(struct chain *c, unsigned slot, const struct said *s)
{
	struct dns_reply r = {.outcome = s->outcome, .secure = s->secure, .ttl = s->ttl};
	struct reply data;
	char values[4096], *save, *v;

	if (s->outcome == DNS_FAILED)
		r.why = s->values;
	snprintf(values, sizeof(values), "%s", s->outcome == DNS_DATA ? s->values : "");
	for (v = strtok_r(values, " ", &save); v != NULL; v = strtok_r(NULL, " ", &save)) {
		cr_assert_lt(r.n, PST_COUNT(data.bytes));
		data.data[r.n] = data.bytes[r.n];
		data.len[r.n] = rdata(s->type, v, data.bytes[r.n]);
		r.n++;
	}
	r.data = data.data;
	r.len = data.len;
	chain_feed(c, slot, &r);
}

struct pst_names_answer *
play(enum pst_names_kind kind, const char *key, const struct said *says, size_t n, uint32_t *ttl)
{
	static const struct chain_ttls ttls = {.max = 1000, .negative = 300, .failure = 5};
	struct pst_names_answer *a;
	struct chain_lookup l;
	struct names_key k;
	struct chain c;
	uint32_t unused;

	cr_assert(names_key_make(&k, kind, pst_span_str(key)));
	chain_start(&c, &k);
	while (chain_next(&c, &l)) {
		for (size_t i = 0; i < n; i++) {
			if (says[i].type == l.type && strcmp(says[i].name, l.name) == 0)
				feed(&c, l.slot, &says[i]);
		}
	}
	a = chain_answer(&c, &ttls, ttl != NULL ? ttl : &unused);
	chain_fini(&c);
	return a;
}

const char *
told(const struct pst_names_answer *a)
{
	static const char *const names[] = {"FOUND", "NONE", "NULL_MX", "TEMPORARY"};
	static char out[PST_NAMES_MAX * (PST_NAME_MAX + 64)];
	char ip[PST_IP_STRLEN];
	size_t n;

	if (a == NULL)
		return "no answer";
	n = (size_t)sprintf(out, "%s%s%s", names[a->status], a->why[0] != 0 ? " " : "", a->why);
	for (unsigned i = 0; i < a->n; i++) {
		n += (size_t)sprintf(out + n, "%s%u %s %s", i > 0 ? ", " : " ", a->e[i].preference,
			a->e[i].name, pst_ip_str(&a->e[i].ip, ip));
	}
	return out;
}

/* ---- names ---- */

_Atomic(uint64_t) kit_now = 1000 * PST_NS_PER_SEC;

uint64_t
kit_clock(void)
{
	return atomic_load(&kit_now);
}

struct pst_names *
kit_names(struct dnsd *d, unsigned nworkers, const struct pst_names_conf *conf,
	uint64_t (*clock)(void))
{
	struct pst_names_conf c = conf != NULL ? *conf : (struct pst_names_conf){0};
	char err[256] = "";
	struct pst_names *n;

	c.nservers = 1;
	c.servers[0] = dnsd_address(d);
	if (c.timeout_ms == 0)
		c.timeout_ms = 60000;
	rcu_register_thread();
	n = names_new(&c, nworkers, clock, err, sizeof(err));
	cr_assert_not_null(n, "%s", err);
	return n;
}

void
kit_end(struct pst_names *n, struct dnsd *d)
{
	pst_names_free(n);
	rcu_barrier(); /* what was deferred is freed too, and leaks show */
	rcu_unregister_thread();
	if (d != NULL)
		dnsd_free(d);
	/* Criterion's processes end without LeakSanitizer's own look. */
	if (__lsan_do_recoverable_leak_check != NULL)
		cr_expect_eq(__lsan_do_recoverable_leak_check(), 0);
}

void
kit_pass(struct pst_names *n, uint64_t ms)
{
	atomic_fetch_add(&kit_now, ms * PST_NS_PER_MS);
	names_wake(n);
}

void
kit_patience(unsigned turns, const char *what)
{
	cr_assert_lt(turns, 60000, "still not so: %s", what);
	usleep(500);
}

const char *
kit_ask(struct pst_names *n, enum pst_names_kind kind, const char *key)
{
	struct pst_names_answer *a = pst_names_wait(n, kind, pst_span_str(key));
	const char *s = told(a);

	free(a);
	return s;
}

const char *
kit_lookup(struct pst_names *n, enum pst_names_kind kind, const char *key)
{
	return told(pst_names_lookup(n, kind, pst_span_str(key)));
}

void
kit_complete(struct pst_names *n, unsigned worker, struct pst_names_done *out, unsigned count)
{
	unsigned got = 0;

	KIT_UNTIL((got += pst_names_completed(n, worker, out + got, count - got)) == count);
}

struct pst_names_counters
kit_counters(struct pst_names *n)
{
	struct pst_names_counters c;
	unsigned cached, open;

	pst_names_stats(n, &c, &cached, &open);
	return c;
}

unsigned
kit_cached(struct pst_names *n)
{
	struct pst_names_counters c;
	unsigned cached, open;

	pst_names_stats(n, &c, &cached, &open);
	return cached;
}

unsigned
kit_open(struct pst_names *n)
{
	struct pst_names_counters c;
	unsigned cached, open;

	pst_names_stats(n, &c, &cached, &open);
	return open;
}
