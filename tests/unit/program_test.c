/* SPDX-License-Identifier: MIT */
#include "../../shim/command/program.h"

#include "core/script.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/program_test.XXXXXX";
static unsigned char *image; /* this test's own executable, to be spoiled copy by copy */
static size_t image_size;
static struct elf own;

static void read_own_image(void)
{
	FILE *file = fopen("/proc/self/exe", "rb");
	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	image_size = (size_t)ftell(file);
	rewind(file);
	image = malloc(image_size);
	assert_int_equal(fread(image, 1, image_size, file), image_size);
	fclose(file);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chmod(directory, 0755), 0);
	assert_int_equal(elf_read_file(&own, "/proc/self/exe"), 0);
	read_own_image();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char command[sizeof(directory) + 16];
	free(image);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

static const char *place(const char *name)
{
	static char path[2][64];
	static int turn;
	turn = !turn;
	snprintf(path[turn], sizeof(*path), "%s/%s", directory, name);
	return path[turn];
}

static const char *write_file(const char *name, const void *content, size_t size, mode_t mode)
{
	const char *path = place(name);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(content, 1, size, file), size);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static const char *write_text(const char *name, const char *text)
{
	return write_file(name, text, strlen(text), 0755);
}

/* A copy of the image, whose first segment of `type` is at *segment. */
static unsigned char *copy_image(uint32_t type, ElfW(Phdr) * *segment)
{
	unsigned char *copy = malloc(image_size);
	memcpy(copy, image, image_size);
	ElfW(Ehdr) *header = (void *)copy;
	*segment = (void *)(copy + header->e_phoff);
	while ((*segment)->p_type != type)
		++*segment;
	return copy;
}

static struct program program;

static int check(const char *name)
{
	return program_check(&program, name, &own);
}

static void assert_says(const char *text)
{
	if (!strstr(program.message, text))
		fail_msg("expected “%s” in: %s", text, program.message);
	assert_null(strchr(program.message, '\n'));
}

static void a_dynamic_program_is_run(void **state)
{
	(void)state;
	assert_int_equal(check(write_file("dynamic", image, image_size, 0755)), 0);
	assert_string_equal(program.path, place("dynamic"));
}

static void a_static_program_is_refused(void **state)
{
	(void)state;
	ElfW(Phdr) * segment;
	unsigned char *copy = copy_image(PT_INTERP, &segment);
	segment->p_type = PT_NULL;
	((ElfW(Ehdr) *)(void *)copy)->e_type = ET_EXEC;
	assert_int_equal(check(write_file("static", copy, image_size, 0755)), 125);
	assert_says("static is statically linked, so there is no loader");
	((ElfW(Ehdr) *)(void *)copy)->e_type = ET_DYN;
	assert_int_equal(check(write_file("static-pie", copy, image_size, 0755)), 125);
	assert_says("static-pie is statically linked (static-pie,");
	free(copy);
}

static void another_libc_is_refused(void **state)
{
	(void)state;
	ElfW(Phdr) * segment;
	unsigned char *copy = copy_image(PT_INTERP, &segment);
	char *slash = strrchr((char *)copy + segment->p_offset, '/');
	slash[1]++;
	assert_int_equal(check(write_file("other-libc", copy, image_size, 0755)), 125);
	assert_says("belongs to another libc");
	assert_says(slash + 1);
	free(copy);
}

static void a_missing_loader_is_named(void **state)
{
	(void)state;
	ElfW(Phdr) * segment;
	unsigned char *copy = copy_image(PT_INTERP, &segment);
	copy[segment->p_offset + 1]++;
	assert_int_equal(check(write_file("no-loader", copy, image_size, 0755)), 127);
	assert_says("needs the loader /");
	free(copy);
}

