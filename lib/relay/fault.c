/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a fault of a next hop means: to the operator (name), to the client (code and
 * text). A client never hears 5xx for a fault of the network, nor the next hop's name.
 */
#include "relay.h"

const char *
hop_fault_name(enum hop_fault f)
{
	static const char *const names[] = {
		[HOP_FAULT_NONE] = "none",
		[HOP_FAULT_CONNECT] = "connect",
		[HOP_FAULT_LOST] = "connection lost",
		[HOP_FAULT_TIMEOUT] = "timeout",
		[HOP_FAULT_PROTOCOL] = "protocol error",
		[HOP_FAULT_GREETING] = "refused to talk",
		[HOP_FAULT_NO_TLS] = "TLS is required, but was not offered",
		[HOP_FAULT_TLS] = "TLS failed",
		[HOP_FAULT_INJECTION] = "bytes behind the reply to STARTTLS",
		[HOP_FAULT_CONFLICT] = "policy_conflict",
		[HOP_FAULT_RESOURCE] = "out of resources",
	};
	return names[f];
}

const char *
hop_fault_word(enum hop_fault f)
{
	static const char *const words[] = {
		[HOP_FAULT_NONE] = "none",
		[HOP_FAULT_CONNECT] = "connect",
		[HOP_FAULT_LOST] = "lost",
		[HOP_FAULT_TIMEOUT] = "timeout",
		[HOP_FAULT_PROTOCOL] = "protocol",
		[HOP_FAULT_GREETING] = "greeting",
		[HOP_FAULT_NO_TLS] = "tls_not_offered",
		[HOP_FAULT_TLS] = "tls_failed",
		[HOP_FAULT_INJECTION] = "injection",
		[HOP_FAULT_CONFLICT] = "policy_conflict",
		[HOP_FAULT_RESOURCE] = "resource",
	};
	return words[f];
}

const char *
hop_fault_enh(enum hop_fault f)
{
	switch (f) {
	case HOP_FAULT_NO_TLS:
		return "4.7.4";
	case HOP_FAULT_TLS:
	case HOP_FAULT_INJECTION:
	case HOP_FAULT_CONFLICT:
		return "4.7.5";
	case HOP_FAULT_LOST:
	case HOP_FAULT_TIMEOUT:
		return "4.4.2";
	case HOP_FAULT_PROTOCOL:
		return "4.5.0";
	case HOP_FAULT_RESOURCE:
		return "4.3.2";
	default:
		return "4.4.1";
	}
}

/* What a client is told of a fault: never the next hop's name or text. */
const char *
hop_fault_text(enum hop_fault f)
{
	switch (f) {
	case HOP_FAULT_NO_TLS:
		return "TLS is required, but was not offered by the next hop";
	case HOP_FAULT_TLS:
	case HOP_FAULT_INJECTION:
		return "TLS with the next hop failed";
	case HOP_FAULT_CONFLICT:
		return "Policy conflict: TLS with the next hop is both demanded and forbidden";
	case HOP_FAULT_LOST:
	case HOP_FAULT_TIMEOUT:
		return "Lost the connection to the next hop";
	case HOP_FAULT_PROTOCOL:
		return "The next hop does not speak SMTP";
	case HOP_FAULT_RESOURCE:
		return "Out of resources, try again";
	default:
		return "The next hop does not answer";
	}
}

int
hop_fault_refusal(enum hop_fault f)
{
	switch (f) {
	case HOP_FAULT_NO_TLS:
		return PST_REFUSED_NO_TLS;
	case HOP_FAULT_TLS:
	case HOP_FAULT_INJECTION:
		return PST_REFUSED_TLS;
	case HOP_FAULT_CONFLICT:
		return PST_REFUSED_CONFLICT;
	default:
		return -1;
	}
}
