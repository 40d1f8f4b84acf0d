/*
 * sequence.c -- numbers that are never handed out twice: object ids, hidden row ids.
 *
 * A sequence is one record of the system tree, 'S' and its number, holding the first value not yet reserved.  Values are
 * reserved in blocks by an unversioned, redo-only change, so a rollback gives none back and a crash loses at most a block.
 * The record of the reservation lies in the log before any commit that uses a value of it.  Blocks grow while a sequence is busy.
 */
#include "txn/txn_int.h"

enum { SEQUENCE_HASH = 256, BLOCK_MIN = 32, BLOCK_MAX = 4096 };

struct sequence {
    struct sequence *next;
    uint64_t number;
    uint64_t value, limit;      /* next to hand out; end of the block */
    uint64_t block;
};

struct sequences {
    struct os_mutex mutex;      /* RANK_LOCK_TABLE */
    struct sequence *table[SEQUENCE_HASH];
};

struct reservation {
    struct sequence *sequence;
    uint64_t from;
    uint8_t value[8];
};

static int reserve_more(void *arg, struct op *op, const struct btree_record *before, struct btree_change *change, bool *apply)
{
    struct reservation *reservation = arg;
    bool live = before != NULL && !(before->flags & BTREE_GHOST);

    if (live && before->value.len != 8) {
        return op_fail(op, "XX001", "the record of sequence %llu is damaged",
                       (unsigned long long)reservation->sequence->number);
    }
    reservation->from = live ? get_u64(before->value.data) : 1;
    put_u64(reservation->value, reservation->from + reservation->sequence->block);
    change->kind = live ? BTREE_UPDATE : BTREE_INSERT;
    *apply = true;
    return 0;
}

static int refill(struct op *op, struct txn_manager *manager, struct sequence *sequence)
{
    uint8_t key[9] = { 'S' };
    struct reservation reservation = { .sequence = sequence };
    struct btree_change change = { .kind = BTREE_INSERT, .key = { key, sizeof(key) },
                                   .value = { reservation.value, sizeof(reservation.value) },
                                   .arg = &reservation, .judge = reserve_more };
    bool applied;

    for (int i = 0; i < 8; i++) {
        key[1 + i] = (uint8_t)(sequence->number >> (56 - 8 * i));
    }
    if (btree_change(op, manager->system_tree, NULL, &change, &applied) != 0) {
        return OP_FAILED;
    }
    sequence->value = reservation.from;
    sequence->limit = reservation.from + sequence->block;
    if (sequence->block < BLOCK_MAX) {
        sequence->block *= 2;
    }
    return 0;
}

static struct sequence *find(struct op *op, struct sequences *sequences, uint64_t number)
{
    struct sequence **head = &sequences->table[hash_u64(number) % SEQUENCE_HASH];
    struct sequence *sequence = *head;

    while (sequence != NULL && sequence->number != number) {
        sequence = sequence->next;
    }
    if (sequence == NULL) {
        sequence = op_heap_alloc(op, sizeof(*sequence));
        if (sequence != NULL) {
            *sequence = (struct sequence){ .next = *head, .number = number, .block = BLOCK_MIN };
            *head = sequence;
        }
    }
    return sequence;
}

int txn_next_id(struct op *op, struct txn_session *session, uint64_t number, uint64_t *id)
{
    struct sequences *sequences = session->manager->sequences;
    int rc = OP_FAILED;

    *id = 0;
    os_mutex_lock(&sequences->mutex);
    struct sequence *sequence = find(op, sequences, number);
    if (sequence != NULL && (sequence->value < sequence->limit || refill(op, session->manager, sequence) == 0)) {
        *id = sequence->value++;
        rc = 0;
    }
    os_mutex_unlock(&sequences->mutex);
    return rc;
}

TreeId txn_system_tree(const struct txn_manager *manager)
{
    return manager->system_tree_id;
}

int txn_skip_ids(struct op *op, struct txn_session *session, uint64_t number, uint64_t from)
{
    struct sequences *sequences = session->manager->sequences;
    int rc = OP_FAILED;

    os_mutex_lock(&sequences->mutex);
    struct sequence *sequence = find(op, sequences, number);
    if (sequence != NULL) {
        rc = sequence->value < sequence->limit ? 0 : refill(op, session->manager, sequence);
    }
    if (rc == 0 && sequence->value < from) {
        uint64_t block = sequence->block, limit = sequence->limit;
        if (from > limit) {
            sequence->block = from - limit;     /* one large block, which is thrown away */
            rc = refill(op, session->manager, sequence);
            sequence->block = block;
        }
        sequence->value = from;
    }
    os_mutex_unlock(&sequences->mutex);
    return rc;
}

int sequence__open(struct op *op, struct txn_manager *manager)
{
    manager->sequences = mem_calloc(1, sizeof(*manager->sequences));
    if (manager->sequences == NULL) {
        return op_out_of_memory(op);
    }
    os_mutex_init(&manager->sequences->mutex, RANK_LOCK_TABLE);
    return 0;
}

void sequence__close(struct txn_manager *manager)
{
    if (manager->sequences == NULL) {
        return;
    }
    for (int i = 0; i < SEQUENCE_HASH; i++) {
        for (struct sequence *sequence = manager->sequences->table[i], *next; sequence != NULL; sequence = next) {
            next = sequence->next;
            mem_free(sequence);
        }
    }
    os_mutex_destroy(&manager->sequences->mutex);
    mem_free(manager->sequences);
    manager->sequences = NULL;
}
