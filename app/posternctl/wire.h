/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection to the control socket: requests out, lines in. */
#ifndef POSTERNCTL_WIRE_H
#define POSTERNCTL_WIRE_H

#include <jansson.h>
#include <stdbool.h>

struct wire {
	int fd;
	char *buf;
	size_t n, cap; /* bytes in buf that are not yet taken */
};

/* All of these say on standard error what went wrong, naming path. */
bool wire_open(struct wire *w, const char *path);
void wire_close(struct wire *w);
/* Takes over params (NULL: none). */
bool wire_send(struct wire *w, const char *path, const char *method, json_t *params);
/* The next message; NULL: none came in time, or the gateway went. */
json_t *wire_receive(struct wire *w, const char *path);
/* How long a receive waits, from now on; 0: for ever. */
void wire_patience(struct wire *w, unsigned seconds);
/* A whole message is there already: poll would not say so. */
bool wire_pending(const struct wire *w);

#endif
