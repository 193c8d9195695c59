/* SPDX-License-Identifier: MIT */
/* map ROUNDS: what a look-up costs, in maps of ten to a hundred thousand rules of one kind. All maps are
 * there at once and take turns, so that each finds the processor's cache full of the others. Each is asked
 * for the same number of hosts, drawn from all of its rules (hit) or of none (miss): for the first time
 * ("cold"), and then for the same ones again, as a program does that has its peers. Prints a sample a line.
 *
 * map count: the same for callgrind, which counts some first look-ups in each map (client requests). */
#define _GNU_SOURCE
#include "core/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <valgrind/callgrind.h>

enum { QUESTIONS = 1 << 17, FEW = 1 << 12 };
static const int sizes[] = {10, 1000, 100000};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* How rule i and a question that it answers are written; a miss is the pattern with another letter or number
 * before it. All names of a kind are of one length: a longer one costs more, however many rules there are. */
static const struct kind {
	const char *name, *rule, *hit, *miss;
} kinds[] = {
	{"name", "h%05d.example.com:443=3:8443\n", "h%05d.example.com", "m%05d.example.com"},
	{"glob", "*.g%05d.example.com:443=3:8443\n", "www.g%05d.example.com", "www.m%05d.example.com"},
	{"address", "10.%d.%d.%d:443=3:8443\n", "10.%d.%d.%d", "11.%d.%d.%d"},
	{"CIDR", "10.%d.%d.%d/28:443=3:8443\n", "10.%d.%d.%d", "11.%d.%d.%d"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Small, and none in two cache lines: reading the questions is measured too. */
struct question {
	union {
		char name[30];
		struct address address;
	};
	uint8_t length; /* of the name; 0: ask for the address */
};
_Static_assert(sizeof(struct question) == 32, "two in a cache line");
struct subject {
	_Alignas(64) struct question questions[2][QUESTIONS]; /* hits, misses */
	const struct map *map;
};
static struct subject subjects[KINDS][SIZES];

static void *memory(void *context, size_t size)
{
	(void)context;
	return calloc(1, size);
}

static int no_file(void *context, const char *path, const char **text, size_t *length)
{
	(void)context, (void)path, (void)text, (void)length;
	return 2;
}

/* Numbers 0 to 99,999 spread over the three bytes so that CIDR blocks don't overlap. */
static int write_text(char *to, size_t size, const char *form, int number)
{
	if (strstr(form, "%d.%d.%d"))
		return snprintf(to, size, form, number >> 12, number >> 4 & 255, (number & 15) << 4);
	return snprintf(to, size, form, number);
}

static void ask_about(struct question *question, const char *form, int number)
{
	struct prefix prefix;
	int length = write_text(question->name, sizeof question->name, form, number);
	if (prefix_parse(&prefix, question->name, (size_t)length)) {
		question->address = (struct address){.port = 443};
		memcpy(question->address.ip, prefix.ip, sizeof prefix.ip);
	} else {
		question->length = (uint8_t)length;
	}
}

static void prepare(struct subject *subject, const struct kind *kind, int rules)
{
	const struct map_source source = {memory, no_file, NULL};
	struct map_error error;
	size_t length = 0, room = (size_t)rules * 48;
	char *text = malloc(room);
	for (int i = 0; text && i < rules; i++)
		length += (size_t)write_text(text + length, room - length, kind->rule, i);
	subject->map = text ? map_build("bench", text, length, &ranges_default, &source, &error) : NULL;
	if (!subject->map) {
		fprintf(stderr, "map: %s, %d rules: %s\n", kind->name, rules,
			text ? error.what : "out of memory");
		exit(1);
	}
	for (int i = 0; i < QUESTIONS; i++) {
		int number = (int)(random() % rules);
		ask_about(&subject->questions[0][i], kind->hit, number);
		ask_about(&subject->questions[1][i], kind->miss, number);
	}
}

static double nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int ask(const struct subject *subject, bool miss, int questions)
{
	int found = 0;
	for (int i = 0; i < questions; i++) {
		const struct question *question = &subject->questions[miss][i];
		const struct rule *rule = question->length
						  ? map_find_host(subject->map, SIDE_CONNECT, question->name,
							    question->length, 443)
						  : map_find(subject->map, SIDE_CONNECT, &question->address);
		found += rule != NULL;
	}
	return found;
}

static double measure(const struct subject *subject, bool miss, int questions)
{
	double began = nanoseconds();
	int found = ask(subject, miss, questions);
	double took = nanoseconds() - began;
	if (found != (miss ? 0 : questions)) {
		fprintf(stderr, "map: %d of %d questions found a rule\n", found, questions);
		exit(1);
	}
	return took / questions;
}

static void measure_size(const struct kind *kind, const struct subject *subject, bool miss, int rules)
{
	double cold = measure(subject, miss, FEW);
	for (int i = 0; i < 3; i++)
		measure(subject, miss, FEW);
	double few = measure(subject, miss, FEW);
	measure(subject, miss, QUESTIONS);
	double all = measure(subject, miss, QUESTIONS);
	const char *which = miss ? "miss" : "hit";
	printf("%s, %s\t%d rules\t%.1f\n", kind->name, which, rules, all);
	printf("%s, %s, few\t%d rules\t%.1f\n", kind->name, which, rules, few);
	printf("%s, %s, few, cold\t%d rules\t%.1f\n", kind->name, which, rules, cold);
}

/* What a read costs that waits for the one before it, over as much memory as the entries of so many rules
 * take. */
static double read_chain(int rules)
{
	enum { LINE = 64, READS = QUESTIONS };
	struct line {
		struct line *next;
		char rest[LINE - sizeof(struct line *)];
	};
	static struct line *lines;
	static int *order;
	if (!lines && (!(lines = calloc((size_t)sizes[SIZES - 1], sizeof *lines)) ||
			      !(order = calloc((size_t)sizes[SIZES - 1], sizeof *order)))) {
		fputs("map: out of memory\n", stderr);
		exit(1);
	}
	for (int i = 0; i < rules; i++)
		order[i] = i;
	for (int i = rules - 1; i > 0; i--) {
		int other = (int)(random() % i), last = order[i];
		order[i] = order[other];
		order[other] = last;
	}
	for (int i = 0; i < rules; i++)
		lines[order[i]].next = &lines[order[(i + 1) % rules]];
	struct line *volatile at = lines;
	double began = nanoseconds();
	for (int i = 0; i < READS && at; i++)
		at = at->next;
	return (nanoseconds() - began) / READS;
}

static void count_all(void)
{
	char name[64];
	for (int kind = 0; kind < KINDS; kind++)
		for (int size = 0; size < SIZES; size++)
			for (int miss = 0; miss < 2; miss++) {
				snprintf(name, sizeof name, "%s, %s\t%d rules", kinds[kind].name,
					miss ? "miss" : "hit", sizes[size]);
				CALLGRIND_START_INSTRUMENTATION;
				CALLGRIND_ZERO_STATS;
				ask(&subjects[kind][size], miss, FEW);
				CALLGRIND_DUMP_STATS_AT(name);
				CALLGRIND_STOP_INSTRUMENTATION;
			}
}

int main(int count, char **arguments)
{
	bool counting = count == 2 && strcmp(arguments[1], "count") == 0;
	int rounds = count == 2 ? atoi(arguments[1]) : 0;
	if (rounds < 1 && !counting) {
		fputs("usage: map ROUNDS, or map count\n", stderr);
		return 2;
	}
	for (int kind = 0; kind < KINDS; kind++)
		for (int size = 0; size < SIZES; size++)
			prepare(&subjects[kind][size], &kinds[kind], sizes[size]);
	if (counting)
		count_all();
	for (int round = 0; round < rounds; round++) {
		for (int size = 0; size < SIZES; size++)
			printf("a read of memory\t%d rules\t%.1f\n", sizes[size], read_chain(sizes[size]));
		for (int kind = 0; kind < KINDS; kind++)
			for (int miss = 0; miss < 2; miss++)
				for (int size = 0; size < SIZES; size++)
					measure_size(&kinds[kind], &subjects[kind][size], miss, sizes[size]);
	}
	return 0;
}
