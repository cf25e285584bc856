/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Explain: what would become of a mail, by the functions that decide it for real: policy's
 * questions in their order, errand and targets, demand. Nothing here decides anything; it
 * asks, and writes down what it heard.
 *
 * Control thread. The published snapshot stays put meanwhile: who publishes is this thread.
 */
#include "relay.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

#define LIVE_MS 10000 /* for all hosts together: the control thread waits */

const char *const pst_relay_hop_state_names[PST_HOP_STATES] = {
	"no_starttls", "good", "untrusted", "broken"};

struct inquiry {
	struct pst_relay *r;
	struct snapshot *sn;
	const struct pst_explain_query *q;
	struct pst_explain *out;
	unsigned listener;
	struct pst_facts facts;
	struct errand to;
	struct targets targets;
	struct pst_names_query heard[64]; /* of hosts; the keys are the configuration's or to's */
	unsigned nheard;
	char *err;
	size_t errlen;
};

static void PST_PRINTF(3, 4) text(char *out, size_t cap, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out, cap, fmt, ap);
	va_end(ap);
}

#define TEXT(field, ...) text(field, sizeof(field), __VA_ARGS__)

static void
reply(struct pst_explain_reply *r, unsigned code, const char *enh, const char *t,
	const char *reason)
{
	r->code = code;
	TEXT(r->enh, "%s", enh != NULL ? enh : "");
	TEXT(r->text, "%s", t != NULL ? t : "");
	TEXT(r->reason, "%s", reason != NULL ? reason : "");
}

/* ---- who asks, where ---- */

static bool
listener_fits(const struct inquiry *i, unsigned n)
{
	const struct pst_config_listener *ln = &i->sn->cfg->listeners[n];

	if (i->q->listener != NULL && strcmp(i->q->listener, ln->name) != 0)
		return false;
	return i->q->tls ? i->sn->listeners[n] != NULL : ln->tls != PST_CONFIG_TLS_IMPLICIT;
}

static enum pst_rc
choose_listener(struct inquiry *i)
{
	unsigned n = 0, all = i->sn->cfg->nlisteners;

	while (n < all && !listener_fits(i, n))
		n++;
	if (n == all) {
		text(i->err, i->errlen, "no listener%s%s%s takes a client %s",
			i->q->listener != NULL ? " \"" : "",
			i->q->listener != NULL ? i->q->listener : "",
			i->q->listener != NULL ? "\"" : "", i->q->tls ? "with TLS" : "in clear");
		return PST_INVAL;
	}
	i->listener = n;
	TEXT(i->out->listener, "%s", i->sn->cfg->listeners[n].name);
	return PST_OK;
}

/*
 * For its look into the cache this thread must be known to RCU, and at no other time: asleep, it
 * would hold up grace periods.
 */
static void
ask_dns(const struct inquiry *i, struct pst_names_query *q, unsigned n)
{
	if (i->sn->names == NULL || n == 0)
		return;
	rcu_register_thread();
	pst_names_wait_all(i->sn->names, q, n);
	rcu_unregister_thread();
}

static void
find_client_name(struct inquiry *i)
{
	char ip[PST_IP_STRLEN];
	struct pst_names_query q = {
		.kind = PST_NAMES_CLIENT, .key = pst_span_str(pst_ip_str(&i->q->client, ip))};

	ask_dns(i, &q, 1);
	if (q.answer != NULL && q.answer->status == PST_NAMES_FOUND && q.answer->n > 0)
		TEXT(i->out->client_name, "%s", q.answer->e[0].name);
	free(q.answer);
}

/* The view's keywords say what its sessions begin with; then as session_open goes on. */
static bool
starttls_offered(const struct inquiry *i)
{
	const struct pst_config_listener *ln = &i->sn->cfg->listeners[i->listener];
	uint32_t keywords = i->sn->views[0].listeners[i->listener].keywords;
	unsigned listed = i->facts.client_listed;

	if ((keywords & PST_SMTP_STARTTLS) == 0 || !session_may_encrypt(i->sn, i->listener, listed))
		return false;
	if (mirror_wanted(i->sn, ln, listed) && !mirror_offers(&i->r->shards[0], i->sn->generation))
		return false;
	return !session_tls_broken(
		i->r, i->sn, &i->q->client, listed, pst_now_ns() / PST_NS_PER_MS);
}

