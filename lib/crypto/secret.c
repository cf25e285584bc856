/* SPDX-License-Identifier: BSD-3-Clause */
/* A file of secrets in memory: judged and read by the same descriptor (pem.c), and wiped. */
#include "crypto_int.h"
#include <stdio.h>
#include <unistd.h>

static bool
is_private(const struct pst_pem *f, char *err, size_t errlen)
{
	if (f->st.st_uid != 0 && f->st.st_uid != geteuid()) {
		snprintf(err, errlen, "%s: belongs to user %u, not to root or to us", f->file,
			(unsigned)f->st.st_uid);
		return false;
	}
	if ((f->st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		snprintf(err, errlen, "%s: the keys are open to others (mode %04o); chmod 0600 it",
			f->file, (unsigned)(f->st.st_mode & 07777));
		return false;
	}
	return true;
}

enum pst_rc
pst_secret_load(const char *file, struct pst_secret *out, char *err, size_t errlen)
{
	struct pst_pem f;
	enum pst_rc rc = pst_pem_open(&f, file, err, errlen);

	if (rc != PST_OK)
		return rc;
	if (!is_private(&f, err, errlen)) {
		pst_pem_close(&f);
		return PST_INVAL;
	}
	*out = (struct pst_secret){.p = f.p, .n = f.n};
	return PST_OK;
}

void
pst_secret_free(struct pst_secret *s)
{
	struct pst_pem f = {.p = s->p, .n = s->n};

	pst_pem_close(&f);
	s->p = NULL;
}
