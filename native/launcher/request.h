/* The payload of a START. */
#ifndef REQUEST_H
#define REQUEST_H

#include "child.h"

/*
 * What it asks for, in one block of memory with a copy of the payload, to be freed with free(3); NULL with EINVAL where
 * it is none.
 */
struct child *request_parse(const unsigned char *payload, size_t length);

#endif
