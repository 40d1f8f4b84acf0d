/* page.c -- the checksum of a page, and what must be true of a page that comes from the disk. */
#include <string.h>

#include "src/base/endian.h"
#include "src/base/hash.h"
#include "src/buf/buf_open.h"

static uint32_t page_crc(const uint8_t *page, uint32_t page_size)
{
    return crc32c(0, page + 4, page_size - 4);
}

void page_set_checksum(uint8_t *page, uint32_t page_size)
{
    put_u32(page, page_crc(page, page_size));
}

static bool is_zero(const uint8_t *page, uint32_t page_size)
{
    return page[0] == 0 && memcmp(page, page + 1, page_size - 1) == 0;
}

const char *page_verify(const uint8_t *page, uint32_t page_size, PageNo page_no)
{
    /* Most pages have a type; the look at all bytes is only for those that were never written. */
    if (page[offsetof(struct page_head, type)] == PAGE_UNUSED && is_zero(page, page_size))
        return NULL;
    if (get_u32(page) != page_crc(page, page_size))
        return "its checksum is wrong";
    if (get_u64(page + offsetof(struct page_head, page_no)) != page_no)
        return "it carries another page's number";
    return NULL;
}
