/*
 * func_int.h -- kernels of functions, for func*.c, cast.c and aggregate*.c.
 *
 * Two kinds.  Hot ones (integers, doubles, comparisons) are loops over vectors, written with the macros here so that
 * the compiler sees plain arrays and can use vector instructions.  All others are row functions: they see one row's
 * arguments as datums, and func__rows drives them.
 */
#ifndef ISOLDE_SQL_FUNC_INT_H
#define ISOLDE_SQL_FUNC_INT_H

#include "sql/func.h"
#include "sql/time_style.h"
#include "sql/type_int.h"

#define FUNC_KERNEL(name)                                                                                              \
    int name(struct eval_env *env, const struct func *func, int arg_count, const struct vector *const *args,          \
             const struct sql_type *arg_types, struct sql_type type, int count, const uint16_t *selection,            \
             struct vector *out)

/* The call that a row function serves. */
struct func_call {
    struct eval_env *env;
    const struct func *func;
    int arg_count;
    const struct sql_type *arg_types;
    struct sql_type type;
};
/* args: never null for strict functions. out->null is false on entry. */
typedef int (*func_row)(const struct func_call *call, const struct datum *args, struct datum *out);

FUNC_KERNEL(func__rows);        /* func->detail is the func_row */

/* The whole table, sorted by name; func.c finds names in it. */
extern const struct func func__table[];
extern const size_t func__table_count;

/* ---- loops ---------------------------------------------------------------------------------------- */

