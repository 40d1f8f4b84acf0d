/*
 * log.c -- the records of this layer: building, reading back, and redo.
 *
 * Redo is physiological: a record names pages, and on each page an action by its contents (this key gets this value, the
 * slots from here on go), not by bytes.  The actions of one record are one atomic change of several pages, such as a split:
 * either the record is in the log, and restart brings all of its pages up to it, or none of it ever happened.
 *
 *  L1  An action is repeated on a page exactly if the page's LSN is below the record's.  All actions of a record on one page
 *      are decided together, before the first of them.
 *  L2  Actions are deterministic: the same page contents and the same action give the same page contents, but for the
 *      position of cells in the heap, on which nothing depends.
 *  L3  An image needs no page to begin with, so a page whose place in the file was lost with the power is made anew by the
 *      image that first gave it contents, which is never older than the redo point.
 *  L4  A page that lies beyond the end of the file, or was never written, has been freed and cut off later in the
 *      log: actions on it are skipped.  If it is ever used again, an image comes first.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/planted.h"
#include "src/base/endian.h"

/* ---- building ------------------------------------------------------------------------------------- */

void log_begin(struct log_record *record)
{
    record->part_count = 0;
    record->used = record->open = 0;
}

static void close_head(struct log_record *record)
{
    if (record->used > record->open) {
        assert(record->part_count < LOG_PART_MAX);
        record->parts[record->part_count++] = (struct bytes){record->head + record->open, record->used - record->open};
        record->open = record->used;
    }
}

void log_u8(struct log_record *record, uint8_t value)
{
    assert(record->used < LOG_HEAD_BYTES);
    record->head[record->used++] = value;
}

void log_number(struct log_record *record, uint64_t value)
{
    assert(record->used + VARINT_MAX_BYTES <= LOG_HEAD_BYTES);
    record->used += varint_put(record->head + record->used, value);
}

void log_run(struct log_record *record, struct bytes run)
{
    log_number(record, run.len);
    if (run.len == 0)
        return;
    if (run.len <= 32 && record->used + run.len <= LOG_HEAD_BYTES / 2) {
        memcpy(record->head + record->used, run.data, run.len);
        record->used += run.len;
        return;
    }
    close_head(record);
    assert(record->part_count < LOG_PART_MAX);
    record->parts[record->part_count++] = run;
}

void log_action(struct log_record *record, enum action action, PageNo page)
{
    log_u8(record, (uint8_t)action);
    log_number(record, page);
}

void log_image(struct log_record *record, struct node node)
{
    struct bytes front, back;
    node_image(node, &front, &back);
    log_action(record, ACTION_IMAGE, node_head(node)->page.page_no);
    log_run(record, front);
    log_run(record, back);
}

void log_record_action(struct log_record *record, PageNo page, struct bytes key, struct bytes value, uint8_t flags)
{
    log_action(record, ACTION_SET, page);
    log_u8(record, flags);
    log_run(record, key);
    log_run(record, value);
}

Lsn log_append(struct log_record *record, struct wal *wal, struct wal_chain *chain, uint8_t type, uint8_t flags)
{
    close_head(record);
    return wal_append(wal, chain, type, flags, record->parts, record->part_count);
}

Lsn log_append_clr(struct log_record *record, struct wal *wal, struct wal_chain *chain, uint8_t type, Lsn undo_next)
{
    close_head(record);
    return wal_append_clr(wal, chain, type, undo_next, record->parts, record->part_count);
}

uint64_t log_bytes(const struct log_record *record)
{
    uint64_t bytes = 0;
    for (int i = 0; i < record->part_count; i++)
        bytes += record->parts[i].len;
    return bytes;
}

/* ---- reading -------------------------------------------------------------------------------------- */

uint8_t log_take_u8(struct log_reader *reader)
{
    if (reader->failed || reader->at == reader->end) {
        reader->failed = true;
        return 0;
    }
    return *reader->at++;
}

uint64_t log_take_number(struct log_reader *reader)
{
    uint64_t value = 0;
    size_t len = reader->failed ? 0 : varint_get(reader->at, reader->end, &value);
    if (len == 0) {
        reader->failed = true;
        return 0;
    }
    reader->at += len;
    return value;
}

struct bytes log_take_run(struct log_reader *reader)
{
    uint64_t len = log_take_number(reader);
    if (reader->failed || len > (uint64_t)(reader->end - reader->at)) {
        reader->failed = true;
        return (struct bytes){NULL, 0};
    }
    struct bytes run = {reader->at, (size_t)len};
    reader->at += len;
    return run;
}

/* ---- redo ----------------------------------------------------------------------------------------- */

enum { REDO_PAGES = ALTER_PAGES + ALTER_MAPS };

/* The pages of one record while it is redone. */
struct redo {
    struct store *store;
    Lsn lsn;
    struct {
        struct page_ref ref;
        PageNo page_no;
        bool apply;             /* the page is older than the record */
    } pages[REDO_PAGES];
    int count;
};

static int bad_record(struct op *op, Lsn lsn)
{
    op_fail(op, "XX001", "log record %llu of a tree cannot be read", (unsigned long long)lsn);
    return OP_FAILED;
}

