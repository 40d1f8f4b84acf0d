/* print.h -- runs as PostgreSQL's isolationtester prints them, byte for byte. */
#ifndef ISOLDE_ISOLATION_PRINT_H
#define ISOLDE_ISOLATION_PRINT_H

#include <stdio.h>

#include "isolation-tests/runner.h"

void print_head(FILE *out, const struct spec *spec);
void print_permutation(FILE *out, const struct order *order);       /* " ab bb ar br" */
/* For run_options.report; arg is the FILE. */
void print_event(void *arg, const struct run *run, const struct event *event);

#endif
