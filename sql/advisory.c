/*
 * advisory.c -- the functions for advisory locks: pg_advisory_lock and its family.
 *
 * One kernel serves them all (func_system.c); the table of functions says by a few bits what each of them does.  Each row that is computed is one call, in
 * the order of the rows, and waits where it must; no latch is held then, since conditions and targets are computed over whole batches
 * that have been read before.
 */
#include "sql/advisory.h"
#include "sql/func_int.h"
#include "sql/session_int.h"

static struct txn_advisory_key key_of(const struct func *func, const struct datum *args)
{
    if (func->arg_count == 1)
        return (struct txn_advisory_key){.number = (uint64_t)args[0].i};
    return (struct txn_advisory_key){.number = (uint64_t)(uint32_t)args[0].i << 32 | (uint32_t)args[1].i, .pair = true};
}

static bool unlock(struct session *session, struct txn_advisory_key key, bool shared)
{
    bool held = txn_unlock_advisory(session->txn, key, shared);

    if (!held)
        session_notice(session, "WARNING", "01000", "you don't own a lock of type %s", shared ? "ShareLock" : "ExclusiveLock");
    return held;
}

int session__advisory(struct eval_env *env, const struct func *func, const struct datum *args, struct datum *result)
{
    struct session *session = env->session;
    bool shared = func->detail & ADVISORY_SHARED, keep = !(func->detail & ADVISORY_TRANSACTION), locked;

    if (func->detail & ADVISORY_ALL) {
        txn_unlock_advisory_all(session->txn);
        *result = datum_text("");
    } else if (func->detail & ADVISORY_UNLOCK) {
        *result = datum_bool(unlock(session, key_of(func, args), shared));
    } else if (func->detail & ADVISORY_TRY) {
        if (txn_lock_advisory(env->op, session->txn, key_of(func, args), shared, keep, &locked) != 0)
            return OP_FAILED;
        *result = datum_bool(locked);
    } else {
        if (txn_lock_advisory(env->op, session->txn, key_of(func, args), shared, keep, NULL) != 0)
            return OP_FAILED;
        *result = datum_text("");
    }
    return 0;
}