static void another_machine_is_refused(void **state)
{
	(void)state;
	ElfW(Phdr) * segment;
	unsigned char *copy = copy_image(PT_INTERP, &segment);
	ElfW(Ehdr) *header = (void *)copy;
	header->e_machine = header->e_machine == EM_S390 ? EM_ARM : EM_S390;
	assert_int_equal(check(write_file("machine", copy, image_size, 0755)), 125);
	assert_says(header->e_machine == EM_S390 ? "s390" : "ARM");
	memcpy(copy, image, sizeof(*header));
	header->e_ident[EI_CLASS] ^= ELFCLASS32 ^ ELFCLASS64;
	assert_int_equal(check(write_file("class", copy, image_size, 0755)), 125);
	assert_says("-bit");
	free(copy);
}

static void a_go_program_is_refused_though_it_has_a_loader(void **state)
{
	(void)state;
	static const struct {
		ElfW(Nhdr) header;
		char owner[4], content[8];
	} note = {{4, 8, 4}, "Go", "buildid"};
	unsigned char *copy = malloc(image_size + sizeof(note));
	ElfW(Phdr) * segment;
	unsigned char *with_note = copy_image(PT_NOTE, &segment);
	segment->p_offset = image_size;
	segment->p_filesz = sizeof(note);
	memcpy(copy, with_note, image_size);
	memcpy(copy + image_size, &note, sizeof(note));
	assert_int_equal(check(write_file("go", copy, image_size + sizeof(note), 0755)), 125);
	assert_says("is a Go program");
	free(with_note);
	free(copy);
}

static void a_cut_off_file_is_not_executed(void **state)
{
	(void)state;
	assert_int_equal(check(write_file("cut", image, 100, 0755)), 126);
	assert_says("corrupt or cut off");
}

/* What the kernel answers with ENOEXEC, and a shell must not be given. */
static void headers_that_the_kernel_refuses_are_corrupt(void **state)
{
	(void)state;
	ElfW(Phdr) * segment;
	unsigned char *copy = copy_image(PT_INTERP, &segment);
	ElfW(Ehdr) *header = (void *)copy;
	struct elf elf;
	assert_true(elf_read_image(&elf, copy, image_size));
	size_t length = segment->p_filesz;
	segment->p_filesz = length - 1; /* no NUL at its end */
	assert_false(elf_read_image(&elf, copy, image_size));
	segment->p_filesz = 1; /* a NUL alone */
	segment->p_offset += length - 1;
	assert_false(elf_read_image(&elf, copy, image_size));
	segment->p_offset -= length - 1;
	segment->p_filesz = PATH_MAX + 1;
	assert_false(elf_read_image(&elf, copy, image_size));
	segment->p_filesz = length;
	header->e_phentsize++;
	assert_false(elf_read_image(&elf, copy, image_size));
	header->e_phentsize--;
	header->e_type = ET_REL;
	assert_false(elf_read_image(&elf, copy, image_size));
	free(copy);
}

static void no_cut_and_no_damage_crashes_the_reader(void **state)
{
	(void)state;
	struct elf elf;
	char why[ELF_REFUSAL];
	ElfW(Ehdr) *header = (void *)image;
	size_t head = header->e_phoff + header->e_phnum * sizeof(ElfW(Phdr));
	for (size_t size = 0; size < 2 * head; size++) {
		unsigned char *cut =
			malloc(size ? size : 1); /* of its exact size: valgrind and ASan see past it */
		memcpy(cut, image, size);
		if (size < head)
			assert_false(elf_read_image(&elf, cut, size));
		else
			elf_read_image(&elf, cut, size);
		free(cut);
	}
	srand(1);
	unsigned char *damaged = malloc(image_size);
	memcpy(damaged, image, image_size);
	for (int i = 0; i < 200000; i++) {
		size_t at = 5 + (size_t)rand() % (head - 5);
		damaged[at] = (unsigned char)(rand() % 3 ? rand() : rand() % 2 ? 0 : 0xff);
		if (elf_read_image(&elf, damaged, image_size)) {
			assert_non_null(memchr(elf.interpreter, 0, sizeof(elf.interpreter)));
			elf_refused(&elf, &own, why);
		}
		damaged[at] = image[at];
	}
	free(damaged);
}

