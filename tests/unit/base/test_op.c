/* The operation in progress: error reports, cancellation, and the order of latches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/base/mem.h"
#include "src/base/op.h"
#include "src/base/rank.h"

static void a_fresh_op_reports_no_error(void **state)
{
    struct op op;

    op_init(&op);
    assert_false(op_failed(&op));
    assert_int_equal(op_check_cancel(&op), OP_OK);
    op_end(&op);
}

static void a_report_carries_state_message_detail_hint_position_and_names(void **state)
{
    struct op op;

    op_init(&op);
    assert_int_equal(op_fail_at(&op, 8, "42P01", "relation \"%s\" does not exist", "t"), OP_FAILED);
    op_detail(&op, "of %d relations", 3);
    op_hint(&op, "create it");
    op_about(&op, "public", "t", NULL, NULL);
    op_about(&op, "other", NULL, "c", NULL);
    assert_true(op_failed(&op));
    assert_string_equal(op.error.sqlstate, "42P01");
    assert_string_equal(op.error.message, "relation \"t\" does not exist");
    assert_string_equal(op.error.detail, "of 3 relations");
    assert_string_equal(op.error.hint, "create it");
    assert_int_equal(op.error.position, 8);
    assert_string_equal(op.error.schema, "public");
    assert_string_equal(op.error.table, "t");
    assert_string_equal(op.error.column, "c");
    assert_null(op.error.constraint);
    op_end(&op);
}

static void the_first_error_stays_and_later_ones_add_nothing_to_it(void **state)
{
    struct op op;

    op_init(&op);
    (void)op_fail(&op, "58030", "the cause");
    (void)op_fail(&op, "XX000", "the consequence");
    op_detail(&op, "of the consequence");
    op_hint(&op, "of the consequence");
    op_about(&op, "s", "t", "c", "k");
    (void)op_out_of_memory(&op);
    assert_string_equal(op.error.sqlstate, "58030");
    assert_string_equal(op.error.message, "the cause");
    assert_null(op.error.detail);
    assert_null(op.error.hint);
    assert_null(op.error.table);
    op_end(&op);
}

static void details_without_an_error_are_ignored(void **state)
{
    struct op op;

    op_init(&op);
    op_detail(&op, "of nothing");
    op_hint(&op, "of nothing");
    op_about(&op, "s", "t", "c", "k");
    assert_null(op.error.detail);
    assert_null(op.error.hint);
    assert_null(op.error.schema);
    op_end(&op);
}

static void reset_and_clear_make_room_for_the_next_error(void **state)
{
    struct op op;

    op_init(&op);
    (void)op_fail(&op, "22012", "division by zero");
    (void)op_fail(&op, "XX000", "later");
    op_reset(&op);
    assert_false(op_failed(&op));
    (void)op_fail(&op, "22003", "out of range");
    op_detail(&op, "too large");
    assert_string_equal(op.error.sqlstate, "22003");
    assert_string_equal(op.error.detail, "too large");
    op_clear_error(&op);
    assert_false(op_failed(&op));
    assert_null(op.error.detail);
    op_end(&op);
}

static void a_copied_error_outlives_its_origin(void **state)
{
    struct op from, to;

    op_init(&from);
    op_init(&to);
    op_copy_error(&to, &from);
    assert_false(op_failed(&to));
    (void)op_fail_at(&from, 3, "23505", "duplicate key");
    op_detail(&from, "Key (a)=(1)");
    op_hint(&from, "try 2");
    op_about(&from, "public", "t", NULL, "t_pkey");
    op_copy_error(&to, &from);
    op_end(&from);
    assert_string_equal(to.error.sqlstate, "23505");
    assert_string_equal(to.error.message, "duplicate key");
    assert_string_equal(to.error.detail, "Key (a)=(1)");
    assert_string_equal(to.error.hint, "try 2");
    assert_string_equal(to.error.constraint, "t_pkey");
    assert_int_equal(to.error.position, 3);
    op_end(&to);
}

static void exhausted_memory_is_reported_without_memory(void **state)
{
    struct op op;

    op_init(&op);
    (void)mem_fail_at(1);
    assert_null(op_alloc(&op, 10));
    (void)mem_fail_at(0);
    assert_string_equal(op.error.sqlstate, "53200");
    assert_string_equal(op.error.message, "out of memory");
    op_reset(&op);
    (void)mem_fail_at(1);
    assert_null(op_heap_alloc(&op, 10));
    (void)mem_fail_at(0);
    assert_string_equal(op.error.sqlstate, "53200");
    op_end(&op);
}

static void an_error_whose_text_cannot_be_made_keeps_its_sqlstate(void **state)
{
    struct op op, copy;

    op_init(&op);
    op_init(&copy);
    (void)mem_fail_at(1);
    (void)op_fail(&op, "40001", "could not serialize access");
    (void)mem_fail_at(1);
    op_copy_error(&copy, &op);
    (void)mem_fail_at(0);
    assert_string_equal(op.error.sqlstate, "40001");
    assert_non_null(op.error.message);
    assert_string_equal(copy.error.sqlstate, "40001");
    assert_non_null(copy.error.message);
    op_end(&copy);
    op_end(&op);
}

static void arena_memory_comes_cleared(void **state)
{
    struct op op;
    struct arena arena;
    uint8_t *a, *b;

    op_init(&op);
    arena_init(&arena);
    a = op_arena_alloc(&op, &arena, 100);
    b = op_calloc(&op, 100);
    assert_non_null(a);
    assert_non_null(b);
    for (int i = 0; i < 100; i++)
        assert_int_equal(a[i] | b[i], 0);
    arena_free(&arena);
    op_end(&op);
}

static void a_set_cancel_flag_ends_the_operation_with_57014(void **state)
{
    atomic_bool cancel = false;
    struct op op;

    op_init(&op);
    op.cancel = &cancel;
    assert_int_equal(op_check_cancel(&op), OP_OK);
    atomic_store(&cancel, true);
    assert_int_equal(op_check_cancel(&op), OP_FAILED);
    assert_string_equal(op.error.sqlstate, "57014");
    op_end(&op);
}

#ifdef ISOLDE_DEBUG

static void in_order(void)
{
    RANK_ENTER(RANK_CHECKPOINT);
    RANK_ENTER(RANK_PAGE);
    RANK_ENTER(RANK_PAGE);
    RANK_ENTER(RANK_WAL_BUFFER);
    RANK_LEAVE(RANK_PAGE);
    RANK_ENTER(RANK_OS);
    RANK_LEAVE(RANK_CHECKPOINT);
    RANK_LEAVE(RANK_OS);
    RANK_LEAVE(RANK_WAL_BUFFER);
    RANK_LEAVE(RANK_PAGE);
    if (rank_held() != 0)
        abort();
}

static void tried_out_of_order(void)
{
    RANK_ENTER(RANK_OS);
    RANK_ENTER_TRIED(RANK_PAGE);
    RANK_LEAVE(RANK_PAGE);
    RANK_LEAVE(RANK_OS);
}

static void downwards(void)
{
    RANK_ENTER(RANK_WAL_BUFFER);
    RANK_ENTER(RANK_PAGE);
}

static void twice(void)
{
    RANK_ENTER(RANK_SSI);
    RANK_ENTER(RANK_SSI);
}

static void below_one_that_was_tried(void)
{
    RANK_ENTER_TRIED(RANK_WAL_BUFFER);
    RANK_ENTER(RANK_PAGE);
}

static void not_held(void)
{
    RANK_LEAVE(RANK_PAGE);
}

static void held_at_the_end_of_an_operation(void)
{
    struct op op;

    op_init(&op);
    RANK_ENTER(RANK_PAGE);
    op_end(&op);
}

/* What a process that does this prints when it dies; "" when it does not. */
static void run_apart(void (*act)(void), char *said, size_t size)
{
    int pipe_ends[2], status;
    ssize_t len;
    pid_t pid;

    assert_int_equal(pipe(pipe_ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(pipe_ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        act();
        _exit(0);
    }
    close(pipe_ends[1]);
    len = read(pipe_ends[0], said, size - 1);
    said[len > 0 ? len : 0] = '\0';
    close(pipe_ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(len > 0, !WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

static void latches_in_order_pass_and_a_wrong_order_aborts_with_both_sites(void **state)
{
    char said[1000], *first;

    run_apart(in_order, said, sizeof said);
    assert_string_equal(said, "");
    run_apart(tried_out_of_order, said, sizeof said);
    assert_string_equal(said, "");
    run_apart(downwards, said, sizeof said);
    first = strstr(said, "test_op.c:");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "test_op.c:"));
    run_apart(twice, said, sizeof said);
    assert_non_null(strstr(said, "latch order"));
    run_apart(below_one_that_was_tried, said, sizeof said);
    assert_non_null(strstr(said, "latch order"));
    run_apart(not_held, said, sizeof said);
    assert_non_null(strstr(said, "not held"));
    run_apart(held_at_the_end_of_an_operation, said, sizeof said);
    assert_non_null(strstr(said, "rank_held"));
}

#else

static void without_debugging_ranks_are_not_kept(void **state)
{
    RANK_ENTER(RANK_OS);
    RANK_ENTER(RANK_PAGE);
    RANK_ENTER_TRIED(RANK_PAGE);
    RANK_LEAVE(RANK_SSI);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_op_reports_no_error),
        cmocka_unit_test(a_report_carries_state_message_detail_hint_position_and_names),
        cmocka_unit_test(the_first_error_stays_and_later_ones_add_nothing_to_it),
        cmocka_unit_test(details_without_an_error_are_ignored),
        cmocka_unit_test(reset_and_clear_make_room_for_the_next_error),
        cmocka_unit_test(a_copied_error_outlives_its_origin),
        cmocka_unit_test(exhausted_memory_is_reported_without_memory),
        cmocka_unit_test(an_error_whose_text_cannot_be_made_keeps_its_sqlstate),
        cmocka_unit_test(arena_memory_comes_cleared),
        cmocka_unit_test(a_set_cancel_flag_ends_the_operation_with_57014),
#ifdef ISOLDE_DEBUG
        cmocka_unit_test(latches_in_order_pass_and_a_wrong_order_aborts_with_both_sites),
#else
        cmocka_unit_test(without_debugging_ranks_are_not_kept),
#endif
    };

    return cmocka_run_group_tests_name("op", tests, NULL, NULL);
}
