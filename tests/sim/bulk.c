/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bulk both ways at once over one connection. What each side sends is a stream
 * computed from the seed, and each received byte is compared with it; then both
 * close, TIME_WAIT runs out, and nothing may be left.
 */
#include "sim.h"

#include <stdlib.h>

#define PORT  25
#define CHUNK 16384
#define HOURS (3600 * PST_NS_PER_SEC)

struct side {
	struct pst_tcp_conn *c;
	uint64_t send_key, recv_key;
	uint64_t bytes, written, read;
	bool shut, eof, closed;
};

static struct side sides[2];

static uint64_t
mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

void
stream_fill(uint64_t key, uint64_t offset, uint8_t *out, size_t n)
{
	while (n > 0) {
		uint64_t word = mix(key + offset / 8 * 0x9e3779b97f4a7c15ull);
		size_t skip = offset % 8, k = PST_MIN(8 - skip, n);

		memcpy(out, (const uint8_t *)&word + skip, k);
		out += k;
		offset += k;
		n -= k;
	}
}

bool
stream_check(uint64_t key, uint64_t offset, const uint8_t *p, size_t n)
{
	uint8_t want[4096];

	while (n > 0) {
		size_t k = PST_MIN(n, sizeof(want));

		stream_fill(key, offset, want, k);
		if (memcmp(p, want, k) != 0)
			return false;
		p += k;
		offset += k;
		n -= k;
	}
	return true;
}

static void
write_more(struct side *s)
{
	uint8_t chunk[CHUNK];

	while (s->written < s->bytes && pst_tcp_send_space(s->c) > 0) {
		size_t n = PST_MIN((uint64_t)CHUNK, s->bytes - s->written);

		stream_fill(s->send_key, s->written, chunk, n);
		if (pst_tcp_write(s->c, chunk, n) != PST_OK)
			return;
		s->written += n;
	}
	if (s->written == s->bytes && !s->shut) {
		pst_tcp_shutdown(s->c);
		s->shut = true;
	}
}

static void
read_all(struct host *h, struct side *s)
{
	struct pst_span p;

	while ((p = pst_tcp_peek(s->c)).n > 0) {
		if (!stream_check(s->recv_key, s->read, p.p, p.n))
			sim_fault(h->sim, "bytes differ");
		s->read += p.n;
		pst_tcp_consume(s->c, p.n);
	}
	s->eof = pst_tcp_eof(s->c);
}

static void
app(struct host *h, struct pst_tcp_conn *c, uint32_t events)
{
	struct side *s = &sides[h->id];

	if (events & PST_TCP_EV_ACCEPT)
		s->c = c;
	if (c != s->c || s->closed) {
		sim_fault(h->sim, "an event for a connection that is not ours");
		return;
	}
	if (events & PST_TCP_EV_ERROR) {
		sim_fault(h->sim, pst_tcp_error_name(pst_tcp_error(c)));
		return;
	}
	read_all(h, s);
	write_more(s);
	if (s->eof && s->shut) {
		if (s->read != s->bytes)
			sim_fault(h->sim, "the stream ended early");
		pst_tcp_close(c);
		s->closed = true;
	}
}

static void
collect(struct sim *s, struct bulk_result *out)
{
	out->virtual_s = (double)s->now / 1e9;
	out->frames = s->wire.sent;
	for (int i = 0; i < 2; i++) {
		const struct pst_tcp_counters *n = pst_tcp_counters(s->host[i].tcp);

		out->retransmits += n->retrans_segs;
		out->timeouts += n->rto_fired;
		out->fast += n->fast_retrans;
	}
}

const char *
bulk_run(const struct bulk_conf *conf, struct bulk_result *out)
{
	struct sim *s = sim_new(&conf->sim);
	const char *fault;

	*out = (struct bulk_result){0};
	for (unsigned i = 0; i < 2; i++) {
		sides[i] = (struct side){.bytes = conf->bytes,
			.send_key = mix(conf->sim.seed * 2 + i),
			.recv_key = mix(conf->sim.seed * 2 + !i)};
		s->host[i].app = app;
	}
	host_listen(&s->host[1], PORT);
	sides[0].c = host_connect(&s->host[0], PORT, NULL);
	if (sides[0].c == NULL)
		sim_fault(s, "connect failed");
	sim_until(s, sim_idle, 1000 * HOURS);
	for (int i = 0; i < 2; i++)
		if (!sides[i].closed)
			sim_fault(s, "a side never closed");
	collect(s, out);
	fault = s->fault;
	sim_pass(s, 10 * PST_NS_PER_SEC); /* stragglers on the wire */
	if (!sim_free(s) && fault == NULL)
		fault = "a connection or an mbuf was left over";
	return fault;
}