/* Latches the page, or finds it among those latched already.  *index is -1 when there is no such page any more (L4). */
static int redo_page(struct op *op, struct redo *redo, PageNo page_no, bool image, int *index)
{
    struct buf *buf = redo->store->buf;
    *index = -1;
    for (int i = 0; i < redo->count; i++) {
        if (redo->pages[i].page_no == page_no) {
            *index = i;
            return OP_OK;
        }
    }
    if (redo->count == REDO_PAGES || page_no == 0 || page_no >> 48 != 0)
        return bad_record(op, redo->lsn);
    if (!image && page_no >= buf_page_count(buf))
        return OP_OK;
    struct page_ref *ref = &redo->pages[redo->count].ref;
    if (image ? buf_fix_new(op, buf, page_no, ref) : buf_fix(op, buf, page_no, LATCH_EXCLUSIVE, ref))
        return OP_FAILED;
    const struct page_head *head = (const struct page_head *)(const void *)ref->data;
    if (!image && head->type == PAGE_UNUSED) {
        buf_unfix(ref, buf);
        return OP_OK;
    }
    redo->pages[redo->count].page_no = page_no;
    redo->pages[redo->count].apply = image || head->lsn < redo->lsn || PLANTED("btree-redo-twice");
    *index = redo->count++;
    return OP_OK;
}

/* What must be true of a page before the action may be done on it: actions on whole pages move cells, those on one
 * record check for themselves. */
static const char *check_before(struct node node, enum action action)
{
    switch (action) {
    case ACTION_CUT:
    case ACTION_TRIM:
    case ACTION_DROP_CHILD:
    case ACTION_PUT_CHILD:
        return node_check_cells(node);
    case ACTION_SET:
    case ACTION_FLAGS:
    case ACTION_REMOVE:
        return node_check_head(node);
    default:
        return NULL;
    }
}

/* Does what the action says, or only steps over it when node.data is NULL. */
static bool repeat(struct redo *redo, enum action action, const struct page_ref *ref, struct log_reader *reader)
{
    struct node node = {ref != NULL ? ref->data : NULL, redo->store->usable};
    bool apply = ref != NULL;
    struct bytes key, value;
    uint64_t number;
    uint8_t flags;
    switch (action) {
    case ACTION_IMAGE:
        key = log_take_run(reader);
        value = log_take_run(reader);
        return !reader->failed && (!apply || node_restore(node, key, value));
    case ACTION_CUT:
        number = log_take_number(reader);
        key = log_take_run(reader);
        if (reader->failed || (apply && number > node_head(node)->slots))
            return false;
        if (apply)
            node_cut(node, (unsigned)number, key);
        return true;
    case ACTION_PUT_CHILD:
        number = log_take_number(reader);
        key = log_take_run(reader);
        if (!reader->failed && apply) {
            unsigned slot;
            if (!node_search_child(node, key, false, &slot) || node_free(node) < node_child_bytes(node, key.len))
                return false;
            node_insert_child(node, slot + 1, key, number);
        }
        return !reader->failed;
    case ACTION_DROP_CHILD:
    case ACTION_TRIM:
        number = log_take_number(reader);
        if (reader->failed || (apply && number >= node_head(node)->slots + (action == ACTION_TRIM ? 1u : 0u)))
            return false;
        if (apply && action == ACTION_TRIM)
            node_trim(node, (unsigned)number);
        else if (apply)
            node_remove(node, (unsigned)number);
        return true;
    case ACTION_SET:
        flags = log_take_u8(reader);
        key = log_take_run(reader);
        value = log_take_run(reader);
        if (reader->failed || (apply && row_check_set(node, key, value.len) != NULL))
            return false;
        if (apply)
            row_set(node, key, value, flags);
        return true;
    case ACTION_FLAGS:
        flags = log_take_u8(reader);
        key = log_take_run(reader);
        if (!reader->failed && apply)
            row_set_flags(node, key, flags);
        return !reader->failed;
    case ACTION_REMOVE:
        key = log_take_run(reader);
        if (!reader->failed && apply)
            row_remove(node, key);
        return !reader->failed;
    case ACTION_USE:
    case ACTION_FREE:
        number = log_take_number(reader);
        if (!reader->failed && apply)
            space_map_set(redo->store, ref, number, action == ACTION_USE);
        return !reader->failed;
    case ACTION_RETIRE:
        if (apply)
            node_head(node)->page.type = PAGE_FREE;
        return true;
    }
    return false;
}

int action_redo(struct op *op, struct store *store, struct log_reader *reader, Lsn lsn)
{
    struct redo redo = {.store = store, .lsn = lsn};
    int result = OP_OK, index;
    while (result == OP_OK && reader->at < reader->end) {
        enum action action = (enum action)log_take_u8(reader);
        PageNo page_no = log_take_number(reader);
        result = reader->failed ? bad_record(op, lsn) : redo_page(op, &redo, page_no, action == ACTION_IMAGE, &index);
        if (result != OP_OK)
            break;
        const struct page_ref *ref = index >= 0 && redo.pages[index].apply ? &redo.pages[index].ref : NULL;
        const char *rule = ref != NULL ? check_before(node_of(store, ref), action) : NULL;
        if (rule != NULL)
            result = btree__damaged(op, store, page_no, rule);
        else if (!repeat(&redo, action, ref, reader))
            result = bad_record(op, lsn);
    }
    for (int i = 0; i < redo.count; i++) {
        if (result == OP_OK && (redo.pages[i].apply || !PLANTED("buf-restart-trusts-cache")))
            buf_mark_dirty(store->buf, &redo.pages[i].ref, lsn);
        ghosts_note(store, &redo.pages[i].ref);
        buf_unfix(&redo.pages[i].ref, store->buf);
    }
    return result;
}
