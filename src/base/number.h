/* number.h - numbers as people and clients write them, and back. Pure, no locale. */
#pragma once

#include "base/annotate.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes that hold any number printed below: the largest long double has 4933 digits
 * before its point. The parsers of floats refuse text of so many bytes and more, as Redis
 * does. */
#define NUMBER_TEXT_MAX 5120

/* Bytes that hold any of them but a long double. */
#define NUMBER_SHORT_MAX 32

/* Exactly a decimal int64: no spaces, no '+', no leading zeros, no "-0" (as Redis demands
 * of what INCR may touch). */
bool number_parse_int64(struct bytes text, int64_t *value);
bool number_parse_uint64(struct bytes text, uint64_t *value);

/* Digits of `value`; the length. The text is not NUL-terminated. */
size_t number_format_int64(char text[NUMBER_SHORT_MAX], int64_t value);

/* A finite decimal float in all of `text` (strtold's decimal forms and exponent); no
 * spaces, no nan. `inf` is accepted by the parsers and left to the caller to refuse. */
bool number_parse_double(struct bytes text, double *value);
bool number_parse_long_double(struct bytes text, long double *value);

/* Shortest text that reads back as the same double: 0.1, 1e+21, -3.5, inf, nan. Whole
 * numbers below 1e17 are written out: 1000000000000000. */
size_t number_format_double(char text[NUMBER_SHORT_MAX], double value);

/* As Redis answers INCRBYFLOAT: %.17Lf without trailing zeros. */
size_t number_format_long_double(char text[NUMBER_TEXT_MAX], long double value);

/* "64mb", "1gb", "10k", "512": bytes; k kb m mb g gb with k = 1000 and kb = 1024, any
 * case. */
bool number_parse_size(struct bytes text, uint64_t *bytes);

/* "1.50M", "3.00G", "512B", as Redis' *_human fields print them. */
size_t number_format_size(char text[NUMBER_SHORT_MAX], uint64_t bytes);
