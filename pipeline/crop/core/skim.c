/* Reading over the scan. */
#include "internal.h"

#include <string.h>

void scan_unstuff(struct scan *scan, struct crop_bytes input, uint8_t *output, uint32_t *interval_starts,
                  uint32_t intervals)
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
    interval_starts[interval + 1] = (uint32_t)(to - output);
    scan->data = output;
    scan->interval_starts = interval_starts;
    scan->intervals = interval + 1;
}

/* The bits from a position on: 57 of them at the least, at the top. */
static inline uint64_t window_at(const uint8_t *data, uint32_t bit)
{
    return load_big_endian(data + (bit >> 3)) << (bit & 7);
}

/* A value of `size` bits at the top of `window`: without its top bit set, it is negative. `size` may be 0. */
static inline int extend(uint64_t window, unsigned size)
{
    int negative = (int)(window >> 63) - 1; /* all ones, or 0 */
    return (int)(window >> 1 >> (63 - size)) + (negative & (1 - (1 << size)));
}

/* Reads one code at the top of `window`, bit by bit as it were. Returns its symbol, or -1 where there is none. */
static int read_symbol(uint64_t window, const struct huffman_codes *codes, const struct huffman_table *table,
                       unsigned *length)
{
    for (*length = 1; *length <= 16; ++*length) {
        uint32_t prefix = (uint32_t)(window >> (64 - *length));
        if (prefix < codes->limit[*length])
            return table->symbols[(int32_t)prefix + codes->offset[*length]];
    }
    return -1;
}

/* The DC difference of the block that begins at `bit`, which is known to be valid, and where its AC codes begin. */
static inline int dc_difference(const struct scan *scan, unsigned component, uint32_t bit, uint32_t *ac_start)
{
    const struct block_tables *tables = scan->tables[component];
    uint64_t window = window_at(scan->data, bit);
    unsigned sizes = tables->dc_sizes[window >> (64 - LOOKUP_BITS)];
    unsigned length = sizes >> 4, size = sizes & 15;
    if (UNLIKELY(length == 0))
        size = (unsigned)read_symbol(window, &tables->dc_codes, &tables->dc, &length);
    *ac_start = bit + length + size;
    return extend(window << length, size);
}

/* The state of the skim between two look-ups. */
struct position {
    uint32_t bit;
    uint64_t window;        /* the bits from there on: up to `loaded`, at the least */
    const uint8_t *next;    /* what to load next */
    uint32_t loaded;        /* its position in bits */
    const uint16_t *lookup; /* the table to look up next */
    unsigned coefficients;  /* of the block so far */
    size_t block;           /* of the batch */
};

static ALWAYS_INLINED void go_to(struct position *position, const struct scan *scan, uint32_t bit)
{
    position->bit = bit;
    position->window = window_at(scan->data, bit);
    position->next = scan->data + (bit >> 3) + 7;
    position->loaded = (bit & ~7u) + 56;
}

/* Loads up to 56 to 63 bits. The address does not depend on the look-ups since the last refill, which keeps the load's
 * latency out of the chain from one look-up to the next. */
static ALWAYS_INLINED void refill(struct position *position)
{
    uint32_t count = position->loaded - position->bit, bytes = (63 - count) >> 3;
    position->window |= load_big_endian(position->next) >> count;
    position->next += bytes;
    position->loaded += 8 * bytes;
}

/* Where a look-up has no answer: one symbol with its value, read the slow way. */
struct reading {
    uint32_t end;
    unsigned coefficients; /* of the block so far; 0 where the data is not valid */
    bool ended;            /* the block */
};

static NOT_INLINED struct reading read_slowly(const struct scan *scan, size_t block, uint32_t bit,
                                              unsigned coefficients)
{
    const struct block_tables *tables = scan->tables[scan->block_component[block % scan->blocks]];
    const struct reading invalid = {bit, 0, false};
    uint64_t window = window_at(scan->data, bit);
    bool dc = coefficients == 0;
    unsigned length;
    int symbol = dc ? read_symbol(window, &tables->dc_codes, &tables->dc, &length)
                    : read_symbol(window, &tables->ac_codes, &tables->ac, &length);
    if (symbol < 0 || (dc && symbol > MAX_DC_SIZE))
        return invalid;
    unsigned run = dc ? 0 : (unsigned)symbol >> 4, size = (unsigned)symbol & 15;
    bit += length + size;
    if (!dc && size == 0 && run != 15)
        return (struct reading){bit, coefficients, true};
    coefficients += run + 1;
    return coefficients > COEFFICIENTS ? invalid
                                       : (struct reading){bit, coefficients, coefficients == COEFFICIENTS};
}

/* One look-up: the symbols that the next 12 bits determine. This is where the time goes, and it goes into latencies: of
 * loads and of mispredicted branches. So a block's end, which nothing predicts, is no branch. It selects the table to
 * look up next, and where the next block would begin is noted each time, until it is right. Returns false where the
 * data is not valid. */
