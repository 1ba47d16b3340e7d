#include "tar_write.h"

#include <string.h>

enum {
    SIZE_AT = 124,
    SIZE_DIGITS = 11,
    CHECKSUM_AT = 148,
    CHECKSUM_DIGITS = 6,
};

/* POSIX.1, "ustar Interchange Format": a regular file of mode 0644, with owner and time zero. */
struct field {
    size_t at;
    size_t size;
    const char *text; /* what follows it up to the next field is zero */
};

static const struct field FIELDS[] = {
    {100, 7, "0000644"}, /* mode */
    {108, 7, "0000000"}, /* owner */
    {116, 7, "0000000"}, /* group */
    {136, 11, "00000000000"}, /* time */
    {CHECKSUM_AT, 8, "        "}, /* in its own sum, it counts as spaces */
    {156, 1, "0"}, /* a regular file */
    {257, 5, "ustar"},
    {263, 2, "00"}, /* version */
    {329, 7, "0000000"}, /* device */
    {337, 7, "0000000"},
};

/* What all headers have in common, and the sum of its bytes, which a header's checksum begins with. */
static unsigned char common[TAR_BLOCK];
static size_t common_sum;

void tar_prepare(void)
{
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++)
        memcpy(common + FIELDS[i].at, FIELDS[i].text, FIELDS[i].size);
    common_sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        common_sum += common[i];
}

static size_t put_octal(unsigned char *out, size_t value, size_t digits)
{
    size_t sum = 0;
    for (size_t place = digits; place-- > 0; value >>= 3) {
        out[place] = (unsigned char)('0' + (value & 7));
        sum += out[place];
    }
    return sum;
}

static void write_header(const struct tar_file *file, unsigned char *out)
{
    size_t sum = common_sum;
    memcpy(out, common, TAR_BLOCK);
    memcpy(out, file->name, file->name_size);
    for (size_t i = 0; i < file->name_size; i++)
        sum += out[i];
    sum += put_octal(out + SIZE_AT, file->size, SIZE_DIGITS);
    put_octal(out + CHECKSUM_AT, sum, CHECKSUM_DIGITS);
    out[CHECKSUM_AT + CHECKSUM_DIGITS] = 0;
}

bool tar_fits(const struct tar_file *file)
{
    if (file->name_size == 0 || file->name_size > TAR_MAX_NAME || file->size > TAR_MAX_FILE)
        return false;
    for (size_t i = 0; i < file->name_size; i++)
        if ((unsigned char)file->name[i] > 127)
            return false;
    return true;
}

size_t tar_taken(size_t size)
{
    return TAR_BLOCK + (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}

void tar_write(const struct tar_file *file, unsigned char *out)
{
    write_header(file, out);
    memcpy(out + TAR_BLOCK, file->data, file->size);
    size_t end = TAR_BLOCK + file->size;
    memset(out + end, 0, tar_taken(file->size) - end);
}
