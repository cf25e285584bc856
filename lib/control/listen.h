/* SPDX-License-Identifier: BSD-3-Clause */
/* The file system's side of the control socket. */
#ifndef PST_CONTROL_LISTEN_H
#define PST_CONTROL_LISTEN_H

#include <pst_config.h>
#include <sys/stat.h>

struct pst_listen {
	int fd;
	const char *path; /* the configuration's */
	dev_t dev;        /* which file we made */
	ino_t ino;
};

/* fd is listening, non-blocking, mode 0660; false and a text in err. */
bool pst_listen_open(
	struct pst_listen *l, const struct pst_config_control *conf, char *err, size_t errlen);
void pst_listen_close(struct pst_listen *l); /* removes the file if it is still ours */

#endif
