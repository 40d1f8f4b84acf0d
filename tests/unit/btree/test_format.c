/*
 * The manual page isolde-format(5) says where each field lies on disk; the structs of the code must agree.
 *
 * A layout in the page stands between the comments ".\" layout STRUCT" and ".\" end", one line for each field: offset, bytes, name.
 * Every line must name a field of the table below, with its offset and size, and every field of the table must be named.  Between
 * ".\" keys" and ".\" end" stand the bytes of keys, which the code must encode so.  (Those of rows: tests/unit/sql/test_row.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "btree/key.h"
#include "btree/node.h"
#include "src/backup/backup_int.h"
#include "src/buf/double_write.h"
#include "src/buf/header.h"
#include "src/buf/page.h"
#include "wal/format.h"

#define FIELD(type, field) { #type, #field, offsetof(struct type, field), sizeof(((struct type *)0)->field), false }

static struct field {
    const char *structure, *name;
    size_t offset, size;
    bool documented;
} fields[] = {
    FIELD(header_identity, magic), FIELD(header_identity, format), FIELD(header_identity, page_size),
    FIELD(header_identity, reserved_bytes), FIELD(header_identity, zero1), FIELD(header_identity, database_id),
    FIELD(header_identity, timeline_id), FIELD(header_identity, compatible), FIELD(header_identity, read_only_compatible),
    FIELD(header_identity, incompatible), FIELD(header_identity, created_us), FIELD(header_identity, zero2),
    FIELD(header_identity, crc),
    FIELD(header_slot, sequence), FIELD(header_slot, flags), FIELD(header_slot, zero1), FIELD(header_slot, log_id),
    FIELD(header_slot, checkpoint_lsn), FIELD(header_slot, redo_lsn), FIELD(header_slot, highest_lsn),
    FIELD(header_slot, page_count), FIELD(header_slot, next_txn), FIELD(header_slot, next_tree),
    FIELD(header_slot, newest_commit), FIELD(header_slot, zero2), FIELD(header_slot, crc),
    FIELD(page_head, crc), FIELD(page_head, type), FIELD(page_head, level), FIELD(page_head, reserved), FIELD(page_head, lsn),
    FIELD(page_head, page_no), FIELD(page_head, tree_id),
    FIELD(node_head, slots), FIELD(node_head, ghosts), FIELD(node_head, heap), FIELD(node_head, garbage),
    FIELD(node_head, low_len), FIELD(node_head, high_len), FIELD(node_head, prefix_len), FIELD(node_head, flags),
    FIELD(node_head, skip), FIELD(node_head, zero),
    FIELD(node_slot, offset), FIELD(node_slot, suffix_len), FIELD(node_slot, head),
    FIELD(wal__file_head, magic), FIELD(wal__file_head, format), FIELD(wal__file_head, segment_size),
    FIELD(wal__file_head, database_id), FIELD(wal__file_head, log_id), FIELD(wal__file_head, zero), FIELD(wal__file_head, crc),
    FIELD(wal__owner, pid), FIELD(wal__owner, host), FIELD(wal__owner, zero), FIELD(wal__owner, crc),
    FIELD(wal__segment_head, magic), FIELD(wal__segment_head, crc), FIELD(wal__segment_head, log_id),
    FIELD(wal__segment_head, number), FIELD(wal__segment_head, epoch), FIELD(wal__segment_head, epoch_start),
    FIELD(wal__segment_head, previous_end),
    FIELD(overflow_head, next), FIELD(overflow_head, len), FIELD(overflow_head, zero),
    FIELD(double_write_head, magic), FIELD(double_write_head, crc), FIELD(double_write_head, entries),
    FIELD(double_write_head, batch), FIELD(double_write_head, database_id), FIELD(double_write_head, log_id),
    FIELD(double_write_head, page_size), FIELD(double_write_head, zero),
    FIELD(double_write_entry, page_no), FIELD(double_write_entry, lsn), FIELD(double_write_entry, crc),
    FIELD(double_write_entry, zero),
    FIELD(wal__archive_head, magic), FIELD(wal__archive_head, format), FIELD(wal__archive_head, segment_size),
    FIELD(wal__archive_head, database_id), FIELD(wal__archive_head, timeline_id), FIELD(wal__archive_head, log_id),
    FIELD(wal__archive_head, number), FIELD(wal__archive_head, epoch), FIELD(wal__archive_head, epoch_start),
    FIELD(wal__archive_head, previous_end), FIELD(wal__archive_head, from), FIELD(wal__archive_head, to),
    FIELD(wal__archive_head, written_us), FIELD(wal__archive_head, bytes_crc), FIELD(wal__archive_head, crc),
    FIELD(backup__tail, magic), FIELD(backup__tail, format), FIELD(backup__tail, page_size), FIELD(backup__tail, database_id),
    FIELD(backup__tail, timeline_id), FIELD(backup__tail, end), FIELD(backup__tail, end_us), FIELD(backup__tail, slot),
    FIELD(backup__tail, images), FIELD(backup__tail, images_at), FIELD(backup__tail, log_at), FIELD(backup__tail, log_bytes),
    FIELD(backup__tail, oldest), FIELD(backup__tail, images_crc), FIELD(backup__tail, log_crc), FIELD(backup__tail, segment_size),
    FIELD(backup__tail, zero), FIELD(backup__tail, crc),
};

enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

static struct field *find(const char *structure, const char *name)
{
    for (int i = 0; i < FIELD_COUNT; i++)
        if (strcmp(fields[i].structure, structure) == 0 && strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

static void compare_line(const char *structure, const char *line)
{
    unsigned offset, size;
    char name[64];
    if (sscanf(line, "%u %u %63s", &offset, &size, name) != 3)
        fail_msg("no field in the line: %s", line);
    struct field *field = find(structure, name);
    if (!field)
        fail_msg("struct %s has no field %s", structure, name);
    if (field->offset != offset || field->size != size)
        fail_msg("%s.%s lies at %zu with %zu bytes, the page says %u and %u", structure, name, field->offset, field->size, offset,
                 size);
    assert_false(field->documented);
    field->documented = true;
}

static FILE *open_page(void)
{
    const char *source = getenv("srcdir");
    char path[4096];
    snprintf(path, sizeof path, "%s/man/isolde-format.5", source ? source : ".");
    return fopen(path, "r");
}

static void the_manual_page_places_every_field_where_the_structs_have_it(void **state)
{
    char line[1024], structure[64] = "";
    FILE *page = open_page();
    assert_non_null(page);
    while (fgets(line, sizeof line, page)) {
        if (sscanf(line, ".\\\" layout %63s", structure) == 1)
            continue;
        if (strncmp(line, ".\\\" end", 7) == 0)
            structure[0] = '\0';
        else if (structure[0])
            compare_line(structure, line);
    }
    fclose(page);
    for (int i = 0; i < FIELD_COUNT; i++)
        if (!fields[i].documented)
            fail_msg("the page does not say where %s.%s lies", fields[i].structure, fields[i].name);
}

/* ---- keys ----------------------------------------------------------------------------------------- */

