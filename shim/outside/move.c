/* SPDX-License-Identifier: MIT */
#include "move.h"

void move_note_instance(const struct call *call)
{
	(void)call;
}

int move_registrations(struct subject *subject, int fresh, bool close_on_exec)
{
	return call_put(subject->call, subject->number, fresh, close_on_exec);
}
