/* rng.h -- a small fast random generator with an explicit state, so that every random test has a seed. */
#ifndef ISOLDE_BASE_RNG_H
#define ISOLDE_BASE_RNG_H

#include "src/base/types.h"

struct rng { uint64_t state[4]; };

void rng_seed(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* Uniform in 0 .. bound-1; bound > 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);
double rng_double(struct rng *rng);     /* uniform in [0, 1) */

#endif
