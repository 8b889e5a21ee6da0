#include "base/number.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Digits only, no zero in front of another digit, at most `max`. */
static bool parse_digits(struct bytes text, uint64_t max, uint64_t *value)
{
    if (text.len == 0 || text.len > 20 || (text.data[0] == '0' && text.len > 1)) {
        return false; /* UINT64_MAX has 20 digits */
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';
        if (digit > 9 || sum > (max - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

bool number_parse_uint64(struct bytes text, uint64_t *value)
{
    return parse_digits(text, UINT64_MAX, value);
}

bool number_parse_int64(struct bytes text, int64_t *value)
{
    uint64_t magnitude;
    if (text.len == 0 || text.data[0] != '-') {
        if (!parse_digits(text, INT64_MAX, &magnitude)) {
            return false;
        }
        *value = (int64_t)magnitude;
        return true;
    }
    struct bytes digits = bytes_of(text.data + 1, text.len - 1);
    if (!parse_digits(digits, (uint64_t)INT64_MAX + 1, &magnitude) || magnitude == 0) {
        return false;
    }
    *value = -(int64_t)(magnitude - 1) - 1; /* INT64_MIN has no positive twin */
    return true;
}

/* Two digits a step: half the divisions. */
static const char digit_pairs[] = "00010203040506070809"
                                  "10111213141516171819"
                                  "20212223242526272829"
                                  "30313233343536373839"
                                  "40414243444546474849"
                                  "50515253545556575859"
                                  "60616263646566676869"
                                  "70717273747576777879"
                                  "80818283848586878889"
                                  "90919293949596979899";

size_t number_format_int64(char text[NUMBER_SHORT_MAX], int64_t value)
{
    char reversed[NUMBER_SHORT_MAX];
    char *end = reversed + sizeof(reversed);
    char *at = end;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    while (left >= 100) {
        at -= 2;
        memcpy(at, digit_pairs + left % 100 * 2, 2);
        left /= 100;
    }
    if (left >= 10) {
        at -= 2;
        memcpy(at, digit_pairs + left * 2, 2);
    } else {
        *--at = (char)('0' + left);
    }
    if (value < 0) {
        *--at = '-';
    }
    size_t len = (size_t)(end - at);
    memcpy(text, at, len);
    return len;
}

/* isspace of the C locale. */
static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* strtold wants a NUL behind its text and skips spaces in front of it. */
static bool copy_float_text(char copy[NUMBER_TEXT_MAX], struct bytes text)
{
    if (text.len == 0 || text.len >= NUMBER_TEXT_MAX || is_space(text.data[0])) {
        return false;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return true;
}

bool number_parse_double(struct bytes text, double *value)
{
    char copy[NUMBER_TEXT_MAX];
    if (!copy_float_text(copy, text)) {
        return false;
    }
    char *end;
    errno = 0;
    double parsed = strtod(copy, &end);
    bool out_of_range = errno == ERANGE && (isinf(parsed) || parsed == 0);
    if (end != copy + text.len || out_of_range || isnan(parsed)) {
        return false;
    }
    *value = parsed;
    return true;
}

bool number_parse_long_double(struct bytes text, long double *value)
{
    char copy[NUMBER_TEXT_MAX];
    if (!copy_float_text(copy, text)) {
        return false;
    }
    char *end;
    errno = 0;
    long double parsed = strtold(copy, &end);
    bool out_of_range = errno == ERANGE && (isinf(parsed) || parsed == 0);
    if (end != copy + text.len || out_of_range || isnan(parsed)) {
        return false;
    }
    *value = parsed;
    return true;
}

static size_t copy_word(char *text, const char *word)
{
    size_t len = strlen(word);
    memcpy(text, word, len);
    return len;
}

size_t number_format_double(char text[NUMBER_SHORT_MAX], double value)
{
    if (isnan(value)) {
        return copy_word(text, "nan");
    }
    if (isinf(value)) {
        return copy_word(text, value > 0 ? "inf" : "-inf");
    }
    /* Whole numbers stay plain as far as a double has digits for them. */
    if (fabs(value) < 1e17 && value == (double)(int64_t)value &&
        (value != 0 || !signbit(value))) {
        return number_format_int64(text, (int64_t)value);
    }

    /* If any text of up to 15 digits reads back as a normal double, %.15g prints it; 17
     * digits always suffice. Only subnormal numbers may have less than 15 that count. */
    int precision = fabs(value) < DBL_MIN ? 1 : 15;
    int len;
    do {
        len = snprintf(text, NUMBER_SHORT_MAX, "%.*g", precision, value);
        precision++;
    } while (precision <= 17 && strtod(text, NULL) != value);
    return (size_t)len;
}

size_t number_format_long_double(char text[NUMBER_TEXT_MAX], long double value)
{
    if (isnan(value)) {
        return copy_word(text, "nan");
    }
    if (isinf(value)) {
        return copy_word(text, value > 0 ? "inf" : "-inf");
    }
    /* 17 digits behind the point is what 64 bits of mantissa can promise and still print
     * 3.0 as 3; zeros behind the point say nothing. */
    size_t len = (size_t)snprintf(text, NUMBER_TEXT_MAX, "%.17Lf", value);
    while (text[len - 1] == '0') {
        len--;
    }
    if (text[len - 1] == '.') {
        len--;
    }
    if (len == 2 && memcmp(text, "-0", 2) == 0) {
        return copy_word(text, "0");
    }
    return len;
}

bool number_parse_size(struct bytes text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"", 1},
        {"b", 1},
        {"k", 1000},
        {"kb", 1024},
        {"m", 1000 * 1000},
        {"mb", 1024 * 1024},
        {"g", 1000 * 1000 * 1000},
        {"gb", 1024 * 1024 * 1024},
    };
    size_t digits = 0;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9') {
        digits++;
    }
    uint64_t count;
    if (!number_parse_uint64(bytes_of(text.data, digits), &count)) {
        return false;
    }
    struct bytes unit = bytes_of(text.data + digits, text.len - digits);
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (bytes_is(unit, units[i].name)) {
            return !__builtin_mul_overflow(count, units[i].bytes, bytes);
        }
    }
    return false;
}

size_t number_format_size(char text[NUMBER_SHORT_MAX], uint64_t bytes)
{
    static const char units[] = "KMGTP";
    if (bytes < 1024) {
        return (size_t)snprintf(text, NUMBER_SHORT_MAX, "%dB", (int)bytes);
    }
    size_t unit = 0;
    double scaled = (double)bytes / 1024;
    while (scaled >= 1024 && unit + 1 < sizeof(units) - 1) {
        scaled /= 1024;
        unit++;
    }
    return (size_t)snprintf(text, NUMBER_SHORT_MAX, "%.2f%c", scaled, units[unit]);
}
