/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The probe of `explain --live`: a real connection of a worker's, by the hop that mail
 * takes, as far as STARTTLS, handshake, certificate and the second EHLO; then QUIT. No
 * MAIL is ever said.
 *
 * The probe is the asker's memory; the worker has it from the question to the turn after
 * its connection is gone (mailbox_probed).
 */
#include "relay.h"

#include <stdio.h>

void
probe_begin(struct shard *sh, struct probe *p)
{
	const struct hop_owner owner = {.sh = sh, .probe = p, .snap = p->snap, .helo = p->helo};
	enum hop_fault f;

	sh->probe = p;
	p->out->live.tried = true;
	sh->probe_hop = hop_open(&owner, p->to, p->target, &f);
	if (sh->probe_hop == NULL)
		probe_lost(sh, p, f, "");
	else
		pst_timer_arm(&sh->wheel, &sh->probe_timer, sh->now_ms + p->ms);
}

static void
put_fault(struct probe *p, enum hop_fault f, const char *why)
{
	snprintf(p->out->live.fault, sizeof(p->out->live.fault), "%s", hop_fault_word(f));
	snprintf(p->out->live.detail, sizeof(p->out->live.detail), "%s", why);
	p->out->live.code = 451;
}

void
probe_lost(struct shard *sh, struct probe *p, enum hop_fault f, const char *why)
{
	pst_timer_cancel(&sh->wheel, &sh->probe_timer);
	put_fault(p, f, why);
}

void
probe_ready(struct hop *h)
{
	struct pst_explain_host *out = h->probe->out;
	struct pst_tls_info info = {.version = "none", .cipher = "none", .verify = "none"};

	if (h->leg.encrypted)
		pst_tls_info(h->leg.tls, &info);
	out->live.ok = true;
	out->live.code = 250;
	snprintf(out->live.tls, sizeof(out->live.tls), "%s", info.version);
	snprintf(out->live.cipher, sizeof(out->live.cipher), "%s", info.cipher);
	snprintf(out->live.verify, sizeof(out->live.verify), "%s", info.verify);
	if (h->leg.encrypted && info.verify_text != NULL)
		snprintf(out->live.detail, sizeof(out->live.detail), "%s", info.verify_text);
	else if (!h->leg.encrypted)
		snprintf(out->live.detail, sizeof(out->live.detail), "STARTTLS %s",
			h->probe->offered ? "offered, not used" : "not offered");
	pst_timer_cancel(&h->sh->wheel, &h->sh->probe_timer);
	hop_close(h);
}

void
probe_over(struct shard *sh)
{
	if (sh->probe->to == &sh->probe->mine.to)
		mirror_probed(sh);
	else
		mailbox_probed(sh);
}

void
probe_timeout(struct shard *sh)
{
	if (sh->probe_hop != NULL)
		hop_fail(sh->probe_hop, HOP_FAULT_TIMEOUT, "no answer in time");
}

void
probe_cut(struct shard *sh)
{
	if (sh->probe == NULL)
		return;
	if (sh->probe_hop != NULL)
		hop_fail(sh->probe_hop, HOP_FAULT_LOST, "the gateway stops");
	probe_over(sh);
}
