#include "report.h"

#include <stdio.h>

typedef unsigned long long ull;

static const char *const operation_names[OPERATIONS] = {"GET", "SET"};

static double microseconds(uint64_t duration_ns)
{
    return (double)duration_ns / 1000;
}

static double percentile_us(const struct histogram *histogram, double percent)
{
    return microseconds(histogram_percentile_ns(histogram, percent));
}

static double per_second(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

/* CPU time for each request, 0 when there was none. */
static struct cpu_time per_request(struct cpu_time total, uint64_t requests)
{
    if (requests == 0) {
        return (struct cpu_time){0};
    }
    return (struct cpu_time){.user_us = total.user_us / (double)requests,
                             .system_us = total.system_us / (double)requests};
}

/* ---- for people ---- */

static void text_head(const struct options *options, const struct target *target)
{
    printf("%s  %s  %llu connections  %llu threads  pipeline %llu\n", target->name,
           options_dialect_name(options->dialect), (ull)options->connections,
           (ull)options->threads, (ull)options->pipeline);
    printf("%llu keys of %llu bytes, values of %llu bytes, GET:SET %llu:%llu%s\n\n",
           (ull)options->keyspace, (ull)options->key_bytes, (ull)options->value_bytes,
           (ull)options->gets, (ull)options->sets, options->verify ? ", verified" : "");
    printf("%-8s %12s %12s %10s %10s %10s %10s %10s %10s\n", "", "requests", "op/s",
           "misses", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us");
}

static void text_tally(const char *phase, const char *operation,
                       const struct tally *tally, double seconds)
{
    const struct histogram *latency = &tally->latency;
    printf("%-4s %-3s %12llu %12.2f %10llu %10.1f %10.1f %10.1f %10.1f %10.1f\n", phase,
           operation, (ull)latency->count, per_second(latency->count, seconds),
           (ull)tally->misses, percentile_us(latency, 50), percentile_us(latency, 90),
           percentile_us(latency, 99), percentile_us(latency, 99.9),
           microseconds(latency->max_ns));
}

static void text_measure(const char *phase, const struct measure *measure)
{
    for (int operation = 0; operation < OPERATIONS; operation++) {
        if (measure->tallies[operation].latency.count > 0) {
            text_tally(phase, operation_names[operation], &measure->tallies[operation],
                       measure->seconds);
        }
    }
}

static void text_cpu(const char *phase, const char *whose, struct cpu_time total,
                     const struct measure *measure)
{
    struct cpu_time each = per_request(total, measure_requests(measure));
    double cores = measure->seconds > 0
                       ? (total.user_us + total.system_us) / 1e6 / measure->seconds
                       : 0;
    printf("%-4s %s CPU %.3f us/op (user %.3f, sys %.3f), %.2f cores busy\n", phase,
           whose, each.user_us + each.system_us, each.user_us, each.system_us, cores);
}

static void text_errors(const char *phase, const struct measure *measure)
{
    uint64_t refused = 0, wrong = 0;
    for (int operation = 0; operation < OPERATIONS; operation++) {
        refused += measure->tallies[operation].errors;
        wrong += measure->tallies[operation].wrong;
    }
    if (measure_errors(measure) > 0) {
        printf("%-4s ERRORS: %llu refused, %llu wrong values, %llu connections lost; "
               "first: %s\n",
               phase, (ull)refused, (ull)wrong, (ull)measure->lost, measure->first_error);
    }
}

static void text_costs(const char *phase, const struct measure *measure)
{
    if (measure->has_server) {
        text_cpu(phase, "server", measure->server_cpu, measure);
    }
    text_cpu(phase, "client", measure->client_cpu, measure);
    text_errors(phase, measure);
}

static void text_load(const struct options *options, const struct target *target,
                      const struct measure *fill, const struct measure *run)
{
    text_head(options, target);
    if (fill != NULL) {
        text_measure("load", fill);
    }
    if (run != NULL) {
        text_measure("run", run);
    }
    printf("\n");
    if (fill != NULL) {
        text_costs("load", fill);
    }
    if (run != NULL) {
        text_costs("run", run);
    }
}

static void quiet_measure(const char *phase, const struct measure *measure)
{
    for (int operation = 0; operation < OPERATIONS; operation++) {
        const struct tally *tally = &measure->tallies[operation];
        if (tally->latency.count > 0) {
            printf("%s %s: %.2f op/s, p50 %.1f us, p99 %.1f us\n", phase,
                   operation_names[operation],
                   per_second(tally->latency.count, measure->seconds),
                   percentile_us(&tally->latency, 50),
                   percentile_us(&tally->latency, 99));
        }
    }
    text_errors(phase, measure);
}

/* ---- for spreadsheets ---- */

static void csv_head(void)
{
    printf("phase,operation,seconds,requests,op_per_s,misses,errors,wrong,lost,p50_us,"
           "p90_us,p99_us,p99.9_us,max_us,server_user_us_per_op,server_sys_us_per_op,"
           "client_us_per_op\n");
}

static void csv_measure(const char *phase, const struct measure *measure)
{
    uint64_t requests = measure_requests(measure);
    struct cpu_time server = per_request(measure->server_cpu, requests);
    struct cpu_time client = per_request(measure->client_cpu, requests);
    for (int operation = 0; operation < OPERATIONS; operation++) {
        const struct tally *tally = &measure->tallies[operation];
        const struct histogram *latency = &tally->latency;
        if (latency->count == 0) {
            continue;
        }
        printf("%s,%s,%.6f,%llu,%.2f,%llu,%llu,%llu,%llu,%.3f,%.3f,%.3f,%.3f,%.3f,",
               phase, operation_names[operation], measure->seconds, (ull)latency->count,
               per_second(latency->count, measure->seconds), (ull)tally->misses,
               (ull)tally->errors, (ull)tally->wrong, (ull)measure->lost,
               percentile_us(latency, 50), percentile_us(latency, 90),
               percentile_us(latency, 99), percentile_us(latency, 99.9),
               microseconds(latency->max_ns));
        if (measure->has_server) {
            printf("%.4f,%.4f,", server.user_us, server.system_us);
        } else {
            printf(",,");
        }
        printf("%.4f\n", client.user_us + client.system_us);
    }
}

/* ---- for programs ---- */

static void json_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < ' ' || byte == '"' || byte == '\\' || byte >= 0x7f) {
            printf("\\u%04x", byte);
        } else {
            putchar(byte);
        }
    }
    putchar('"');
}

