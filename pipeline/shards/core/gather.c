#include "gather.h"

#include <string.h>

bool ranges_fit(const struct ranges *ranges, const struct pieces *pieces, size_t room)
{
    for (size_t i = 0; i < ranges->count; i++) {
        if (ranges->starts[i] < 0 || ranges->sizes[i] < 0)
            return false;
        size_t start = (size_t)ranges->starts[i], size = (size_t)ranges->sizes[i], left;
        if (start < pieces->first_size)
            left = pieces->first_size - start;
        else if (start - pieces->first_size <= pieces->second_size)
            left = pieces->second_size - (start - pieces->first_size);
        else
            return false;
        if (size > left || size > room)
            return false;
        room -= size;
    }
    return true;
}

static const unsigned char *at(const struct pieces *pieces, int64_t start)
{
    size_t place = (size_t)start;
    return place < pieces->first_size ? pieces->first + place : pieces->second + (place - pieces->first_size);
}

size_t gather(const struct ranges *ranges, const struct pieces *pieces, unsigned char *out)
{
    const unsigned char *begin = out;
    for (size_t i = 0; i < ranges->count; i++) {
        size_t size = (size_t)ranges->sizes[i];
        if (size)
            memcpy(out, at(pieces, ranges->starts[i]), size);
        out += size;
    }
    return (size_t)(out - begin);
}
