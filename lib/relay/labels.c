/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters with labels: fixed sets, plain words of the worker that adds to them. */
#include "relay.h"

#include <string.h>

const char *const pst_relay_cipher_names[PST_CIPHERS] = {
	"TLS_AES_256_GCM_SHA384",
	"TLS_AES_128_GCM_SHA256",
	"TLS_CHACHA20_POLY1305_SHA256",
	"ECDHE-ECDSA-AES256-GCM-SHA384",
	"ECDHE-RSA-AES256-GCM-SHA384",
	"ECDHE-ECDSA-AES128-GCM-SHA256",
	"ECDHE-RSA-AES128-GCM-SHA256",
	"other",
};

/* From a resumed TLS 1.2 handshake next door to a full one over a bad line. */
const uint32_t pst_relay_hs_bounds_us[PST_HS_BUCKETS - 1] = {
	500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000};

const char *const pst_relay_stage_names[PST_STAGES] = {
	"connect", "helo", "mail", "rcpt", "data", "body"};

const char *const pst_relay_limit_names[PST_LIMITS] = {"sessions", "sessions_per_address",
	"connection_rate", "handshakes", "handshakes_per_address", "commands", "data_rate"};

const char *const pst_relay_refusal_names[PST_REFUSALS] = {"relay_denied", "tls_required",
	"policy_conflict", "tls_not_offered", "tls_failed", "no_such_host"};

const char *const pst_relay_downgrade_names[PST_DOWNGRADES] = {"tls_not_offered", "tls_failed"};

void
label_refusal(struct shard *sh, const char *reason)
{
	for (unsigned i = 0; i < PST_REFUSALS; i++)
		sh->labels.policy_refusals[i] += strcmp(reason, pst_relay_refusal_names[i]) == 0;
	sh->c.policy_conflicts +=
		strcmp(reason, pst_relay_refusal_names[PST_REFUSED_CONFLICT]) == 0;
}

void
label_handshake(struct shard *sh, unsigned leg, const struct pst_tls *tls, uint64_t began_ns)
{
	struct pst_relay_labels *l = &sh->labels;
	uint64_t us = (sh->now - began_ns) / 1000;
	struct pst_tls_info info;
	unsigned cipher = 0, bucket = 0;

	pst_tls_info(tls, &info);
	while (cipher < PST_CIPHERS - 1 && strcmp(info.cipher, pst_relay_cipher_names[cipher]) != 0)
		cipher++;
	while (bucket < PST_HS_BUCKETS - 1 && us > pst_relay_hs_bounds_us[bucket])
		bucket++;
	l->handshakes[leg][strcmp(info.version, "TLSv1.3") == 0][cipher][info.resumed]++;
	l->handshake_us[leg][bucket]++;
	l->handshake_us_sum[leg] += us;
}

/* One count a reply: its last line, the one with a space behind the code. */
void
label_replies(struct shard *sh, struct pst_span out, unsigned stage)
{
	const uint8_t *p = out.p, *end = out.p + out.n;

	while (end - p >= 4) {
		const uint8_t *nl = memchr(p, '\n', (size_t)(end - p));

		if (p[3] != '-' && p[0] >= '2' && p[0] <= '5')
			sh->labels.replies[p[0] - '0'][stage]++;
		if (nl == NULL)
			return;
		p = nl + 1;
	}
}

void
label_tickets(struct shard *sh, const struct pst_tls *tls)
{
	struct pst_tls_ticket_use use;

	pst_tls_ticket_use(tls, &use);
	sh->c.client_resumed += use.resumed;
	sh->c.tickets_issued += use.issued;
	sh->c.tickets_old_key += use.resumed && use.old_key;
	sh->c.tickets_unknown_key += use.unknown_key;
}