static void json_latency(const struct histogram *latency)
{
    printf("\"latency_us\": {\"mean\": %.3f, \"p50\": %.3f, \"p90\": %.3f, "
           "\"p99\": %.3f, \"p99.9\": %.3f, \"max\": %.3f}",
           histogram_mean_ns(latency) / 1000, percentile_us(latency, 50),
           percentile_us(latency, 90), percentile_us(latency, 99),
           percentile_us(latency, 99.9), microseconds(latency->max_ns));
}

static void json_tally(const char *name, const struct tally *tally, double seconds)
{
    uint64_t count = tally->latency.count;
    printf("\"%s\": {\"requests\": %llu, \"op_per_s\": %.2f, \"misses\": %llu, "
           "\"errors\": %llu, \"wrong\": %llu, ",
           name, (ull)count, per_second(count, seconds), (ull)tally->misses,
           (ull)tally->errors, (ull)tally->wrong);
    json_latency(&tally->latency);
    printf("}");
}

static void json_cpu(const char *name, struct cpu_time total, uint64_t requests)
{
    struct cpu_time each = per_request(total, requests);
    printf("\"%s\": {\"user_us_per_op\": %.5f, \"sys_us_per_op\": %.5f, "
           "\"us_per_op\": %.5f}, ",
           name, each.user_us, each.system_us, each.user_us + each.system_us);
}

static void json_measure(const char *name, const struct measure *measure)
{
    if (measure == NULL) {
        printf(",\n \"%s\": null", name);
        return;
    }
    uint64_t requests = measure_requests(measure);
    printf(",\n \"%s\": {\"seconds\": %.6f, \"requests\": %llu, \"op_per_s\": %.2f, ",
           name, measure->seconds, (ull)requests, per_second(requests, measure->seconds));
    if (measure->has_server) {
        json_cpu("server_cpu", measure->server_cpu, requests);
    } else {
        printf("\"server_cpu\": null, ");
    }
    json_cpu("client_cpu", measure->client_cpu, requests);
    printf("\"errors\": %llu, \"lost_connections\": %llu, \"first_error\": ",
           (ull)measure_errors(measure), (ull)measure->lost);
    json_string(measure->first_error);
    printf(",\n  ");
    json_tally("get", &measure->tallies[OPERATION_GET], measure->seconds);
    printf(",\n  ");
    json_tally("set", &measure->tallies[OPERATION_SET], measure->seconds);
    printf("}");
}

static void json_head(const struct options *options, const struct target *target)
{
    printf("{\"target\": ");
    json_string(target->name);
    printf(", \"protocol\": \"%s\", \"connections\": %llu, \"threads\": %llu, "
           "\"pipeline\": %llu,\n \"keyspace\": %llu, \"key_bytes\": %llu, "
           "\"value_bytes\": %llu, \"gets\": %llu, \"sets\": %llu, \"seed\": %llu",
           options_dialect_name(options->dialect), (ull)options->connections,
           (ull)options->threads, (ull)options->pipeline, (ull)options->keyspace,
           (ull)options->key_bytes, (ull)options->value_bytes, (ull)options->gets,
           (ull)options->sets, (ull)options->seed);
}

