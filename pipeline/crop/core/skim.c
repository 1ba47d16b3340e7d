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
        if (code != 0xD0 + interval % 8 || interval + 1 == intervals) {
            scan->marker = (uint8_t)code;
            break; /* EOI, a restart marker out of its order, anything else: the data ends here */
        }
        interval_starts[++interval] = (uint32_t)(to - output);
    }
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

/* How a block begins. */
struct dc_reading {
    int difference;
    uint32_t ac_start; /* where the block's AC codes begin */
};

static NOT_INLINED struct dc_reading read_dc_slowly(const struct scan *scan, unsigned component, uint32_t bit)
{
    const struct block_tables *tables = scan->tables[component];
    uint64_t window = window_at(scan->data, bit);
    unsigned length, size = (unsigned)read_symbol(window, &tables->dc_codes, &tables->dc, &length);
    return (struct dc_reading){extend(window << length, size), bit + length + size};
}

/* The beginning of the block at `bit`, which is known to be valid. */
static inline struct dc_reading read_dc(const struct scan *scan, unsigned component, uint32_t bit)
{
    int entry = scan->tables[component]->dc_differences[window_at(scan->data, bit) >> (64 - LOOKUP_BITS)];
    if (UNLIKELY(entry == 0))
        return read_dc_slowly(scan, component, bit);
    return (struct dc_reading){entry >> 5, bit + (entry & 31)};
}

/* The state of the skim between two look-ups. */
struct position {
    uint32_t bit;
    uint64_t window;        /* the bits from there on: up to `next`, at the least */
    const uint8_t *next;    /* what to load next */
    const uint16_t *lookup; /* the table to look up next */
    unsigned coefficients;  /* of the block so far */
    size_t block;           /* of the batch */
    bool invalid;           /* the data has no symbol here */
};

static ALWAYS_INLINED void go_to(struct position *position, const struct scan *scan, uint32_t bit)
{
    position->bit = bit;
    position->window = window_at(scan->data, bit);
    position->next = scan->data + (bit >> 3) + 7;
}

/* Loads up to 56 to 63 bits. The address does not depend on the look-ups since the last refill, which keeps the load's
 * latency out of the chain from one look-up to the next. */