/* 0, or 125 where the shell is of another machine or libc than this test. */
static int status_of_the_shell(void)
{
	struct elf shell;
	char why[ELF_REFUSAL];
	assert_int_equal(elf_read_file(&shell, "/bin/sh"), 0);
	return elf_refused(&shell, &own, why) ? 125 : 0;
}

static void scripts_are_followed(void **state)
{
	(void)state;
	char text[200];
	write_file("interpreter", image, image_size, 0755);
	snprintf(text, sizeof(text), "#! \t%s  -x \n", place("interpreter"));
	assert_int_equal(check(write_text("script", text)), 0);
	assert_string_equal(program.path, place("script"));

	ElfW(Phdr) * segment;
	unsigned char *copy = copy_image(PT_INTERP, &segment);
	segment->p_type = PT_NULL;
	write_file("static-interpreter", copy, image_size, 0755);
	free(copy);
	snprintf(text, sizeof(text), "#!%s", place("static-interpreter"));
	assert_int_equal(check(write_text("static-script", text)), 125);
	assert_says("static-script is a script, and its interpreter ");
	assert_says("static-interpreter is statically linked");

	assert_int_equal(check(write_text("lost", "#!/no/such/interpreter\n")), 127);
	assert_says("interpreter /no/such/interpreter can't be found");
	snprintf(text, sizeof(text), "#!%s\n", place("loop"));
	assert_int_equal(check(write_text("loop", text)), 126);
	assert_says(strerror(ELOOP));
	assert_int_equal(check(write_text("no-line", "echo\n")), status_of_the_shell());
	assert_int_equal(check(write_text("empty", "")), status_of_the_shell());
}

static void env_is_looked_through(void **state)
{
	(void)state;
	static const struct {
		const char *argument, *program;
	} cases[] = {{"python3", "python3"}, {"-S python3 -u", "python3"}, {"-Spython3 -u", "python3"},
		{"-vS python3", "python3"}, {"-S -i A=1 B=2 perl -w", "perl"},
		{"-S -u NAME -C / perl", "perl"}, {"--split-string=perl -w", "perl"},
		{"--split-string perl -w", "perl"}, {"", ""}, {"-S", ""}, {"-S A=1", ""}, {"-", "-"}};
	char name[256];
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		script_env_program(cases[i].argument, name);
		assert_string_equal(name, cases[i].program);
	}
	assert_int_equal(check(write_text("by-env", "#!/usr/bin/env no-such-program\n")), 127);
	assert_says("interpreter no-such-program can't be found in PATH");
}

static void script_lines_are_read_as_the_kernel_does(void **state)
{
	(void)state;
	struct script script;
	char line[1000] = "#!/bin/sh ";
	memset(line + 10, 'x', sizeof(line) - 10);
	assert_true(script_read(&script, line, sizeof(line)));
	assert_string_equal(script.interpreter, "/bin/sh");
	assert_int_equal(strlen(script.argument), 256 - 10);
	assert_true(script_read(&script, "#!/a b c \t", 10));
	assert_string_equal(script.interpreter, "/a");
	assert_string_equal(script.argument, "b c");
	assert_false(script_read(&script, "#! \n/bin/sh", 11));
	assert_false(script_read(&script, "#", 1));
	assert_false(script_read(&script, "", 0));
}

static void path_is_searched_as_execvp_does(void **state)
{
	(void)state;
	char path[200];
	write_file("dynamic", image, image_size, 0755);
	write_file("not-executable", image, image_size, 0644);
	mkdir(place("a-directory"), 0755);
	snprintf(path, sizeof(path), "/no/such:/dev/null:%s", directory);
	setenv("PATH", path, 1);
	assert_int_equal(check("dynamic"), 0);
	assert_string_equal(program.path, place("dynamic"));
	assert_int_equal(check("nothing"), 127);
	assert_says("nothing can't be found in PATH: check the name, or write a path, such as ./nothing");
	assert_int_equal(check("not-executable"), 126);
	assert_says("Permission denied");
	assert_int_equal(check("a-directory"), 127);
	assert_int_equal(check(directory), 126);
	assert_says(strerror(EISDIR));
	assert_int_equal(check(""), 127);
	assert_says("\"\" names no program");
	setenv("PATH", "", 1);
	assert_int_equal(chdir(directory), 0);
	assert_int_equal(check("dynamic"), 0);
	assert_string_equal(program.path, "dynamic");
	unsetenv("PATH");
	assert_int_equal(check("sh"), status_of_the_shell());
}

