/* matrix.h -- the anomaly table: which specs show an anomaly at which level. */
#ifndef ISOLDE_ISOLATION_MATRIX_H
#define ISOLDE_ISOLATION_MATRIX_H

#include <stdio.h>

#include "isolation-tests/oracle.h"

void matrix_head(FILE *out);
/* Runs all permutations of the spec at each level.  False when one could not be run; said on standard error. */
bool matrix_row(FILE *out, const struct target *target, const struct spec *spec);

#endif
