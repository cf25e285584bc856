/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams that can be computed at any offset, and one side of a connection. */
#include "sim.h"

#define CHUNK 16384

static uint64_t
mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t
stream_key(uint64_t seed, uint64_t n)
{
	return mix(mix(seed + 1) + n);
}

static void
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

static bool
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

void
flow_write(struct flow *f)
{
	uint8_t chunk[CHUNK];

	while (f->written < f->to_send && pst_tcp_send_space(f->c) > 0) {
		size_t n = PST_MIN((uint64_t)CHUNK, f->to_send - f->written);

		stream_fill(f->send_key, f->written, chunk, n);
		if (pst_tcp_write(f->c, chunk, n) != PST_OK)
			return;
		f->written += n;
	}
	if (f->written == f->to_send && !f->shut && !f->open) {
		pst_tcp_shutdown(f->c);
		f->shut = true;
	}
}

void
flow_read(struct sim *s, struct flow *f)
{
	struct pst_span p;

	while ((p = pst_tcp_peek(f->c)).n > 0) {
		if (!stream_check(f->recv_key, f->read, p.p, p.n))
			sim_fault(s, "bytes differ");
		f->read += p.n;
		pst_tcp_consume(f->c, p.n);
	}
	f->eof = pst_tcp_eof(f->c);
}
