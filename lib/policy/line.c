/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines of a Postfix tls_policy table. The grammar is that of Postfix's SMTP client: key,
 * level, then attributes without blanks around "=", separated by blanks or commas; names
 * without case. Where Postfix would defer all mail to a destination because of a
 * mistake, the line is refused here.
 */
#include "policy_int.h"

static bool
is_blank(uint8_t b)
{
	return b == ' ' || b == '\t' || b == '\r' || b == '\n';
}

/* The next token of s, which shrinks; blanks, and with commas also those, separate. */
static struct pst_span
token(struct pst_span *s, bool commas)
{
	size_t a = 0, z;

	while (a < s->n && (is_blank(s->p[a]) || (commas && s->p[a] == ',')))
		a++;
	for (z = a; z < s->n && !is_blank(s->p[z]) && !(commas && s->p[z] == ',');)
		z++;
	struct pst_span out = pst_span(s->p + a, z - a);
	*s = pst_span(s->p + z, s->n - z);
	return out;
}

static const char *
level_fault(struct pst_span word)
{
	if (pst_span_ieq_str(word, "dane") || pst_span_ieq_str(word, "dane-only"))
		return "not yet available: DANE";
	return "not a level: none, may, encrypt, fingerprint, verify, secure";
}

static const char *
add_matches(struct pst_policy_line *l, struct pst_span v)
{
	uint8_t sep = l->level == PST_LEVEL_FINGERPRINT ? '|' : ':';

	if (l->level < PST_LEVEL_FINGERPRINT)
		return "match needs the level fingerprint, verify or secure";
	if (l->match.n == 0)
		l->match = v;
	while (v.n > 0) {
		size_t n = 0;

		while (n < v.n && v.p[n] != sep)
			n++;
		if (n > 0 && l->nmatch == PST_MATCH_MAX)
			return "more than 16 names to match";
		if (n > 0)
			l->matches[l->nmatch++] = pst_span(v.p, n);
		v = n < v.n ? pst_span(v.p + n + 1, v.n - n - 1) : pst_span(NULL, 0);
	}
	return NULL;
}

static const char *
once(struct pst_span *slot, struct pst_span v)
{
	if (slot->n > 0)
		return "given twice";
	*slot = v;
	return NULL;
}

static const char *
attribute(struct pst_policy_line *l, struct pst_span tok)
{
	static const char *const later[] = {"connection_reuse", "enable_rpk", "tafile"};
	const uint8_t *eq = memchr(tok.p, '=', tok.n);
	struct pst_span name, v;

	if (eq == NULL)
		return "not an attribute: NAME=VALUE";
	name = pst_span(tok.p, (size_t)(eq - tok.p));
	v = pst_span(eq + 1, tok.n - name.n - 1);
	for (unsigned i = 0; i < PST_COUNT(later); i++)
		if (pst_span_ieq_str(name, later[i]))
			return "not yet available";
	if (v.n == 0)
		return "an empty value";
	if (pst_span_ieq_str(name, "match"))
		return add_matches(l, v);
	if (pst_span_ieq_str(name, "protocols"))
		return once(&l->protocols, v);
	if (pst_span_ieq_str(name, "ciphers"))
		return once(&l->ciphers, v);
	if (pst_span_ieq_str(name, "exclude"))
		return once(&l->exclude, v);
	if (pst_span_ieq_str(name, "servername"))
		return once(&l->servername, v);
	return "unknown attribute";
}

enum pst_rc
pst_policy_line_parse(
	struct pst_span line, struct pst_policy_line *out, const char **why, struct pst_span *at)
{
	struct pst_span tok;

	*out = (struct pst_policy_line){.level = PST_LEVEL_UNSET};
	*why = NULL;
	*at = pst_span(NULL, 0);
	out->destination = token(&line, false);
	if (out->destination.n == 0 || out->destination.p[0] == '#')
		return PST_EOF;
	*at = tok = token(&line, true);
	if (tok.n == 0) {
		*why = "a level is missing";
		*at = out->destination;
		return PST_INVAL;
	}
	if (!pst_level_parse(tok, &out->level)) {
		*why = level_fault(tok);
		return PST_INVAL;
	}
	while ((tok = token(&line, true)).n > 0) {
		*at = tok;
		if (out->level == PST_LEVEL_NONE)
			*why = "an attribute beside the level none";
		else
			*why = attribute(out, tok);
		if (*why != NULL)
			return PST_INVAL;
	}
	if (out->level == PST_LEVEL_FINGERPRINT && out->nmatch == 0) {
		*why = "the level fingerprint needs match=";
		*at = out->destination;
		return PST_INVAL;
	}
	*at = pst_span(NULL, 0);
	return PST_OK;
}
