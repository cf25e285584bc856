/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where an errand's hosts are: addresses of the configuration, names asked of DNS, the
 * MX of a domain (RFC 5321 5.1). The source of names is the caller's: a session looks
 * into the cache and waits for what is missing, explain waits at once.
 */
#include "relay.h"

#include <pst_cycles.h>
#include <stdio.h>
#include <stdlib.h>

#define TARGETS_MAX 256

enum pst_rc
errand_set(struct errand *e, const struct snapshot *sn, unsigned listener,
	const struct pst_verdict *v, struct pst_span domain)
{
	const struct route_class *cls = &sn->classes[v->next_hop];
	const struct pst_config_next_hop *c = cls->hop;
	char text[PST_DOMAIN_TEXT];

	*e = (struct errand){.cls = cls, .want = v->want, .own = &sn->cfg->dataplane};
	/* W1: an action that does not look into TLS asks none of next hops either. Of a next hop
	 * that always has TLS nothing is asked. */
	e->clear = !sn->cfg->actions[sn->cfg->listeners[listener].action].inspect &&
		   c->tls != PST_CONFIG_TLS_IMPLICIT;
	e->pfs = c->has_pfs ? c->pfs
			    : snapshot_recipient_pfs(sn->cfg, &sn->cfg->listeners[listener]);
	if (!c->mx)
		return PST_OK;
	if (c->mx_domain == NULL && !pst_policy_domain(domain, text))
		text[0] = '\0'; /* there can be no such domain */
	e->domain = strdup(c->mx_domain != NULL ? c->mx_domain : text);
	return e->domain != NULL ? PST_OK : PST_NOMEM;
}

/*
 * An action is no source of policy's: it exempts from what is optional, but a demand for TLS, the
 * default rule's and the global level's too, is a conflict with it and never given up.
 */
void
errand_judge(const struct errand *e, const struct snapshot *sn, const struct pst_host_facts *f,
	struct pst_demand *d, struct pst_policy_trace *trace)
{
	const struct pst_policy *p = sn->policy->policy;
	struct pst_want want = e->want;

	if (e->clear) {
		PST_SPEND(PST_LAYER_POLICY, pst_policy_host(p, &want, f, d, NULL));
		if (d->level >= PST_LEVEL_ENCRYPT)
			want.mandatory = (uint8_t)d->level;
		want.exempt = true;
	}
	PST_SPEND(PST_LAYER_POLICY, pst_policy_host(p, &want, f, d, trace));
}

void
errand_clear(struct errand *e)
{
	free(e->domain);
	*e = (struct errand){0};
}

void
targets_clear(struct targets *t)
{
	for (unsigned i = 0; i < t->n; i++)
		free(t->e[i].name);
	free(t->e);
	*t = (struct targets){0};
}

/* Behind those of the same priority: equals keep their order. */
static bool
add(struct targets *t, const struct pst_ip *ip, uint16_t port, uint16_t priority, const char *name)
{
	struct target *grown;
	unsigned at = t->n;
	char *copy = NULL;

	if (t->n == TARGETS_MAX)
		return true;
	grown = realloc(t->e, (t->n + 1) * sizeof(*grown));
	if (grown == NULL)
		return false;
	t->e = grown;
	/* Never a host without its name: lists and map would not know it. */
	if (name != NULL && (copy = strdup(name)) == NULL)
		return false;
	for (; at > 0 && grown[at - 1].priority > priority; at--)
		grown[at] = grown[at - 1];
	grown[at] = (struct target){
		.at = {.ip = *ip, .port = port}, .priority = priority, .name = copy};
	t->n++;
	return true;
}

struct building {
	struct targets *t;
	const struct errand *to;
	names_source *source;
	void *arg;
	uint64_t seed;
	unsigned missing;
	bool ok;
};

/* The worst that DNS said, if it gave no address at all: for now before for good. */
static void
note_failure(struct targets *t, const struct pst_names_answer *a)
{
	if (a->status == PST_NAMES_FOUND || t->status == PST_NAMES_TEMPORARY)
		return;
	t->status = a->status;
}

static const struct pst_names_answer *
ask(struct building *b, enum pst_names_kind kind, const char *key)
{
	const struct pst_names_answer *a = b->source(b->arg, kind, pst_span_str(key));

	if (a == NULL)
		b->missing++;
	else
		note_failure(b->t, a);
	return a;
}

static void
add_host(struct building *b, const struct pst_config_host *h)
{
	const struct pst_names_answer *a;

	if (h->has_address) {
		b->ok &= add(b->t, &h->address, h->port, h->priority, h->name);
		return;
	}
	a = ask(b, PST_NAMES_HOST, h->name);
	for (unsigned i = 0; a != NULL && i < a->n; i++)
		b->ok &= add(b->t, &a->e[i].ip, h->port, h->priority, h->name);
}