static void encode(const char *what, struct key_builder *key)
{
    static const uint32_t twelve_and_a_half[] = {12, 500000000}, three[] = {3};
    static const uint8_t bytes[] = {0x61, 0x00, 0x62};

    if (strcmp(what, "NULL, NULLS FIRST") == 0)
        key_put_null(key, KEY_NULLS_FIRST);
    else if (strcmp(what, "NULL") == 0)
        key_put_null(key, 0);
    else if (strcmp(what, "true") == 0)
        key_put_bool(key, true, 0);
    else if (strcmp(what, "42") == 0)
        key_put_int(key, 42, 0);
    else if (strcmp(what, "-1 DESC") == 0)
        key_put_int(key, -1, KEY_DESCENDING);
    else if (strcmp(what, "1.5::double precision") == 0)
        key_put_double(key, 1.5, 0);
    else if (strcmp(what, "-1.5::double precision") == 0)
        key_put_double(key, -1.5, 0);
    else if (strcmp(what, "the bytes 61 00 62") == 0)
        key_put_bytes(key, (struct bytes){bytes, sizeof bytes}, 0);
    else if (strcmp(what, "0::numeric") == 0)
        key_put_decimal(key, KEY_DECIMAL_ZERO, 0, NULL, 0, 0);
    else if (strcmp(what, "12.5::numeric") == 0)
        key_put_decimal(key, KEY_DECIMAL_POSITIVE, 0, twelve_and_a_half, 2, 0);
    else if (strcmp(what, "-3::numeric") == 0)
        key_put_decimal(key, KEY_DECIMAL_NEGATIVE, 0, three, 1, 0);
    else
        fail_msg("the page has a key that is not known here: %s", what);
}

/* "HEX HEX ...   what" */
static void compare_key(char *line)
{
    uint8_t expected[64];
    size_t len = 0;
    char *at = line;
    struct key_builder key;

    for (unsigned byte; sscanf(at, "%2x", &byte) == 1 && at[2] == ' ' && len < sizeof expected; at += 3) {
        expected[len++] = (uint8_t)byte;
        if (at[3] == ' ')
            break;
    }
    at += strspn(at, "0123456789ABCDEF");
    at += strspn(at, " ");
    at[strcspn(at, "\n")] = '\0';
    key_init(&key, NULL, 0);
    encode(at, &key);
    if (key.len != len || memcmp(key.data, expected, len) != 0) {
        fprintf(stderr, "%s is:", at);
        for (size_t i = 0; i < key.len; i++)
            fprintf(stderr, " %02X", key.data[i]);
        fail_msg("another key than the page says: %s", line);
    }
    key_free(&key);
}

static void keys_have_the_bytes_that_the_manual_page_shows(void **state)
{
    char line[1024];
    bool keys = false;
    int compared = 0;
    FILE *page = open_page();

    (void)state;
    assert_non_null(page);
    while (fgets(line, sizeof line, page)) {
        if (strncmp(line, ".\\\"", 3) == 0)
            keys = strncmp(line + 3, " keys", 5) == 0;
        else if (keys && ++compared)
            compare_key(line);
    }
    fclose(page);
    assert_true(compared >= 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_have_the_bytes_that_the_manual_page_shows),
        cmocka_unit_test(the_manual_page_places_every_field_where_the_structs_have_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
