/* Executions by their id, and by their leader's pid: hash tables of links that stand in the entries themselves. */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>
#include <stdint.h>

struct link {
	uint64_t key;
	struct link *next;
};

struct table {
	struct link **buckets;
	size_t size; /* a power of two */
	size_t count;
};

struct link *table_find(const struct table *table, uint64_t key);
void table_add(struct table *table, struct link *link, uint64_t key);
void table_remove(struct table *table, struct link *link);

/* Calls `visit` for each; it must not change the table. */
void table_each(const struct table *table, void (*visit)(struct link *link));

#endif