static ALWAYS_INLINED bool look_up(struct position *position, const struct scan *scan, uint32_t *starts,
                                   bool with_refill)
{
    unsigned entry = position->lookup[position->window >> (64 - LOOKUP_BITS)];
    if (with_refill) /* while the entry is being loaded */
        refill(position);
    unsigned coefficients = position->coefficients + ENTRY_COEFFICIENTS(entry);
    if (UNLIKELY(coefficients & COEFFICIENTS)) {
        struct reading reading = read_slowly(scan, position->block, position->bit, position->coefficients);
        if (reading.coefficients == 0)
            return false;
        go_to(position, scan, reading.end);
        coefficients = reading.coefficients;
        entry = reading.ended ? END_OF_BLOCK : 0;
    }
    position->window <<= ENTRY_BITS(entry);
    position->bit += ENTRY_BITS(entry);
    size_t ended = entry >> 15, mask = 0 - ended; /* all ones at the end of a block */
    position->lookup =
        (const uint16_t *)(scan->ac_lookups[position->block] + (scan->to_next_dc[position->block] & (ptrdiff_t)mask));
    position->coefficients = coefficients & ~(unsigned)mask;
    starts[position->block + 1] = position->bit;
    position->block += ended;
    return true;
}

/* Reads over `count` blocks of whole MCUs from `bit` on, and notes in `starts` where each begins and the last one ends.
 * Returns how many there were before data that is not valid; where that is, the next of `starts` says. The last look-up
 * may be one too many and end a block that was not asked for: so `starts` has room for `count` + 2 numbers. */
static size_t skim_blocks(const struct scan *scan, uint32_t bit, size_t count, uint32_t *starts)
{
    struct position position = {.lookup = scan->tables[0]->dc_lookup};
    go_to(&position, scan, bit);
    starts[0] = bit;
    while (position.block < count)
        if (!look_up(&position, scan, starts, true) || !look_up(&position, scan, starts, false))
            break;
    if (position.block >= count)
        return count;
    starts[position.block] = position.bit;
    return position.block;
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
    const uint32_t end = 8 * scan->interval_starts[interval + 1];
    struct mcu_state state = {.bit = 8 * scan->interval_starts[interval]};
    uint32_t starts[BATCH_BLOCKS + 2], ac_start;
    for (uint32_t mcu = first; mcu < last;) {
        uint32_t batch = last - mcu < BATCH_MCUS ? last - mcu : BATCH_MCUS;
        size_t blocks = skim_blocks(scan, state.bit, batch * scan->blocks, starts);
        const uint32_t *start = starts;
        for (const uint32_t *complete = starts + blocks / scan->blocks * scan->blocks; start < complete; mcu++) {
            *states++ = state;
            for (unsigned component = 0; component < scan->components; component++) {
                unsigned dc = state.dc[component];
                for (unsigned block = scan->component_blocks[component]; block > 0; block--)
                    dc += (unsigned)dc_difference(scan, component, *start++, &ac_start);
                state.dc[component] = (uint16_t)dc;
            }
            state.bit = *start;
            if (UNLIKELY(state.bit > end))
                return data_ends(scan, interval, mcu, error);
        }
        if (UNLIKELY(blocks < batch * scan->blocks))
            return starts[blocks] + MAX_SYMBOL_BITS > end
                       ? data_ends(scan, interval, mcu, error)
                       : crop_fail(error, CROP_CORRUPT, "MCU %u of the %u needed is not valid", (unsigned)mcu,
                                   (unsigned)scan->mcus);
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

void scan_view_mcu(const struct scan *scan, uint32_t bit, struct block_view *views)
{
    uint32_t starts[MAX_BLOCKS_PER_MCU + 2];
    skim_blocks(scan, bit, scan->blocks, starts);
    for (unsigned block = 0; block < scan->blocks; block++) {
        views[block].start = starts[block];
        views[block].difference =
            dc_difference(scan, scan->block_component[block], starts[block], &views[block].ac_start);
    }
}

void scan_plan(struct scan *scan)
{
    scan->blocks = 0;
    for (uint8_t i = 0; i < scan->components; i++)
        for (unsigned block = scan->component_blocks[i]; block > 0; block--)
            scan->block_component[scan->blocks++] = i;
    for (size_t block = 0; block <= BATCH_BLOCKS; block++) {
        const struct block_tables *here = scan->tables[scan->block_component[block % scan->blocks]];
        const struct block_tables *next = scan->tables[scan->block_component[(block + 1) % scan->blocks]];
        scan->ac_lookups[block] = (const char *)here->ac_lookup;
        scan->to_next_dc[block] = (const char *)next->dc_lookup - (const char *)here->ac_lookup;
    }
}
