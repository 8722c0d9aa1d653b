/* Where there is no memory left for what cannot be refused. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdio.h>
#include <stdlib.h>

static inline _Noreturn void out_of_memory(void)
{
	fputs("flux-agent launcher: out of memory\n", stderr);
	abort();
}

#endif
