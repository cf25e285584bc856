/* SPDX-License-Identifier: BSD-3-Clause */
/* The document as bytes: dumps that reproduce themselves, files that change at once. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pst_base.h>
#include <save.h>

#include "site.h"

static char dir[64], path[96];

static void
start(void)
{
	strcpy(dir, "/tmp/pst-save-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/p.json", dir);
}

static void
stop(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	cr_expect_eq(system(command), 0);
}

TestSuite(save, .init = start, .fini = stop, .timeout = 60);

Test(save, a_dump_read_and_dumped_again_is_the_same_bytes)
{
	static const char *const numbers[] = {"0.04", "0.1", "1e-3", "86400.0005",
		"0.30000000000000004", "123456789.123456789", "1e300", "25.0", "25", "-0.0",
		"3.3333333333333335"};

	for (size_t i = 0; i < PST_COUNT(numbers); i++) {
		json_t *doc = json_loads(numbers[i], JSON_DECODE_ANY, NULL), *again;
		json_t *wrapped = json_pack("{s:o}", "n", doc);
		char *one = pst_document_dump(wrapped), *two;

		again = json_loads(one, 0, NULL);
		two = pst_document_dump(again);
		cr_expect_str_eq(one, two, "%s", numbers[i]);
		free(one);
		free(two);
		json_decref(wrapped);
		json_decref(again);
	}
}

Test(save, keeps_mode_and_leaves_nothing_beside)
{
	struct stat st;
	char err[256] = "", command[128], *text;

	write_whole(path, "old");
	chmod(path, 0604);
	cr_assert(pst_document_save(path, "new\n", err, sizeof(err)), "%s", err);
	text = read_whole(path);
	cr_expect_str_eq(text, "new\n");
	free(text);
	stat(path, &st);
	cr_expect_eq(st.st_mode & 07777, 0604);
	snprintf(command, sizeof(command), "test $(ls -A %s | wc -l) -eq 1", dir);
	cr_expect_eq(system(command), 0);
}

Test(save, a_new_file_is_not_for_others)
{
	struct stat st;
	char err[256] = "";

	cr_assert(pst_document_save(path, "x", err, sizeof(err)), "%s", err);
	stat(path, &st);
	cr_expect_eq(st.st_mode & 07777, 0640);
}

Test(save, follows_a_symbolic_link)
{
	char err[256] = "", real[128], *text;
	struct stat st;

	snprintf(real, sizeof(real), "%s/real", dir);
	write_whole(real, "old");
	cr_assert_eq(symlink(real, path), 0);
	cr_assert(pst_document_save(path, "new", err, sizeof(err)), "%s", err);
	cr_expect(lstat(path, &st) == 0 && S_ISLNK(st.st_mode), "the link is still one");
	text = read_whole(real);
	cr_expect_str_eq(text, "new");
	free(text);
}

Test(save, what_cannot_be_written_is_said_and_the_old_file_stays)
{
	char err[256] = "", away[128];

	snprintf(away, sizeof(away), "%s/no/such/p.json", dir);
	cr_expect(!pst_document_save(away, "x", err, sizeof(err)));
	cr_expect_not_null(strstr(err, "No such file"), "%s", err);
	cr_expect(!pst_document_save(dir, "x", err, sizeof(err)), "a directory is no file");
}

/* What is indented beyond what the parser takes is written without blanks. */
Test(save, a_document_that_is_too_large_with_blanks_goes_without)
{
	json_t *list = json_array();
	char *file, *small;

	for (unsigned i = 0; i < (3u << 20); i++)
		json_array_append_new(list, json_true());
	file = pst_document_file(list);
	cr_assert_not_null(file);
	cr_expect_eq(strncmp(file, "[true,true", 10), 0);
	json_array_clear(list);
	json_array_append_new(list, json_true());
	small = pst_document_file(list);
	cr_expect_str_eq(small, "[\n  true\n]\n");
	json_decref(list);
	free(file);
	free(small);
}
