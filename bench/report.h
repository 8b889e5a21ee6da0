/* report.h - what was measured, for people, spreadsheets and programs.
 *
 * Thread:     main. All of it goes to stdout. */
#pragma once

#include "load.h"
#include "options.h"
#include "probe.h"
#include "target.h"

/* `fill` and `run` may be NULL when there was no such phase. */
void report_load(const struct options *options, const struct target *target,
                 const struct measure *fill, const struct measure *run);
void report_probe(const struct options *options, const struct target *target,
                  const struct probe *probe);
