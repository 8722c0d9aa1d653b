/* Hash tables with numbers as keys, whose nodes are members of the entries. */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>
#include <stdint.h>

struct hash_node {
	uint64_t key;
	struct hash_node *next;
};

struct table {
	struct hash_node **buckets;
	size_t size; /* a power of two */
	size_t count;
};

/* NULL where there is none. */
struct hash_node *table_find(const struct table *table, uint64_t key);

/* The key must not be in the table yet. */
void table_add(struct table *table, struct hash_node *node, uint64_t key);

/* The node must be in the table. */
void table_remove(struct table *table, struct hash_node *node);

/* Calls `visit` for each node; `visit` may remove that node, but must not change the table otherwise. */
void table_each(const struct table *table, void (*visit)(struct hash_node *node));

#endif