/* In a child that became another user, since the answer depends on who asks. */
static int check_as(uid_t user, const char *path)
{
	pid_t child = fork();
	if (!child) {
		if (setgid(user) || setuid(user))
			_exit(99);
		_exit(check(path));
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

/* What was built for another machine may have its loader where only its builder gets. */
static bool others_may_run_it(void)
{
	return getuid() == 0 && check_as(1000, write_file("dynamic", image, image_size, 0755)) == 0;
}

static void a_program_that_changes_the_user_is_refused(void **state)
{
	(void)state;
	if (!others_may_run_it())
		skip();
	const char *path = write_file("setuid", image, image_size, 04755);
	assert_int_equal(check(path), 0); /* root runs root's: nothing changes */
	assert_int_equal(check_as(1000, path), 125);
	assert_int_equal(chown(path, 1000, 1000), 0);
	assert_int_equal(chmod(path, 04755), 0);
	assert_int_equal(check(path), 125);
	assert_says("is set-user-ID");
	assert_int_equal(check_as(1000, path), 0);
	assert_int_equal(chmod(path, 02755), 0);
	assert_int_equal(check(path), 125);
	assert_says("is set-group-ID");
	assert_int_equal(chmod(path, 02745), 0); /* without x the bit means a lock, not a group */
	assert_int_equal(check(path), 0);
}

static void file_capabilities_are_refused_but_for_root(void **state)
{
	(void)state;
	/* cap_net_bind_service=ep, struct vfs_cap_data of revision 2 in little-endian order */
	static const unsigned char effective[20] = {1, 0, 0, 2, 0, 4},
				   inheritable[20] = {0, 0, 0, 2, 0, 0, 0, 0, 0, 4};
	if (!others_may_run_it())
		skip();
	const char *path = write_file("capable", image, image_size, 0755);
	if (setxattr(path, "security.capability", effective, sizeof(effective), 0))
		skip();
	assert_int_equal(check(path), 0);
	assert_int_equal(check_as(1000, path), 125);
	assert_int_equal(setxattr(path, "security.capability", inheritable, sizeof(inheritable), 0), 0);
	assert_int_equal(check_as(1000, path), 0);
}

static void an_unreadable_program_is_refused(void **state)
{
	(void)state;
	if (getuid())
		skip();
	const char *path = write_file("unreadable", image, image_size, 0711);
	assert_int_equal(check_as(1000, path), 125);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dynamic_program_is_run),
		cmocka_unit_test(a_static_program_is_refused),
		cmocka_unit_test(another_libc_is_refused),
		cmocka_unit_test(a_missing_loader_is_named),
		cmocka_unit_test(another_machine_is_refused),
		cmocka_unit_test(a_go_program_is_refused_though_it_has_a_loader),
		cmocka_unit_test(a_cut_off_file_is_not_executed),
		cmocka_unit_test(headers_that_the_kernel_refuses_are_corrupt),
		cmocka_unit_test(no_cut_and_no_damage_crashes_the_reader),
		cmocka_unit_test(scripts_are_followed),
		cmocka_unit_test(env_is_looked_through),
		cmocka_unit_test(script_lines_are_read_as_the_kernel_does),
		cmocka_unit_test(path_is_searched_as_execvp_does),
		cmocka_unit_test(a_program_that_changes_the_user_is_refused),
		cmocka_unit_test(file_capabilities_are_refused_but_for_root),
		cmocka_unit_test(an_unreadable_program_is_refused),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
