/*
 * settings.c -- SET, SHOW, RESET: names, checks, effects, and their undoing.
 *
 * Every setting here has an effect, or says what cannot be changed.  Values are kept as canonical texts, as SHOW prints them, beside
 * what they were parsed into.  A change belongs to the transaction that made it:
 *
 *      value     in force now
 *      lasting   in force after COMMIT; SET LOCAL leaves it alone
 *
 * Each change first notes both of them, so that ROLLBACK and ROLLBACK TO pop notes, and COMMIT goes back to `lasting`.
 *
 * Names that PostgreSQL knows and Isolde does not are 0A000; all others are 42704.
 */
#include "sql/settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/session_int.h"
#include "src/base/mem.h"

enum setting_kind { KIND_BOOL, KIND_CHOICE, KIND_MILLISECONDS, KIND_KILOBYTES, KIND_TEXT, KIND_SPECIAL, KIND_FIXED };

struct setting_spec {
    const char *name, *initial, *about;
    enum setting_kind kind;
    const char *choices;            /* CHOICE: "a|b|c" */
    int64_t least, most;            /* numbers */
};

static const char levels[] = "serializable|repeatable read|read committed|read uncommitted";

static const struct setting_spec specs[SETTING_COUNT] = {
    [SETTING_APPLICATION_NAME] = {"application_name", "", "Sets the application name to be reported in statistics and logs.", KIND_TEXT},
    [SETTING_CLIENT_ENCODING] = {"client_encoding", "UTF8", "The client's character set encoding; always UTF8.", KIND_SPECIAL},
    [SETTING_CLIENT_MIN_MESSAGES] = {"client_min_messages", "notice", "The least severity of messages that are handed out.", KIND_CHOICE,
                                     "debug5|debug4|debug3|debug2|debug1|log|notice|warning|error"},
    [SETTING_DATESTYLE] = {"DateStyle", "ISO, MDY", "The display format for date and time values.", KIND_SPECIAL},
    [SETTING_DEADLOCK_TIMEOUT] = {"deadlock_timeout", "1s", "Of the members of a deadlock the one with the least gives way.",
                                  KIND_MILLISECONDS, NULL, 1, INT32_MAX},
    [SETTING_DEFAULT_DEFERRABLE] = {"default_transaction_deferrable", "off", "Whether new transactions are deferrable.", KIND_BOOL},
    [SETTING_DEFAULT_ISOLATION] = {"default_transaction_isolation", "read committed", "The isolation level of each new transaction.",
                                   KIND_CHOICE, levels},
    [SETTING_DEFAULT_READ_ONLY] = {"default_transaction_read_only", "off", "Whether new transactions are read-only.", KIND_BOOL},
    [SETTING_ENABLE_BITMAPSCAN] = {"enable_bitmapscan", "on", "The planner may scan several ranges of an index.", KIND_BOOL},
    [SETTING_ENABLE_HASHAGG] = {"enable_hashagg", "on", "The planner may group by hashing.", KIND_BOOL},
    [SETTING_ENABLE_HASHJOIN] = {"enable_hashjoin", "on", "The planner may join by hashing.", KIND_BOOL},
    [SETTING_ENABLE_INDEXONLYSCAN] = {"enable_indexonlyscan", "on", "The planner may read an index without its table.", KIND_BOOL},
    [SETTING_ENABLE_INDEXSCAN] = {"enable_indexscan", "on", "The planner may use indexes.", KIND_BOOL},
    [SETTING_ENABLE_MERGEJOIN] = {"enable_mergejoin", "on", "The planner may join by merging.", KIND_BOOL},
    [SETTING_ENABLE_NESTLOOP] = {"enable_nestloop", "on", "The planner may join by nested loops.", KIND_BOOL},
    [SETTING_ENABLE_SEQSCAN] = {"enable_seqscan", "on", "The planner may read whole tables.", KIND_BOOL},
    [SETTING_ENABLE_SORT] = {"enable_sort", "on", "The planner may sort.", KIND_BOOL},
    [SETTING_EXTRA_FLOAT_DIGITS] = {"extra_float_digits", "1", "Digits of floating-point values; always the shortest exact ones.",
                                    KIND_SPECIAL},
    [SETTING_INTERVALSTYLE] = {"IntervalStyle", "postgres", "The display format for interval values.", KIND_CHOICE,
                               "postgres|postgres_verbose|sql_standard|iso_8601"},
    [SETTING_LOCK_TIMEOUT] = {"lock_timeout", "0", "The longest wait for a lock.", KIND_MILLISECONDS, NULL, 0, INT32_MAX},
    [SETTING_MAX_TRANSACTION_LOG] = {"max_transaction_log", "0", "The most log that a transaction may write; 0 is no limit.",
                                     KIND_KILOBYTES, NULL, 0, INT64_C(1) << 40},
    [SETTING_SEARCH_PATH] = {"search_path", "\"$user\", public", "The schema search order; it ends at public.", KIND_SPECIAL},
    [SETTING_SERVER_ENCODING] = {"server_encoding", "UTF8", "The database's character set encoding.", KIND_FIXED},
    [SETTING_SERVER_VERSION] = {"server_version", "15.0 (Isolde " PACKAGE_VERSION ")",
                                "The version of PostgreSQL whose language this is.", KIND_FIXED},
    [SETTING_SERVER_VERSION_NUM] = {"server_version_num", "150000", "The same as an integer.", KIND_FIXED},
    [SETTING_STANDARD_STRINGS] = {"standard_conforming_strings", "on", "Backslashes in '...' strings are literal.", KIND_SPECIAL},
    [SETTING_STATEMENT_TIMEOUT] = {"statement_timeout", "0", "The longest duration of a statement.", KIND_MILLISECONDS, NULL, 0, INT32_MAX},
    [SETTING_SYNCHRONOUS_COMMIT] = {"synchronous_commit", "on", "When COMMIT returns: on, after the log is on disk; local, at most 10 ms"
                                    " before; off, without waiting for any flush.", KIND_CHOICE, "on|local|off"},
    [SETTING_TIMEZONE] = {"TimeZone", "UTC", "The time zone for displaying and interpreting time stamps.", KIND_SPECIAL},
    [SETTING_TRANSACTION_DEFERRABLE] = {"transaction_deferrable", "off", "Whether this transaction is deferrable.", KIND_SPECIAL},
    [SETTING_TRANSACTION_ISOLATION] = {"transaction_isolation", "read committed", "This transaction's isolation level.", KIND_SPECIAL},
    [SETTING_TRANSACTION_READ_ONLY] = {"transaction_read_only", "off", "Whether this transaction is read-only.", KIND_SPECIAL},
    [SETTING_WORK_MEM] = {"work_mem", "4MB", "Memory for one sort or hash table.", KIND_KILOBYTES, NULL, 64, INT32_MAX},
};

