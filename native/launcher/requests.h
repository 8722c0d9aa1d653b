/* What each request does. */
#ifndef REQUESTS_H
#define REQUESTS_H

#include "protocol.h"

#include <stdbool.h>

/* False where the frame breaks the protocol. */
bool request_handle(const struct frame *frame, const unsigned char *payload);

#endif
