/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernel sockets as the generator wants them: TCP, non-blocking, closed on exec, without
 * Nagle's delay. Stateless; every descriptor is the caller's.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <pst_ip.h>

struct sockets_conf {
	uint32_t rcv_buf, snd_buf; /* bytes; 0: the kernel's own */
};

/* PST_OK and a descriptor whose connection is under way. local NULL: any of our addresses. */
enum pst_rc sockets_connect(const struct sockets_conf *conf, const struct pst_ip *local,
	const struct pst_endpoint *to, int *fd);
/* The descriptor, or -1 and errno. An IPv6 `any` takes IPv4 too. */
int sockets_listen(const struct sockets_conf *conf, const struct pst_endpoint *at);
/* The next connection that waits; -1: none now, or none can be taken. */
int sockets_accept(const struct sockets_conf *conf, int listener);
/* The last close() of the descriptor then sends RST. */
void sockets_reset_on_close(int fd);
/* All that was written has been acknowledged by the peer. */
bool sockets_all_acknowledged(int fd);
/* errno of its death, taken from it; 0: alive. */
int sockets_error(int fd);
uint16_t sockets_local_port(int fd); /* 0: not known */
/* As many descriptors as this process may have; how many connections that allows. */
uint32_t sockets_raise_limit(void);

#endif