/* PostgreSQL's, and not here. */
static const char *const refused[] = {
    "backslash_quote", "bytea_output", "check_function_bodies", "constraint_exclusion", "cpu_tuple_cost", "cursor_tuple_fraction",
    "default_statistics_target", "default_table_access_method", "default_tablespace", "effective_cache_size",
    "enable_gathermerge", "enable_incremental_sort", "enable_material", "enable_memoize", "enable_parallel_append",
    "enable_parallel_hash", "enable_partitionwise_aggregate", "enable_partitionwise_join", "enable_tidscan",
    "escape_string_warning", "fsync", "geqo", "hash_mem_multiplier", "idle_in_transaction_session_timeout", "idle_session_timeout",
    "jit", "lc_collate", "lc_ctype", "lc_messages", "lc_monetary", "lc_numeric", "lc_time", "log_min_messages",
    "log_statement", "maintenance_work_mem", "max_connections", "max_parallel_workers", "max_parallel_workers_per_gather", "max_wal_size",
    "parallel_setup_cost", "parallel_tuple_cost", "plan_cache_mode", "random_page_cost", "role", "row_security", "seq_page_cost",
    "session_replication_role", "shared_buffers", "temp_buffers", "temp_tablespaces", "transform_null_equals", "wal_level",
    "xmlbinary", "xmloption",
};