void report_load(const struct options *options, const struct target *target,
                 const struct measure *fill, const struct measure *run)
{
    if (options->format == FORMAT_JSON) {
        json_head(options, target);
        json_measure("load", fill);
        json_measure("run", run);
        printf("}\n");
    } else if (options->format == FORMAT_CSV) {
        csv_head();
        if (fill != NULL) {
            csv_measure("load", fill);
        }
        if (run != NULL) {
            csv_measure("run", run);
        }
    } else if (options->quiet) {
        if (fill != NULL) {
            quiet_measure("load", fill);
        }
        if (run != NULL) {
            quiet_measure("run", run);
        }
    } else {
        text_load(options, target, fill, run);
    }
}

/* ---- the probe ---- */

/* Upper ends of the lines of the printed histogram. */
static const uint64_t steps_us[] = {50,   100,   200,   500,   1000,   2000,
                                    5000, 10000, 20000, 50000, 100000, 1000000};

static void text_steps(const struct histogram *latency)
{
    uint64_t below = 0;
    for (size_t i = 0; i < ARRAY_LEN(steps_us); i++) {
        uint64_t now_below =
            latency->count - histogram_count_above(latency, steps_us[i] * 1000);
        if (now_below > below) {
            printf("  up to %10.2f ms %10llu\n", (double)steps_us[i] / 1000,
                   (ull)(now_below - below));
        }
        below = now_below;
    }
    if (latency->count > below) {
        printf("  longer              %10llu\n", (ull)(latency->count - below));
    }
}

static void text_probe(const struct target *target, const struct probe *probe)
{
    const struct histogram *latency = &probe->latency;
    printf("%s  one GET a millisecond for %.1f s: %llu sent, %llu late slots skipped, "
           "%llu misses\n\n",
           target->name, probe->seconds, (ull)latency->count, (ull)probe->skipped,
           (ull)probe->misses);
    text_steps(latency);
    printf("\np50 %.3f ms  p99 %.3f ms  p99.9 %.3f ms  max %.3f ms\n",
           percentile_us(latency, 50) / 1000, percentile_us(latency, 99) / 1000,
           percentile_us(latency, 99.9) / 1000, microseconds(latency->max_ns) / 1000);
    printf("longest, ms (at s):");
    for (unsigned i = 0; i < probe->stall_count; i++) {
        printf(" %.2f (%.2f)", microseconds(probe->stalls[i].duration_ns) / 1000,
               probe->stalls[i].at_s);
    }
    printf("\n");
    if (probe->error[0] != '\0') {
        printf("ERROR: %s\n", probe->error);
    }
}

static void json_probe(const struct options *options, const struct target *target,
                       const struct probe *probe)
{
    json_head(options, target);
    printf(",\n \"probe\": {\"seconds\": %.3f, \"requests\": %llu, \"skipped\": %llu, "
           "\"misses\": %llu, ",
           probe->seconds, (ull)probe->latency.count, (ull)probe->skipped,
           (ull)probe->misses);
    json_latency(&probe->latency);
    printf(",\n  \"over_5_ms\": %llu, \"stalls\": [",
           (ull)histogram_count_above(&probe->latency, 5000000));
    for (unsigned i = 0; i < probe->stall_count; i++) {
        printf("%s{\"at_s\": %.3f, \"us\": %.3f}", i > 0 ? ", " : "",
               probe->stalls[i].at_s, microseconds(probe->stalls[i].duration_ns));
    }
    printf("], \"error\": ");
    json_string(probe->error);
    printf("}}\n");
}

static void csv_probe(const struct probe *probe)
{
    const struct histogram *latency = &probe->latency;
    printf("seconds,requests,skipped,misses,p50_us,p99_us,p99.9_us,max_us\n");
    printf("%.3f,%llu,%llu,%llu,%.3f,%.3f,%.3f,%.3f\n", probe->seconds,
           (ull)latency->count, (ull)probe->skipped, (ull)probe->misses,
           percentile_us(latency, 50), percentile_us(latency, 99),
           percentile_us(latency, 99.9), microseconds(latency->max_ns));
}

void report_probe(const struct options *options, const struct target *target,
                  const struct probe *probe)
{
    if (options->format == FORMAT_JSON) {
        json_probe(options, target, probe);
    } else if (options->format == FORMAT_CSV) {
        csv_probe(probe);
    } else {
        text_probe(target, probe);
    }
}
