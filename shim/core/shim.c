/* SPDX-License-Identifier: MIT */
#include "shim.h"

struct settings shim;
uint32_t shim_listen_rules, shim_names_rules;

void shim_start(const struct settings *settings)
{
	for (uint32_t i = 0; i < map_count(settings->map); i++) {
		const struct rule *rule = map_rule(settings->map, i);
		shim_listen_rules += rule->side == SIDE_LISTEN;
		shim_names_rules += rule->target.kind == TARGET_NAMES;
	}
	shim = *settings;
}
