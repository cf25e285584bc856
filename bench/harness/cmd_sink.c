/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * postern-bench sink: a next hop that takes everything, over kernel sockets (--kernel) or a port of
 * our own stack (--device). Runs until SIGTERM or SIGINT, then prints its counts as one JSON
 * object.
 */
#include "bench.h"
#include "kernel.h"
#include "load.h"
#include "wire_port.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define TURN_NS (100 * PST_NS_PER_MS)

struct place {
	struct pst_endpoint at;
	struct gen_sink_conf conf;
	struct gen_sink_figures fig;
};

struct sink {
	struct place places[LOAD_SINKS];
	unsigned n;
	const char *cert, *key, *hostname;
	unsigned tickets;
	bool kernel;
	struct wire_port port; /* without kernel */
	struct pst_crypto *crypto;
	struct pst_cert *loaded;
	struct pst_tls_ctx *ctx;
	struct gen_transport *t;
	struct load *load;
	char err[256];
};

static volatile sig_atomic_t ended;

static void
on_signal(int sig)
{
	ended = sig;
}

static const struct option options[] = {
	{"kernel", no_argument, NULL, 'k'},
	{"at", required_argument, NULL, 'a'},
	{"cert", required_argument, NULL, 'c'},
	{"key", required_argument, NULL, 'K'},
	{"tickets", required_argument, NULL, 't'},
	{"hostname", required_argument, NULL, 'n'},
	WIRE_OPTIONS,
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"usage: postern-bench sink --kernel|--device D ... --at "
	"ADDRESS:PORT/starttls|implicit|none ...\n"
	"  --cert FILE        PEM chain; with the key in it, unless --key names another\n"
	"  --key FILE\n"
	"  --tickets N        session tickets after a handshake, 0 to 2, default 1\n"
	"  --hostname NAME    what it says it is, default mail.example.org\n";

static bool
bad(const char *option, const char *why)
{
	fprintf(stderr, "postern-bench sink: --%s: %s\n", option, why);
	return false;
}

static bool
take_place(struct sink *s, char *text)
{
	char *slash = strchr(text, '/');
	struct place *p = &s->places[s->n];

	if (s->n == LOAD_SINKS)
		return bad("at", "that is too many");
	if (slash == NULL || !kernel_tls(slash + 1, &p->conf.tls))
		return bad("at", "ADDRESS:PORT/starttls, .../implicit or .../none");
	*slash = '\0';
	if (!kernel_endpoint(text, &p->at))
		return bad("at", "no ADDRESS:PORT");
	s->n++;
	return true;
}

static bool
take_option(struct sink *s, int opt)
{
	double v = 0;

	if (opt >= WIRE_OPT_DEVICE)
		return wire_port_option(&s->port, opt, optarg) ||
		       bad("device and its options", "see --help");
	switch (opt) {
	case 'k':
		return s->kernel = true;
	case 'a':
		return take_place(s, optarg);
	case 'c':
		s->cert = optarg;
		return true;
	case 'K':
		s->key = optarg;
		return true;
	case 'n':
		s->hostname = optarg;
		return true;
	default:
		if (!kernel_number(optarg, 0, 2, &v))
			return bad("tickets", "0, 1 or 2");
		s->tickets = (unsigned)v;
		return true;
	}
}

static int
complain(const char *what)
{
	fprintf(stderr, "postern-bench sink: %s\n", what);
	return 2;
}

static int
parse(struct sink *s, int argc, char **argv)
{
	bool tls = false;
	int opt;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage, stdout);
			fputs(WIRE_USAGE, stdout);
			return 0;
		}
		if (opt == '?' || !take_option(s, opt))
			return 2;
	}
	for (unsigned i = 0; i < s->n; i++)
		tls |= s->places[i].conf.tls != GEN_TLS_NONE;
	if (!s->kernel && !wire_port_check(&s->port, s->err, sizeof(s->err)))
		return complain(s->err);
	if (s->kernel && s->port.port.device != NULL)
		return complain("--kernel or --device");
	if (s->n == 0)
		return complain("--at says where");
	if (optind < argc)
		return complain("there are only options");
	if (tls && s->cert == NULL)
		return complain("TLS needs --cert");
	if (s->key == NULL)
		s->key = s->cert;
	return -1;
}

static bool
start_tls(struct sink *s)
{
	struct pst_tls_conf conf = {.side = PST_TLS_SERVER, .tickets = s->tickets, .ncerts = 1};

	if (s->cert == NULL)
		return true;
	s->crypto = pst_crypto_new(s->err, sizeof(s->err));
	if (s->crypto == NULL || pst_cert_load(s->crypto, s->cert, s->key, &s->loaded, s->err,
					 sizeof(s->err)) != PST_OK)
		return false;
	conf.certs[0] = s->loaded;
	s->ctx = pst_tls_ctx_new(s->crypto, &conf, s->err, sizeof(s->err));
	return s->ctx != NULL;
}

static bool
start(struct sink *s)
{
	struct gen_epoll_conf conf = {.linger = true};

	snprintf(s->err, sizeof(s->err), "no memory");
	if (!start_tls(s))
		return false;
	s->t = s->kernel ? gen_epoll_new(&conf, pst_now_ns(), s->err, sizeof(s->err))
			 : wire_port_start(&s->port, 0, s->err, sizeof(s->err));
	s->load = s->t != NULL ? load_new(s->t) : NULL;
	for (unsigned i = 0; s->load != NULL && i < s->n; i++) {
		struct place *p = &s->places[i];

		p->conf.ctx = p->conf.tls != GEN_TLS_NONE ? s->ctx : NULL;
		p->conf.hostname = s->hostname;
		if (load_sink(s->load, &p->at, &p->conf, &p->fig, s->err, sizeof(s->err)) != PST_OK)
			return false;
	}
	return s->load != NULL;
}

static void
print_counts(const struct sink *s)
{
	struct gen_sink_figures sum = {0};

	for (unsigned i = 0; i < s->n; i++) {
		const struct gen_sink_figures *f = &s->places[i].fig;

		sum.sessions += f->sessions;
		sum.full += f->full;
		sum.resumed += f->resumed;
		sum.messages += f->messages;
		sum.bytes += f->bytes;
		sum.failed += f->failed;
	}
	printf("{\"sessions\": %" PRIu64 ", \"full\": %" PRIu64 ", \"resumed\": %" PRIu64
	       ", \"messages\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"failed\": %" PRIu64 "}\n",
		sum.sessions, sum.full, sum.resumed, sum.messages, sum.bytes, sum.failed);
}

static void
stop(struct sink *s)
{
	load_free(s->load);
	if (s->t != NULL)
		s->t->ops->free(s->t);
	if (s->ctx != NULL)
		pst_tls_ctx_put(s->ctx);
	if (s->loaded != NULL)
		pst_cert_free(s->loaded);
	pst_crypto_free(s->crypto);
	wire_port_stop(&s->port);
	free(s);
}

int
sink_main(int argc, char **argv)
{
	struct sink *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return 1;
	s->hostname = "mail.example.org";
	s->tickets = 1;
	wire_port_init(&s->port);
	rc = parse(s, argc, argv);
	if (rc >= 0) {
		free(s);
		return rc;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);
	if (start(s)) {
		printf("ready\n");
		fflush(stdout);
		while (!ended) {
			uint64_t now = pst_now_ns();

			if (!load_turn(s->load, now))
				load_idle(s->load, now, TURN_NS);
		}
		print_counts(s);
		rc = 0;
	} else {
		fprintf(stderr, "postern-bench sink: %s\n", s->err);
		rc = 1;
	}
	stop(s);
	return rc;
}
