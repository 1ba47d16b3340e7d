/* Writing crops: runs of MCUs copied bit by bit, behind a header with the frame's own tables. */
#include "internal.h"

#include <string.h>

/* Entropy-coded data is collected in `bits`, of which the lowest `count` are yet to be written. */
struct bit_writer {
    uint8_t *next;
    uint64_t bits;
    unsigned count;
};

static inline uint8_t *write_byte(uint8_t *next, unsigned byte)
{
    *next++ = (uint8_t)byte;
    if (byte == 0xFF)
        *next++ = 0; /* stuffing: what follows is no marker */
    return next;
}

/* Appends the lowest `count` bits of `value`, at most 32; the others are zero. Fewer than 32 are held back. */
static inline void put_bits(struct bit_writer *writer, uint32_t value, unsigned count)
{
    writer->bits = writer->bits << count | value;
    writer->count += count;
    if (writer->count < 32)
        return;
    writer->count -= 32;
    uint32_t word = (uint32_t)(writer->bits >> writer->count), complement = ~word;
    if (UNLIKELY((complement - 0x01010101) & ~complement & 0x80808080)) { /* some byte is FF: see scan_unstuff */
        for (int shift = 24; shift >= 0; shift -= 8)
            writer->next = write_byte(writer->next, word >> shift & 0xFF);
        return;
    }
    for (int shift = 24; shift >= 0; shift -= 8)
        *writer->next++ = (uint8_t)(word >> shift);
}

/* Copies the bits [from, to) of the scan. Loads reach up to 8 bytes past the last, inside SCAN_PADDING. */
static void copy_bits(struct bit_writer *writer, const uint8_t *data, uint32_t from, uint32_t to)
{
    for (; to - from >= 32; from += 32)
        put_bits(writer, (uint32_t)(load_big_endian(data + (from >> 3)) << (from & 7) >> 32), 32);
    if (to != from)
        put_bits(writer, (uint32_t)(load_big_endian(data + (from >> 3)) << (from & 7) >> (64 - (to - from))),
                 to - from);
}

static enum crop_status put_difference(struct bit_writer *writer, struct dc_codes *codes, int difference,
                                       struct crop_error *error)
{
    unsigned size = 0, magnitude = (unsigned)(difference < 0 ? -difference : difference);
    while (magnitude >> size)
        size++;
    if (size > MAX_DC_SIZE)
        return crop_fail(error, CROP_CORRUPT, "a DC difference of %d, which 8-bit samples cannot have", difference);
    if (codes->length[size] == 0 && !dc_codes_append(codes, size))
        return crop_fail(error, CROP_UNSUPPORTED, "no room in a Huffman table for DC differences of %u bits", size);
    put_bits(writer, codes->code[size], codes->length[size]);
    put_bits(writer, (uint32_t)(difference < 0 ? difference - 1 : difference) & ((1u << size) - 1), size);
    return CROP_OK;
}

/* What the rows of a crop are written with. */
struct emission {
    const struct frame *frame;
    const struct scan *scan;
    struct bit_writer writer;
    uint16_t dc[MAX_COMPONENTS];       /* values that the crop's next differences refer to */
    struct dc_codes codes[MAX_TABLES]; /* by number; those that no component uses are not filled in */
};

/* Copies MCUs [first, last) of a row, all of one restart interval. The first block of each component in the first MCU
 * gets the DC difference to the crop's previous block; everything else stays as it is. */
static enum crop_status emit_run(struct emission *emission, uint32_t first, uint32_t last, struct crop_error *error)
{
    const struct scan *scan = emission->scan;
    const struct mcu_state *start = &scan->states[first + first / scan->interval];
    const struct mcu_state *end = start + (last - first);
    struct block_view views[MAX_BLOCKS_PER_MCU];
    uint32_t copied = start->bit;
    unsigned seen = 0;
    scan_view_mcu(scan, start->bit, views);
    for (unsigned block = 0; block < scan->blocks; block++) {
        unsigned component = scan->block_component[block];
        if (component != seen)
            continue; /* blocks of a component stand together, in the components' order */
        int difference = (start->dc[component] + views[block].difference - emission->dc[component]) & 0xFFFF;
        difference = difference < 0x8000 ? difference : difference - 0x10000;
        copy_bits(&emission->writer, scan->data, copied, views[block].start);
        enum crop_status status =
            put_difference(&emission->writer, &emission->codes[emission->frame->components[component].dc_table],
                           difference, error);
        if (status != CROP_OK)
            return status;
        copied = views[block].ac_start;
        seen++;
    }
    copy_bits(&emission->writer, scan->data, copied, end->bit);
    memcpy(emission->dc, end->dc, sizeof emission->dc);
    return CROP_OK;
}

/* Where the restart interval of `mcu` ends, or `last`, if that is nearer. */
static uint32_t run_end(const struct scan *scan, uint32_t mcu, uint32_t last)
{
    uint32_t left = scan->interval - mcu % scan->interval;
    return last - mcu < left ? last : mcu + left;
}

static uint8_t *write_16(uint8_t *to, size_t value)
{
    *to++ = (uint8_t)(value >> 8);
    *to++ = (uint8_t)value;
    return to;
}

