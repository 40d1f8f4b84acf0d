/*
 * Any bytes in the files of a database: opened, restarted, checked, read and changed, they give answers or errors.
 *
 * The input is a list of changes of the files of a small database that was closed cleanly, or was not: file, place, bytes.
 * Checksums are made right again afterwards, so that the changes get behind them: of pages, of the header, of log records.
 *
 *      input   1 byte: which database      then 6 bytes each: kind and file u8 | place u24 | value u16
 *
 * Each changed page is also looked at alone, in memory of exactly its size, so that AddressSanitizer sees every
 * read beside it.
 *
 * An entry for libFuzzer (clang -fsanitize=fuzzer,address tests/fuzz/storage.c ...; seeds by tests/fuzz/make-seeds);
 * tests/unit/btree/test_fuzz drives it in make check.
 */
#include <stdlib.h>
#include <string.h>

#include "btree/btree_int.h"
#include "btree/salvage.h"
#include "src/base/hash.h"
#include "src/base/mem.h"
#include "wal/wal_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_PAGE = 4096, FUZZ_FILES = 3, FUZZ_RECORDS = 4096 };

static const char *const fuzz_names[FUZZ_FILES] = {"f.db", "f.db-wal", "f.db-dw"};

struct fuzz_record {
    Lsn lsn;
    uint64_t offset;
    uint32_t len, seed;
};

/* A database as it lies on the disk. */
static struct fuzz_image {
    uint8_t *bytes[FUZZ_FILES];
    size_t len[FUZZ_FILES];
    struct fuzz_record records[FUZZ_RECORDS];
    int record_count;
} fuzz_images[2];

static void fuzz_must(int result)
{
    if (result != OP_OK)
        abort();
}

static struct store_options fuzz_options(struct vfs *vfs)
{
    return (struct store_options){.vfs = vfs, .path = fuzz_names[0], .page_size = FUZZ_PAGE, .cache_size = 64 * FUZZ_PAGE,
                                  .create = true, .no_background = true,
                                  .wal = {.segment_size = 1 << 16, .buffer_size = 1 << 16, .max_wal_size = 1 << 19}};
}

static struct bytes fuzz_key(uint8_t key[8], uint32_t number)
{
    memcpy(key, "k\0\0\0\0yyy", 8);
    key[1] = (uint8_t)(number >> 24), key[2] = (uint8_t)(number >> 16), key[3] = (uint8_t)(number >> 8), key[4] = (uint8_t)number;
    return (struct bytes){key, 5 + number % 4};
}

static void fuzz_fill(struct op *op, struct store *store, TreeId id, struct wal_chain *chain, uint32_t from, uint32_t to)
{
    static uint8_t value[9000];
    struct btree *tree;
    fuzz_must(btree_open(op, store, id, &tree));
    for (uint32_t i = from; i < to; i++) {
        uint8_t key[8];
        bool applied;
        struct btree_change change = {.kind = BTREE_INSERT, .key = fuzz_key(key, i * 7919 % 1000),
                                      .value = {value, i % 50 == 0 ? 9000 : 60}};
        fuzz_must(btree_change(op, tree, chain, &change, &applied));
    }
}

static int fuzz_note(void *arg, struct op *op, const struct wal_record *record, bool *stop)
{
    struct fuzz_image *image = ((void **)arg)[0];
    struct wal *wal = ((void **)arg)[1];
    uint64_t offset, epoch;
    if (image->record_count == FUZZ_RECORDS || !wal__locate(wal, record->lsn, &offset, &epoch))
        return OP_OK;
    if (record->lsn / wal->payload != (record->next_lsn - 1) / wal->payload)
        return OP_OK;       /* it lies on both sides of a segment's head */
    uint32_t len = (uint32_t)(record->next_lsn - record->lsn);
    image->records[image->record_count++] = (struct fuzz_record){record->lsn, offset, len, wal__seed(&wal->identity, epoch)};
    return OP_OK;
}

