/* SPDX-License-Identifier: BSD-3-Clause */
#include "chain.h"

#include "dnsname.h"

#include <stdio.h>
#include <stdlib.h>

bool
names_key_make(struct names_key *k, enum pst_names_kind kind, struct pst_span text)
{
	k->kind = (uint8_t)kind;
	if (kind == PST_NAMES_CLIENT) {
		char literal[PST_IP_STRLEN];
		struct pst_ip ip;

		/* A NUL within would hide what follows it. */
		if (text.n >= sizeof(literal) || memchr(text.p, 0, text.n) != NULL)
			return false;
		memcpy(literal, text.p, text.n);
		literal[text.n] = 0;
		if (pst_ip_parse(literal, &ip) != PST_OK)
			return false;
		pst_ip_str(&ip, k->text);
	} else if (!dnsname_from_text(text, k->text)) {
		return false;
	}
	k->len = (uint8_t)strlen(k->text);
	return true;
}

/* ---- hosts to ask for ---- */

static void
settle(struct chain *c, enum pst_names_status status, const char *why)
{
	c->settled = true;
	c->status = status;
	snprintf(c->why, sizeof(c->why), "%s", why);
}

static bool
hosts_new(struct chain *c, unsigned n)
{
	c->hosts = calloc(n, sizeof(*c->hosts));
	if (c->hosts == NULL) {
		settle(c, PST_NAMES_TEMPORARY, "no memory");
		return false;
	}
	c->nhosts = n;
	return true;
}

/* The key itself is the one host. */
static void
host_is_key(struct chain *c)
{
	if (hosts_new(c, 1))
		memcpy(c->hosts[0].name, c->key.text, (size_t)c->key.len + 1);
}

void
chain_start(struct chain *c, const struct names_key *key)
{
	memset(c, 0, sizeof(*c));
	c->key = *key;
	c->secure = true;
	c->ttl = UINT32_MAX;
	if (key->kind == PST_NAMES_HOST) {
		c->head = DNS_SKIPPED;
		c->next = 1;
		host_is_key(c);
	} else if (key->kind == PST_NAMES_CLIENT && pst_ip_parse(key->text, &c->ip) != PST_OK) {
		settle(c, PST_NAMES_NONE, "no address");
	}
}

void
chain_fini(struct chain *c)
{
	free(c->hosts);
	c->hosts = NULL;
	c->nhosts = 0;
}

/* ---- look-ups ---- */

static bool
skip(const struct chain *c, unsigned slot)
{
	unsigned family = (slot - 1) % 2;

	return slot > 0 && c->key.kind == PST_NAMES_CLIENT && family != !pst_ip_is4(&c->ip);
}

bool
chain_has_next(struct chain *c)
{
	if (c->settled || (c->next > 0 && c->head == DNS_WAITING))
		return false;
	for (; c->next > 0 && c->next < 1 + 2 * c->nhosts && skip(c, c->next); c->next++)
		c->hosts[(c->next - 1) / 2].family[(c->next - 1) % 2].outcome = DNS_SKIPPED;
	return c->next < 1 + 2 * c->nhosts;
}

bool
chain_next(struct chain *c, struct chain_lookup *out)
{
	if (!chain_has_next(c))
		return false;
	out->slot = c->next++;
	if (out->slot > 0) {
		out->type = out->slot % 2 == 1 ? DNS_A : DNS_AAAA;
		memcpy(out->name, c->hosts[(out->slot - 1) / 2].name, PST_NAME_MAX);
	} else if (c->key.kind == PST_NAMES_MX) {
		out->type = DNS_MX;
		memcpy(out->name, c->key.text, PST_NAME_MAX);
	} else {
		out->type = DNS_PTR;
		dnsname_reverse(&c->ip, out->name);
	}
	c->waiting++;
	return true;
}

bool
chain_done(struct chain *c)
{
	return c->settled || (c->waiting == 0 && !chain_has_next(c));
}

/* ---- replies ---- */

struct mx {
	uint16_t preference;
	char name[PST_NAME_MAX];
};

/* By preference, equals in the order they came; a name once, as its best; the best 16. */
static unsigned
mx_keep(struct mx *mx, unsigned n, const struct mx *new)
{
	unsigned at;

	for (unsigned i = 0; i < n; i++) {
		if (strcmp(mx[i].name, new->name) != 0)
			continue;
		if (mx[i].preference <= new->preference)
			return n;
		memmove(&mx[i], &mx[i + 1], (--n - i) * sizeof(*mx));
	}
	for (at = n; at > 0 && mx[at - 1].preference > new->preference; at--)
		;
	if (at == CHAIN_HOSTS)
		return n;
	n = PST_MIN(n, CHAIN_HOSTS - 1u);
	memmove(&mx[at + 1], &mx[at], (n - at) * sizeof(*mx));
	mx[at] = *new;
	return n + 1;
}

static bool
mx_parse(const uint8_t *p, int len, struct mx *out)
{
	if (len < 3 || !dnsname_from_wire(p + 2, (size_t)len - 2, out->name))
		return false;
	out->preference = (uint16_t)(p[0] << 8 | p[1]);
	return true;
}

