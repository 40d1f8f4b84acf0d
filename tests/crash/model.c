/* model.c -- what must be in the database after a crash, as far as anybody was told. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/power.h"

static void *must(void *block)
{
    if (block == NULL) {
        abort();
    }
    return block;
}

void model_copy(struct model *to, const struct model *from)
{
    *to = *from;
    for (size_t i = 0; i < from->pending_count; i++) {
        to->pending[i] = must(malloc(sizeof(struct commit)));
        memcpy(to->pending[i], from->pending[i], sizeof(struct commit));
    }
}

void model_free(struct model *model)
{
    for (size_t i = 0; i < model->pending_count; i++) {
        free(model->pending[i]);
    }
    model->pending_count = 0;
}

void model_begin_commit(struct model *model, const struct change *changes, size_t count)
{
    struct commit *commit = must(malloc(sizeof(*commit)));

    assert(model->pending_count < PENDING_MAX);
    commit->count = count;
    memcpy(commit->changes, changes, count * sizeof(*changes));
    model->pending[model->pending_count++] = commit;
}

void model_settle(struct model *model, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct commit *commit = model->pending[i];
        for (size_t j = 0; j < commit->count; j++) {
            model->acknowledged[commit->changes[j].tree][commit->changes[j].number] = commit->changes[j].row;
        }
        free(model->pending[i]);
    }
    model->pending_count -= count;
    memmove(model->pending, model->pending + count, model->pending_count * sizeof(struct commit *));
}

const struct row *model_newest(const struct model *model, int tree, uint32_t number)
{
    for (size_t i = model->pending_count; i-- > 0;) {
        const struct commit *commit = model->pending[i];
        for (size_t j = commit->count; j-- > 0;) {
            if (commit->changes[j].tree == tree && commit->changes[j].number == number) {
                return &commit->changes[j].row;
            }
        }
    }
    return &model->acknowledged[tree][number];
}

/* The first tree has short keys in the order of their numbers; the second longer ones, scattered, with much in
 * common. */
struct bytes model_key(uint8_t buffer[KEY_BYTES_MAX], int tree, uint32_t number)
{
    size_t len = 0, tail;
    uint32_t scattered = number * 2654435761u;

    if (tree == 1) {
        memcpy(buffer, "the same beginning / ", 21);
        buffer[21] = (uint8_t)(scattered >> 24);
        buffer[22] = (uint8_t)(scattered >> 16);
        len = 23;
    }
    buffer[len++] = (uint8_t)(number >> 8);
    buffer[len++] = (uint8_t)number;
    tail = tree == 1 ? scattered % 100 : number % 7;
    memset(buffer + len, (int)(number % 251), tail);
    len += tail;
    return (struct bytes){ buffer, len };
}

uint32_t model_number(struct bytes key)
{
    size_t at = key.len > 23 && memcmp(key.data, "the same", 8) == 0 ? 23 : 0;

    return key.len < at + 2 ? UINT32_MAX : (uint32_t)key.data[at] << 8 | key.data[at + 1];
}

void model_value(uint8_t *buffer, const struct row *row)
{
    uint64_t x = row->seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < row->len; i += 8) {
        size_t part = row->len - i < 8 ? row->len - i : 8;
        x = x * 6364136223846793005u + 1442695040888963407u;
        memcpy(buffer + i, &x, part);
    }
}
