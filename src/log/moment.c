#include "log/moment.h"

#include "base/number.h"

/* Milliseconds from here on, seconds below: as seconds it is the year 5138, as milliseconds a
 * day in 1973, and no log is that old. */
#define SECONDS_END 100000000000

/* Exactly `count` digits at *at, which moves behind them. */
static bool digits(struct bytes *at, size_t count, int *value)
{
    *value = 0;
    if (at->len < count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        char c = at->data[i];
        if (c < '0' || c > '9') {
            return false;
        }
        *value = *value * 10 + (c - '0');
    }
    at->data += count;
    at->len -= count;
    return true;
}

static bool sign(struct bytes *at, char wanted)
{
    if (at->len == 0 || at->data[0] != wanted) {
        return false;
    }
    at->data++;
    at->len--;
    return true;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Since 1970-01-01. */
static int64_t days_before(int year, int month, int day)
{
    int64_t days = day - 1;
    for (int y = 1970; y < year; y++) {
        days += is_leap(y) ? 366 : 365;
    }
    for (int m = 1; m < month; m++) {
        days += days_of_month(year, m);
    }
    return days;
}

static bool parse_date(struct bytes *at, int64_t *days)
{
    int year, month, day;
    if (!digits(at, 4, &year) || !sign(at, '-') || !digits(at, 2, &month) ||
        !sign(at, '-') || !digits(at, 2, &day)) {
        return false;
    }
    if (year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > days_of_month(year, month)) {
        return false;
    }
    *days = days_before(year, month, day);
    return true;
}

static bool parse_time(struct bytes *at, int64_t *ms)
{
    int hour, minute, second, fraction = 0;
    if (!digits(at, 2, &hour) || !sign(at, ':') || !digits(at, 2, &minute) ||
        !sign(at, ':') || !digits(at, 2, &second)) {
        return false;
    }
    if (sign(at, '.') && !digits(at, 3, &fraction)) {
        return false;
    }
    *ms = ((hour * 60 + minute) * 60 + second) * 1000LL + fraction;
    return hour < 24 && minute < 60 && second < 60;
}

static bool parse_date_and_time(struct bytes at, int64_t *wall_ms)
{
    int64_t days, ms;
    if (!parse_date(&at, &days) || !sign(&at, 'T') || !parse_time(&at, &ms) ||
        !sign(&at, 'Z') || at.len > 0) {
        return false;
    }
    *wall_ms = days * 24 * 3600 * 1000 + ms;
    return *wall_ms > 0;
}

bool moment_parse_time(struct bytes text, int64_t *wall_ms)
{
    int64_t number;
    if (!number_parse_int64(text, &number)) {
        return parse_date_and_time(text, wall_ms);
    }
    if (number <= 0) {
        return false;
    }
    *wall_ms = number < SECONDS_END ? number * 1000 : number;
    return true;
}

bool moment_parse(struct bytes text, struct archive_limit *limit)
{
    *limit = (struct archive_limit){0};
    struct bytes prefix = BYTES("seq:");
    if (bytes_start_with(text, prefix)) {
        struct bytes rest = bytes_of(text.data + prefix.len, text.len - prefix.len);
        return number_parse_uint64(rest, &limit->sequence) && limit->sequence > 0;
    }
    return moment_parse_time(text, &limit->wall_ms);
}
