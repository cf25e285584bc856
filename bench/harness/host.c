/* SPDX-License-Identifier: BSD-3-Clause */
#include "host.h"

#include <openssl/crypto.h>
#include <pst_cycles.h>
#include <rte_version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

void
host_time(char text[32])
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* The value of the first line "key : value" of a file; "" if there is none. */
static void
field(const char *path, const char *key, char *value, size_t len)
{
	FILE *f = fopen(path, "re");
	char line[1024], *at;

	value[0] = '\0';
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, key, strlen(key)) != 0 || (at = strchr(line, ':')) == NULL)
			continue;
		at += 1 + strspn(at + 1, " \t");
		at[strcspn(at, "\n")] = '\0';
		snprintf(value, len, "%s", at);
		break;
	}
	if (f != NULL)
		fclose(f);
}

json_t *
host_json(const char *driver)
{
	char cpu[128], flags[1024], kernel[200], memory[32];
	struct utsname u = {0};

	uname(&u);
	snprintf(kernel, sizeof(kernel), "%.60s %.60s %.30s", u.sysname, u.release, u.machine);
	field("/proc/cpuinfo", "model name", cpu, sizeof(cpu));
	field("/proc/cpuinfo", "flags", flags, sizeof(flags));
	field("/proc/meminfo", "MemTotal", memory, sizeof(memory));
	return json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "cpu",
		cpu[0] != '\0' ? cpu : u.machine, "cores",
		(json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "kernel", kernel, "dpdk", rte_version(),
		"openssl", OpenSSL_version(OPENSSL_VERSION), "driver", driver, "memory_mb",
		(json_int_t)(strtoull(memory, NULL, 10) / 1024), "tsc_hz", (json_int_t)pst_tsc_hz(),
		"hypervisor", strstr(flags, "hypervisor") != NULL);
}

uint64_t
host_spin_ns(void)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t t = pst_now_ns(), x = t | 1;

		for (unsigned k = 0; k < 100000; k++)
			x = x * 6364136223846793005ull + 1442695040888963407ull;
		__asm__ volatile("" : : "r"(x)); /* the loop is not for nothing */
		best = PST_MIN(best, pst_now_ns() - t);
	}
	return best;
}

uint64_t
host_preempted(pid_t tid)
{
	char path[64], value[32];

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
	field(path, "nonvoluntary_ctxt_switches", value, sizeof(value));
	return strtoull(value, NULL, 10);
}
