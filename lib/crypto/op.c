/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running an operation that is a call. Whoever runs it takes it first: one exchange of the
 * state decides between the thread that runs and the thread that cancels.
 */
#include <pst_cryptodrv.h>

#include <openssl/err.h>

const char *const pst_op_kind_names[PST_OP_KINDS] = {
	[PST_OP_RSA_SIGN] = "rsa_sign",
	[PST_OP_RSA_DECRYPT] = "rsa_decrypt",
	[PST_OP_ECDSA_SIGN] = "ecdsa_sign",
	[PST_OP_EDDSA_SIGN] = "eddsa_sign",
	[PST_OP_VERIFY] = "verify",
	[PST_OP_KEYGEN] = "keygen",
	[PST_OP_DERIVE] = "derive",
};

bool
pst_op_run(struct pst_op *op, bool *ok)
{
	uint32_t queued = PST_OP_QUEUED;

	*ok = false;
	/* Acquire: what the owner wrote before it queued. Its partner cancels by the same way. */
	if (!atomic_compare_exchange_strong_explicit(&op->state, &queued, PST_OP_RUNNING,
		    memory_order_acq_rel, memory_order_acquire))
		return false;
	ERR_clear_error(); /* else the first error might be of something before */
	*ok = op->call(op->arg) == 1;
	op->error = *ok ? 0 : ERR_peek_error();
	ERR_clear_error();
	return true;
}
