/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A next hop that takes everything, as cheaply as can be: banner, EHLO, STARTTLS, 250 to
 * whatever a client says of an envelope, 354, bytes up to the dot, 250. An engine (gen.h).
 * It is no mail server: it judges nothing and keeps nothing but counts.
 */
#ifndef SINK_H
#define SINK_H

#include "client.h"

struct gen_sink_conf {
	enum gen_tls tls;
	struct pst_tls_ctx *ctx; /* server side; NULL with GEN_TLS_NONE */
	const char *hostname;
};

struct gen_sink_figures {
	uint64_t sessions, full, resumed, messages, bytes, failed;
	char why[160];
};

struct gen_sink {
	const struct gen_sink_conf *conf;
	struct gen_sink_figures *fig;
	struct stream st;
	struct pst_buf in, out; /* a line not yet whole; replies not yet written */
	uint8_t state;          /* private */
	uint8_t dot;            /* private: of "\r\n.\r\n" this much has come */
	bool tls;               /* is up, or begins with the next step */
};

void gen_sink_init(
	struct gen_sink *k, const struct gen_sink_conf *conf, struct gen_sink_figures *fig);
void gen_sink_fini(struct gen_sink *k);
enum gen_rc gen_sink_step(struct gen_sink *k, struct gen_io *io);

#endif