static enum pst_rc
ask_client(struct inquiry *i)
{
	const struct pst_policy *p = i->sn->policy->policy;

	i->facts = (struct pst_facts){.listener = i->listener, .client_tls = i->q->tls};
	if (i->q->has_client) {
		i->facts.client = i->q->client;
		find_client_name(i);
		i->facts.client_listed =
			pst_policy_client(p, &i->q->client, pst_span_str(i->out->client_name));
	}
	i->out->starttls_offered = starttls_offered(i);
	if (i->q->tls && !i->out->starttls_offered &&
		i->sn->cfg->listeners[i->listener].tls == PST_CONFIG_TLS_STARTTLS) {
		text(i->err, i->errlen, "listener \"%s\" does not offer STARTTLS to this client",
			i->out->listener);
		return PST_INVAL;
	}
	return PST_OK;
}

/* ---- MAIL and RCPT ---- */

static void
put_verdict(struct inquiry *i, const struct pst_verdict *v)
{
	struct pst_explain *out = i->out;
	const struct pst_config_policy *p = &i->sn->cfg->policy;
	const char *why;

	TEXT(out->rule, "%s", v->rule_id);
	TEXT(out->sender_policy, "%s", pst_sender_name(v->sender));
	TEXT(out->recipient_policy, "%s", pst_recipient_name(v->recipient));
	if (v->rule >= 0) {
		const struct pst_config_rule *c = &p->rules[v->rule];
		struct pst_policy_rule r = {.id = c->id,
			.from = c->from,
			.to = c->to,
			.sender = c->sender,
			.recipient = c->recipient,
			.enabled = c->enabled};

		(void)pst_rule_format(&r, out->rule_line, sizeof(out->rule_line), &why);
	}
}

/* The part behind the last '@'; quotes are the address's own business. */
static struct pst_span
domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	if (strcmp(address, "<>") == 0)
		return pst_span("", 0);
	return pst_span_str(at != NULL ? at + 1 : address);
}

static bool
ask_mail(struct inquiry *i)
{
	const struct pst_policy *p = i->sn->policy->policy;
	struct pst_verdict v;

	i->facts.sender_known = true;
	i->facts.sender_domain = domain_of(i->q->from);
	if (!i->q->tls && pst_policy_tls_first(p, i->facts.client_listed)) {
		reply(&i->out->mail, 530, "5.7.0", "Must issue a STARTTLS command first",
			"tls_required");
		return false;
	}
	pst_policy_mail(p, &i->facts, &v, &i->out->trace);
	put_verdict(i, &v);
	if (v.kind == PST_VERDICT_REFUSE)
		reply(&i->out->mail, v.code, v.enh, v.text, v.reason);
	else
		reply(&i->out->mail, 250, "2.1.0", "Ok", NULL);
	return v.kind != PST_VERDICT_REFUSE;
}

static bool
ask_rcpt(struct inquiry *i)
{
	const struct pst_config *cfg = i->sn->cfg;
	struct pst_verdict v;

	i->facts.recipient_domain = domain_of(i->q->to);
	i->out->trace.n = 0; /* RCPT's chain tells all that MAIL's did */
	pst_policy_rcpt(i->sn->policy->policy, &i->facts, &v, &i->out->trace);
	put_verdict(i, &v);
	if (v.kind != PST_VERDICT_REFUSE || strcmp(v.reason, "relay_denied") != 0) {
		TEXT(i->out->route, "%s", cfg->routes[v.route].domain);
		TEXT(i->out->next_hop, "%s", cfg->next_hops[v.next_hop].name);
	}
	if (v.kind == PST_VERDICT_REFUSE) {
		reply(&i->out->rcpt, v.code, v.enh, v.text, v.reason);
		return false;
	}
	if (errand_set(&i->to, i->sn, i->listener, &v, i->facts.recipient_domain) != PST_OK)
		return false;
	TEXT(i->out->domain, "%s", i->to.domain != NULL ? i->to.domain : "");
	return true;
}

