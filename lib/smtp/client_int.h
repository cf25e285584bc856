/* SPDX-License-Identifier: BSD-3-Clause */
/* What client.c and client_reply.c share. */
#ifndef PST_CLIENT_INT_H
#define PST_CLIENT_INT_H

#include "smtp_int.h"

#include <pst_smtp_client.h>

/* Enters cmd in the queue of what is outstanding; false: it is full. */
bool pst_smtp_client_push(struct pst_smtp_client *c, enum pst_smtp_cmd cmd);

#endif
