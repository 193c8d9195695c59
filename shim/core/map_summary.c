/* SPDX-License-Identifier: MIT */
#include "map_internal.h"

/* A pattern that takes all ports isn't meant for a low one in particular. */
static bool is_low_port(const struct rule *rule)
{
	bool all = rule->port_first == 0 && rule->port_last == UINT16_MAX;
	return !all && rule_port(rule, rule->port_first) < 1024;
}

static void add_listener(struct summary *summary, const struct rule *rule)
{
	if (is_low_port(rule))
		summary->low_port = rule;
	if (rule->target.cid == CID_LOCAL)
		summary->at_local = rule;
	else if (rule->target.cid != CID_ANY)
		summary->at_one_cid = rule;
}

static void add_cid(struct summary *summary, const struct rule *rule)
{
	summary->cids = true;
	if (rule->side == SIDE_LISTEN)
		add_listener(summary, rule);
	else if (rule->target.cid > CID_HOST)
		summary->to_remote = rule;
}

void summarize(struct map *map)
{
	struct summary *summary = &map->summary;
	for (uint32_t i = 0; i < map->count; i++) {
		const struct rule *rule = &map->rules[i];
		summary->listen_rules += rule->side == SIDE_LISTEN;
		summary->names_rules += rule->target.kind == TARGET_NAMES;
		summary->unix_rules += rule->target.path != NULL;
		if (target_has_cid(rule))
			add_cid(summary, rule);
	}
}

const struct summary *map_summary(const struct map *map)
{
	return &map->summary;
}

const struct rule *map_listener(const struct map *map, uint32_t port, uint32_t most, uint16_t *own)
{
	uint32_t left = map->summary.listen_rules;
	for (uint32_t i = 0; left && i < map->count; i++) {
		const struct rule *rule = &map->rules[i];
		if (rule->side != SIDE_LISTEN)
			continue;
		left--;
		if (!target_has_cid(rule))
			continue;
		bool keep = rule->target.keep_port;
		uint32_t first = keep ? rule->port_first : rule->target.port_first,
			 last = keep ? rule->port_last : rule->target.port_last;
		if (port < first || port > last || last - first >= most)
			continue;
		*own = (uint16_t)(rule->port_first + (port - first));
		return rule;
	}
	return NULL;
}
