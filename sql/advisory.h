/* advisory.h -- what a call of pg_advisory_lock and its family does to the session. */
#ifndef ISOLDE_SQL_ADVISORY_H
#define ISOLDE_SQL_ADVISORY_H

#include "sql/func.h"

/* eval_env.advisory, with env->session set. */
int session__advisory(struct eval_env *env, const struct func *func, const struct datum *args, struct datum *result) MUST_CHECK;

#endif
