#ifndef FAIL_H
#define FAIL_H

/* Ends this process: the first failure is the result. What TypeScript reads is the line on stderr. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
