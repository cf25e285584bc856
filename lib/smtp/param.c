/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ESMTP parameters of MAIL and RCPT (RFC 5321 4.1.2; 1870, 6152, 6531, 3461).
 *
 * One table row per parameter: on which command, offered under which keyword, and a
 * function that judges the value and stores it. RFC 5321 4.1.1.11: a parameter that
 * is not recognised is 555; a bad value, or the same parameter twice, is 501.
 */
#include "smtp_int.h"

#define ENVID_MAX 100 /* RFC 3461 4.4 */
#define ORCPT_MAX 500 /* RFC 3461 4.2 */

struct target {
	struct pst_smtp_mail *mail;
	struct pst_smtp_rcpt *rcpt;
	bool utf8;
};

/* Values are absent (p NULL) or at least one byte long. */
typedef bool (*store_fn)(const struct target *t, struct pst_span value);

bool
pst_smtp_decimal(struct pst_span s, uint64_t *v)
{
	uint64_t sum = 0;
	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(sum, 10u, &sum) ||
			__builtin_add_overflow(sum, (uint64_t)(s.p[i] - '0'), &sum))
			return false;
	}
	*v = sum;
	return true;
}

static bool
is_upper_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

/* xtext = *( xchar / hexchar ), RFC 3461 section 4; hexchar = "+" and two upper case digits. */
static bool
xtext_is_good(struct pst_span s, bool utf8)
{
	for (size_t i = 0; i < s.n;) {
		size_t len = 1;
		if (s.p[i] == '+') {
			if (s.n - i < 3 || !is_upper_hex(s.p[i + 1]) || !is_upper_hex(s.p[i + 2]))
				return false;
			len = 3;
		} else if (s.p[i] >= 0x80) {
			len = utf8 ? pst_smtp_utf8_len(s.p + i, s.n - i) : 0;
		} else if (s.p[i] < 33 || s.p[i] > 126 || s.p[i] == '=') {
			return false;
		}
		if (len == 0)
			return false;
		i += len;
	}
	return s.n > 0;
}

static bool
store_size(const struct target *t, struct pst_span v)
{
	/* size-value = 1*20DIGIT: a number beyond 64 bits is well formed and simply too big. */
	t->mail->has_size = true;
	if (v.n > 20 || !pst_smtp_decimal(v, &t->mail->size)) {
		for (size_t i = 0; i < v.n; i++)
			if (v.p[i] < '0' || v.p[i] > '9')
				return false;
		t->mail->size = UINT64_MAX;
	}
	return v.n >= 1 && v.n <= 20;
}

static bool
store_body(const struct target *t, struct pst_span v)
{
	if (pst_span_ieq_str(v, "7BIT"))
		t->mail->body = PST_SMTP_BODY_7BIT;
	else if (pst_span_ieq_str(v, "8BITMIME"))
		t->mail->body = PST_SMTP_BODY_8BITMIME;
	return t->mail->body != PST_SMTP_BODY_NONE;
}

static bool
store_ret(const struct target *t, struct pst_span v)
{
	if (pst_span_ieq_str(v, "FULL"))
		t->mail->ret = PST_SMTP_RET_FULL;
	else if (pst_span_ieq_str(v, "HDRS"))
		t->mail->ret = PST_SMTP_RET_HDRS;
	return t->mail->ret != PST_SMTP_RET_NONE;
}

static bool
store_envid(const struct target *t, struct pst_span v)
{
	t->mail->envid = v;
	return v.n <= ENVID_MAX && xtext_is_good(v, false);
}

static bool
store_smtputf8(const struct target *t, struct pst_span v)
{
	t->mail->smtputf8 = true;
	return v.p == NULL;
}

static uint8_t
notify_bit(struct pst_span word)
{
	static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
	for (unsigned i = 0; i < PST_COUNT(words); i++)
		if (pst_span_ieq_str(word, words[i]))
			return (uint8_t)(1u << i);
	return 0;
}

/* RFC 3461 4.1: NEVER stands alone, else a list of the other three. */
static bool
store_notify(const struct target *t, struct pst_span v)
{
	uint8_t all = 0;
	for (;;) {
		const uint8_t *comma = v.n == 0 ? NULL : memchr(v.p, ',', v.n);
		size_t len = comma == NULL ? v.n : (size_t)(comma - v.p);
		uint8_t bit = notify_bit(pst_span(v.p, len));
		if (bit == 0)
			return false;
		if (all != 0 && ((all | bit) & PST_SMTP_NOTIFY_NEVER))
			return false;
		all |= bit;
		if (comma == NULL)
			break;
		v = pst_smtp_span_from(v, len + 1);
	}
	t->rcpt->notify = all;
	return true;
}