/* ---- hosts ---- */

/* What was heard; what was not is noted, to be asked all at once as sessions do. */
static const struct pst_names_answer *
heard(void *arg, enum pst_names_kind kind, struct pst_span key)
{
	struct inquiry *i = arg;
	unsigned k = 0;

	while (k < i->nheard && (i->heard[k].kind != kind || !pst_span_eq(i->heard[k].key, key)))
		k++;
	if (k < i->nheard)
		return i->heard[k].answer;
	if (k < PST_COUNT(i->heard))
		i->heard[i->nheard++] = (struct pst_names_query){.kind = kind, .key = key};
	return NULL;
}

static void
hear(struct inquiry *i)
{
	ask_dns(i, i->heard, i->nheard);
	for (unsigned k = 0; k < i->nheard; k++) {
		const struct pst_names_query *q = &i->heard[k];

		if (q->answer != NULL && q->answer->status != PST_NAMES_FOUND)
			TEXT(i->out->names, "%.*s: %s", PST_SPAN_FMT(q->key), q->answer->why);
	}
}

static bool
find_targets(struct inquiry *i)
{
	uint64_t seed = i->sn->generation;
	struct names_verdict v;
	unsigned missing;
	bool ok;

	(void)targets_build(&i->targets, &i->to, heard, i, seed, &ok);
	hear(i);
	missing = targets_build(&i->targets, &i->to, heard, i, seed, &ok);
	if (i->targets.n > 0)
		return true;
	if (missing > 0 || !ok)
		i->targets.status = PST_NAMES_TEMPORARY;
	v = names_verdict(&i->targets, &i->to);
	reply(&i->out->rcpt, v.code, v.enh, v.text, v.code >= 500 ? "no_such_host" : NULL);
	return false;
}

static void
put_fault(struct pst_explain_reply *r, enum hop_fault f)
{
	int refusal = hop_fault_refusal(f);

	reply(r, 451, hop_fault_enh(f), hop_fault_text(f),
		refusal >= 0 ? pst_relay_refusal_names[refusal] : NULL);
}

/* HOP_FAULT_NONE: the message can go on, by *tls. The same steps as hop.c takes. */
static enum hop_fault
foresee(const struct inquiry *i, const struct pst_demand *d, bool broken, unsigned state, bool *tls)
{
	enum pst_config_tls_mode mode = i->to.cls->hop->tls;
	bool fallback = demand_may_fall_back(d->level, mode, i->sn->cfg->policy.broken_tls.enabled);

	*tls = false;
	if (d->conflict)
		return HOP_FAULT_CONFLICT;
	if (mode != PST_CONFIG_TLS_IMPLICIT) {
		enum tls_step st =
			mode == PST_CONFIG_TLS_NONE
				? TLS_STEP_PLAIN
				: demand_step(d->level, mode, state != PST_HOP_NO_STARTTLS,
					  broken && fallback);

		if (st == TLS_STEP_MISSING)
			return HOP_FAULT_NO_TLS;
		if (st == TLS_STEP_PLAIN)
			return HOP_FAULT_NONE;
	}
	*tls = true;
	if (state == PST_HOP_GOOD || (state == PST_HOP_UNTRUSTED && !demand_verifies(d->level)))
		return HOP_FAULT_NONE;
	if (state == PST_HOP_BROKEN && fallback) {
		*tls = false;
		return HOP_FAULT_NONE;
	}
	return HOP_FAULT_TLS;
}

