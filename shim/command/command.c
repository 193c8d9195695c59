/* SPDX-License-Identifier: MIT */
/* The ip2vsock command: checks the map, the library and the program, then becomes the program. */
#include "doctor.h"
#include "explain.h"
#include "preload.h"
#include "program.h"
#include "sources.h"

#include "core/settings.h"
#include "outside/outside.h"
#include "system/supervised.h"

#include <errno.h>
#include <getopt.h>
#include <paths.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum mode { MODE_RUN, MODE_CHECK = 256, MODE_EXPLAIN, MODE_DOCTOR, MODE_VERSION, MODE_HELP };
enum { OPTION_INSIDE = MODE_HELP + 1, OPTION_OUTSIDE, OPTION_NAME };

struct options {
	enum mode mode;
	const char **rules, **files; /* in the order given, each ends with NULL */
	bool verbose;
	bool inside, outside; /* chosen by hand */
	char *name;	      /* the program's argv[0]; NULL: as it was given */
	char **rest;
	int rest_count;
};

static const char usage[] =
	"Usage: ip2vsock [-m RULE]... [-f FILE]... [-v] [--] PROGRAM [ARG...]\n"
	"       ip2vsock [-m RULE]... [-f FILE]... --check\n"
	"       ip2vsock [-m RULE]... [-f FILE]... --explain connect|listen HOST:PORT [PROGRAM]\n"
	"       ip2vsock [-m RULE]... [-f FILE]... --doctor [PROGRAM]\n"
	"Run an unmodified program so that the TCP connections that the map names go over AF_VSOCK.\n"
	"\n"
	"  -m RULE    a rule of the map, or several separated by commas: [connect|listen] HOST:PORT=TARGET\n"
	"             connect is the default; TARGET is CID:PORT, or another that ip2vsock-map(5) lists\n"
	"  -f FILE    a file of rules, one a line; after the rules of -m, before those of the variable\n"
	"             IP2VSOCK_MAP\n"
	"  -v         log a line for each mapped connection\n"
	"  --check    print the map as it was understood\n"
	"  --explain  say which rule decides about an address, and what happens; and how PROGRAM would run\n"
	"  --doctor   say what this machine can do, and how PROGRAM would run; status 1 if the map can't\n"
	"             work here\n"
	"  --inside   preload the library, and start no program that it can't be loaded into\n"
	"  --outside  supervise the program: what ip2vsock does by itself with static programs, with Go's,\n"
	"             and with those of another libc\n"
	"  --name N   what the program sees as its own name, argv[0]\n"
	"  --version, --help\n"
	"\n"
	"A CID is a machine's number: 1 this one, 2 the host of this one, 3 the parent of a Nitro enclave.\n"
	"In this example, CID 3 is called, and everybody may call the program's port 8080:\n"
	"\n"
	"  ip2vsock -m 'api.example.com:443=3:8443' -m 'listen *:8080=any:8080' -- ./app\n"
	"\n"
	"To try it without AF_VSOCK, set IP2VSOCK_TRANSPORT=unix:DIR: Unix sockets in DIR replace CIDs.\n"
	"Exit status: the program's; 125 a mistake, or the program is refused; 126 it can't be executed;\n"
	"127 it can't be found. See ip2vsock(1), ip2vsock-map(5), libip2vsock(7).\n";

