/*
 * The manual page isolde-format(5) says where each field lies on disk; the structs of the code must agree.
 *
 * A layout in the page stands between the comments ".\" layout STRUCT" and ".\" end", one line for each field: offset, bytes, name.
 * Every line must name a field of the table below, with its offset and size, and every field of the table must be named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "btree/node.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_manual_page_places_every_field_where_the_structs_have_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