/* "addr-type;xtext", RFC 3461 4.2; type utf-8 may be raw under SMTPUTF8 (RFC 6533 3). */
static bool
store_orcpt(const struct target *t, struct pst_span v)
{
	const uint8_t *semi = v.n == 0 ? NULL : memchr(v.p, ';', v.n);
	if (semi == NULL || semi == v.p || v.n > ORCPT_MAX)
		return false;
	struct pst_span type = pst_span(v.p, (size_t)(semi - v.p));
	for (size_t i = 0; i < type.n; i++)
		if (!pst_smtp_is_alnum(type.p[i]) && type.p[i] != '-')
			return false;
	t->rcpt->orcpt = v;
	return xtext_is_good(
		pst_smtp_span_from(v, type.n + 1), t->utf8 && pst_span_ieq_str(type, "utf-8"));
}

static const struct param {
	const char *name;
	bool on_rcpt;
	uint32_t keyword;
	store_fn store;
} params[] = {
	{"SIZE", false, PST_SMTP_SIZE, store_size},
	{"BODY", false, PST_SMTP_8BITMIME, store_body},
	{"RET", false, PST_SMTP_DSN, store_ret},
	{"ENVID", false, PST_SMTP_DSN, store_envid},
	{"SMTPUTF8", false, PST_SMTP_SMTPUTF8, store_smtputf8},
	{"NOTIFY", true, PST_SMTP_DSN, store_notify},
	{"ORCPT", true, PST_SMTP_DSN, store_orcpt},
};

static const struct param *
find_param(struct pst_span name, bool on_rcpt, uint32_t offered)
{
	for (unsigned i = 0; i < PST_COUNT(params); i++)
		if (pst_span_ieq_str(name, params[i].name) && params[i].on_rcpt == on_rcpt &&
			(params[i].keyword & offered))
			return &params[i];
	return NULL;
}

static bool
one_param(const struct target *t, struct pst_span word, uint32_t offered, uint32_t *seen,
	struct smtp_no *no)
{
	static const struct smtp_no unknown = {555, "5.5.4", "unsupported parameter"};
	static const struct smtp_no twice = {501, "5.5.4", "parameter given twice"};
	static const struct smtp_no bad = {501, "5.5.4", "bad parameter value"};

	const uint8_t *eq = memchr(word.p, '=', word.n);
	struct pst_span name = eq == NULL ? word : pst_span(word.p, (size_t)(eq - word.p));
	struct pst_span value = {0};
	if (eq != NULL)
		value = pst_smtp_span_from(word, name.n + 1);
	const struct param *p = find_param(name, t->rcpt != NULL, offered);
	uint32_t bit = p == NULL ? 0 : 1u << (p - params);
	if (p != NULL && !(*seen & bit) && p->store(t, value)) {
		*seen |= bit;
		return true;
	}
	*no = p == NULL ? unknown : (*seen & bit) ? twice : bad;
	return false;
}

static bool
all_params(const struct target *t, struct pst_span args, uint32_t offered, struct smtp_no *no)
{
	uint32_t seen = 0;
	args = pst_smtp_span_trim(args);
	while (args.n > 0) {
		const uint8_t *sp = memchr(args.p, ' ', args.n);
		size_t len = sp == NULL ? args.n : (size_t)(sp - args.p);
		if (!one_param(t, pst_span(args.p, len), offered, &seen, no))
			return false;
		args = pst_smtp_span_trim(pst_smtp_span_from(args, len));
	}
	return true;
}

bool
pst_smtp_mail_params(
	struct pst_span args, uint32_t offered, struct pst_smtp_mail *m, struct smtp_no *no)
{
	return all_params(&(struct target){.mail = m}, args, offered, no);
}

bool
pst_smtp_rcpt_params(struct pst_span args, uint32_t offered, bool utf8, struct pst_smtp_rcpt *r,
	struct smtp_no *no)
{
	return all_params(&(struct target){.rcpt = r, .utf8 = utf8}, args, offered, no);
}
