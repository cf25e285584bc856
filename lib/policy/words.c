/* SPDX-License-Identifier: BSD-3-Clause */
/* Enumerations as the words of configuration, log and explain, and back. */
#include "policy_int.h"

static const char *const levels[PST_LEVELS] = {
	"unset", "none", "may", "encrypt", "fingerprint", "verify", "secure"};
static const char *const senders[] = {"unset", "required", "none", "optional"};
static const char *const recipients[] = {"unset", "required", "none", "preferred", "allowed"};

static const char *
name_of(const char *const *names, unsigned n, unsigned i)
{
	return i < n ? names[i] : names[0];
}

const char *
pst_level_name(enum pst_level l)
{
	return name_of(levels, PST_COUNT(levels), (unsigned)l);
}

const char *
pst_sender_name(enum pst_sender_policy s)
{
	return name_of(senders, PST_COUNT(senders), (unsigned)s);
}

const char *
pst_recipient_name(enum pst_recipient_policy r)
{
	return name_of(recipients, PST_COUNT(recipients), (unsigned)r);
}

/* "unset" is for print only: who leaves a side out leaves the word out. 0: no such word. */
static unsigned
parse(const char *const *names, unsigned n, struct pst_span word)
{
	for (unsigned i = 1; i < n; i++)
		if (pst_span_ieq_str(word, names[i]))
			return i;
	return 0;
}

bool
pst_level_parse(struct pst_span word, enum pst_level *out)
{
	*out = (enum pst_level)parse(levels, PST_COUNT(levels), word);
	return *out != PST_LEVEL_UNSET;
}

bool
pst_sender_parse(struct pst_span word, enum pst_sender_policy *out)
{
	*out = (enum pst_sender_policy)parse(senders, PST_COUNT(senders), word);
	if (pst_span_ieq_str(word, "Optionally Encrypted"))
		*out = PST_SENDER_OPTIONAL;
	if (pst_span_ieq_str(word, "Always Encrypted"))
		*out = PST_SENDER_REQUIRED;
	return *out != PST_SENDER_UNSET;
}

bool
pst_recipient_parse(struct pst_span word, enum pst_recipient_policy *out)
{
	*out = (enum pst_recipient_policy)parse(recipients, PST_COUNT(recipients), word);
	if (pst_span_ieq_str(word, "Always Encrypted"))
		*out = PST_RECIPIENT_REQUIRED;
	return *out != PST_RECIPIENT_UNSET;
}
