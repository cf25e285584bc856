/* SPDX-License-Identifier: BSD-3-Clause */
/* A look at JSON text before, and beside, the real parser. */
#ifndef PST_CONTROL_CONFIG_SCAN_H
#define PST_CONTROL_CONFIG_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define PST_CONFIG_SIZE_MAX  (16u << 20)
#define PST_CONFIG_DEPTH_MAX 32

/*
 * Reads the first n bytes and writes to ptr (always terminated, cut to size) the
 * JSON pointer of the value, or key, that ends or is under way there. false: nested
 * deeper than PST_CONFIG_DEPTH_MAX; ptr is the place.
 */
bool pst_config_scan(const char *json, size_t n, char *ptr, size_t size);

/* Appends "/key" with RFC 6901 escapes; whole or cut at size. Returns the new length. */
size_t pst_config_pointer_add(char *ptr, size_t len, size_t size, const char *key, size_t n);

#endif
