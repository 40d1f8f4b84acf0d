/* text.c -- growing strings and memory for the shell, which simply ends when there is none. */
#include "src/shell/shell.h"

#include <stdlib.h>
#include <string.h>

static void *check(void *block)
{
    if (!block) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return block;
}

void *shell_alloc(size_t size)
{
    return check(calloc(1, size ? size : 1));
}

void *shell_realloc(void *block, size_t size)
{
    return check(realloc(block, size));
}

char *shell_strndup(const char *string, size_t len)
{
    char *copy = shell_alloc(len + 1);
    memcpy(copy, string, len);
    return copy;
}

char *shell_strdup(const char *string)
{
    return shell_strndup(string, strlen(string));
}

void text_add(struct text *text, const char *data, size_t len)
{
    if (text->len + len + 1 > text->capacity) {
        text->capacity = (text->len + len + 1) * 2;
        text->data = shell_realloc(text->data, text->capacity);
    }
    memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void text_puts(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_putc(struct text *text, char c)
{
    text_add(text, &c, 1);
}

void text_clear(struct text *text)
{
    text->len = 0;
    if (text->data)
        text->data[0] = '\0';
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){ 0 };
}
