/* Ranges of bytes copied one behind the other. No Python here. */
#ifndef GATHER_H
#define GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that are numbered on from one piece to the next. */
struct pieces {
    const unsigned char *first, *second;
    size_t first_size, second_size;
};

struct ranges {
    const int64_t *starts, *sizes;
    size_t count;
};

/* Whether each range lies in one of the pieces, and all of them together take at most `room` bytes. */
bool ranges_fit(const struct ranges *ranges, const struct pieces *pieces, size_t room);

/* Copies ranges which fit to `out`; returns how many bytes they have. */
size_t gather(const struct ranges *ranges, const struct pieces *pieces, unsigned char *out);

#endif
