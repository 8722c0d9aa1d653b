#include "table.h"

#include <stdlib.h>

#define FIRST_SIZE 256

static struct link **bucket(const struct table *table, uint64_t key)
{
	/* Fibonacci hashing: ids and pids are consecutive, or multiples of something. */
	return &table->buckets[(key * 0x9e3779b97f4a7c15u >> 32) & (table->size - 1)];
}

static void grow(struct table *table)
{
	struct table larger = { NULL, table->size == 0 ? FIRST_SIZE : 2 * table->size, table->count };
	larger.buckets = calloc(larger.size, sizeof(struct link *));
	if (larger.buckets == NULL)
		abort();
	for (size_t i = 0; i < table->size; i++) {
		for (struct link *link = table->buckets[i], *next; link != NULL; link = next) {
			next = link->next;
			struct link **to = bucket(&larger, link->key);
			link->next = *to;
			*to = link;
		}
	}
	free(table->buckets);
	*table = larger;
}

struct link *table_find(const struct table *table, uint64_t key)
{
	if (table->size == 0)
		return NULL;
	struct link *link = *bucket(table, key);
	while (link != NULL && link->key != key)
		link = link->next;
	return link;
}

void table_add(struct table *table, struct link *link, uint64_t key)
{
	if (table->count >= table->size)
		grow(table);
	table->count++;
	link->key = key;
	struct link **to = bucket(table, key);
	link->next = *to;
	*to = link;
}

void table_remove(struct table *table, struct link *link)
{
	struct link **from = bucket(table, link->key);
	while (*from != link)
		from = &(*from)->next;
	*from = link->next;
	table->count--;
}

void table_each(const struct table *table, void (*visit)(struct link *link))
{
	for (size_t i = 0; i < table->size; i++)
		for (struct link *link = table->buckets[i]; link != NULL; link = link->next)
			visit(link);
}
