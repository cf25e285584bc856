/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reverse and forward paths, RFC 5321 4.1.2, with RFC 6531 3.3 where the client
 * said SMTPUTF8.
 *
 * A cursor walks the grammar once; each rule takes what it matches and says whether
 * it did. Two liberties, both common practice: spaces between the colon and '<', and
 * '_' in domain names. Brackets are not optional.
 */
#include "smtp_int.h"

#include <arpa/inet.h>

/* RFC 5321 4.5.3.1.1-3 */
#define LOCAL_MAX  64
#define DOMAIN_MAX 255
#define LABEL_MAX  63
#define PATH_MAX_  256 /* with the brackets */

struct cursor {
	const uint8_t *p, *end;
	bool utf8;
};

static bool
at(const struct cursor *c, uint8_t ch)
{
	return c->p < c->end && *c->p == ch;
}

static bool
take(struct cursor *c, uint8_t ch)
{
	if (!at(c, ch))
		return false;
	c->p++;
	return true;
}

/* UTF8-non-ascii, where RFC 6531 lets it stand for an atext, qtext or Let-dig. */
static bool
take_utf8(struct cursor *c)
{
	if (!c->utf8 || c->p == c->end || *c->p < 0x80)
		return false;
	size_t len = pst_smtp_utf8_len(c->p, (size_t)(c->end - c->p));
	c->p += len;
	return len != 0;
}

static bool
take_atext(struct cursor *c)
{
	/* RFC 5322 3.2.3 */
	if (c->p < c->end &&
		(pst_smtp_is_alnum(*c->p) ||
			(*c->p != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", *c->p) != NULL))) {
		c->p++;
		return true;
	}
	return take_utf8(c);
}

/* Dot-string = Atom *("." Atom) */
static bool
take_dot_string(struct cursor *c)
{
	do {
		if (!take_atext(c))
			return false;
		while (take_atext(c))
			;
	} while (take(c, '.'));
	return true;
}

/* QcontentSMTP = qtextSMTP / quoted-pairSMTP */
static bool
take_qcontent(struct cursor *c)
{
	if (c->p == c->end || *c->p == '"')
		return false;
	if (take(c, '\\')) {
		if (c->p == c->end || *c->p < 32 || *c->p > 126)
			return false;
		c->p++;
		return true;
	}
	if (*c->p >= 32 && *c->p <= 126) {
		c->p++;
		return true;
	}
	return take_utf8(c);
}

static bool
take_quoted_string(struct cursor *c)
{
	if (!take(c, '"'))
		return false;
	while (take_qcontent(c))
		;
	return take(c, '"');
}

static bool
take_let_dig(struct cursor *c)
{
	if (c->p < c->end && (pst_smtp_is_alnum(*c->p) || *c->p == '_')) {
		c->p++;
		return true;
	}
	return take_utf8(c);
}

/* sub-domain = Let-dig [Ldh-str]; a hyphen neither begins nor ends it. */
static bool
take_label(struct cursor *c)
{
	const uint8_t *begin = c->p;
	if (!take_let_dig(c))
		return false;
	while (take_let_dig(c) || take(c, '-'))
		;
	return c->p[-1] != '-' && c->p - begin <= LABEL_MAX;
}

static bool
take_name(struct cursor *c)
{
	const uint8_t *begin = c->p;
	do {
		if (!take_label(c))
			return false;
	} while (take(c, '.'));
	return c->p - begin <= DOMAIN_MAX;
}

/* General-address-literal = Standardized-tag ":" 1*dcontent; no tag but IPv6 is registered. */
static bool
literal_is_good(struct pst_span s)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t bin[16];
	bool six = s.n > 5 && pst_span_ieq_str(pst_span(s.p, 5), "IPv6:");
	if (six)
		s = pst_smtp_span_from(s, 5);
	if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return inet_pton(six ? AF_INET6 : AF_INET, text, bin) == 1;
}

static bool
take_literal(struct cursor *c)
{
	if (!take(c, '['))
		return false;
	const uint8_t *close = memchr(c->p, ']', (size_t)(c->end - c->p));
	if (close == NULL || !literal_is_good(pst_span(c->p, (size_t)(close - c->p))))
		return false;
	c->p = close + 1;
	return true;
}

static bool
take_domain(struct cursor *c)
{
	return at(c, '[') ? take_literal(c) : take_name(c);
}

/*
 * A-d-l ":" = At-domain *("," At-domain) ":". RFC 5321 4.1.1.3 and appendix C: a
 * source route MUST be accepted, SHOULD NOT be generated, SHOULD be ignored.
 */
static bool
take_route(struct cursor *c)
{
	if (!at(c, '@'))
		return true;
	do {
		if (!take(c, '@') || !take_domain(c))
			return false;
	} while (take(c, ','));
	return take(c, ':');
}

static const char *
take_mailbox(struct cursor *c, bool allow_null, struct pst_smtp_path *out)
{
	const uint8_t *begin = c->p;
	if (!(at(c, '"') ? take_quoted_string(c) : take_dot_string(c)))
		return "malformed local part";
	out->local = pst_span(begin, (size_t)(c->p - begin));
	if (out->local.n > LOCAL_MAX)
		return "local part too long";
	if (take(c, '@')) {
		out->domain.p = c->p;
		if (!take_domain(c))
			return "malformed domain";
		out->domain.n = (size_t)(c->p - out->domain.p);
	} else if (allow_null || !pst_span_ieq_str(out->local, "postmaster")) {
		/* RFC 5321 4.5.1: "RCPT TO:<Postmaster>" is the one address without a domain. */
		return "address without domain";
	}
	out->addr = pst_span(begin, (size_t)(c->p - begin));
	return NULL;
}

static const char *
take_path(struct cursor *c, bool allow_null, struct pst_smtp_path *out)
{
	while (take(c, ' '))
		;
	const uint8_t *begin = c->p;
	if (!take(c, '<'))
		return "address must be in <>";
	if (take(c, '>')) {
		out->addr = pst_span(begin + 1, 0);
		return allow_null ? NULL : "null address";
	}
	if (!take_route(c))
		return "malformed source route";
	const char *why = take_mailbox(c, allow_null, out);
	if (why != NULL)
		return why;
	if (!take(c, '>'))
		return "malformed address";
	return c->p - begin > PATH_MAX_ ? "path too long" : NULL;
}

enum pst_rc
pst_smtp_path_parse(struct pst_span arg, bool utf8, bool allow_null, struct pst_smtp_path *out,
	size_t *used, const char **why)
{
	struct cursor c = {.p = arg.p, .end = arg.n == 0 ? arg.p : arg.p + arg.n, .utf8 = utf8};
	*out = (struct pst_smtp_path){0};
	*used = 0;
	*why = take_path(&c, allow_null, out);
	if (*why != NULL)
		return PST_INVAL;
	*used = (size_t)(c.p - arg.p);
	return PST_OK;
}