__attribute__((format(printf, 2, 3), noreturn)) static void fail(int status, const char *format, ...)
{
	va_list arguments;
	fputs("ip2vsock: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(status);
}

__attribute__((noreturn)) static void fail_message(const char *message)
{
	fputs(message, stderr);
	exit(EXIT_REFUSED);
}

static void *need(void *memory)
{
	if (!memory)
		fail(EXIT_REFUSED, "out of memory");
	return memory;
}

static void read_options(struct options *options, int count, char **arguments)
{
	static const struct option names[] = {{"check", no_argument, NULL, MODE_CHECK},
		{"explain", no_argument, NULL, MODE_EXPLAIN}, {"doctor", no_argument, NULL, MODE_DOCTOR},
		{"version", no_argument, NULL, MODE_VERSION}, {"help", no_argument, NULL, MODE_HELP},
		{"inside", no_argument, NULL, OPTION_INSIDE}, {"outside", no_argument, NULL, OPTION_OUTSIDE},
		{"name", required_argument, NULL, OPTION_NAME}, {0}};
	static char name[] = "ip2vsock";
	size_t rules = 0, files = 0;
	options->rules = need(calloc((size_t)count + 1, sizeof(char *)));
	options->files = need(calloc((size_t)count + 1, sizeof(char *)));
	arguments[0] = name; /* what getopt starts its messages with */
	for (int option; (option = getopt_long(count, arguments, "+m:f:v", names, NULL)) != -1;) {
		if (option == 'm')
			options->rules[rules++] = optarg;
		else if (option == 'f')
			options->files[files++] = optarg;
		else if (option == 'v')
			options->verbose = true;
		else if (option == OPTION_INSIDE)
			options->inside = true;
		else if (option == OPTION_OUTSIDE)
			options->outside = true;
		else if (option == OPTION_NAME)
			options->name = optarg;
		else if (option == '?')
			fail(EXIT_REFUSED, "see ip2vsock --help");
		else if (options->mode && options->mode != (enum mode)option)
			fail(EXIT_REFUSED,
				"--check, --explain, --doctor, --version and --help go one at a time");
		else
			options->mode = (enum mode)option;
	}
	options->rest = arguments + optind;
	options->rest_count = count - optind;
	bool names_program = !options->mode || options->mode == MODE_EXPLAIN || options->mode == MODE_DOCTOR;
	if (options->inside && options->outside)
		fail(EXIT_REFUSED, "--inside and --outside: only one of them can be; see ip2vsock --help");
	if (!names_program && options->rest_count)
		fail(EXIT_REFUSED, "unexpected “%s”; see ip2vsock --help", options->rest[0]);
	if (!options->mode && !options->rest_count)
		fail(EXIT_REFUSED, "which program? ip2vsock [-m RULE]... [-f FILE]... -- PROGRAM [ARG...]; "
				   "see ip2vsock --help");
}

static void read_settings(struct settings *settings)
{
	char message[SETTINGS_MESSAGE];
	if (!settings_read(settings, environ, message))
		fail_message(message);
}

static void set(const char *name, const char *value)
{
	if (setenv(name, value, 1))
		fail(EXIT_REFUSED, "out of memory");
}

static void collect(struct sources *sources, const struct options *options)
{
	const char *environment = getenv("IP2VSOCK_MAP");
	bool good = true;
	for (const char **rule = options->rules; good && *rule; rule++)
		good = sources_add_rule(sources, *rule);
	for (const char **file = options->files; good && *file; file++)
		good = sources_add_file(sources, *file);
	if (good && environment && *environment)
		sources_add_environment(sources, environment);
	const char *map = good ? sources_map(sources) : NULL;
	if (!map)
		fail_message(sources->message);
	set("IP2VSOCK_MAP", map);
}

static void set_log(const struct settings *settings)
{
	char *value;
	if (settings->log >= LOG_CONNECT)
		return;
	if (asprintf(&value, "connect%s%s", settings->log_path ? ":" : "",
		    settings->log_path ? settings->log_path : "") < 0)
		fail(EXIT_REFUSED, "out of memory");
	set("IP2VSOCK_LOG", value);
	free(value);
}

static bool find_library(char library[PATH_MAX], struct elf *own, char message[PRELOAD_MESSAGE])
{
	struct elf elf;
	int error = elf_read_file(own, "/proc/self/exe");
	if (!preload_library(library, message))
		return false;
	if (!error && !(error = elf_read_file(&elf, library)) && elf_same_machine(&elf, own))
		return true;
	snprintf(message, PRELOAD_MESSAGE, "%s isn't a library for this command: %s; install both together",
		library, error ? strerror(error) : "made for another machine");
	return false;
}

struct start {
	const struct program *program;
	char **arguments;
	int count;
};

/* A rule that stands where the program should: its -m is missing. */
static bool looks_like_a_rule(const char *word)
{
	size_t pattern = strcspn(word, "=");
	if (!word[pattern] || !pattern)
		return false;
	return memchr(word, ':', pattern) || !strncmp(word, "listen ", 7) || !strncmp(word, "connect ", 8) ||
	       strspn(word, "0123456789-* ") == pattern;
}

__attribute__((noreturn)) static void fail_without_map(const char *program)
{
	if (program && looks_like_a_rule(program))
		fail(EXIT_REFUSED, "there is no map, and “%s” looks like a rule: did you mean -m '%s'?",
			program, program);
	fail(EXIT_REFUSED, "there is no map, so everything would be left to IP: give -m RULE, -f FILE or "
			   "IP2VSOCK_MAP (a rule that leaves all to IP is *:*=direct)");
}

/* As execvp, which hands a file that the kernel doesn't know to the shell; program_check has judged that. */
__attribute__((noreturn)) static void run(void *context)
{
	static char name[] = _PATH_BSHELL;
	const struct start *start = context;
	execv(start->program->path, start->arguments);
	if (errno == ENOEXEC) {
		char **shell = need(calloc((size_t)start->count + 2, sizeof(char *)));
		shell[0] = name;
		shell[1] = (char *)start->program->path;
		memcpy(shell + 2, start->arguments + 1, (size_t)start->count * sizeof(char *));
		execv(name, shell);
		free(shell);
	}
	fail(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, "%s can't be executed: %s",
		start->program->path, strerror(errno));
}

/* A supervised program and its children need no library: what the map takes is taken outside. */
static void set_no_preload(void)
{
	const char *present = getenv("LD_PRELOAD");
	char *rest = present ? need(preload_without(present)) : NULL;
	if (rest && *rest)
		set("LD_PRELOAD", rest);
	else
		unsetenv("LD_PRELOAD");
	free(rest);
}

/* Below a supervisor another one isn't possible, nor needed. */
static void check_supervisor(const struct settings *settings)
{
	uint64_t of_outer;
	if (!supervised(&of_outer))
		return;
	if (of_outer != supervised_identity(settings))
		fail(EXIT_REFUSED, "this process is supervised by another ip2vsock with another map, and the "
				   "kernel allows one: "
				   "give that one all the rules");
}

/* What can be preloaded is preloaded; what can't, and what is to be, is supervised. */
enum way { WAY_REFUSED, WAY_PRELOADED, WAY_SUPERVISED };

static enum way choose(const struct options *options, const struct program *program, int status)
{
	if (status && (status != EXIT_REFUSED || !program->foreign || options->inside))
		return WAY_REFUSED;
	return program->foreign || options->outside ? WAY_SUPERVISED : WAY_PRELOADED;
}

static enum way choose_or_fail(struct program *program, const struct options *options, const struct elf *own)
{
	int status = program_check(program, options->rest[0], own);
	enum way way = choose(options, program, status);
	if (status == EXIT_NOT_FOUND && looks_like_a_rule(options->rest[0]))
		fail(EXIT_REFUSED, "there is no program “%s”, which looks like a rule: did you mean -m '%s'?",
			options->rest[0], options->rest[0]);
	if (way == WAY_REFUSED)
		fail(status, "%s%s", program->message,
			program->foreign ? ": without --inside it is supervised" : "");
	return way;
}

static int run_program(const struct options *options, const struct settings *settings)
{
	static struct program program;
	static struct elf own;
	char library[PATH_MAX], message[PRELOAD_MESSAGE];
	uint64_t identity;
	bool found = find_library(library, &own, message);
	check_supervisor(settings);
	enum way way = choose_or_fail(&program, options, &own);
	struct start start = {&program, options->rest, options->rest_count};
	if (options->name)
		start.arguments[0] = options->name;
	if (supervised(&identity)) {
		set_no_preload();
		run(&start);
	}
	if (way == WAY_SUPERVISED) {
		set_no_preload();
		return outside_run(settings, run, &start);
	}
	if (!found)
		fail(EXIT_REFUSED, "%s", message);
	char *preload = need(preload_value(library, getenv("LD_PRELOAD")));
	set("LD_PRELOAD", preload);
	free(preload);
	run(&start);
}

/* Whether the program `name` would be preloaded or supervised, and why, in words. */
static enum way describe(const struct options *options, const char *name, char **words)
{
	static struct program program;
	static struct elf own;
	int error = elf_read_file(&own, "/proc/self/exe");
	int status = error ? 0 : program_check(&program, name, &own);
	enum way way = error ? WAY_REFUSED : choose(options, &program, status);
	const char *reason = status ? program.message : name;
	if (error)
		error = asprintf(words, "/proc/self/exe can't be read: %s", strerror(error));
	else if (way == WAY_REFUSED)
		error = asprintf(words, "refused: %s", program.message);
	else if (way == WAY_PRELOADED)
		error = asprintf(words, "the library is preloaded into %s", name);
	else
		error = asprintf(words, "supervised: %s%s", reason, status ? "" : ", by --outside");
	need(error < 0 ? NULL : *words);
	return way;
}

static void explain(const struct options *options, const struct settings *settings)
{
	static const char sides[] = "--explain: expected connect HOST:PORT or listen HOST:PORT";
	char *words;
	if (options->rest_count < 2)
		fail(EXIT_REFUSED, "%s", sides);
	bool listens = !strcmp(options->rest[0], "listen");
	if (!listens && strcmp(options->rest[0], "connect") != 0)
		fail(EXIT_REFUSED, "%s, found “%s”", sides, options->rest[0]);
	if (!explain_address(settings, listens ? SIDE_LISTEN : SIDE_CONNECT, options->rest[1]))
		fail(EXIT_REFUSED,
			"--explain %s: expected HOST:PORT with a port from 0 to 65535, an IPv6 address in "
			"brackets; found “%s”",
			options->rest[0], options->rest[1]);
	char **program = options->rest + 2; /* NULL ends them */
	if (*program && !strcmp(*program, "--"))
		program++;
	if (!*program)
		return;
	describe(options, *program, &words);
	printf("  %s\n", words);
	free(words);
}

static int run_doctor(const struct options *options, const struct settings *settings)
{
	struct doctor_program program = {NULL, true, false};
	enum way way = WAY_PRELOADED;
	static struct elf own;
	char library[PATH_MAX], message[PRELOAD_MESSAGE];
	bool found = find_library(library, &own, message);
	char *preload = need(preload_value(found ? library : "", getenv("LD_PRELOAD")));
	if (options->rest_count)
		way = describe(options, options->rest[0], &program.words);
	program.runs = way != WAY_REFUSED;
	program.supervised = way == WAY_SUPERVISED;
	bool healthy = doctor(settings, preload, found ? NULL : message, &program);
	free(preload);
	free(program.words);
	return !healthy;
}

int main(int count, char **arguments)
{
	static struct options options;
	struct settings settings;

	read_options(&options, count, arguments);
	if (options.mode == MODE_VERSION || options.mode == MODE_HELP) {
		fputs(options.mode == MODE_HELP ? usage : "ip2vsock " VERSION "\n", stdout);
		return 0;
	}

	read_settings(&settings); /* the environment's own mistakes first, and the ranges that are reserved */
	struct sources sources = {.ranges = &settings.ranges};
	collect(&sources, &options);
	if (options.verbose)
		set_log(&settings);
	read_settings(&settings); /* and now as the library will */
	if (!settings.map && options.mode != MODE_DOCTOR)
		fail_without_map(options.mode ? NULL : options.rest[0]);

	if (options.mode == MODE_CHECK) {
		explain_map(settings.map);
		return 0;
	}
	if (options.mode == MODE_EXPLAIN) {
		explain(&options, &settings);
		return 0;
	}

	return options.mode == MODE_DOCTOR ? run_doctor(&options, &settings)
					   : run_program(&options, &settings);
}
