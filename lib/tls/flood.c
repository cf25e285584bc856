/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * T9: floods of what is allowed once and costs us each time: records with little or nothing
 * in them, KeyUpdates, attempts to renegotiate, warning alerts, change_cipher_spec, a hello
 * without end, a handshake in crumbs.
 *
 * Each has an allowance. What data could need is paid by data: a record costs RECORD_COST
 * octets of credit that the octets in records refill, a KeyUpdate is earned by UPDATE_EARNED of
 * them. So a bulk of mail never runs out, and who sends nothing soon does. There is no clock
 * here: whoever sends slowly costs little, and meets the caller's deadlines.
 *
 * OpenSSL has no call that sends an alert. So it is handed the last header once more, with
 * a length that no record may have: it ends the session with the fatal alert for that,
 * record_overflow, under the keys of the moment. When it is in the middle of a record, the
 * session ends without an alert.
 */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/sslerr.h>

/* The handshake. A hello with post-quantum key shares has 2 KiB, with a fat ticket perhaps 10. */
#define HELLO_MAX          (32u << 10) /* octets of the wire */
#define HANDSHAKE_OCTETS   (128u << 10)
#define HANDSHAKE_MESSAGES 32
#define HANDSHAKE_RECORDS  256

/* Behind it. */
#define IDLE_MAX       64 /* records, and messages, since the last data */
#define RECORD_COST    8u /* "250 OK" in a record of its own is worth it */
#define RECORD_CREDIT  (4096u * RECORD_COST)
#define UPDATES        32
#define UPDATE_EARNED  (1u << 20)
#define RENEGOTIATIONS 3
#define WARNINGS       16

const char *const pst_tls_flood_names[PST_TLS_FLOODS] = {
	"none", "hello", "handshake", "records", "idle", "key_update", "renegotiation", "alerts"};

static const char *const texts[PST_TLS_FLOODS] = {
	[PST_TLS_FLOOD_HELLO] = "the first message of the handshake is too long",
	[PST_TLS_FLOOD_HANDSHAKE] = "too many octets, messages or records in the handshake",
	[PST_TLS_FLOOD_RECORDS] = "too little data in too many records",
	[PST_TLS_FLOOD_IDLE] = "too many records or messages without data",
	[PST_TLS_FLOOD_KEY_UPDATE] = "too many key updates",
	[PST_TLS_FLOOD_RENEGOTIATION] = "too many attempts to renegotiate",
	[PST_TLS_FLOOD_ALERTS] = "too many warning alerts",
};

void
pst_tls_flood_init(struct pst_tls *t)
{
	t->budget = (struct pst_tls_budget){.credit = RECORD_CREDIT,
		.updates = UPDATES,
		.attempts = RENEGOTIATIONS,
		.warnings = WARNINGS};
}

/* The first cause stands. */
static void
note(struct pst_tls *t, enum pst_tls_flood cause)
{
	if (t->budget.flood == PST_TLS_FLOOD_NONE)
		t->budget.flood = (uint8_t)cause;
}

static void
spend(struct pst_tls *t, uint16_t *left, enum pst_tls_flood cause)
{
	if (*left == 0)
		note(t, cause);
	else
		--*left;
}

void
pst_tls_flood_octets(struct pst_tls *t, size_t n)
{
	struct pst_tls_budget *b = &t->budget;

	b->body -= (uint16_t)PST_MIN((size_t)b->body, n);
	if (t->done)
		return;
	b->octets += (uint32_t)n;
	if (b->octets > HANDSHAKE_OCTETS)
		note(t, PST_TLS_FLOOD_HANDSHAKE);
	else if (b->octets > HELLO_MAX && !b->hello && t->ctx->side == PST_TLS_SERVER)
		note(t, PST_TLS_FLOOD_HELLO);
}

void
pst_tls_flood_record(struct pst_tls *t, const uint8_t header[SSL3_RT_HEADER_LENGTH])
{
	struct pst_tls_budget *b = &t->budget;

	memcpy(b->header, header, sizeof(b->header));
	b->body = (uint16_t)(header[3] << 8 | header[4]);
	b->records++;
	if (!t->done) {
		if (b->records > HANDSHAKE_RECORDS)
			note(t, PST_TLS_FLOOD_HANDSHAKE);
		return;
	}
	if (b->records > IDLE_MAX)
		note(t, PST_TLS_FLOOD_IDLE);
	if (b->credit < RECORD_COST)
		note(t, PST_TLS_FLOOD_RECORDS);
	else
		b->credit -= RECORD_COST;
}

void
pst_tls_flood_message(struct pst_tls *t, uint8_t type)
{
	struct pst_tls_budget *b = &t->budget;

	b->hello = true;
	b->messages++;
	if (!t->done) {
		if (b->messages > HANDSHAKE_MESSAGES)
			note(t, PST_TLS_FLOOD_HANDSHAKE);
		return;
	}
	if (type == SSL3_MT_KEY_UPDATE)
		spend(t, &b->updates, PST_TLS_FLOOD_KEY_UPDATE);
	if (type == SSL3_MT_HELLO_REQUEST || type == SSL3_MT_CLIENT_HELLO)
		spend(t, &b->attempts, PST_TLS_FLOOD_RENEGOTIATION);
	if (b->messages > IDLE_MAX)
		note(t, PST_TLS_FLOOD_IDLE);
}

void
pst_tls_flood_warning(struct pst_tls *t)
{
	spend(t, &t->budget.warnings, PST_TLS_FLOOD_ALERTS);
}

void
pst_tls_flood_data(struct pst_tls *t, size_t n)
{
	struct pst_tls_budget *b = &t->budget;

	b->messages = b->records = 0;
	b->credit = PST_MIN(b->credit + (uint32_t)n, RECORD_CREDIT);
	b->received += (uint32_t)n;
	if (b->received < UPDATE_EARNED)
		return;
	b->received -= UPDATE_EARNED;
	b->updates = (uint16_t)PST_MIN(b->updates + 1, UPDATES);
}

void
pst_tls_flood_done(struct pst_tls *t)
{
	t->budget.messages = t->budget.records = 0;
}

void
pst_tls_flood_blame(struct pst_tls *t, unsigned long error)
{
	if (ERR_GET_LIB(error) != ERR_LIB_SSL)
		return;
	switch (ERR_GET_REASON(error)) {
	case SSL_R_TOO_MANY_WARN_ALERTS:
		note(t, PST_TLS_FLOOD_ALERTS);
		break;
	case SSL_R_TOO_MANY_KEY_UPDATES:
		note(t, PST_TLS_FLOOD_KEY_UPDATE);
		break;
	case SSL_R_RECORD_TOO_SMALL: /* empty ones, change_cipher_spec of TLS 1.3: 32 in a row */
		note(t, PST_TLS_FLOOD_IDLE);
		break;
	default:
		break;
	}
}

const char *
pst_tls_flood_text(const struct pst_tls *t)
{
	return texts[t->budget.flood];
}

bool
pst_tls_flood_end(struct pst_tls *t, uint8_t *header, size_t n)
{
	struct pst_tls_budget *b = &t->budget;

	if (b->flood == PST_TLS_FLOOD_NONE || b->ended || b->body > 0 || n != SSL3_RT_HEADER_LENGTH)
		return false;
	memcpy(header, b->header, sizeof(b->header));
	memset(header + sizeof(b->header), 0xff, n - sizeof(b->header));
	b->ended = true;
	return true;
}

enum pst_tls_flood
pst_tls_flood(const struct pst_tls *t)
{
	return (enum pst_tls_flood)t->budget.flood;
}