static void fuzz_make(struct fuzz_image *image, bool clean)
{
    struct op op;
    struct vfs *vfs = os_memory_vfs_new();
    struct store_options options = fuzz_options(vfs);
    struct wal_chain chain = {.txn = 1};
    struct store *store;
    TreeId ids[2];
    op_init(&op);
    fuzz_must(store_open(&op, &options, &store));
    for (int i = 0; i < 2; i++) {
        fuzz_must(btree_create(&op, store, NULL, &ids[i]));
        fuzz_fill(&op, store, ids[i], NULL, 0, 300);
    }
    if (!clean) {
        fuzz_must(store_checkpoint(&op, store));
        Lsn from = wal_end(store_wal(store));
        fuzz_fill(&op, store, ids[0], &chain, 300, 500);
        fuzz_must(wal_flush(&op, store_wal(store), wal_end(store_wal(store)) - 1));
        void *arg[] = {image, store_wal(store)};
        fuzz_must(wal_scan(&op, store_wal(store), from, fuzz_note, arg));
        store_abandon(store);
    } else {
        fuzz_must(store_close(&op, store));
    }
    for (int i = 0; i < FUZZ_FILES; i++) {
        struct os_file *file;
        uint64_t len;
        bool exists;
        fuzz_must(os_exists(&op, vfs, fuzz_names[i], &exists));
        if (!exists)
            continue;
        fuzz_must(os_open(&op, vfs, fuzz_names[i], 0, &file));
        fuzz_must(os_size(&op, file, &len));
        image->bytes[i] = malloc((size_t)len + 1);
        fuzz_must(os_read(&op, file, 0, image->bytes[i], (size_t)len, &image->len[i]));
        os_close(file);
    }
    os_vfs_destroy(vfs);
    op_end(&op);
}

/* ---- one page alone ------------------------------------------------------------------------------- */

static void fuzz_page(const uint8_t *bytes)
{
    uint8_t *page = malloc(FUZZ_PAGE), key_bytes[PAGE_SIZE_MAX / 4], probe[8];
    struct node node = {page, FUZZ_PAGE};
    struct bytes key;
    struct cell cell;
    unsigned slot;
    bool found;
    memcpy(page, bytes, FUZZ_PAGE);
    if (node_check_head(node) == NULL) {
        for (unsigned i = 0; i < node_head(node)->slots; i++)
            if (node_key(node, i, key_bytes, &key) && node_cell(node, i, &cell) && node_covers(node, key))
                (void)(node_is_leaf(node) ? node_search(node, key, &slot, &found) : node_search_child(node, key, true, &slot));
        (void)(node_is_leaf(node) ? node_search(node, fuzz_key(probe, 5), &slot, &found)
                                  : node_search_child(node, fuzz_key(probe, 5), false, &slot));
        if (node_check(node) == NULL && node_is_leaf(node) && row_check_set(node, fuzz_key(probe, 7), 30) == NULL) {
            row_set(node, fuzz_key(probe, 7), (struct bytes){bytes, 30}, 0);
            row_remove(node, fuzz_key(probe, 7));
            if (node_check(node) != NULL)
                abort();
        }
    }
    free(page);
}

/* ---- the whole ------------------------------------------------------------------------------------ */

struct fuzz_files {
    uint8_t *bytes[FUZZ_FILES];
    size_t len[FUZZ_FILES];
};

static void fuzz_repair(const struct fuzz_image *image, struct fuzz_files *files, int file, size_t at)
{
    uint8_t *bytes = files->bytes[file];
    if (file == 0 && at >= FUZZ_PAGE) {
        uint8_t *page = bytes + at / FUZZ_PAGE * FUZZ_PAGE;
        if (at / FUZZ_PAGE * FUZZ_PAGE + FUZZ_PAGE > files->len[0])
            return;
        put_u64(page + offsetof(struct page_head, page_no), at / FUZZ_PAGE);
        page_set_checksum(page, FUZZ_PAGE);
        fuzz_page(page);
    } else if (file == 0) {
        put_u32(bytes + offsetof(struct header_identity, crc), crc32c(0, bytes, offsetof(struct header_identity, crc)));
        for (int slot = HEADER_SLOT_A; slot <= HEADER_SLOT_B; slot += HEADER_SLOT_B - HEADER_SLOT_A)
            put_u32(bytes + slot + offsetof(struct header_slot, crc), crc32c(0, bytes + slot, offsetof(struct header_slot, crc)));
    } else if (file == 1) {
        for (int i = 0; i < image->record_count; i++) {
            const struct fuzz_record *record = &image->records[i];
            if (at < record->offset || at >= record->offset + record->len)
                continue;
            uint32_t len = get_u32(bytes + record->offset);
            if (len < 12 || len > record->len)
                put_u32(bytes + record->offset, len = get_u32(image->bytes[1] + record->offset));
            put_u32(bytes + record->offset + 4, wal__record_crc(record->seed, bytes + record->offset, len, record->lsn));
        }
    }
}

