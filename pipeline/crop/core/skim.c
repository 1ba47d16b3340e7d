/* Reading over the scan. */
#include "internal.h"

#include <string.h>

void scan_unstuff(struct crop_bytes input, uint8_t *output, uint32_t *interval_starts, uint32_t intervals,
                  struct scan *scan)
{
    const uint64_t low = 0x0101010101010101, high = 0x8080808080808080;
    const uint8_t *from = input.data, *end = input.data + input.size;
    uint8_t *to = output;
    uint32_t interval = 0;
    scan->cut_short = false;
    interval_starts[0] = 0;
    for (;;) {
        /* Eight bytes at a time while none of them is FF, whose complement alone is zero. */
        while (end - from >= 8) {
            uint64_t complement;
            memcpy(&complement, from, 8);
            complement = ~complement;
            if ((complement - low) & ~complement & high)
                break;
            memcpy(to, from, 8);
            from += 8;
            to += 8;
        }
        while (from < end && *from != 0xFF)
            *to++ = *from++;
        while (from < end && *from == 0xFF) /* any number of FF may fill up before a marker */
            from++;
        if (from == end) {
            scan->cut_short = true;
            break;
        }
        unsigned code = *from++;
        if (code == 0) {
            *to++ = 0xFF;
            continue;
        }
        if (code != 0xD0 + interval % 8 || interval + 1 == intervals)
            break; /* EOI, a restart marker out of its order, anything else: the data ends here */
        interval_starts[++interval] = (uint32_t)(to - output);
    }
    memset(to, 0, SCAN_PADDING);
    scan->intervals = interval + 1;
    interval_starts[interval + 1] = (uint32_t)(to - output);
}

/* The next bits of the scan stand at the top of `window`; the first `count` of them have been counted as read from
 * memory, any further ones are right, too. */
struct bit_reader {
    const uint8_t *next;
    uint64_t window;
    unsigned count;
};

/* Leaves 56 to 63 bits. The address to load from does not depend on the symbols read since the last refill, which
 * keeps the load's latency out of the chain from symbol to symbol. */
static inline void refill(struct bit_reader *reader)
{
    reader->window |= load_big_endian(reader->next) >> reader->count;
    reader->next += (63 - reader->count) >> 3;
    reader->count |= 56;
}

static inline void consume(struct bit_reader *reader, unsigned bits)
{
    reader->window <<= bits;
    reader->count -= bits;
}

static inline struct bit_reader reader_at(const uint8_t *data, uint32_t bit)
{
    struct bit_reader reader = {data + (bit >> 3), 0, 0};
    refill(&reader);
    consume(&reader, bit & 7);
    return reader;
}

static inline uint32_t reader_position(const struct bit_reader *reader, const uint8_t *data)
{
    return (uint32_t)((uint64_t)(reader->next - data) * 8 - reader->count);
}

/* A value of `size` bits at the top of `window`: without its top bit set, it is negative. `size` may be 0. */
static inline int extend(uint64_t window, unsigned size)
{
    int value = (int)(window >> 1 >> (63 - size));
    return window >> 63 ? value : value + 1 - (1 << size);
}

/* Reads one code, bit by bit as it were. Returns its symbol, or -1 where there is no such code. */
static int read_symbol(struct bit_reader *reader, const struct huffman_codes *codes, const struct huffman_table *table)
{
    refill(reader);
    for (unsigned length = 1; length <= 16; length++) {
        uint32_t prefix = (uint32_t)(reader->window >> (64 - length));
        if (prefix < codes->limit[length]) {
            consume(reader, length);
            return table->symbols[(int32_t)prefix + codes->offset[length]];
        }
    }
    return -1;
}

/* What the rarer ways of reading return. They take the reader by value, too: were its address known elsewhere, the
 * skim could not keep it in registers. */
struct reading {
    struct bit_reader reader; /* refilled */
    unsigned coefficient;     /* as a look-up entry advances it; 0 where the data is not valid */
    int difference;
};

/* The DC difference, whatever the length of its code. */
static NOT_INLINED struct reading read_long_dc(struct bit_reader reader, const struct block_tables *tables)
{
    int size = read_symbol(&reader, &tables->dc_codes, &tables->dc);
    if (size < 0)
        return (struct reading){reader, 0, 0};
    int difference = extend(reader.window, (unsigned)size);
    consume(&reader, (unsigned)size);
    refill(&reader);
    return (struct reading){reader, 1, difference};
}

/* One AC symbol and its value's bits, whatever the length of the code. */
static NOT_INLINED struct reading read_long_ac(struct bit_reader reader, unsigned coefficient,
                                               const struct block_tables *tables)
{
    int symbol = read_symbol(&reader, &tables->ac_codes, &tables->ac);
    if (symbol < 0)
        return (struct reading){reader, 0, 0};
    unsigned run = (unsigned)symbol >> 4, size = (unsigned)symbol & 15;
    consume(&reader, size);
    refill(&reader);
    return (struct reading){reader, coefficient + (size == 0 && run != 15 ? END_OF_BLOCK : run + 1), 0};
}

/* A block symbol by symbol: what skim_block comes back to where an entry ran past the end of a block without EOB. */
static NOT_INLINED struct reading read_block(struct bit_reader reader, const struct block_tables *tables)
{
    struct reading reading = read_long_dc(reader, tables);
    int difference = reading.difference;
    while (reading.coefficient > 0 && reading.coefficient < COEFFICIENTS)
        reading = read_long_ac(reading.reader, reading.coefficient, tables);
    if (reading.coefficient > COEFFICIENTS && reading.coefficient < END_OF_BLOCK)
        reading.coefficient = 0;
    reading.difference = difference;
    return reading;
}

