/* SPDX-License-Identifier: MIT */
/* What a preloaded program finds in the files that it executes. */
#include "process/environment.h"
#include "process/outsider.h"

#include "core/settings.h"
#include "core/shim.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MAP "IP2VSOCK_MAP=a:1=3:1"

static char place[] = "/tmp/outsider_test.XXXXXX";
static char path[64], libraries[64], command[64]; /* in it */
static unsigned char *image;			  /* this test's own executable */
static size_t image_size;
static char *const with_map[] = {(char[]){MAP}, (char[]){"PATH=/bin"}, NULL};

static int set_up(void **state)
{
	static struct settings settings;
	static char message[SETTINGS_MESSAGE];
	(void)state;
	assert_true(settings_read(&settings, with_map, message));
	shim_start(&settings);
	environment_start(with_map);
	FILE *file = fopen("/proc/self/exe", "rb");
	image = malloc(1 << 24);
	image_size = fread(image, 1, 1 << 24, file);
	fclose(file);
	assert_non_null(mkdtemp(place));
	snprintf(path, sizeof path, "%s/program", place);
	snprintf(libraries, sizeof libraries, "%s/.libs", place);
	snprintf(command, sizeof command, "%s/ip2vsock", place);
	assert_int_equal(mkdir(libraries, 0755), 0);
	assert_int_equal(chdir(libraries), 0);
	assert_false(outsider_start()); /* with a library whose path, "", isn't absolute */
	assert_int_equal(chdir("/"), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(image);
	unlink(path);
	unlink(command);
	rmdir(libraries);
	return rmdir(place);
}

static void put(const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static bool is_outsider(char *const *envp)
{
	errno = 4242;
	bool is = outsider(&(struct named){.directory = AT_FDCWD, .path = path, .envp = envp});
	assert_int_equal(errno, 4242);
	return is;
}

static ElfW(Phdr) * segment_of(unsigned char *bytes, uint32_t type)
{
	ElfW(Phdr) *segment = (void *)(bytes + ((ElfW(Ehdr) *)(void *)bytes)->e_phoff);
	while (segment->p_type != type)
		segment++;
	return segment;
}

static unsigned char *copy(size_t more)
{
	unsigned char *bytes = malloc(image_size + more);
	memcpy(bytes, image, image_size);
	return bytes;
}

/* A static program. */
static void put_outsider(void)
{
	unsigned char *bytes = copy(0);
	segment_of(bytes, PT_INTERP)->p_type = PT_NULL;
	put(bytes, image_size);
	free(bytes);
}

static void dynamic_and_static_programs(void **state)
{
	(void)state;
	put(image, image_size);
	assert_false(is_outsider(with_map));
	put_outsider();
	assert_true(is_outsider(with_map));
	assert_true(is_outsider(NULL)); /* the map is put back */
	assert_false(is_outsider((char *const[]){(char[]){"IP2VSOCK_MAP="}, NULL}));
}

/* Beside the library, wherever the program has gone since. */
static void the_command_runs_it_instead(void **state)
{
	(void)state;
	struct instead instead;
	const struct named program = {.directory = AT_FDCWD, .path = path, .envp = with_map};
	put_outsider();
	assert_int_equal(outsider_instead(&program, &instead), EACCES);
#ifdef __GLIBC__ /* musl knows a path of the program that the library is in here */
	int fd = open(command, O_WRONLY | O_CREAT, 0755);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(outsider_instead(&program, &instead), 0);
	assert_string_equal(instead.command, command);
	assert_string_equal(instead.program, path);
	unlink(command);
#endif
}

static void without_the_command_it_is_not_executed(void **state)
{
	(void)state;
	char *const arguments[] = {path, NULL};
	char **own = environ;
	pid_t child;
	put_outsider();
	environ = (char **)with_map;
#define REFUSED(call)                                                                                        \
	do {                                                                                                 \
		errno = 0;                                                                                   \
		assert_int_equal(call, -1);                                                                  \
		assert_int_equal(errno, EACCES);                                                             \
	} while (0)
	REFUSED(execve(path, arguments, with_map));
	REFUSED(execv(path, arguments));
	REFUSED(execvp(path, arguments));
	REFUSED(execvpe(path, arguments, with_map));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	REFUSED(fexecve(fd, arguments, with_map));
	close(fd);
	assert_int_equal(posix_spawn(&child, path, NULL, NULL, arguments, with_map), EACCES);
	assert_int_equal(posix_spawnp(&child, path, NULL, NULL, arguments, with_map), EACCES);
	environ = own;
}

static void the_command_has_its_arguments_and_the_program_its_own(void **state)
{
	(void)state;
	const struct instead instead = {"/bin/ip2vsock", "/bin/static"};
	const struct {
		char *const given[4];
		const char *expected[8];
	} table[] = {
		{{(char[]){"name"}, (char[]){"a"}, (char[]){"b"}, NULL},
			{"/bin/ip2vsock", "--name", "name", "--", "/bin/static", "a", "b", NULL}},
		{{(char[]){"name"}, NULL}, {"/bin/ip2vsock", "--name", "name", "--", "/bin/static", NULL}},
		{{NULL}, {"/bin/ip2vsock", "--name", "", "--", "/bin/static", NULL}},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		void *room = malloc(outsider_arguments_room(table[i].given)); /* of exactly that size */
		char *const *made = outsider_arguments(&instead, table[i].given, room);
		int at = 0;
		for (; table[i].expected[at]; at++)
			assert_string_equal(made[at], table[i].expected[at]);
		assert_null(made[at]);
		free(room);
	}
}

/* Programs whose headers were moved to their end, as patchelf does: far from the first part. */
static void what_lies_at_the_end_of_a_file_is_found(void **state)
{
	static const struct {
		ElfW(Nhdr) header;
		char owner[4], content[8];
	} note = {{4, 8, 4}, "Go", "buildid"};
	(void)state;
	unsigned char *bytes = copy(10000);
	ElfW(Phdr) *loader = segment_of(bytes, PT_INTERP), *notes = segment_of(bytes, PT_NOTE);
	memset(bytes + image_size, 0, 10000);
	memcpy(bytes + image_size + 9000, bytes + loader->p_offset, loader->p_filesz);
	loader->p_offset = image_size + 9000;
	put(bytes, image_size + 10000);
	assert_false(is_outsider(with_map));
	bytes[image_size + 9000 + loader->p_filesz - 2]++;
	put(bytes, image_size + 10000);
	assert_true(is_outsider(with_map));
	bytes[image_size + 9000 + loader->p_filesz - 2]--;
	memcpy(bytes + image_size + 5000, &note, sizeof note);
	notes->p_offset = image_size + 5000;
	notes->p_filesz = sizeof note;
	put(bytes, image_size + 10000);
	assert_true(is_outsider(with_map));
	free(bytes);
}

static void scripts_are_followed(void **state)
{
	(void)state;
	put("#!/sbin/ldconfig -p\n", 20);
	assert_true(is_outsider(with_map));
	put("#!/usr/bin/env no-such-program\n", 31);
	assert_false(is_outsider(with_map));
	char own_line[100];
	put(own_line, (size_t)snprintf(own_line, sizeof own_line, "#!%s\n", path));
	assert_false(is_outsider(with_map)); /* ELOOP */
	put("", 0);
	assert_false(is_outsider(with_map));
}

static void damage_crashes_nothing(void **state)
{
	(void)state;
	unsigned char *bytes = copy(0);
	const ElfW(Ehdr) *header = (const void *)image;
	size_t head = header->e_phoff + header->e_phnum * sizeof(ElfW(Phdr));
	put(image, image_size);
	int fd = open(path, O_WRONLY);
	srand(1);
	for (int i = 0; i < 20000; i++) {
		size_t at = 5 + (size_t)rand() % (head - 5);
		memset(bytes + at, rand() % 3 ? rand() : rand() % 2 ? 0 : 0xff, 1u << rand() % 4);
		assert_int_equal(pwrite(fd, bytes, head + 8, 0), head + 8);
		is_outsider(with_map);
		memcpy(bytes, image, head + 16);
	}
	close(fd);
	free(bytes);
}

static void no_offset_leaves_the_file(void **state)
{
	(void)state;
	struct window window = {.file = {outsider_part}, .fd = -1, .size = ELF_PART};
	assert_ptr_equal(outsider_part(&window.file, 0, ELF_PART), window.bytes);
	assert_null(outsider_part(&window.file, 0, ELF_PART + 1));
	assert_null(outsider_part(&window.file, UINT64_MAX - 10, 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dynamic_and_static_programs),
		cmocka_unit_test(the_command_runs_it_instead),
		cmocka_unit_test(without_the_command_it_is_not_executed),
		cmocka_unit_test(the_command_has_its_arguments_and_the_program_its_own),
		cmocka_unit_test(what_lies_at_the_end_of_a_file_is_found),
		cmocka_unit_test(scripts_are_followed),
		cmocka_unit_test(damage_crashes_nothing),
		cmocka_unit_test(no_offset_leaves_the_file),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