static void
put_outcomes(const struct inquiry *i, struct pst_explain_host *h, const struct pst_demand *d)
{
	for (unsigned state = 0; state < PST_HOP_STATES; state++) {
		bool tls;
		enum hop_fault f = foresee(i, d, h->broken, state, &tls);

		if (f != HOP_FAULT_NONE) {
			put_fault(&h->outcome[state].reply, f);
			continue;
		}
		reply(&h->outcome[state].reply, 250, "2.1.5", "Ok", NULL);
		TEXT(h->outcome[state].channel, "%s", tls ? "tls" : "plain");
	}
}

static void
put_match(struct pst_explain_host *h, const struct pst_demand *d)
{
	size_t n = 0;

	for (unsigned k = 0; k < d->nnames && n < sizeof(h->match); k++)
		n += (size_t)snprintf(h->match + n, sizeof(h->match) - n, "%s%s%.*s",
			k > 0 ? "," : "", d->names[k].subdomains ? "." : "",
			PST_SPAN_FMT(d->names[k].name));
	for (unsigned k = 0; k < d->nfingerprints; k++) {
		for (unsigned b = 0; b < 32 && n + 4 < sizeof(h->match); b++)
			n += (size_t)snprintf(h->match + n, sizeof(h->match) - n, "%s%02X",
				b > 0 ? ":" : (k > 0 ? "," : ""), d->fingerprints[k][b]);
	}
}

static void
put_settings(const struct inquiry *i, struct pst_explain_host *h, const struct pst_demand *d)
{
	const struct pst_policy_tls *t = pst_policy_tls(i->sn->policy->policy, d->tls);

	if (t->min_version != 0 || t->max_version != 0)
		TEXT(h->protocols, "1.%u..1.%u",
			t->min_version != 0 ? (unsigned)(t->min_version - 0x0301) : 0,
			t->max_version != 0 ? (unsigned)(t->max_version - 0x0301) : 3);
	TEXT(h->ciphers, "%s", t->ciphers != NULL ? t->ciphers : "");
	TEXT(h->servername, "%.*s", PST_SPAN_FMT(d->servername));
}

static void
put_host(struct inquiry *i, const struct target *t, bool first)
{
	struct pst_explain_host *h = &i->out->hosts[i->out->nhosts++];
	struct pst_host_facts f = {.next_hop = (unsigned)(i->to.cls - i->sn->classes),
		.ip = t->at.ip,
		.port = t->at.port};
	struct pst_demand d;

	if (t->name != NULL)
		f.name = pst_span_str(t->name);
	if (i->to.domain != NULL)
		f.domain = pst_span_str(i->to.domain);
	errand_judge(&i->to, i->sn, &f, &d, first ? &i->out->trace : NULL);
	TEXT(h->name, "%s", t->name != NULL ? t->name : "");
	h->at = t->at;
	TEXT(h->demand, "%s", d.conflict ? "conflict" : pst_level_name(d.level));
	h->broken = i->sn->cfg->policy.broken_tls.enabled &&
		    broken_has(i->r->broken, &t->at.ip, false, pst_now_ns() / PST_NS_PER_MS);
	put_match(h, &d);
	if (!d.conflict && d.level > PST_LEVEL_NONE)
		put_settings(i, h, &d);
	put_outcomes(i, h, &d);
}

/* A transaction tries one host after the other: the first that can carry it answers. */
static void
put_rcpt_of_hosts(struct pst_explain *out)
{
	for (unsigned k = 0; k < out->nhosts; k++) {
		out->rcpt = out->hosts[k].outcome[PST_HOP_GOOD].reply;
		if (out->rcpt.code == 250)
			break;
	}
}

/* ---- live ---- */

/* Can its mail go on with this host? With broken-TLS memory it may do so in clear. */
static bool
live_is_enough(struct pst_explain_host *h)
{
	const struct pst_explain_reply *broken = &h->outcome[PST_HOP_BROKEN].reply;

	if (!h->live.ok && strcmp(h->live.fault, hop_fault_word(HOP_FAULT_TLS)) == 0 &&
		broken->code == 250)
		h->live.code = broken->code;
	return h->live.code == 250;
}

