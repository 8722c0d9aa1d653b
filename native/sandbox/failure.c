#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void fail(const char *format, ...)
{
	int error = errno;
	va_list arguments;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	if (error != 0)
		printf(": %s", strerror(error));
	putchar('\n');
	exit(error > 0 && error < 256 ? error : EINVAL);
}