/* All AC symbols that one look-up covers. The reader has ENTRY_MAX_BITS, or, for a long code, is refilled. Returns the
 * coefficient that comes next, or 0 where the data is not valid. */
static ALWAYS_INLINED unsigned skim_ac(struct bit_reader *reader, const struct block_tables *tables,
                                       unsigned coefficient)
{
    unsigned entry = tables->ac_lookup[reader->window >> (64 - LOOKUP_BITS)];
    if (UNLIKELY(entry == 0)) {
        struct reading reading = read_long_ac(*reader, coefficient, tables);
        *reader = reading.reader;
        return reading.coefficient;
    }
    consume(reader, ENTRY_BITS(entry));
    return coefficient + ENTRY_ADVANCE(entry);
}

/* Reads over a block; false where its data is not valid. This is where the time goes. A refill's 56 bits are good for
 * two look-ups. */
static ALWAYS_INLINED bool skim_block(struct bit_reader *reader, const struct block_tables *tables, int *difference)
{
    const struct bit_reader start = *reader;
    unsigned coefficient;
    refill(reader);
    uint32_t entry = tables->dc_lookup[reader->window >> (64 - LOOKUP_BITS)];
    if (UNLIKELY(entry == 0)) {
        struct reading reading = read_long_dc(*reader, tables);
        *reader = reading.reader;
        *difference = reading.difference;
        coefficient = reading.coefficient;
        if (coefficient == 0)
            return false;
    } else {
        *difference = extend(reader->window << ENTRY_DC_LENGTH(entry), ENTRY_DC_SIZE(entry));
        consume(reader, ENTRY_BITS(entry));
        coefficient = ENTRY_ADVANCE(entry);
    }
    while (coefficient < COEFFICIENTS) {
        coefficient = skim_ac(reader, tables, coefficient);
        if (coefficient - 1 >= COEFFICIENTS - 1) /* the block has ended, or is not valid: 0 wraps around */
            break;
        refill(reader);
        coefficient = skim_ac(reader, tables, coefficient);
        if (UNLIKELY(coefficient == 0))
            break;
    }
    if (UNLIKELY(coefficient / COEFFICIENTS != END_OF_BLOCK / COEFFICIENTS && coefficient != COEFFICIENTS)) {
        if (coefficient == 0)
            return false;
        struct reading reading = read_block(start, tables);
        *reader = reading.reader;
        *difference = reading.difference;
        return reading.coefficient != 0;
    }
    return true;
}

static enum crop_status data_ends(const struct scan *scan, uint32_t interval, uint32_t mcu, struct crop_error *error)
{
    if (interval + 1 == scan->intervals && scan->cut_short)
        return crop_fail(error, CROP_TRUNCATED, "ends inside MCU %u of the %u needed", (unsigned)mcu,
                         (unsigned)scan->mcus);
    return crop_fail(error, CROP_CORRUPT, "a marker stands inside MCU %u of the %u needed", (unsigned)mcu,
                     (unsigned)scan->mcus);
}

/* Skims MCUs [first, last), all of one restart interval, which fill `states`, and one more. */
static enum crop_status skim_interval(const struct scan *scan, uint32_t interval, uint32_t first, uint32_t last,
                                      struct mcu_state *states, struct crop_error *error)
{
    const uint8_t *data = scan->data;
    const uint32_t end = 8 * scan->interval_starts[interval + 1];
    struct mcu_state state = {.bit = 8 * scan->interval_starts[interval]};
    struct bit_reader reader = reader_at(data, state.bit);
    for (uint32_t mcu = first; mcu < last; mcu++) {
        bool valid = true;
        *states++ = state;
        for (unsigned block = 0; block < scan->blocks && valid; block++) {
            unsigned component = scan->block_component[block];
            int difference = 0;
            valid = skim_block(&reader, scan->tables[component], &difference);
            state.dc[component] = (uint16_t)(state.dc[component] + (unsigned)difference);
        }
        state.bit = reader_position(&reader, data);
        if (UNLIKELY(state.bit > end))
            return data_ends(scan, interval, mcu, error);
        if (UNLIKELY(!valid))
            return crop_fail(error, CROP_CORRUPT, "MCU %u of the %u needed: no such Huffman code, or an endless block",
                             (unsigned)mcu, (unsigned)scan->mcus);
    }
    *states = state;
    if (last % scan->interval == 0 && interval + 1 < scan->intervals && end - state.bit >= 8)
        return crop_fail(error, CROP_CORRUPT, "surplus data before the restart marker behind MCU %u",
                         (unsigned)last - 1);
    return CROP_OK;
}

enum crop_status scan_skim(const struct scan *scan, struct crop_error *error)
{
    struct mcu_state *states = scan->states;
    uint32_t interval = 0;
    for (uint32_t first = 0; first < scan->mcus; first += scan->interval, interval++) {
        uint32_t left = scan->mcus - first, count = left < scan->interval ? left : scan->interval;
        if (interval == scan->intervals)
            return data_ends(scan, interval - 1, first, error);
        enum crop_status status = skim_interval(scan, interval, first, first + count, states, error);
        if (status != CROP_OK)
            return status;
        states += count + 1;
    }
    return CROP_OK;
}

struct block_view scan_view_block(const struct scan *scan, unsigned component, uint32_t bit)
{
    const struct block_tables *tables = scan->tables[component];
    struct bit_reader reader = reader_at(scan->data, bit);
    struct block_view view;
    int size = read_symbol(&reader, &tables->dc_codes, &tables->dc);
    view.ac_start = reader_position(&reader, scan->data) + (unsigned)size;
    reader = reader_at(scan->data, bit);
    skim_block(&reader, tables, &view.difference);
    view.end = reader_position(&reader, scan->data);
    return view;
}
