/* The payload of START, and strings in any payload. */
#ifndef REQUEST_H
#define REQUEST_H

#include "child.h"

/*
 * The child that START asks for, with a copy of the payload, in one block of memory: free it with free(3). NULL with
 * EINVAL where the payload is malformed, with ENOMEM where there is no memory for it.
 */
struct child *request_parse(const unsigned char *payload, size_t length);

/* Finds `count` strings, each ended by NUL, that fill all bytes from `at` to `end`; false where they do not. */
bool find_strings(char *at, const char *end, char **strings, size_t count);

#endif
