/* SPDX-License-Identifier: BSD-3-Clause */
/* What `explain` says, as text: in the order in which it is decided. */
#include <string.h>

#include "print.h"

static const char *
text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s != NULL ? s : "";
}

/* A line "head  value", unless there is no value. */
static void
put_line(FILE *to, const char *head, const char *value)
{
	if (value[0] == '\0')
		return;
	fprintf(to, "%-17s ", head);
	put_clean(to, value);
	fputc('\n', to);
}

/* "451 4.7.4 TLS is required, but was not offered (tls_not_offered)". */
static void
put_reply(FILE *to, const json_t *r)
{
	if (!json_is_object(r)) {
		fputs("not reached", to);
		return;
	}
	fprintf(to, "%lld ", (long long)json_integer_value(json_object_get(r, "code")));
	if (text(r, "enhanced")[0] != '\0') /* 354 has none */
		fprintf(to, "%s ", text(r, "enhanced"));
	put_clean(to, text(r, "text"));
	if (text(r, "reason")[0] != '\0')
		fprintf(to, " (%s)", text(r, "reason"));
}

static void
put_chain(FILE *to, const json_t *chain)
{
	const json_t *s;
	size_t i;

	fputs("\nchain\n", to);
	json_array_foreach(chain, i, s)
	{
		fprintf(to, "  %-9s  %-13s  %-9s  ", text(s, "leg"), text(s, "source"),
			text(s, "stance"));
		put_clean(to, text(s, "text"));
		fputc('\n', to);
	}
}

/* ---- hosts ---- */

static void
put_member(FILE *to, const json_t *host, const char *key)
{
	if (text(host, key)[0] == '\0')
		return;
	fprintf(to, " %s=", key);
	put_clean(to, text(host, key));
}

/* The four things the next hop may turn out to be, and what RCPT then is answered. */
static void
put_outcomes(FILE *to, const json_t *outcomes)
{
	const char *state;
	json_t *o;

	json_object_foreach((json_t *)outcomes, state, o)
	{
		fprintf(to, "    %-12s  %-5s  ", state,
			text(o, "channel")[0] != '\0' ? text(o, "channel") : "-");
		put_reply(to, json_object_get(o, "rcpt"));
		fputc('\n', to);
	}
}

static void
put_live(FILE *to, const json_t *l)
{
	static const char *const keys[] = {"tls", "cipher", "verify", "fault", "detail"};

	if (l == NULL)
		return;
	fprintf(to, "    live: %s, a client gets %lld",
		json_is_true(json_object_get(l, "ok")) ? "good" : "not good",
		(long long)json_integer_value(json_object_get(l, "code")));
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		put_member(to, l, keys[i]);
	fputc('\n', to);
}

static void
put_host(FILE *to, const json_t *h)
{
	static const char *const keys[] = {"demand", "match", "servername", "protocols", "ciphers"};

	fputs("  host ", to);
	put_clean(to, text(h, "name"));
	fprintf(to, "[%s]", text(h, "address"));
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		put_member(to, h, keys[i]);
	if (json_is_true(json_object_get(h, "broken_tls")))
		fputs(" broken_tls=yes", to);
	fputc('\n', to);
	put_outcomes(to, json_object_get(h, "outcomes"));
	put_live(to, json_object_get(h, "live"));
}

static void
put_hosts(FILE *to, const json_t *hosts)
{
	const json_t *h;
	size_t i;

	if (json_array_size(hosts) > 0)
		fputs("\nif the next hop turns out to be ...   RCPT is answered\n", to);
	json_array_foreach(hosts, i, h) put_host(to, h);
}

/* ---- all ---- */

static void
put_answers(FILE *to, const json_t *replies)
{
	static const char *const keys[] = {"mail", "rcpt", "data"};
	static const char *const heads[] = {"MAIL", "RCPT", "DATA"};

	fputs("\na client is answered\n", to);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		fprintf(to, "  %s  ", heads[i]);
		put_reply(to, json_object_get(replies, keys[i]));
		fputc('\n', to);
	}
}

void
print_explain(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	put_line(to, "listener", text(r, "listener"));
	put_line(to, "client", text(r, "client_name"));
	put_line(to, "starttls offered",
		json_is_true(json_object_get(r, "starttls_offered")) ? "yes" : "no");
	put_line(to, "rule", text(r, "rule"));
	put_line(to, "rule line", text(r, "rule_line"));
	put_line(to, "sender_policy", text(r, "sender_policy"));
	put_line(to, "recipient_policy", text(r, "recipient_policy"));
	put_line(to, "route", text(r, "route"));
	put_line(to, "next hop", text(r, "next_hop"));
	put_line(to, "domain", text(r, "domain"));
	put_line(to, "names", text(r, "names"));
	put_chain(to, json_object_get(r, "chain"));
	put_hosts(to, json_object_get(r, "hosts"));
	put_answers(to, json_object_get(r, "replies"));
}
