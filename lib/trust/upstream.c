/* SPDX-License-Identifier: BSD-3-Clause */
#include "upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unbound.h>

#define SOCKETS_MAX 1024 /* of libunbound, one a look-up on the wire */
#define CLASS_IN    1

struct upstream {
	struct ub_ctx *ub;
};

/* ---- a context ---- */

/* A quarter of the descriptors that this process may have; libunbound's own 16 would let a few
 * dead servers block everybody. */
static unsigned
sockets(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur / 4 > SOCKETS_MAX)
		return SOCKETS_MAX;
	return PST_MAX((unsigned)lim.rlim_cur / 4, 16u);
}

static int
set_options(struct ub_ctx *ub, const struct pst_names_conf *conf)
{
	char n[16], max[16], negative[16];
	const char *const options[][2] = {
		{"outgoing-range:", n},
		{"outgoing-num-tcp:", "32"},
		/* A server on this machine is as good as another when the operator names it. */
		{"do-not-query-localhost:", "no"},
		/* Clients of an intranet have names in 10.in-addr.arpa. */
		{"unblock-lan-zones:", "yes"},
		/* A server that was dead is tried again within the minute, not the quarter. */
		{"infra-host-ttl:", "60"},
		{"infra-keep-probing:", "yes"},
		/* libunbound has a cache of its own beneath ours: it keeps nothing longer. */
		{"cache-max-ttl:", max},
		{"cache-max-negative-ttl:", negative},
		{"msg-cache-size:", "4m"},
		{"rrset-cache-size:", "8m"},
		{"verbosity:", "0"},
		{"use-syslog:", "no"},
	};

	snprintf(n, sizeof(n), "%u", sockets());
	snprintf(max, sizeof(max), "%u", names_max_ttl(conf));
	snprintf(negative, sizeof(negative), "%u", names_negative_ttl(conf));
	for (size_t i = 0; i < PST_COUNT(options); i++) {
		int rc = ub_ctx_set_option(ub, options[i][0], options[i][1]);

		if (rc != 0)
			return rc;
	}
	return ub_ctx_async(ub, 1);
}

static enum pst_rc
set_servers(struct ub_ctx *ub, const struct pst_names_conf *conf, char *err, size_t errlen)
{
	int rc;

	for (unsigned i = 0; i < conf->nservers; i++) {
		rc = ub_ctx_set_fwd(ub, conf->servers[i]);
		if (rc != 0) {
			snprintf(err, errlen, "DNS server %s: %s", conf->servers[i],
				ub_strerror(rc));
			return PST_INVAL;
		}
	}
	rc = conf->nservers > 0 ? 0 : ub_ctx_resolvconf(ub, NULL);
	if (rc != 0)
		snprintf(err, errlen, "/etc/resolv.conf: %s", ub_strerror(rc));
	return rc != 0 ? PST_INVAL : PST_OK;
}

struct upstream *
upstream_new(const struct pst_names_conf *conf, char *err, size_t errlen)
{
	struct upstream *u = calloc(1, sizeof(*u));
	int rc;

	if (u == NULL || (u->ub = ub_ctx_create()) == NULL) {
		snprintf(err, errlen, "libunbound did not start: no memory or descriptors");
		free(u);
		return NULL;
	}
	/* Nothing of it may reach standard error, which is nobody's log. */
	ub_ctx_debugout(u->ub, NULL);
	rc = set_options(u->ub, conf);
	if (rc != 0)
		snprintf(err, errlen, "libunbound: %s", ub_strerror(rc));
	else if (set_servers(u->ub, conf, err, errlen) == PST_OK) {
		/* RFC 6761 6.2, RFC 8375 4: left to the servers, who may well know them. The rest
		   that libunbound answers itself (localhost, invalid, onion) stays. */
		ub_ctx_zone_remove(u->ub, "test.");
		ub_ctx_zone_remove(u->ub, "home.arpa.");
		return u;
	}
	upstream_free(u);
	return NULL;
}

void
upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	ub_ctx_delete(u->ub);
	free(u);
}

int
upstream_fd(struct upstream *u)
{
	return ub_fd(u->ub);
}

void
upstream_process(struct upstream *u)
{
	ub_process(u->ub);
}

/* ---- look-ups ---- */

static const char *
rcode_name(int rcode)
{
	static const char *const names[] = {
		"no error", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};

	return rcode >= 0 && rcode < (int)PST_COUNT(names) ? names[rcode] : "an unusual rcode";
}

/* NXDOMAIN, no data, SERVFAIL and bogus are kept apart: only the first two say something. */
static void
judge(struct dns_reply *r, int err, const struct ub_result *res)
{
	*r = (struct dns_reply){.outcome = DNS_FAILED};
	if (err != 0 || res == NULL) {
		r->why = err != 0 ? ub_strerror(err) : "no result";
		return;
	}
	r->secure = res->secure;
	r->ttl = res->ttl > 0 ? (uint32_t)res->ttl : 0;
	if (res->bogus)
		r->why = "bogus";
	else if (res->nxdomain || res->rcode == 3)
		r->outcome = DNS_NXDOMAIN;
	else if (res->rcode != 0)
		r->why = rcode_name(res->rcode);
	else if (!res->havedata || res->data == NULL || res->data[0] == NULL)
		r->outcome = DNS_NODATA;
	else {
		r->outcome = DNS_DATA;
		r->data = res->data;
		r->len = res->len;
		while (res->data[r->n] != NULL)
			r->n++;
	}
}

static void
replied(void *arg, int err, struct ub_result *res)
{
	struct upstream_job *job = arg;
	struct dns_reply r;

	judge(&r, err, res);
	job->reply(job, &r);
	ub_resolve_free(res);
}

enum pst_rc
upstream_ask(struct upstream *u, const char *name, uint16_t type, struct upstream_job *job)
{
	return ub_resolve_async(u->ub, name, type, CLASS_IN, job, replied, NULL) == 0 ? PST_OK
										      : PST_UNREACH;
}
