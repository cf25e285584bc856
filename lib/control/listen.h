/* SPDX-License-Identifier: BSD-3-Clause */
/* The file system's side of the control socket. */
#ifndef PST_CONTROL_LISTEN_H
#define PST_CONTROL_LISTEN_H

#include <pst_config.h>
#include <sys/stat.h>

struct pst_listen {
	int fd;
	char path[108]; /* as in struct sockaddr_un */
	dev_t dev;      /* which file we made */
	ino_t ino;
};

/* fd is listening, non-blocking, mode 0660; false and a text in err. */
bool pst_listen_open(
	struct pst_listen *l, const struct pst_config_control *conf, char *err, size_t errlen);
void pst_listen_close(struct pst_listen *l); /* removes the file if it is still ours */

/* Gives the file to another group; NULL as in the configuration. */
bool pst_listen_group_exists(const char *group, char *err, size_t errlen);
bool pst_listen_regroup(struct pst_listen *l, const char *group, char *err, size_t errlen);

#endif