static void fuzz_change(const struct fuzz_image *image, struct fuzz_files *files, const uint8_t *change)
{
    int kind = change[0] & 3, file = (change[0] >> 2) % FUZZ_FILES;
    size_t place = change[1] | (size_t)change[2] << 8 | (size_t)change[3] << 16;
    uint16_t value = get_u16(change + 4);
    if (files->len[file] < 16)
        return;
    if (file == 1 && image->record_count > 0 && kind != 3) {    /* mostly where records are */
        const struct fuzz_record *record = &image->records[place % (size_t)image->record_count];
        place = (size_t)record->offset + 8 + (place >> 8) % (record->len > 16 ? record->len - 8 : 8);
    }
    place %= files->len[file] - 2;
    if (kind == 0)
        put_u16(files->bytes[file] + place, value);
    else if (kind == 1)
        files->bytes[file][place] = (uint8_t)value;
    else if (kind == 2)
        files->bytes[file][place] ^= (uint8_t)(1u << (value & 7));
    else
        files->len[file] = files->len[file] > FUZZ_PAGE ? files->len[file] - value % FUZZ_PAGE : files->len[file];
    if (file == 0 && place >= HEADER_SLOT_A && place < HEADER_BYTES) {
        /* A page count beyond all measure only asks for memory. */
        for (int slot = HEADER_SLOT_A; slot <= HEADER_SLOT_B; slot += HEADER_SLOT_B - HEADER_SLOT_A)
            if (get_u64(files->bytes[0] + slot + 48) > 100000)
                put_u64(files->bytes[0] + slot + 48, 100000);
    }
    if (kind != 3)
        fuzz_repair(image, files, file, place);
}

static int fuzz_visit(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    struct store *store = arg;
    struct arena arena;
    struct bytes value;
    int result = OP_OK;
    if (!(record->flags & BTREE_OVERFLOW))
        return OP_OK;
    arena_init(&arena);
    result = btree_read_overflow(op, store, record->value, &arena, &value);
    arena_free(&arena);
    return result;
}

static void fuzz_use(struct op *op, struct store *store)
{
    struct btree_range all = {{NULL, 0}, {NULL, 0}, true, true};
    struct btree_visitor visitor = {.arg = store, .record = fuzz_visit};
    TreeId *ids = NULL;
    size_t count = 0;
    uint64_t findings;
    if (store_check(op, store, NULL, NULL, &findings) != OP_OK)
        op_reset(op);
    if (store_trees(op, store, &ids, &count) != OP_OK)
        op_reset(op);
    for (size_t i = 0; i < count && i < 8; i++) {
        struct btree *tree;
        struct btree_cursor cursor;
        bool more = true, applied;
        uint8_t key[8];
        if (btree_open(op, store, ids[i], &tree) == OP_OK) {
            btree_cursor_open(&cursor, tree, &all, i % 2);
            for (int leaves = 0; more && leaves < 1000; leaves++)
                if (btree_cursor_next_leaf(op, &cursor, &visitor, &more) != OP_OK)
                    more = false;
            btree_cursor_close(&cursor);
            op_reset(op);
            for (uint32_t n = 0; n < 20; n++) {
                struct btree_change change = {.kind = n % 3 == 0 ? BTREE_DELETE : BTREE_INSERT, .key = fuzz_key(key, n * 53),
                                              .value = {key, 8}};
                if (btree_change(op, tree, NULL, &change, &applied) != OP_OK)
                    op_reset(op);
            }
        }
        op_reset(op);
    }
    mem_free(ids);
}

static void fuzz_run(struct fuzz_files *files)
{
    struct op op;
    struct vfs *vfs = os_memory_vfs_new();
    struct store_options options = fuzz_options(vfs);
    struct store *store;
    options.create = false;
    op_init(&op);
    for (int i = 0; i < FUZZ_FILES; i++) {
        struct os_file *file;
        if (files->bytes[i] == NULL)
            continue;
        fuzz_must(os_open(&op, vfs, fuzz_names[i], OS_OPEN_CREATE, &file));
        fuzz_must(os_write(&op, file, 0, files->bytes[i], files->len[i]));
        os_close(file);
    }
    if (store_open(&op, &options, &store) == OP_OK) {
        fuzz_use(&op, store);
        op_reset(&op);
        if (store_checkpoint(&op, store) != OP_OK)
            op_reset(&op);
        store_abandon(store);
    }
    os_vfs_destroy(vfs);
    op_end(&op);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_files files = {{NULL}, {0}};
    if (fuzz_images[0].bytes[0] == NULL)
        for (int i = 0; i < 2; i++)
            fuzz_make(&fuzz_images[i], i == 0);
    if (size < 7)
        return 0;
    const struct fuzz_image *image = &fuzz_images[data[0] & 1];
    for (int i = 0; i < FUZZ_FILES; i++) {
        if (image->bytes[i] == NULL)
            continue;
        files.len[i] = image->len[i];
        files.bytes[i] = malloc(image->len[i] + 1);
        memcpy(files.bytes[i], image->bytes[i], image->len[i]);
    }
    for (size_t at = 1; at + 6 <= size && at < 200; at += 6)
        fuzz_change(image, &files, data + at);
    fuzz_run(&files);
    for (int i = 0; i < FUZZ_FILES; i++)
        free(files.bytes[i]);
    return 0;
}