/* ---- finding -------------------------------------------------------------------------------------- */

static enum setting_id lookup(const char *name)
{
    enum setting_id id = 0;
    if (strcasecmp(name, "timezone") == 0 || strcasecmp(name, "time zone") == 0)
        return SETTING_TIMEZONE;
    while (id < SETTING_COUNT && strcasecmp(specs[id].name, name) != 0)
        id++;
    return id;
}

enum setting_id settings_find(struct op *op, const char *name)
{
    enum setting_id id = lookup(name);
    if (id < SETTING_COUNT)
        return id;
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        if (strcasecmp(refused[i], name) == 0) {
            op_fail(op, "0A000", "configuration parameter \"%s\" is not supported", name);
            return SETTING_COUNT;
        }
    op_fail(op, "42704", "unrecognized configuration parameter \"%s\"", name);
    return SETTING_COUNT;
}

const char *settings_name(enum setting_id id)
{
    return specs[id].name;
}

const char *settings_about(enum setting_id id)
{
    return specs[id].about;
}

const char *settings_value(const struct session *session, enum setting_id id)
{
    switch (id) {
    case SETTING_TRANSACTION_DEFERRABLE: return session->deferrable ? "on" : "off";
    case SETTING_TRANSACTION_ISOLATION: return session__level_name(session->level);
    case SETTING_TRANSACTION_READ_ONLY: return session->read_only ? "on" : "off";
    default: return session->settings.value[id];
    }
}

const char *session_setting(struct session *session, const char *name)
{
    enum setting_id id = lookup(name);
    return id < SETTING_COUNT ? settings_value(session, id) : NULL;
}

/* ---- checking ------------------------------------------------------------------------------------- */

static int invalid(struct op *op, enum setting_id id, const char *value)
{
    return op_fail(op, "22023", "invalid value for parameter \"%s\": \"%s\"", specs[id].name, value);
}

/* PostgreSQL's words for true and false, and any beginning of them that is not ambiguous. */
static bool parse_bool(const char *text, bool *value)
{
    static const struct { const char *word; size_t least; bool value; } words[] = {
        {"true", 1, true}, {"false", 1, false}, {"yes", 1, true}, {"no", 1, false}, {"on", 2, true}, {"off", 2, false},
        {"1", 1, true}, {"0", 1, false},
    };
    size_t len = strlen(text);
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (len >= words[i].least && len <= strlen(words[i].word) && strncasecmp(words[i].word, text, len) == 0) {
            *value = words[i].value;
            return true;
        }
    return false;
}

static int check_bool(struct op *op, enum setting_id id, const char *value, const char **canonical)
{
    bool on;
    if (!parse_bool(value, &on))
        return op_fail(op, "22023", "parameter \"%s\" requires a Boolean value", specs[id].name);
    *canonical = on ? "on" : "off";
    return 0;
}

static int check_choice(struct op *op, enum setting_id id, const char *value, const char **canonical)
{
    size_t wanted = strlen(value);
    char *list = arena_strdup(&op->arena, specs[id].choices);
    if (!list)
        return op_out_of_memory(op);
    for (const char *at = specs[id].choices; *at;) {
        size_t len = strcspn(at, "|");
        if (len == wanted && strncasecmp(at, value, len) == 0) {
            *canonical = arena_strndup(&op->arena, at, len);
            return *canonical ? 0 : op_out_of_memory(op);
        }
        at += len + (at[len] == '|');
    }
    invalid(op, id, value);
    size_t count = 1;
    for (const char *at = list; *at; at++)
        count += *at == '|';
    char *hint = op_alloc(op, strlen(list) + count + 1), *to = hint;
    for (const char *at = list; hint && *at; at++) {
        if (*at == '|')
            *to++ = ',';
        *to++ = *at == '|' ? ' ' : *at;
    }
    if (hint) {
        *to = '\0';
        op_hint(op, "Available values: %s.", hint);
    }
    return OP_FAILED;
}

