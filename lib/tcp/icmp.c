/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors about our segments, by the rules of RFC 5927: one that does not
 * quote a sequence number in flight is nobody's; once a connection is
 * synchronised no error ends it; "too big" lowers the segment size, but not
 * below what every path must carry.
 */
#include "tcb.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#define MTU_FLOOR_V4 552  /* as Linux: below lies the range of attacks */
#define MTU_FLOOR_V6 1280 /* RFC 8200 5 */

static bool
is_unreachable(const struct pst_pkt *pkt, bool v4)
{
	return v4 ? pkt->icmp_type == ICMP_DEST_UNREACH : pkt->icmp_type == ICMP6_DST_UNREACH;
}

static void
lower_mss(struct pst_tcp_conn *c, uint16_t mtu)
{
	struct pst_tcp *t = c->t;
	bool v4 = pst_ip_is4(&c->tuple.remote);
	uint16_t least = v4 ? MTU_FLOOR_V4 : MTU_FLOOR_V6;
	uint32_t mss;

	pst_net_pmtu_update(t->net, &c->tuple.remote, PST_MAX(mtu, least), t->now);
	if (c->state < ST_ESTABLISHED)
		return;
	mss = conn_path_mss(t, &c->tuple) - (c->ts_on ? TCP_TS_LEN : 0);
	if (mss >= c->mss)
		return;
	t->cnt.pmtu_lowered++;
	c->mss = mss;
	cc_set_mss(&c->cc, mss);
	/* RFC 1191 6.5: send again at once, smaller; this loss says nothing of congestion. */
	c->snd_nxt = c->snd_una;
	c->rtt_timing = false;
	conn_dirty(c);
}

void
icmp_input(struct pst_tcp *t, const struct pst_pkt *pkt)
{
	struct tuple tu = {.remote = pkt->dst, .local = pkt->src};
	struct pst_tcp_conn *c;
	uint8_t copy[8];
	const uint8_t *h = rte_pktmbuf_read(pkt->m, 0, sizeof(copy), copy);
	uint32_t seq;

	if (h == NULL) {
		t->cnt.drop_icmp++;
		return;
	}
	tu.lport = (uint16_t)(h[0] << 8 | h[1]);
	tu.rport = (uint16_t)(h[2] << 8 | h[3]);
	seq = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
	c = table_find(t, &tu, tuple_hash(t, &tu));
	/* RFC 5927 4.1: SND.UNA =< SEG.SEQ < SND.NXT. */
	if (c == NULL || seq_lt(seq, c->snd_una) || seq_ge(seq, c->snd_max)) {
		t->cnt.drop_icmp++;
		return;
	}
	if (pkt->mtu != 0)
		lower_mss(c, pkt->mtu);
	else if (c->state == ST_SYN_SENT && is_unreachable(pkt, pst_ip_is4(&tu.remote)))
		conn_die(c, PST_TCP_ERR_UNREACH); /* soft ones too: another host may be tried (RFC
						     5461) */
}
