/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who never (S10) and who always (S11) uses STARTTLS: addresses, networks, hosts, and
 * what is below a domain. One entry on both lists is a fault; one that lies inside the
 * other list's is a warning, for whoever is on both is a conflict.
 *
 * An address is asked once for each prefix length that somebody wrote, a name once for
 * each of its parents.
 */
#include "policy_int.h"
#include <stdlib.h>

struct entry {
	bool is_name;
	struct pst_prefix prefix; /* len in bits of 128 */
	struct policy_domain name;
};

static void
mask_address(struct pst_ip *ip, unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits > 8 * i ? PST_MIN(bits - 8 * i, 8u) : 0;

		ip->b[i] &= (uint8_t)(0xff00u >> keep);
	}
}

static const char *
parse_network(const char *text, struct entry *e)
{
	if (pst_prefix_parse(text, &e->prefix) != PST_OK)
		return "not a network";
	if (pst_ip_is4(&e->prefix.ip))
		e->prefix.len = (uint8_t)(e->prefix.len + 96);
	mask_address(&e->prefix.ip, e->prefix.len);
	return NULL;
}

static const char *
parse_entry(const char *text, struct entry *e)
{
	char pattern[POLICY_DOMAIN_MAX + 3];
	const char *why;

	e->is_name = false;
	e->prefix.len = 128;
	if (pst_ip_parse(text, &e->prefix.ip) == PST_OK)
		return NULL;
	if (strchr(text, '/') != NULL)
		return parse_network(text, e);
	if (strcmp(text, "*") == 0)
		return "\"*\" names everybody: that is what `inbound` and `outbound` are for";
	e->is_name = true;
	if (text[0] == '.' && strlen(text) <= POLICY_DOMAIN_MAX) {
		pattern[0] = '*';
		memcpy(pattern + 1, text, strlen(text) + 1);
		text = pattern;
	}
	why = policy_pattern_fold(&e->name, text);
	if (why != NULL || !e->name.literal)
		return why;
	e->is_name = false; /* "[192.0.2.1]" */
	e->name.s[e->name.n - 1] = 0;
	return pst_ip_parse(e->name.s + 1, &e->prefix.ip) == PST_OK ? NULL : "not an address";
}

/* ---- compile ---- */

static void
note_length(struct policy_lists *l, const struct entry *e)
{
	bool is4 = pst_ip_is4(&e->prefix.ip) && e->prefix.len >= 96;
	uint8_t *len = is4 ? l->len4 : l->len6;
	unsigned *n = is4 ? &l->nlen4 : &l->nlen6;

	for (unsigned i = 0; i < *n; i++)
		if (len[i] == e->prefix.len)
			return;
	len[(*n)++] = e->prefix.len;
}

/* Its bits so far; new: none yet. NULL: no memory. */
static uint8_t *
name_bits(struct policy_lists *l, const struct entry *e)
{
	int64_t id = policy_names_add(&l->names, e->name.s, e->name.n);

	l->any_name = true;
	return id < 0 ? NULL : &l->names_bits[id];
}

static bool
add_entry(struct policy_lists *l, const struct entry *e, unsigned bit, unsigned *had)
{
	uint32_t *v;
	uint8_t *bits;

	if (e->is_name) {
		if ((bits = name_bits(l, e)) == NULL)
			return false;
		*had = *bits;
		*bits |= (uint8_t)bit;
		return true;
	}
	v = policy_addresses_find(&l->addresses, &e->prefix.ip, e->prefix.len);
	*had = v != NULL ? *v : 0;
	if (v != NULL)
		*v |= bit;
	else
		policy_addresses_add(&l->addresses, &e->prefix.ip, e->prefix.len, bit);
	note_length(l, e);
	return true;
}

static void
add_list(struct policy_compile *c, const struct pst_policy_list *in,
	enum pst_policy_section section, unsigned bit)
{
	for (unsigned i = 0; i < in->n && !c->nomem; i++) {
		struct entry e;
		const char *why = parse_entry(in->entries[i], &e);
		unsigned had = 0;

		if (why != NULL) {
			policy_fault(c, section, i, "", "%s", why);
			continue;
		}
		if (!add_entry(&c->p->lists, &e, bit, &had))
			c->nomem = true;
		else if ((had & bit) != 0)
			policy_fault(c, section, i, "", "the same entry twice");
		else if (had != 0)
			policy_fault(c, section, i, "", "in both lists: never and required");
	}
}