struct unit {
    const char *name;
    double factor;
};

static const struct unit time_units[] = {{"us", 0.001}, {"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit memory_units[] = {{"B", 1.0 / 1024}, {"kB", 1}, {"MB", 1024}, {"GB", 1048576}, {"TB", 1073741824}, {NULL, 0}};

/* A number with an optional unit, in the setting's base unit. */
static int parse_amount(struct op *op, enum setting_id id, const char *value, const struct unit *units, int64_t *amount)
{
    char *end;
    double number = strtod(value, &end);
    const struct unit *unit = units;

    if (end == value)
        return invalid(op, id, value);
    while (*end == ' ')
        end++;
    if (*end != '\0') {
        while (unit->name && strcmp(unit->name, end) != 0)
            unit++;
        if (!unit->name) {
            invalid(op, id, value);
            op_hint(op, units == time_units ? "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."
                                            : "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".");
            return OP_FAILED;
        }
        number *= unit->factor;
    }
    if (!(number >= (double)specs[id].least && number <= (double)specs[id].most)) {
        return op_fail(op, "22023", "%.15g%s is outside the valid range for parameter \"%s\" (%lld .. %lld)", number,
                       units == time_units ? " ms" : " kB", specs[id].name, (long long)specs[id].least, (long long)specs[id].most);
    }
    *amount = (int64_t)(number + 0.5);
    return 0;
}

/* The largest unit in which the amount is whole, as PostgreSQL shows it. */
static int check_amount(struct op *op, enum setting_id id, const char *value, const struct unit *units, const char **canonical)
{
    int64_t amount = 0;
    const struct unit *best = &units[1];

    if (parse_amount(op, id, value, units, &amount) != 0)
        return OP_FAILED;
    for (const struct unit *unit = best; amount != 0 && unit->name; unit++)
        if (amount % (int64_t)unit->factor == 0)
            best = unit;
    *canonical = amount == 0 ? "0" : arena_printf(&op->arena, "%lld%s", (long long)(amount / (int64_t)best->factor), best->name);
    return *canonical ? 0 : op_out_of_memory(op);
}

static int unsupported(struct op *op, enum setting_id id, const char *value, const char *hint)
{
    op_fail(op, "0A000", "%s \"%s\" is not supported", specs[id].name, value);
    op_hint(op, "%s", hint);
    return OP_FAILED;
}

/* A list of words without case and spaces: "ISO, MDY" as "iso,mdy". */
static const char *squeeze(struct op *op, const char *value)
{
    char *out = op_alloc(op, strlen(value) + 1), *to = out;
    if (!out)
        return NULL;
    for (; *value; value++)
        if (*value != ' ' && *value != '"')
            *to++ = (char)(*value >= 'A' && *value <= 'Z' ? *value + 32 : *value);
    *to = '\0';
    return out;
}

static bool one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static int check_search_path(struct op *op, const char *value, const char *squeezed, const char **canonical)
{
    bool has_public = false;
    for (const char *at = squeezed; *at;) {
        size_t len = strcspn(at, ",");
        bool is_public = len == 6 && strncmp(at, "public", len) == 0;
        has_public |= is_public;
        if (!is_public && !(len == 5 && strncmp(at, "$user", len) == 0) && !(len == 10 && strncmp(at, "pg_catalog", len) == 0))
            return unsupported(op, SETTING_SEARCH_PATH, value, "The schemas are pg_catalog and public.");
        at += len + (at[len] == ',');
    }
    if (!has_public)
        return unsupported(op, SETTING_SEARCH_PATH, value, "The search path has to include public.");
    *canonical = value;
    return 0;
}

static int check_special(struct op *op, struct session *session, enum setting_id id, const char *value, const char **canonical)
{
    static const char *const encodings[] = {"utf8", "utf-8", "unicode"};
    static const char *const digits[] = {"1", "2", "3"};
    const char *word = squeeze(op, value);
    bool on;

    *canonical = specs[id].initial;
    if (!word)
        return OP_FAILED;
    switch (id) {
    case SETTING_CLIENT_ENCODING:
        return one_of(word, encodings, COUNT_OF(encodings)) ? 0 : unsupported(op, id, value, "Texts are UTF-8.");
    case SETTING_DATESTYLE:
        return settings__check_date_style(op, session, value, canonical);
    case SETTING_TIMEZONE:
        return settings__check_time_zone(op, session, value, canonical);
    case SETTING_EXTRA_FLOAT_DIGITS:
        *canonical = value;
        return one_of(word, digits, COUNT_OF(digits)) ? 0
                   : unsupported(op, id, value, "Floating-point values are printed with their shortest exact digits: 1, 2 or 3.");
    case SETTING_STANDARD_STRINGS:
        if (!parse_bool(value, &on))
            return check_bool(op, id, value, canonical);
        return on ? 0 : unsupported(op, id, value, "Use E'...' for strings with backslash escapes.");
    case SETTING_SEARCH_PATH:
        return check_search_path(op, value, word, canonical);
    default:
        return op_fail(op, "XX000", "setting \"%s\" has no check", specs[id].name);
    }
}

static int check(struct op *op, struct session *session, enum setting_id id, const char *value, const char **canonical)
{
    switch (specs[id].kind) {
    case KIND_BOOL: return check_bool(op, id, value, canonical);
    case KIND_CHOICE: return check_choice(op, id, value, canonical);
    case KIND_MILLISECONDS: return check_amount(op, id, value, time_units, canonical);
    case KIND_KILOBYTES: return check_amount(op, id, value, memory_units, canonical);
    case KIND_SPECIAL: return check_special(op, session, id, value, canonical);
    case KIND_FIXED: return op_fail(op, "55P02", "parameter \"%s\" cannot be changed", specs[id].name);
    case KIND_TEXT: break;
    }
    *canonical = value;
    return 0;
}

/* ---- effects -------------------------------------------------------------------------------------- */

static int choice_index(enum setting_id id, const char *value)
{
    int index = 0;
    for (const char *at = specs[id].choices; *at; index++) {
        size_t len = strcspn(at, "|");
        if (strlen(value) == len && strncmp(at, value, len) == 0)
            return index;
        at += len + (at[len] == '|');
    }
    return -1;
}

static int64_t amount_of(const struct session *session, enum setting_id id, const struct unit *units)
{
    char *end;
    const char *text = session->settings.value[id];
    int64_t number = strtoll(text, &end, 10);
    for (const struct unit *unit = units; unit->name; unit++)
        if (strcmp(unit->name, end) == 0)
            return number * (int64_t)unit->factor;
    return number;
}

void settings_apply(struct session *session, enum setting_id id)
{
    static const enum interval_style interval_styles[] = {INTERVAL_STYLE_POSTGRES, INTERVAL_STYLE_VERBOSE, INTERVAL_STYLE_SQL,
                                                          INTERVAL_STYLE_ISO};
    static const enum txn_sync syncs[] = {TXN_SYNC_FULL, TXN_SYNC_NORMAL, TXN_SYNC_OFF};
    const char *value = session->settings.value[id];
    struct plan_options *plan = &session->plan_options;
    bool on = strcmp(value, "on") == 0;

    switch (id) {
    case SETTING_DATESTYLE: settings__apply_date_style(session, value); break;
    case SETTING_TIMEZONE: settings__apply_time_zone(session, value); break;
    case SETTING_INTERVALSTYLE: session->time_style.interval = interval_styles[choice_index(id, value)]; break;
    case SETTING_CLIENT_MIN_MESSAGES: session->min_messages = choice_index(id, value); break;
    case SETTING_DEADLOCK_TIMEOUT: txn_set_deadlock_timeout(session->txn, (uint64_t)amount_of(session, id, time_units) * 1000); break;
    case SETTING_ENABLE_BITMAPSCAN: plan->enable_bitmapscan = on; break;
    case SETTING_ENABLE_HASHAGG: plan->enable_hashagg = on; break;
    case SETTING_ENABLE_HASHJOIN: plan->enable_hashjoin = on; break;
    case SETTING_ENABLE_INDEXONLYSCAN: plan->enable_indexonlyscan = on; break;
    case SETTING_ENABLE_INDEXSCAN: plan->enable_indexscan = on; break;
    case SETTING_ENABLE_MERGEJOIN: plan->enable_mergejoin = on; break;
    case SETTING_ENABLE_NESTLOOP: plan->enable_nestloop = on; break;
    case SETTING_ENABLE_SEQSCAN: plan->enable_seqscan = on; break;
    case SETTING_ENABLE_SORT: plan->enable_sort = on; break;
    case SETTING_LOCK_TIMEOUT: txn_set_lock_timeout(session->txn, (uint64_t)amount_of(session, id, time_units) * 1000); break;
    case SETTING_MAX_TRANSACTION_LOG: txn_set_max_log(session->txn, (uint64_t)amount_of(session, id, memory_units) * 1024); break;
    case SETTING_STATEMENT_TIMEOUT: session->statement_timeout_us = (uint64_t)amount_of(session, id, time_units) * 1000; break;
    case SETTING_SYNCHRONOUS_COMMIT: txn_set_sync(session->txn, syncs[choice_index(id, value)]); break;
    case SETTING_WORK_MEM: plan->work_mem = (uint64_t)amount_of(session, id, memory_units) * 1024; break;
    default: break;
    }
    session->plan_stamp++;
}

/* ---- changing ------------------------------------------------------------------------------------- */

static int note_change(struct op *op, struct settings *settings, enum setting_id id)
{
    if (settings->change_count == settings->change_capacity) {
        int capacity = settings->change_capacity ? settings->change_capacity * 2 : 8;
        struct setting_change *grown = mem_realloc(settings->changes, sizeof *grown * (size_t)capacity);
        if (!grown)
            return op_out_of_memory(op);
        settings->changes = grown;
        settings->change_capacity = capacity;
    }
    settings->changes[settings->change_count++] =
        (struct setting_change){id, settings->value[id], settings->lasting[id]};
    return 0;
}

/* SET transaction_isolation and its like are SET TRANSACTION. */
static int set_mode(struct op *op, struct session *session, enum setting_id id, const char *value)
{
    struct ast_modes modes = {0};
    bool on = false;

    if (id == SETTING_TRANSACTION_ISOLATION) {
        const char *canonical;
        if (check_choice(op, SETTING_DEFAULT_ISOLATION, value, &canonical) != 0)
            return OP_FAILED;
        static const enum ast_isolation isolation[] = {AST_SERIALIZABLE, AST_REPEATABLE_READ, AST_READ_COMMITTED, AST_READ_UNCOMMITTED};
        modes.isolation = isolation[choice_index(SETTING_DEFAULT_ISOLATION, canonical)];
    } else if (!parse_bool(value, &on)) {
        return op_fail(op, "22023", "parameter \"%s\" requires a Boolean value", specs[id].name);
    } else if (id == SETTING_TRANSACTION_READ_ONLY) {
        modes.read_only = on ? AST_CHOICE_YES : AST_CHOICE_NO;
    } else {
        modes.deferrable = on ? AST_CHOICE_YES : AST_CHOICE_NO;
    }
    return session__set_modes(op, session, &modes);
}

int settings_set(struct op *op, struct session *session, enum setting_id id, const char *value, bool local)
{
    struct settings *settings = &session->settings;
    const char *canonical;

    if (id == SETTING_TRANSACTION_DEFERRABLE || id == SETTING_TRANSACTION_ISOLATION || id == SETTING_TRANSACTION_READ_ONLY) {
        if (!value)
            return op_fail(op, "55P02", "parameter \"%s\" cannot be reset", specs[id].name);
        return set_mode(op, session, id, value);
    }
    if (specs[id].kind == KIND_FIXED || value) {
        if (check(op, session, id, value ? value : "", &canonical) != 0)
            return OP_FAILED;
    } else {
        canonical = settings->initial[id];
    }
    char *now = mem_strdup(canonical), *lasting = mem_strdup(local ? settings->lasting[id] : canonical);
    if (!now || !lasting || note_change(op, settings, id) != 0) {
        mem_free(now);
        mem_free(lasting);
        return op_out_of_memory(op);
    }
    settings->value[id] = now;
    settings->lasting[id] = lasting;
    settings_apply(session, id);
    return 0;
}

int settings_reset_all(struct op *op, struct session *session)
{
    for (enum setting_id id = 0; id < SETTING_COUNT; id++)
        if (specs[id].kind != KIND_FIXED && id != SETTING_TRANSACTION_DEFERRABLE && id != SETTING_TRANSACTION_ISOLATION &&
            id != SETTING_TRANSACTION_READ_ONLY && strcmp(session->settings.value[id], session->settings.initial[id]) != 0 &&
            settings_set(op, session, id, NULL, false) != 0)
            return OP_FAILED;
    return 0;
}

int settings_position(const struct session *session)
{
    return session->settings.change_count;
}

/* After a COMMIT both may be the same text. */
static void free_pair(char *value, char *lasting)
{
    if (value != lasting)
        mem_free(value);
    mem_free(lasting);
}

void settings_rollback(struct session *session, int position)
{
    struct settings *settings = &session->settings;
    while (settings->change_count > position) {
        struct setting_change *change = &settings->changes[--settings->change_count];
        free_pair(settings->value[change->id], settings->lasting[change->id]);
        settings->value[change->id] = change->value;
        settings->lasting[change->id] = change->lasting;
        settings_apply(session, change->id);
    }
}

void settings_commit(struct session *session)
{
    struct settings *settings = &session->settings;
    for (int i = 0; i < settings->change_count; i++) {
        struct setting_change *change = &settings->changes[i];
        enum setting_id id = change->id;
        if (strcmp(settings->value[id], settings->lasting[id]) != 0) {
            mem_free(settings->value[id]);
            settings->value[id] = settings->lasting[id];
            settings_apply(session, id);
        }
        free_pair(change->value, change->lasting);
    }
    settings->change_count = 0;
}

/* ---- opening -------------------------------------------------------------------------------------- */

int settings_open(struct op *op, struct session *session)
{
    static const char *const syncs[] = {[TXN_SYNC_FULL] = "on", [TXN_SYNC_NORMAL] = "local", [TXN_SYNC_OFF] = "off"};
    struct settings *settings = &session->settings;

    for (enum setting_id id = 0; id < SETTING_COUNT; id++) {
        const char *initial = id == SETTING_SYNCHRONOUS_COMMIT ? syncs[session->database->sync] : specs[id].initial;
        settings->value[id] = mem_strdup(initial);
        settings->lasting[id] = mem_strdup(initial);
        settings->initial[id] = mem_strdup(initial);
        if (!settings->value[id] || !settings->lasting[id] || !settings->initial[id])
            return op_out_of_memory(op);
        settings_apply(session, id);
    }
    return 0;
}

void settings_close(struct session *session)
{
    struct settings *settings = &session->settings;
    if (settings->change_count)
        settings_rollback(session, 0);
    for (enum setting_id id = 0; id < SETTING_COUNT; id++) {
        free_pair(settings->value[id], settings->lasting[id]);
        mem_free(settings->initial[id]);
    }
    mem_free(settings->changes);
}
