/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs of payload in mbufs: single segments linked by m->next, without the
 * packet fields of a chain (nb_segs, pkt_len mean nothing here). Bytes are never
 * changed in place: on an in-process ring the peer still holds the same buffer.
 */
#ifndef PST_TCP_MBQ_H
#define PST_TCP_MBQ_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>

struct mbq {
	struct rte_mbuf *head, *tail;
	uint32_t len; /* bytes in all */
};

/* Frees one segment that was unlinked. */
void mb_free(struct rte_mbuf *m);
void mb_free_all(struct rte_mbuf *m);
uint32_t mb_len(const struct rte_mbuf *m);
/* Cuts n bytes off the front, or keeps only the first n; frees what became empty. */
struct rte_mbuf *mb_drop(struct rte_mbuf *m, uint32_t n);
struct rte_mbuf *mb_keep(struct rte_mbuf *m, uint32_t n);
/* The buffer is ours alone, so its tailroom may be written. */
bool mb_exclusive(const struct rte_mbuf *m);

/* Links a run that holds no empty segment. */
void mbq_link(struct mbq *q, struct rte_mbuf *m);
/* Appends received payload. Small pieces are copied together, so that a peer that
 * sends single bytes cannot pin a 2-KiB buffer with each. */
void mbq_add_received(struct mbq *q, struct rte_mbuf *m, struct rte_mempool *pool);
/*
 * Copies n bytes in, filling the tail first. False, and nothing done, when the pool is empty.
 * A segment ends `edge` (1..step) bytes from here, and then every `step` bytes: as far as
 * mbufs are large enough each lies in one of them, so that sending it takes one clone.
 */
bool mbq_write(struct mbq *q, struct rte_mempool *pool, const uint8_t *p, uint32_t n, uint32_t edge,
	uint32_t step);
void mbq_drop(struct mbq *q, uint32_t n); /* n <= len */
void mbq_clear(struct mbq *q);

#endif