static void
feed_mx(struct chain *c, const struct dns_reply *r)
{
	struct mx mx[CHAIN_HOSTS], new;
	unsigned n = 0;

	for (unsigned i = 0; i < r->n; i++) {
		if (!mx_parse((const uint8_t *)r->data[i], r->len[i], &new)) {
			c->dropped++;
		} else if (new.name[0] != 0) {
			n = mx_keep(mx, n, &new);
		} else if (r->n == 1) {
			/* RFC 7505 3: "a domain that advertises a null MX MUST NOT advertise any
			   other MX RR": beside others it is no null MX, and no host either. */
			settle(c, PST_NAMES_NULL_MX, "null MX");
			return;
		} else {
			c->dropped++;
		}
	}
	/* RFC 5321 5.1: MX records without use are an error, never a reason to take A. */
	if (n == 0)
		settle(c, PST_NAMES_NONE, "no usable MX");
	else if (hosts_new(c, n)) {
		for (unsigned i = 0; i < n; i++) {
			memcpy(c->hosts[i].name, mx[i].name, PST_NAME_MAX);
			c->hosts[i].preference = mx[i].preference;
		}
	}
}

/* In alphabetical order: a client has the same name however its records rotate. */
static void
feed_ptr(struct chain *c, const struct dns_reply *r)
{
	char names[CHAIN_PTRS][PST_NAME_MAX], name[PST_NAME_MAX];
	unsigned n = 0, at;
	int cmp = 1;

	for (unsigned i = 0; i < r->n; i++) {
		if (r->len[i] < 0 ||
			!dnsname_from_wire((const uint8_t *)r->data[i], (size_t)r->len[i], name) ||
			name[0] == 0) {
			c->dropped++;
			continue;
		}
		for (at = 0; at < n && (cmp = strcmp(names[at], name)) < 0; at++)
			;
		if (at == CHAIN_PTRS || (at < n && cmp == 0))
			continue;
		n = PST_MIN(n, CHAIN_PTRS - 1u);
		memmove(names[at + 1], names[at], (n - at) * PST_NAME_MAX);
		memcpy(names[at], name, PST_NAME_MAX);
		n++;
	}
	if (n == 0)
		settle(c, PST_NAMES_NONE, "no usable PTR");
	else if (hosts_new(c, n)) {
		for (unsigned i = 0; i < n; i++)
			memcpy(c->hosts[i].name, names[i], PST_NAME_MAX);
	}
}

static void
feed_head(struct chain *c, const struct dns_reply *r)
{
	c->head = r->outcome;
	if (r->outcome == DNS_FAILED)
		settle(c, PST_NAMES_TEMPORARY, r->why);
	else if (r->outcome == DNS_NXDOMAIN)
		settle(c, PST_NAMES_NONE, "NXDOMAIN");
	else if (r->outcome == DNS_DATA && c->key.kind == PST_NAMES_MX)
		feed_mx(c, r);
	else if (r->outcome == DNS_DATA)
		feed_ptr(c, r);
	/* RFC 5321 5.1: "If an empty list of MXs is returned, the address is treated as if it
	   was associated with an implicit MX RR, with a preference of 0". */
	else if (c->key.kind == PST_NAMES_MX)
		host_is_key(c);
	else
		settle(c, PST_NAMES_NONE, "no PTR");
}

/* An address that a host can have: not unspecified, not multicast, no IPv4 dressed as IPv6. */
static bool
address(const char *p, int len, unsigned family, struct pst_ip *out)
{
	if (family == 0 && len == 4) {
		uint32_t be;

		memcpy(&be, p, 4);
		*out = pst_ip_from4(be);
	} else if (family == 1 && len == 16) {
		*out = pst_ip_from6((const uint8_t *)p);
		if (pst_ip_is4(out))
			return false;
	} else {
		return false;
	}
	return !pst_ip_is_any(out) && !pst_ip_is_multicast(out);
}

static void
feed_host(struct chain *c, unsigned slot, const struct dns_reply *r)
{
	struct chain_family *f = &c->hosts[(slot - 1) / 2].family[(slot - 1) % 2];

	f->outcome = r->outcome;
	if (r->outcome == DNS_FAILED)
		snprintf(c->why, sizeof(c->why), "%s", r->why);
	if (r->outcome != DNS_DATA)
		return;
	for (unsigned i = 0; i < r->n; i++) {
		struct pst_ip ip;
		bool have = false;

		if (!address(r->data[i], r->len[i], (slot - 1) % 2, &ip)) {
			c->dropped++;
			continue;
		}
		for (unsigned k = 0; k < f->n; k++)
			have |= pst_ip_eq(&f->ip[k], &ip);
		/* A client's own address counts wherever it stands in a long list. */
		if (c->key.kind == PST_NAMES_CLIENT)
			have |= !pst_ip_eq(&c->ip, &ip);
		if (!have && f->n < PST_NAMES_MAX)
			f->ip[f->n++] = ip;
	}
}

void
chain_feed(struct chain *c, unsigned slot, const struct dns_reply *r)
{
	c->waiting--;
	c->secure &= r->secure;
	if (r->outcome != DNS_FAILED) /* which has a life of its own: failure_ttl */
		c->ttl = PST_MIN(c->ttl, r->ttl);
	if (slot == 0)
		feed_head(c, r);
	else
		feed_host(c, slot, r);
}
