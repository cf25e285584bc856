/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A level and what the certificate must show for it, of a map entry or of a next
 * hop: names for verify and secure, digests for fingerprint, nothing for the rest.
 */
#include "policy_int.h"
#include <stdlib.h>

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "AB:CD:..", 32 bytes, the colons may be missing. */
static bool
parse_digest(const char *s, uint8_t out[32])
{
	for (unsigned i = 0; i < 32; i++) {
		int high = hex(s[0]), low = high < 0 ? -1 : hex(s[1]);

		if (low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
		s += 2;
		if (*s == ':' && i < 31)
			s++;
	}
	return *s == 0;
}

static const char *
parse_name(struct policy_compile *c, const char *text, struct policy_match *m)
{
	struct policy_domain d;
	const char *why;

	m->kind = POLICY_MATCH_NAME;
	if (strcasecmp(text, "hostname") == 0)
		m->kind = POLICY_MATCH_HOSTNAME;
	else if (strcasecmp(text, "nexthop") == 0)
		m->kind = POLICY_MATCH_NEXTHOP;
	else if (strcasecmp(text, "dot-nexthop") == 0)
		m->kind = POLICY_MATCH_DOT_NEXTHOP;
	if (m->kind != POLICY_MATCH_NAME)
		return NULL;
	m->subdomains = text[0] == '.';
	if (!policy_domain_fold(&d, pst_span_str(text + m->subdomains)))
		return "longer than 255 bytes";
	if ((why = policy_domain_fault(&d)) != NULL)
		return why;
	if (d.literal && m->subdomains)
		return "an address has no subdomains";
	if (d.literal) /* a certificate has the bare address */
		m->name = policy_strdup(c, d.s + 1, d.n - 2);
	else
		m->name = policy_strdup(c, d.s, d.n);
	return NULL;
}

static const char *
level_fault(enum pst_level level, unsigned nmatch)
{
	if (level == PST_LEVEL_FINGERPRINT && nmatch == 0)
		return "the level `fingerprint` needs at least one digest";
	if (nmatch > 0 && level < PST_LEVEL_FINGERPRINT)
		return "match needs the level fingerprint, verify or secure";
	if (nmatch > PST_MATCH_MAX)
		return "more than 16";
	return NULL;
}

bool
policy_word_compile(struct policy_compile *c, enum pst_policy_section section, unsigned index,
	enum pst_level level, unsigned nmatch, const char *const *match, struct policy_word *out)
{
	const char *why = level_fault(level, nmatch);
	unsigned before = c->faults;

	out->level = level;
	if (why != NULL)
		policy_fault(c, section, index, "match", "%s", why);
	if (why != NULL || nmatch == 0)
		return why == NULL;
	if (level == PST_LEVEL_FINGERPRINT)
		out->fingerprints = calloc(nmatch, sizeof(*out->fingerprints));
	else
		out->match = calloc(nmatch, sizeof(*out->match));
	if (out->fingerprints == NULL && out->match == NULL) {
		c->nomem = true;
		return false;
	}
	for (unsigned i = 0; i < nmatch; i++) {
		why = NULL;
		if (level != PST_LEVEL_FINGERPRINT)
			why = parse_name(c, match[i], &out->match[out->nmatch++]);
		else if (!parse_digest(match[i], out->fingerprints[out->nfingerprints++]))
			why = "not a SHA-256 digest: 32 bytes in hexadecimal";
		if (why != NULL)
			policy_fault(c, section, index, "match", "\"%.80s\": %s", match[i], why);
	}
	c->p->text_bytes += nmatch * (out->match != NULL ? sizeof(*out->match) : 32);
	return c->faults == before;
}

void
policy_word_fini(struct policy_word *w)
{
	for (unsigned i = 0; i < w->nmatch; i++)
		free(w->match[i].name);
	free(w->match);
	free(w->fingerprints);
}