static uint8_t *write_bytes(uint8_t *to, const void *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

static uint8_t *begin_segment(uint8_t *to, unsigned marker, size_t payload)
{
    return write_16(write_16(to, 0xFF00 | marker), payload + 2);
}

static uint8_t *write_huffman_table(uint8_t *to, unsigned class_and_number, const struct huffman_table *table)
{
    to = begin_segment(to, 0xC4, 17 + table->total);
    *to++ = (uint8_t)class_and_number;
    to = write_bytes(to, table->counts + 1, 16);
    return write_bytes(to, table->symbols, table->total);
}

/* All but two segments have their largest sizes here: 4 DQT of 133 bytes, 8 DHT of 277, SOF of 22, SOS of 16, SOI. */
static size_t header_bound(const struct frame *frame)
{
    return 4096 + frame->jfif.size + frame->adobe.size;
}

static uint8_t *write_header(uint8_t *to, const struct frame *frame, const struct dc_codes *codes, unsigned width,
                             unsigned height)
{
    unsigned count = frame->header.components, quantisation = 0, dc = 0, ac = 0; /* sets of table numbers */
    for (unsigned i = 0; i < count; i++) {
        quantisation |= 1u << frame->components[i].quantisation;
        dc |= 1u << frame->components[i].dc_table;
        ac |= 1u << frame->components[i].ac_table;
    }
    to = write_16(to, 0xFFD8);
    if (frame->jfif.size)
        to = write_bytes(begin_segment(to, 0xE0, frame->jfif.size), frame->jfif.data, frame->jfif.size);
    if (frame->adobe.size)
        to = write_bytes(begin_segment(to, 0xEE, frame->adobe.size), frame->adobe.data, frame->adobe.size);
    for (unsigned i = 0; i < MAX_TABLES; i++)
        if (quantisation >> i & 1) {
            const struct quantisation_table *table = &frame->quantisation[i];
            to = begin_segment(to, 0xDB, 1 + table->size);
            *to++ = (uint8_t)((table->size > COEFFICIENTS) << 4 | i);
            to = write_bytes(to, table->values, table->size);
        }
    to = begin_segment(to, frame->start_of_frame, 6 + 3 * count);
    *to++ = 8; /* bits a sample */
    to = write_16(write_16(to, height), width);
    *to++ = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        const struct component *component = &frame->components[i];
        *to++ = component->id;
        *to++ = (uint8_t)(component->horizontal << 4 | component->vertical);
        *to++ = component->quantisation;
    }
    for (unsigned i = 0; i < MAX_TABLES; i++) {
        if (dc >> i & 1)
            to = write_huffman_table(to, i, &codes[i].table);
        if (ac >> i & 1)
            to = write_huffman_table(to, 0x10 | i, &frame->ac_tables[i]);
    }
    to = begin_segment(to, 0xDA, 4 + 2 * count);
    *to++ = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        *to++ = frame->components[i].id;
        *to++ = (uint8_t)(frame->components[i].dc_table << 4 | frame->components[i].ac_table);
    }
    return write_bytes(to, "\x00\x3f\x00", 3);
}

uint64_t crop_bound(const struct frame *frame, const struct scan *scan, struct mcu_window window)
{
    uint64_t bits = 64; /* the last byte's filling, and more */
    for (uint32_t row = window.first_row; row < window.last_row; row++) {
        uint32_t first = row * window.columns + window.first_column;
        uint32_t last = row * window.columns + window.last_column - 1;
        uint32_t intervals = last / scan->interval - first / scan->interval + 1;
        /* Each run may grow by a DC code of 16 bits and a value of 11 for each component. */
        bits += scan->states[last + last / scan->interval + 1].bit - scan->states[first + first / scan->interval].bit;
        bits += (uint64_t)intervals * MAX_COMPONENTS * (16 + 11);
    }
    return header_bound(frame) + 2 * (bits / 8) + 2; /* every byte may be an FF, which takes two; and EOI */
}

enum crop_status crop_emit(const struct frame *frame, const struct scan *scan, struct mcu_window window, unsigned width,
                           unsigned height, uint8_t *output, size_t *written, struct crop_error *error)
{
    struct emission emission;
    uint8_t *data = output + header_bound(frame);
    memset(&emission.writer, 0, sizeof emission.writer);
    memset(emission.dc, 0, sizeof emission.dc);
    emission.frame = frame;
    emission.scan = scan;
    emission.writer.next = data;
    for (unsigned i = 0; i < frame->header.components; i++)
        dc_codes_build(&emission.codes[frame->components[i].dc_table],
                       &frame->dc_tables[frame->components[i].dc_table]);

    for (uint32_t row = window.first_row; row < window.last_row; row++) {
        uint32_t last = row * window.columns + window.last_column, end;
        for (uint32_t first = row * window.columns + window.first_column; first < last; first = end) {
            end = run_end(scan, first, last);
            enum crop_status status = emit_run(&emission, first, end, error);
            if (status != CROP_OK)
                return status;
        }
    }
    unsigned filling = (0u - emission.writer.count) & 7;
    put_bits(&emission.writer, (1u << filling) - 1, filling);
    while (emission.writer.count >= 8) {
        emission.writer.count -= 8;
        emission.writer.next =
            write_byte(emission.writer.next, (unsigned)(emission.writer.bits >> emission.writer.count) & 0xFF);
    }
    /* The header comes last, for it holds the DC tables with what has been appended to them. */
    uint8_t *end = write_16(emission.writer.next, 0xFFD9);
    uint8_t *header_end = write_header(output, frame, emission.codes, width, height);
    memmove(header_end, data, (size_t)(end - data));
    *written = (size_t)(header_end - output) + (size_t)(end - data);
    return CROP_OK;
}