static bool
keep_text(struct policy_compile *c, char ***to, const struct pst_policy_list *in)
{
	*to = calloc((size_t)in->n + 1, sizeof(**to));
	for (unsigned i = 0; *to != NULL && i < in->n; i++)
		(*to)[i] = policy_strdup(c, in->entries[i], strlen(in->entries[i]));
	return *to != NULL;
}

void
policy_lists_compile(struct policy_compile *c)
{
	struct policy_lists *l = &c->p->lists;
	const struct pst_policy_conf *conf = c->conf;
	size_t n = (size_t)conf->never.n + conf->required.n;

	l->n[0] = conf->never.n;
	l->n[1] = conf->required.n;
	l->names_bits = calloc(n + 1, 1);
	if (l->names_bits == NULL || !policy_names_init(&l->names, n) ||
		!policy_addresses_init(&l->addresses, n) ||
		!keep_text(c, &l->text[0], &conf->never) ||
		!keep_text(c, &l->text[1], &conf->required)) {
		c->nomem = true;
		return;
	}
	add_list(c, &conf->never, PST_POLICY_NEVER, PST_LISTED_NEVER);
	add_list(c, &conf->required, PST_POLICY_REQUIRED, PST_LISTED_REQUIRED);
}

void
policy_lists_fini(struct policy_lists *l)
{
	for (unsigned which = 0; which < 2; which++) {
		for (unsigned i = 0; l->text[which] != NULL && i < l->n[which]; i++)
			free(l->text[which][i]);
		free(l->text[which]);
	}
	policy_names_fini(&l->names);
	policy_addresses_fini(&l->addresses);
	free(l->names_bits);
}

/* ---- questions ---- */

/* Of networks of at most `bits`: to ask what a network lies in. */
static unsigned
address_bits(const struct policy_lists *l, const struct pst_ip *ip, unsigned bits)
{
	bool is4 = pst_ip_is4(ip) && bits >= 96;
	const uint8_t *len = is4 ? l->len4 : l->len6;
	unsigned n = is4 ? l->nlen4 : l->nlen6, out = 0;

	for (unsigned i = 0; i < n; i++) {
		struct pst_ip masked = *ip;
		const uint32_t *v;

		if (len[i] > bits)
			continue;
		mask_address(&masked, len[i]);
		if ((v = policy_addresses_find(&l->addresses, &masked, len[i])) != NULL)
			out |= *v;
	}
	return out;
}

unsigned
policy_lists_address(const struct policy_lists *l, const struct pst_ip *ip)
{
	return address_bits(l, ip, 128);
}

unsigned
policy_lists_name(const struct policy_lists *l, const struct policy_query *q)
{
	unsigned k = q->dots, out = 0;
	int64_t id = policy_names_exact(&l->names, q);

	if (id >= 0)
		out = l->names_bits[id];
	while ((id = policy_names_parent(&l->names, q, &k)) >= 0)
		out |= l->names_bits[id];
	return out;
}

/* ---- lint ---- */

static unsigned
covering_bits(const struct policy_lists *l, const struct entry *e)
{
	struct policy_query q;

	if (!e->is_name)
		return address_bits(l, &e->prefix.ip, e->prefix.len);
	q.d = e->name;
	policy_query_hash(&q);
	return policy_lists_name(l, &q);
}

unsigned
policy_lists_lint(const struct pst_policy *p, pst_policy_report_fn *report, void *arg)
{
	static const enum pst_policy_section section[] = {PST_POLICY_NEVER, PST_POLICY_REQUIRED};
	static const unsigned other[] = {PST_LISTED_REQUIRED, PST_LISTED_NEVER};
	const struct policy_lists *l = &p->lists;
	unsigned n = 0;
	struct entry e;

	for (unsigned which = 0; which < 2; which++)
		for (unsigned i = 0; i < l->n[which]; i++) {
			if (parse_entry(l->text[which][i], &e) != NULL ||
				(covering_bits(l, &e) & other[which]) == 0)
				continue;
			report(arg, section[which], i, "",
				which == 0 ? "inside an entry of the required list: a conflict"
					   : "inside an entry of the never list: a conflict");
			n++;
		}
	return n;
}