static ALWAYS_INLINED void refill(struct position *position, const struct scan *scan)
{
    uint32_t count = 8 * (uint32_t)(position->next - scan->data) - position->bit;
    position->window |= load_big_endian(position->next) >> count;
    position->next += (63 - count) >> 3;
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
 * look up next (by a conditional move: both are loaded beforehand, off the chain from one look-up to the next), and
 * where the next block would begin is noted each time, until it is right. Returns false where the data is not valid. */
static ALWAYS_INLINED bool look_up(struct position *position, const struct scan *scan, uint32_t *starts,
                                   bool with_refill)
{
    unsigned entry = position->lookup[position->window >> (64 - LOOKUP_BITS)];
    if (with_refill) /* while the entry is being loaded */
        refill(position, scan);
    unsigned coefficients = position->coefficients + ENTRY_COEFFICIENTS(entry);
    if (UNLIKELY(coefficients & COEFFICIENTS)) {
        struct reading reading = read_slowly(scan, position->block, position->bit, position->coefficients);
        if (reading.coefficients == 0) {
            position->invalid = true;
            return false;
        }
        go_to(position, scan, reading.end);
        coefficients = reading.coefficients;
        entry = reading.ended ? END_OF_BLOCK : 0;
    }
    position->window <<= ENTRY_BITS(entry);
    position->bit += ENTRY_BITS(entry);
    bool ended = ENTRY_ENDS_BLOCK(entry);
    const uint16_t *ac_lookup = scan->ac_lookups[position->block];
    const uint16_t *next_dc_lookup = scan->next_dc_lookups[position->block];
    position->lookup = ended ? next_dc_lookup : ac_lookup;
    position->coefficients = ended ? 0 : coefficients;
    starts[position->block + 1] = position->bit;
    position->block += entry >> 15;
    return true;
}

/* Blocks of whole MCUs that are read over in one go. */
struct batch {
    const struct scan *scan;
    size_t count; /* blocks that are wanted */
    struct position position;
    /* Where each block begins and the last one ends. The last look-up may be one too many and end a block that was not
     * wanted: hence the room for one more. */
    uint32_t starts[BATCH_BLOCKS + 2];
};

static void begin_batch(struct batch *batch, const struct scan *scan, uint32_t bit, uint32_t mcus)
{
    batch->scan = scan;
    batch->count = mcus * scan->blocks;
    batch->position = (struct position){.lookup = scan->light ? NULL : scan->tables[0]->dc_lookup};
    go_to(&batch->position, scan, bit);
    batch->starts[0] = bit;
}

/* Whether all its blocks have been read over, or those before data that is not valid. */
static bool is_over(const struct batch *batch)
{
    return batch->position.block >= batch->count || batch->position.invalid;
}

/* Reads over a batch until it is over. */
static NOT_INLINED void skim_batch(struct batch *batch)
{
    struct position position = batch->position; /* of which the compiler makes registers */
    const struct scan *scan = batch->scan;
    while (position.block < batch->count)
        if (!look_up(&position, scan, batch->starts, true) || !look_up(&position, scan, batch->starts, false))
            break;
    batch->position = position;
}

/* Where a light look-up has no answer: one symbol with its value, as an entry; 0 where the data is not valid. */
static NOT_INLINED unsigned read_lightly(const struct light_tables *tables, uint64_t window, bool dc)
{
    unsigned length;
    int symbol = dc ? read_symbol(window, &tables->dc_codes, tables->dc, &length)
                    : read_symbol(window, &tables->ac_codes, tables->ac, &length);
    if (symbol < 0 || (dc && symbol > MAX_DC_SIZE))
        return 0;
    unsigned run = dc ? 0 : (unsigned)symbol >> 4, size = (unsigned)symbol & 15;
    bool ends = !dc && size == 0 && run != 15;
    return (ends ? 0 : (run + 1) << 8) | (length + size);
}

/* Reads over a batch with light tables. */
static NOT_INLINED void skim_batch_lightly(struct batch *batch)
{
    const struct scan *scan = batch->scan;
    uint32_t bit = batch->position.bit;
    uint64_t window = window_at(scan->data, bit);
    unsigned left = 57; /* bits of it that are right */
    for (size_t block = 0, place = 0; block < batch->count; block++, place++) {
        place = place < scan->blocks ? place : 0;
        const struct light_tables *tables = &scan->light[scan->block_component[place]];
        const uint16_t *lookup = tables->dc_lookup;
        for (unsigned coefficients = 0; coefficients < COEFFICIENTS; lookup = tables->ac_lookup) {
            if (left < MAX_SYMBOL_BITS) {
                window = window_at(scan->data, bit);
                left = 57;
            }
            unsigned entry = lookup[window >> (64 - LIGHT_BITS)];
            if (UNLIKELY(entry == 0))
                entry = read_lightly(tables, window, coefficients == 0);
            coefficients += entry >> 8;
            if (UNLIKELY(entry == 0 || coefficients > COEFFICIENTS)) {
                batch->position.bit = bit;
                batch->position.block = block;
                batch->position.invalid = true;
                return;
            }
            bit += entry & 31;
            window <<= entry & 31;
            left -= entry & 31;
            if (entry >> 8 == 0)
                break;
        }
        batch->starts[block + 1] = bit;
    }
    batch->position.bit = bit;
    batch->position.block = batch->count;
}

/* Reads over two batches until one of them is over: while the processor waits for what one look-up needs, it works on
 * the other's. Three at once are slower than two, measured: there are not the registers for their positions. */
static NOT_INLINED void skim_two_batches(struct batch *a, struct batch *b)
{
    struct position at_a = a->position, at_b = b->position;
    const struct scan *scan_a = a->scan, *scan_b = b->scan;
    while (at_a.block < a->count && at_b.block < b->count)
        if (!look_up(&at_a, scan_a, a->starts, true) || !look_up(&at_b, scan_b, b->starts, true) ||
            !look_up(&at_a, scan_a, a->starts, false) || !look_up(&at_b, scan_b, b->starts, false))
            break;
    a->position = at_a;
    b->position = at_b;
}

/* How far a scan has been skimmed. */
struct skim {
    const struct scan *scan;
    struct crop_error *error;
    uint32_t mcu, interval, interval_end; /* the next MCU, its restart interval, and the MCU that this ends before */
    struct mcu_state state;               /* before the next MCU */
    struct mcu_state *states;             /* where it goes */
    struct batch batch;
};

/* Fails for want of data; returns false. */
static bool data_ends(const struct skim *skim)
{
    const struct scan *scan = skim->scan;
    unsigned mcu = (unsigned)skim->mcu, mcus = (unsigned)scan->mcus;
    if (skim->interval + 1 >= scan->intervals && scan->cut_short)
        crop_fail(skim->error, CROP_TRUNCATED, "ends inside MCU %u of the %u needed", mcu, mcus);
    else
        crop_fail(skim->error, CROP_CORRUPT, "a marker stands inside MCU %u of the %u needed", mcu, mcus);
    return false;
}

/* Takes in a batch that is over. Returns false where it fails. */
static bool end_batch(struct skim *skim)
{
    const struct scan *scan = skim->scan;
    const struct batch *batch = &skim->batch;
    const size_t blocks = batch->position.block < batch->count ? batch->position.block : batch->count;
    const uint32_t end = 8 * scan->interval_starts[skim->interval + 1];
    const uint32_t *start = batch->starts, *complete = start + blocks / scan->blocks * scan->blocks;
    struct mcu_state state = skim->state;
    const unsigned components = scan->positions_only ? 0 : scan->components; /* with DC values to add up */
    const unsigned skipped = scan->positions_only ? scan->blocks : 0;
    for (; start < complete; skim->mcu++) {
        *skim->states++ = state;
        start += skipped;
        for (unsigned component = 0; component < components; component++) {
            unsigned dc = state.dc[component];
            for (unsigned block = scan->component_blocks[component]; block > 0; block--)
                dc += (unsigned)read_dc(scan, component, *start++).difference;
            state.dc[component] = (uint16_t)dc;
        }
        state.bit = *start;
        if (UNLIKELY(state.bit > end))
            return data_ends(skim);
    }
    skim->state = state;
    if (blocks == batch->count)
        return true;
    if (batch->position.bit + MAX_SYMBOL_BITS > end)
        return data_ends(skim);
    crop_fail(skim->error, CROP_CORRUPT, "MCU %u of the %u needed is not valid", (unsigned)skim->mcu,
              (unsigned)scan->mcus);
    return false;
}

/* Begins the next batch, of the MCUs that are left in the restart interval. */
static void go_on(struct skim *skim)
{
    uint32_t left = skim->interval_end - skim->mcu;
    begin_batch(&skim->batch, skim->scan, skim->state.bit, left < BATCH_MCUS ? left : BATCH_MCUS);
}

static bool begin_interval(struct skim *skim)
{
    const struct scan *scan = skim->scan;
    uint32_t left = scan->mcus - skim->mcu;
    if (skim->interval == scan->intervals)
        return data_ends(skim);
    skim->interval_end = skim->mcu + (left < scan->interval ? left : scan->interval);
    skim->state = (struct mcu_state){.bit = 8 * scan->interval_starts[skim->interval]};
    go_on(skim);
    return true;
}

/* From a batch that is over to the next. Returns false where there is none: at the end, and where the scan fails. */
static bool advance(struct skim *skim)
{
    const struct scan *scan = skim->scan;
    if (!end_batch(skim))
        return false;
    if (skim->mcu < skim->interval_end) {
        go_on(skim);
        return true;
    }
    *skim->states++ = skim->state;
    skim->interval++;
    if (skim->mcu % scan->interval == 0 && skim->interval < scan->intervals &&
        8 * scan->interval_starts[skim->interval] - skim->state.bit >= 8) {
        crop_fail(skim->error, CROP_CORRUPT, "surplus data before the restart marker behind MCU %u",
                  (unsigned)skim->mcu - 1);
        return false;
    }
    return skim->mcu < scan->mcus && begin_interval(skim);
}

void scan_skim(const struct scan *const *scans, struct crop_error *const *errors, size_t count)
{
    struct skim skims[CROP_MAX_FRAMES], *active[CROP_MAX_FRAMES];
    for (size_t i = 0; i < count; i++) {
        active[i] = &skims[i];
        skims[i].scan = scans[i];
        skims[i].error = errors[i];
        skims[i].mcu = skims[i].interval = 0;
        skims[i].states = scans[i]->states;
        begin_interval(&skims[i]);
    }
    while (count > 0) { /* two while there are two; what is left of one goes on alone */
        if (active[0]->scan->light)
            skim_batch_lightly(&active[0]->batch);
        else if (count == 2 && !active[1]->scan->light)
            skim_two_batches(&active[0]->batch, &active[1]->batch);
        else
            skim_batch(&active[0]->batch);
        for (size_t i = count; i-- > 0;)
            if (is_over(&active[i]->batch) && !advance(active[i]))
                active[i] = active[--count];
    }
}

void scan_view_mcu(const struct scan *scan, uint32_t bit, struct block_view *views)
{
    struct batch batch;
    begin_batch(&batch, scan, bit, 1);
    skim_batch(&batch);
    for (unsigned block = 0; block < scan->blocks; block++) {
        struct dc_reading dc = read_dc(scan, scan->block_component[block], batch.starts[block]);
        views[block] = (struct block_view){batch.starts[block], dc.ac_start, dc.difference};
    }
}

void scan_plan(struct scan *scan)
{
    scan->blocks = 0;
    for (uint8_t i = 0; i < scan->components; i++)
        for (unsigned block = scan->component_blocks[i]; block > 0; block--)
            scan->block_component[scan->blocks++] = i;
    if (scan->light)
        return;
    const struct block_tables *here = scan->tables[0];
    for (size_t block = 0, behind = 1; block <= BATCH_BLOCKS; block++, behind++) {
        behind = behind < scan->blocks ? behind : 0; /* the block's place in its MCU, and one more */
        const struct block_tables *next = scan->tables[scan->block_component[behind]];
        scan->ac_lookups[block] = here->ac_lookup;
        scan->next_dc_lookups[block] = next->dc_lookup;
        here = next;
    }
}