static bool
is_ours(const struct pst_config_dataplane *own, const struct pst_ip *ip)
{
	for (unsigned p = 0; own != NULL && p < own->nports; p++) {
		for (unsigned i = 0; i < own->ports[p].naddresses; i++) {
			if (pst_ip_eq(&own->ports[p].addresses[i].ip, ip))
				return true;
		}
	}
	return false;
}

/*
 * RFC 5321 5.1: "The relay host MUST then inspect the list for any of the names or addresses by
 * which it might be known in mail transactions. If a matching record is found, all records at
 * that preference level and higher-numbered ones MUST be discarded from consideration."
 * That level; PREFERENCES if there is none.
 */
#define PREFERENCES 65536u
static unsigned
own_preference(const struct building *b, const struct pst_names_answer *a)
{
	unsigned best = PREFERENCES;

	for (unsigned i = 0; i < a->n; i++) {
		if (is_ours(b->to->own, &a->e[i].ip))
			best = PST_MIN(best, (unsigned)a->e[i].preference);
	}
	return best;
}

/* RFC 5321 5.1: in the order of preference, equals in random order. */
static void
add_mx(struct building *b, const char *domain, uint16_t port)
{
	const struct pst_names_answer *a = ask(b, PST_NAMES_MX, domain);
	struct pst_names_answer *mine;
	unsigned before;

	if (a == NULL || a->n == 0)
		return;
	before = own_preference(b, a);
	b->t->loops = before < PREFERENCES;
	mine = pst_names_copy(a);
	if (mine == NULL) {
		b->ok = false;
		return;
	}
	pst_names_shuffle(mine, b->seed);
	for (unsigned i = 0; i < mine->n && mine->e[i].preference < before; i++)
		b->ok &= add(b->t, &mine->e[i].ip, port, mine->e[i].preference, mine->e[i].name);
	free(mine);
}

/* RFC 5321 4.1.3: "[192.0.2.1]" is its own address. The canonical form has no "IPv6:". */
static bool
literal(const char *domain, struct pst_ip *ip)
{
	char text[PST_IP_STRLEN + 2];
	size_t n = strlen(domain);

	if (n < 3 || n >= sizeof(text) || domain[0] != '[')
		return false;
	memcpy(text, domain + 1, n - 2);
	text[n - 2] = '\0';
	return pst_ip_parse(text, ip) == PST_OK;
}

unsigned
targets_build(struct targets *t, const struct errand *to, names_source *source, void *arg,
	uint64_t seed, bool *ok)
{
	const struct pst_config_next_hop *c = to->cls->hop;
	struct building b = {
		.t = t, .to = to, .source = source, .arg = arg, .seed = seed, .ok = true};
	struct pst_ip ip;

	targets_clear(t);
	t->status = PST_NAMES_FOUND;
	if (!c->mx) {
		for (unsigned i = 0; i < c->nhosts; i++)
			add_host(&b, &c->hosts[i]);
	} else if (to->domain[0] == '\0') {
		t->status = PST_NAMES_NONE;
	} else if (literal(to->domain, &ip)) {
		t->loops = is_ours(to->own, &ip);
		b.ok = t->loops || add(t, &ip, c->port, 0, NULL);
	} else {
		add_mx(&b, to->domain, c->port);
	}
	*ok = b.ok;
	return b.missing;
}

/*
 * A recipient's domain that does not exist is for good (RFC 3463: 5.1.2), one that takes no
 * mail too (RFC 7505 4.2: 556 5.1.10). A host that the operator named is the operator's to
 * put right: mail waits.
 */
struct names_verdict
names_verdict(const struct targets *t, const struct errand *to)
{
	bool recipients = to->cls->hop->mx && to->cls->hop->mx_domain == NULL;

	/* RFC 3463 X.4.6: "Routing loop detected" */
	if (t->loops && recipients)
		return (struct names_verdict){554, "5.4.6", "The mail would come back to us"};
	if (recipients && t->status == PST_NAMES_NULL_MX)
		return (struct names_verdict){556, "5.1.10", "The domain does not accept mail"};
	if (recipients && t->status == PST_NAMES_NONE)
		return (struct names_verdict){
			550, "5.1.2", "No such domain, or no host for its mail"};
	if (t->status == PST_NAMES_TEMPORARY)
		return (struct names_verdict){
			451, "4.4.3", "The name of the next hop cannot be looked up"};
	return (struct names_verdict){451, "4.3.5", "The next hop has no address"};
}
