/* SPDX-License-Identifier: MIT */
#include "shim.h"

struct settings shim;
struct summary shim_rules;

void shim_start(const struct settings *settings)
{
	shim_rules = *map_summary(settings->map);
	shim = *settings;
}
