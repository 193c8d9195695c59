/* SPDX-License-Identifier: MIT */
#include "signals.h"

#include "libc.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

bool signals_hold(signal_set *before)
{
	const signal_set all = UINT64_MAX;
	return libc.syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)before, sizeof all, 0, 0) == 0;
}

void signals_let_in(signal_set before)
{
	libc.syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof before, 0, 0);
}

bool signals_interrupt(signal_set before)
{
	signal_set came = 0;
	bool interrupts = false;
	libc.syscall(SYS_rt_sigpending, (long)&came, sizeof came, 0, 0, 0, 0);
	for (came &= ~before; came && !interrupts; came &= came - 1)
		interrupts = signal_interrupts(__builtin_ctzll(came) + 1);
	return interrupts;
}

int signals_fd(signal_set signals)
{
	return (int)libc.syscall(SYS_signalfd4, -1, (long)&signals, sizeof signals, SFD_CLOEXEC, 0, 0);
}

bool signal_interrupts(int number)
{
	struct sigaction action = {.sa_handler = SIG_DFL}; /* libc's own signals have none */
	sigaction(number, NULL, &action);
	return action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN &&
	       !(action.sa_flags & SA_RESTART);
}
