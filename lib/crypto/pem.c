/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads a PEM file whole: what is judged (owner, mode) and what is parsed are
 * then the same bytes, and a key's bytes can be wiped. Refuses what is not a
 * regular file, because opening a FIFO or a device would block the loader.
 */
#include "crypto_int.h"
#include <openssl/crypto.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum pst_rc
read_all(struct pst_pem *f, int fd)
{
	size_t cap = (size_t)f->st.st_size;

	f->p = malloc(cap + 1);
	if (f->p == NULL)
		return PST_NOMEM;
	while (f->n < cap) {
		ssize_t r = read(fd, f->p + f->n, cap - f->n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return PST_INVAL;
		if (r == 0)
			break;
		f->n += (size_t)r;
	}
	f->p[f->n] = 0;
	return PST_OK;
}

static const char *
unfit(const struct pst_pem *f)
{
	if (!S_ISREG(f->st.st_mode))
		return "not a regular file";
	if (f->st.st_size == 0)
		return "the file is empty";
	if (f->st.st_size > PST_PEM_MAX)
		return "the file is larger than 4 MiB";
	return NULL;
}

enum pst_rc
pst_pem_open(struct pst_pem *f, const char *file, char *err, size_t errlen)
{
	enum pst_rc rc = PST_INVAL;
	const char *why;
	int fd;

	*f = (struct pst_pem){.file = file};
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &f->st) != 0) {
		snprintf(err, errlen, "%s: cannot open: %s", file, strerror(errno));
		goto out;
	}
	why = unfit(f);
	if (why != NULL) {
		snprintf(err, errlen, "%s: %s", file, why);
		goto out;
	}
	rc = read_all(f, fd);
	if (rc != PST_OK) {
		snprintf(err, errlen, "%s: cannot read: %s", file, strerror(errno));
		pst_pem_close(f);
	}
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

void
pst_pem_close(struct pst_pem *f)
{
	if (f->p != NULL)
		OPENSSL_cleanse(f->p, f->n);
	free(f->p);
	f->p = NULL;
}
