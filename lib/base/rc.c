/* SPDX-License-Identifier: BSD-3-Clause */
#include <pst_base.h>
#include <time.h>

const char *
pst_rc_name(enum pst_rc rc)
{
	switch (rc) {
	case PST_OK:
		return "ok";
	case PST_AGAIN:
		return "again";
	case PST_EOF:
		return "eof";
	case PST_PEER:
		return "peer";
	case PST_NOMEM:
		return "nomem";
	case PST_INVAL:
		return "inval";
	case PST_BUG:
		return "bug";
	case PST_WANT_ASYNC:
		return "want-async";
	case PST_UNREACH:
		return "unreach";
	}
	return "unknown";
}

uint64_t
pst_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * PST_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}
