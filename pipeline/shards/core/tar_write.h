/* The files of a shard as parts of a tar, in the one form of USTAR that shards_spec/tar.py describes. No Python here. */
#ifndef TAR_WRITE_H
#define TAR_WRITE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    TAR_BLOCK = 512,
    TAR_MAX_NAME = 100,
};

#define TAR_MAX_FILE ((size_t)256 << 20)

struct tar_file {
    const char *name; /* not ended by a NUL */
    size_t name_size;
    const unsigned char *data;
    size_t size;
};

/* To be called once before the others. */
void tar_prepare(void);

/* Whether a file fits the form: a name of 1 to TAR_MAX_NAME ASCII characters, and at most TAR_MAX_FILE bytes. */
bool tar_fits(const struct tar_file *file);

/* Bytes that a file of `size` bytes takes: its header and its data, filled up to whole blocks. */
size_t tar_taken(size_t size);

/* Writes a file which fits to `out`, which has room for `tar_taken` bytes. */
void tar_write(const struct tar_file *file, unsigned char *out);

#endif
