/* SPDX-License-Identifier: BSD-3-Clause */
/* `explain`, which asks the relay's own decisions, and the broken-TLS memory. */
#include <stdlib.h>
#include <string.h>

#include "methods.h"

/* ---- explain ---- */

static json_t *
reply(const struct pst_explain_reply *r)
{
	json_t *o;

	if (r->code == 0)
		return json_null();
	o = json_pack("{s:i, s:s, s:s}", "code", (int)r->code, "enhanced", r->enh, "text", r->text);
	if (r->reason[0] != '\0')
		json_object_set_new(o, "reason", json_string(r->reason));
	return o;
}

static json_t *
outcomes(const struct pst_explain_host *h)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < PST_HOP_STATES; i++)
		json_object_set_new(all, pst_relay_hop_state_names[i],
			json_pack("{s:s, s:o}", "channel", h->outcome[i].channel, "rcpt",
				reply(&h->outcome[i].reply)));
	return all;
}

static json_t *
live(const struct pst_explain_host *h)
{
	return json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:i}", "ok", h->live.ok, "tls",
		h->live.tls, "cipher", h->live.cipher, "verify", h->live.verify, "fault",
		h->live.fault, "detail", h->live.detail, "code", (int)h->live.code);
}

static json_t *
host_row(const struct pst_explain_host *h)
{
	char at[PST_ENDPOINT_STRLEN];
	json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "name", h->name,
		"address", pst_endpoint_str(&h->at, at), "demand", h->demand, "match", h->match,
		"servername", h->servername, "protocols", h->protocols, "ciphers", h->ciphers,
		"broken_tls", h->broken, "outcomes", outcomes(h));

	if (row != NULL && h->live.tried)
		json_object_set_new(row, "live", live(h));
	return row;
}

static json_t *
hosts(const struct pst_explain *x)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < x->nhosts; i++)
		json_array_append_new(list, host_row(&x->hosts[i]));
	return list;
}

static json_t *
chain(const struct pst_policy_trace *t)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < t->n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "leg", t->step[i].leg,
						    "source", t->step[i].source, "stance",
						    t->step[i].stance, "text", t->step[i].text));
	return list;
}

static json_t *
explained(const struct pst_explain *x)
{
	return json_pack("{s:I, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, "
			 "s:{s:o, s:o, s:o}}",
		"generation", (json_int_t)x->generation, "listener", x->listener, "client_name",
		x->client_name, "starttls_offered", x->starttls_offered, "rule", x->rule,
		"rule_line", x->rule_line, "sender_policy", x->sender_policy, "recipient_policy",
		x->recipient_policy, "route", x->route, "next_hop", x->next_hop, "domain",
		x->domain, "names", x->names, "chain", chain(&x->trace), "hosts", hosts(x),
		"replies", "mail", reply(&x->mail), "rcpt", reply(&x->rcpt), "data",
		reply(&x->data));
}

static bool
read_query(struct pst_rpc_call *c, struct pst_explain_query *q)
{
	const char *client = NULL;

	if (!pst_param_text(c, "from", 512, &q->from) || !pst_param_text(c, "to", 512, &q->to) ||
		!pst_param_text(c, "client", 64, &client) ||
		!pst_param_text(c, "listener", 64, &q->listener) ||
		!pst_param_flag(c, "tls", &q->tls) || !pst_param_flag(c, "live", &q->live))
		return false;
	if (q->from == NULL || q->to == NULL) {
		pst_call_fail(c, PST_RPC_PARAMS, "from and to must be given");
		return false;
	}
	q->has_client = client != NULL;
	if (client != NULL && pst_ip_parse(client, &q->client) != PST_OK) {
		pst_call_fail(c, PST_RPC_PARAMS, "client must be an address");
		return false;
	}
	return true;
}

void
pst_method_explain(struct pst_rpc_call *c)
{
	struct pst_explain_query q = {0};
	struct pst_explain *x = calloc(1, sizeof(*x));
	char err[256] = "";

	if (x != NULL && read_query(c, &q)) {
		if (pst_relay_explain(c->plane->deps.relay, &q, x, err, sizeof(err)) == PST_OK)
			c->result = explained(x);
		else
			pst_call_fail(c, PST_RPC_FAILED, "%s", err);
	}
	free(x);
}

/* ---- the broken-TLS memory ---- */

static json_t *
broken_row(const struct pst_broken_row *r)
{
	char ip[PST_IP_STRLEN];

	return json_pack("{s:s, s:s, s:f, s:I, s:s}", "address", pst_ip_str(&r->ip, ip), "leg",
		r->client ? "client" : "nexthop", "left", (double)r->left_ms / 1000, "failures",
		(json_int_t)r->failures, "cause", r->cause);
}

void
pst_method_broken(struct pst_rpc_call *c)
{
	const struct pst_config_broken_tls *b = &c->plane->running->policy.broken_tls;
	/* Both legs, and what is left of a larger memory that ran before. */
	unsigned max = 2 * (b->entries > 65536 ? b->entries : 65536), n;
	struct pst_broken_row *rows = calloc(max, sizeof(*rows));
	json_t *list = json_array();

	if (rows == NULL) {
		json_decref(list);
		return;
	}
	n = pst_relay_broken(c->plane->deps.relay, rows, max);
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, broken_row(&rows[i]));
	c->result = json_pack("{s:b, s:o}", "enabled", b->enabled, "hosts", list);
	free(rows);
}

void
pst_method_broken_flush(struct pst_rpc_call *c)
{
	c->result = json_pack(
		"{s:I}", "flushed", (json_int_t)pst_relay_broken_flush(c->plane->deps.relay));
}
