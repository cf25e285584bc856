/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests ask the back-end `fault` beyond the ops of all back-ends. */
#ifndef PST_CRYPTODRV_FAULT_H
#define PST_CRYPTODRV_FAULT_H

#include <pst_cryptodrv.h>

/* Each is an option of that name: how many in a thousand, of calls of submit or of operations. */
#define PST_FAULT_CLASSES(X)                                                                       \
	/* Of calls of submit. */                                                                  \
	X(stall, "takes nothing for stall_us")                                                     \
	X(full, "takes nothing this time")                                                         \
	X(partial, "takes fewer than it was offered")                                              \
	/* Of operations: at most one of these happens to each. */                                 \
	X(delay, "given back up to delay_us after it was done")                                    \
	X(drop, "never done; given back as failed after lost_ms, if that is not 0")                \
	X(error, "given back as failed")                                                           \
	X(wrong, "bits of the result are flipped")                                                 \
	X(reorder, "given back behind one that came later")                                        \
	X(double, "given back twice")                                                              \
	X(late, "given back after its deadline")

enum pst_fault_class {
#define PST_FAULT_ENUM(name, help) PST_FAULT_##name,
	PST_FAULT_CLASSES(PST_FAULT_ENUM)
#undef PST_FAULT_ENUM
		PST_FAULT_NONE
};
extern const char *const pst_fault_names[PST_FAULT_NONE]; /* "stall", ... */

/* How often it happened, over all lanes; b is an open `fault`. Any thread, a moment late. */
uint64_t pst_fault_count(const struct pst_backend *b, enum pst_fault_class class);

#endif
