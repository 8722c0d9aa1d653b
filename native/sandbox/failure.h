#pragma once

/*
 * Ends the program with status 1. Writes a sentence to standard output first: the text, and what `errno` says unless it
 * is 0.
 */
__attribute__((format(printf, 1, 2))) _Noreturn void fail(const char *format, ...);
