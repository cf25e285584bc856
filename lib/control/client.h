/* SPDX-License-Identifier: BSD-3-Clause */
/* One client of the control socket: its lines in, our lines out; client.c. */
#ifndef PST_CONTROL_CLIENT_H
#define PST_CONTROL_CLIENT_H

#include <pst_buf.h>

#include "follow.h"
#include "rpc.h"

#define PST_CLIENT_SMALL (1u << 20) /* what every client may have in memory, each way */

struct pst_client {
	int fd;            /* -1: free */
	bool eof;          /* nothing more will come: answer what is there, then close */
	bool closing;      /* flush, then close */
	bool gone;         /* to be closed by the server */
	uint32_t scanned;  /* bytes of `in` that hold no newline */
	uint64_t moved_ns; /* last byte in or out */
	uint64_t large_ns; /* since when it has more than PST_CLIENT_SMALL; 0: it has not */
	struct pst_buf in, out;
	struct pst_caller caller;
	struct pst_follower follower;
};

/* fd is connected and non-blocking. false: the kernel does not say who it is. */
bool pst_client_open(struct pst_client *cl, int fd, uint64_t now);
void pst_client_close(struct pst_client *cl, struct pst_plane *p);

/* What poll is to wait for; what came of it. large: may its line grow beyond SMALL? */
short pst_client_events(const struct pst_client *cl);
void pst_client_serve(
	struct pst_client *cl, struct pst_plane *p, short revents, bool large, bool answer);
/* A whole line is there and the answer before it is gone. */
bool pst_client_ready(struct pst_client *cl);
bool pst_client_large_out(const struct pst_client *cl);
bool pst_client_large_in(const struct pst_client *cl);

#endif