static void
try_hosts(struct inquiry *i)
{
	const struct pst_config_listener *ln = &i->sn->cfg->listeners[i->listener];
	uint64_t end = pst_now_ns() / PST_NS_PER_MS + LIVE_MS;

	for (unsigned k = 0; k < i->out->nhosts; k++) {
		uint64_t now = pst_now_ns() / PST_NS_PER_MS;
		struct probe p = {.snap = i->sn,
			.to = &i->to,
			.target = &i->targets.e[k],
			.helo = i->to.cls->hop->helo != NULL ? i->to.cls->hop->helo : ln->hostname,
			.ms = now < end ? (uint32_t)(end - now) : 0,
			.out = &i->out->hosts[k]};
		struct mailbox *m = &i->r->shards[0].mail;

		if (p.ms == 0)
			return;
		m->kind = MAIL_PROBE;
		m->probe = &p;
		if (mailbox_ask(i->r, 0) != PST_OK || live_is_enough(p.out))
			return;
	}
}

/* What was found outranks what was foretold of a good one. */
static void
put_rcpt_of_live(struct pst_explain *out)
{
	const struct pst_explain_host *h = NULL;

	for (unsigned k = 0; k < out->nhosts && out->hosts[k].live.tried; k++)
		h = &out->hosts[k];
	if (h == NULL)
		return;
	if (h->live.code == 250) {
		reply(&out->rcpt, 250, "2.1.5", "Ok", NULL);
		return;
	}
	for (int f = HOP_FAULT_CONNECT; f <= HOP_FAULT_RESOURCE; f++)
		if (strcmp(hop_fault_word((enum hop_fault)f), h->live.fault) == 0)
			put_fault(&out->rcpt, (enum hop_fault)f);
}

/* ---- the whole ---- */

/* A client that goes on all the same: lib/smtp's words, for it never comes to us. */
static void
put_data_without_mail(struct inquiry *i)
{
	bool first =
		!i->q->tls && pst_policy_tls_first(i->sn->policy->policy, i->facts.client_listed);

	if (first)
		i->out->data = i->out->mail; /* one answer to everything before TLS */
	else
		reply(&i->out->data, 503, "5.5.1", "need MAIL first", NULL);
}

static void
ask_everything(struct inquiry *i)
{
	struct pst_explain *out = i->out;

	if (!ask_mail(i)) {
		put_data_without_mail(i);
		return;
	}
	if (ask_rcpt(i) && find_targets(i)) {
		unsigned n = PST_MIN(i->targets.n, (unsigned)PST_EXPLAIN_HOSTS);

		n = PST_MIN(n, i->to.cls->hop->max_tries);
		for (unsigned k = 0; k < n; k++)
			put_host(i, &i->targets.e[k], k == 0);
		put_rcpt_of_hosts(out);
		if (i->q->live && atomic_load(&i->r->running) > 0) {
			try_hosts(i);
			put_rcpt_of_live(out);
		}
	}
	if (out->rcpt.code == 250)
		reply(&out->data, 354, "", "End data with <CR><LF>.<CR><LF>", NULL);
	else
		reply(&out->data, 554, "5.5.1", "no valid recipients", NULL);
}

enum pst_rc
pst_relay_explain(struct pst_relay *r, const struct pst_explain_query *q, struct pst_explain *out,
	char *err, size_t errlen)
{
	struct inquiry i = {
		.r = r, .sn = r->snap, .q = q, .out = out, .err = err, .errlen = errlen};
	enum pst_rc rc;

	memset(out, 0, sizeof(*out));
	out->generation = i.sn->generation;
	rc = choose_listener(&i);
	if (rc == PST_OK)
		rc = ask_client(&i);
	if (rc == PST_OK)
		ask_everything(&i);
	targets_clear(&i.targets);
	errand_clear(&i.to);
	for (unsigned k = 0; k < i.nheard; k++)
		free(i.heard[k].answer);
	return rc;
}
