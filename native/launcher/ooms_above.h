/* How often the cgroups above those of the executions have met their own memory limits. */
#ifndef OOMS_ABOVE_H
#define OOMS_ABOVE_H

#include <stdint.h>

/* Reads all their counters; answers their sum. `base`: the folder of the lowest of them. */
uint64_t ooms_above_read(int base);

/* The sum as last read. */
uint64_t ooms_above_last(void);

#endif