/* body sees x and r: r is what goes to the output.  Dense and constant cases get loops of their own. */
#define FUNC_UNARY_LOOP(in_type, in, out_type, results, body)                                                          \
    do {                                                                                                               \
        const in_type *restrict a_ = (in);                                                                             \
        out_type *restrict r_ = (results);                                                                             \
        if (!selection && !args[0]->constant) {                                                                        \
            for (int row = 0; row < count; row++) {                                                                    \
                in_type x = a_[row];                                                                                   \
                out_type r;                                                                                            \
                body;                                                                                                  \
                r_[row] = r;                                                                                           \
            }                                                                                                          \
        } else {                                                                                                       \
            int am_ = args[0]->constant ? 0 : -1;                                                                      \
            for (int i_ = 0; i_ < count; i_++) {                                                                       \
                int row = selection ? selection[i_] : i_;                                                              \
                in_type x = a_[row & am_];                                                                             \
                out_type r;                                                                                            \
                body;                                                                                                  \
                r_[row] = r;                                                                                           \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

#define FUNC_BINARY_ROW(in_type, out_type, body, first, second)                                                        \
    do {                                                                                                               \
        in_type x = (first), y = (second);                                                                             \
        out_type r;                                                                                                    \
        body;                                                                                                          \
        r_[row] = r;                                                                                                   \
    } while (0)

/* body sees x, y and r. */
#define FUNC_BINARY_LOOP(in_type, member, out_type, results, body)                                                     \
    do {                                                                                                               \
        const in_type *restrict a_ = args[0]->member, *restrict b_ = args[1]->member;                                  \
        out_type *restrict r_ = (results);                                                                             \
        bool ac_ = args[0]->constant, bc_ = args[1]->constant;                                                         \
        if (selection || (ac_ && bc_)) {                                                                               \
            int am_ = ac_ ? 0 : -1, bm_ = bc_ ? 0 : -1;                                                                \
            for (int i_ = 0; i_ < count; i_++) {                                                                       \
                int row = selection ? selection[i_] : i_;                                                              \
                FUNC_BINARY_ROW(in_type, out_type, body, a_[row & am_], b_[row & bm_]);                                \
            }                                                                                                          \
        } else if (bc_) {                                                                                              \
            const in_type fixed_ = b_[0];                                                                              \
            for (int row = 0; row < count; row++)                                                                      \
                FUNC_BINARY_ROW(in_type, out_type, body, a_[row], fixed_);                                             \
        } else if (ac_) {                                                                                              \
            const in_type fixed_ = a_[0];                                                                              \
            for (int row = 0; row < count; row++)                                                                      \
                FUNC_BINARY_ROW(in_type, out_type, body, fixed_, b_[row]);                                             \
        } else {                                                                                                       \
            for (int row = 0; row < count; row++)                                                                      \
                FUNC_BINARY_ROW(in_type, out_type, body, a_[row], b_[row]);                                            \
        }                                                                                                              \
    } while (0)

/* ---- kernels: func_arith.c; detail is the size of the result in bytes ---- */
FUNC_KERNEL(func__int_add);
FUNC_KERNEL(func__int_subtract);
FUNC_KERNEL(func__int_multiply);
FUNC_KERNEL(func__int_divide);
FUNC_KERNEL(func__int_modulo);
FUNC_KERNEL(func__int_and);
FUNC_KERNEL(func__int_or);
FUNC_KERNEL(func__int_xor);
FUNC_KERNEL(func__int_not);
FUNC_KERNEL(func__int_shift_left);
FUNC_KERNEL(func__int_shift_right);
FUNC_KERNEL(func__int_negate);
FUNC_KERNEL(func__int_absolute);
FUNC_KERNEL(func__double_add);
FUNC_KERNEL(func__double_subtract);
FUNC_KERNEL(func__double_multiply);
FUNC_KERNEL(func__double_divide);
FUNC_KERNEL(func__double_negate);
FUNC_KERNEL(func__double_absolute);
FUNC_KERNEL(func__double_round);
FUNC_KERNEL(func__double_truncate);
FUNC_KERNEL(func__double_ceiling);
FUNC_KERNEL(func__double_floor);
FUNC_KERNEL(func__double_sign);
FUNC_KERNEL(func__same);        /* unary plus */

/* ---- func_compare.c; detail is a func_order ---- */
enum func_order { ORDER_LT = -2, ORDER_LE = -1, ORDER_EQ = 0, ORDER_GE = 1, ORDER_GT = 2, ORDER_NE = 3 };
FUNC_KERNEL(func__int_compare);
FUNC_KERNEL(func__double_compare);
FUNC_KERNEL(func__bool_compare);
FUNC_KERNEL(func__bytes_compare);
FUNC_KERNEL(func__numeric_compare);
FUNC_KERNEL(func__date_timestamp_compare);      /* (date, timestamp) and (timestamp, date) */
FUNC_KERNEL(func__moment_compare);              /* timestamptz with date or timestamp, either way */
FUNC_KERNEL(func__interval_compare);

/* ---- row functions ---- */
#define FUNC_ROW(name) int name(const struct func_call *call, const struct datum *args, struct datum *out)
/* func_numeric.c */
FUNC_ROW(func__numeric_add);
FUNC_ROW(func__numeric_subtract);
FUNC_ROW(func__numeric_multiply);
FUNC_ROW(func__numeric_divide);
FUNC_ROW(func__numeric_divide_integer);
FUNC_ROW(func__numeric_modulo);
FUNC_ROW(func__numeric_negate);
FUNC_ROW(func__numeric_absolute);
FUNC_ROW(func__numeric_plus);
FUNC_ROW(func__numeric_round);
FUNC_ROW(func__numeric_truncate);
FUNC_ROW(func__numeric_ceiling);
FUNC_ROW(func__numeric_floor);
FUNC_ROW(func__numeric_sign);
FUNC_ROW(func__numeric_scale);
/* func_math.c */
FUNC_ROW(func__double_cube_root);
FUNC_ROW(func__double_arc_tangent);
FUNC_ROW(func__double_sinh);
FUNC_ROW(func__double_cosh);
FUNC_ROW(func__double_tanh);
FUNC_ROW(func__double_arc_sinh);
FUNC_ROW(func__double_sine);
FUNC_ROW(func__double_cosine);
FUNC_ROW(func__double_tangent);
FUNC_ROW(func__double_cotangent);
FUNC_ROW(func__double_arc_sine);
FUNC_ROW(func__double_arc_cosine);
FUNC_ROW(func__double_arc_cosh);
FUNC_ROW(func__double_arc_tanh);
FUNC_ROW(func__double_arc_tangent_2);
FUNC_ROW(func__double_pi);
FUNC_ROW(func__double_degrees);
FUNC_ROW(func__double_radians);
FUNC_ROW(func__double_square_root);
FUNC_ROW(func__double_exp);
FUNC_ROW(func__double_ln);
FUNC_ROW(func__double_log10);
FUNC_ROW(func__double_power);
FUNC_ROW(func__numeric_square_root);
FUNC_ROW(func__numeric_exp);
FUNC_ROW(func__numeric_ln);
FUNC_ROW(func__numeric_log);
FUNC_ROW(func__numeric_log10);
FUNC_ROW(func__numeric_power);
FUNC_ROW(func__numeric_factorial);
FUNC_ROW(func__numeric_min_scale);
FUNC_ROW(func__numeric_trim_scale);
FUNC_ROW(func__int_gcd);
FUNC_ROW(func__int_lcm);
FUNC_ROW(func__numeric_gcd);
FUNC_ROW(func__numeric_lcm);
FUNC_ROW(func__double_bucket);
FUNC_ROW(func__numeric_bucket);
/* func_text.c */
FUNC_ROW(func__text_length);
FUNC_ROW(func__text_octets);
FUNC_ROW(func__text_lower);
FUNC_ROW(func__text_upper);
FUNC_ROW(func__text_initcap);
FUNC_ROW(func__text_concatenate);
FUNC_ROW(func__text_concat);
FUNC_ROW(func__text_concat_separated);
FUNC_ROW(func__text_substring);
FUNC_ROW(func__text_left);
FUNC_ROW(func__text_right);
FUNC_ROW(func__text_trim_both);
FUNC_ROW(func__text_trim_left);
FUNC_ROW(func__text_trim_right);
FUNC_ROW(func__text_replace);
FUNC_ROW(func__text_repeat);
FUNC_ROW(func__text_pad_left);
FUNC_ROW(func__text_pad_right);
FUNC_ROW(func__text_position);
FUNC_ROW(func__text_reverse);
FUNC_ROW(func__text_starts_with);
FUNC_ROW(func__text_split_part);
FUNC_ROW(func__text_translate);
FUNC_ROW(func__text_ascii);
FUNC_ROW(func__text_chr);
FUNC_ROW(func__text_to_hex);
/* func_like.c */
FUNC_ROW(func__like);
FUNC_ROW(func__not_like);
FUNC_ROW(func__like_any_case);
FUNC_ROW(func__not_like_any_case);
FUNC_ROW(func__like_escape);
/* func_time.c */
FUNC_ROW(func__date_add);
FUNC_ROW(func__date_add_reversed);
FUNC_ROW(func__date_subtract_days);
FUNC_ROW(func__date_subtract);
FUNC_ROW(func__date_make);
FUNC_ROW(func__is_finite);
FUNC_ROW(func__transaction_time);
FUNC_ROW(func__statement_time);
FUNC_ROW(func__clock_time);
FUNC_ROW(func__current_date);
FUNC_ROW(func__date_add_time);
FUNC_ROW(func__time_add_date);
FUNC_ROW(func__moment_add);
FUNC_ROW(func__moment_add_reversed);
FUNC_ROW(func__moment_subtract_interval);
FUNC_ROW(func__moment_subtract);
FUNC_ROW(func__time_add);
FUNC_ROW(func__time_add_reversed);
FUNC_ROW(func__time_subtract_interval);
FUNC_ROW(func__time_subtract);
FUNC_ROW(func__time_make);
FUNC_ROW(func__timestamp_make);
FUNC_ROW(func__interval_add);
FUNC_ROW(func__interval_negate);
FUNC_ROW(func__interval_plus);
FUNC_ROW(func__interval_subtract);
FUNC_ROW(func__interval_multiply);
FUNC_ROW(func__interval_multiply_reversed);
FUNC_ROW(func__interval_divide);
FUNC_ROW(func__interval_justify_hours);
FUNC_ROW(func__interval_justify_days);
FUNC_ROW(func__interval_justify);
FUNC_ROW(func__interval_make);
FUNC_ROW(func__overlaps);
FUNC_ROW(func__local_timestamp);
FUNC_ROW(func__local_time);
FUNC_ROW(func__timestamp_from_epoch);
/* func_zone.c */
FUNC_ROW(func__at_zone);
FUNC_ROW(func__at_offset);
/* func_extract.c */
FUNC_ROW(func__extract_timestamp);
FUNC_ROW(func__extract_date);
FUNC_ROW(func__extract_time);
FUNC_ROW(func__extract_interval);
FUNC_ROW(func__truncate_timestamp);
FUNC_ROW(func__truncate_moment);
FUNC_ROW(func__truncate_interval);
FUNC_ROW(func__age);
FUNC_ROW(func__age_today);
/* func_system.c; func->detail: what the function does. */
enum { ADVISORY_SHARED = 1, ADVISORY_TRANSACTION = 2, ADVISORY_TRY = 4, ADVISORY_UNLOCK = 8, ADVISORY_ALL = 16 };
FUNC_KERNEL(func__advisory);
FUNC_ROW(func__version);
FUNC_ROW(func__current_schema);
FUNC_ROW(func__typeof);
FUNC_ROW(func__format_type);

/* ---- help for row functions ---- */
/* Room for a result's bytes; NULL after having reported 53200 or, beyond 1 GiB, 54000. */
uint8_t *func__room(struct eval_env *env, size_t len) MUST_CHECK;
/* The zone of this name, 22023 when there is none.  An offset such as +05:30 is east of UTC, or, for POSIX, west. */
int func__zone(const struct func_call *call, struct bytes name, bool posix, const struct zone **zone) MUST_CHECK;
/* As a cast to text does (boolean is true, not t). */
int func__as_text(struct eval_env *env, struct sql_type type, const struct datum *value, struct bytes *text) MUST_CHECK;

#endif
