/* Huffman codes, and the look-up tables with which blocks are skimmed. */
#include "internal.h"

#include <string.h>

/* Codes are canonical (T.81, annex C): counted up within a length, doubled from a length to the next. Returns false
 * where a length has more codes than are left, the one of all ones being reserved. */
bool huffman_codes_build(const struct huffman_table *table, struct huffman_codes *codes)
{
    uint32_t code = 0;
    int32_t index = 0;
    for (unsigned length = 1; length <= 16; length++) {
        code <<= 1;
        codes->offset[length] = index - (int32_t)code;
        code += table->counts[length];
        index += table->counts[length];
        codes->limit[length] = code;
        if (table->counts[length] && code >= 1u << length)
            return false;
    }
    return true;
}

/* By the next LOOKUP_BITS bits: length of the code they begin with << 8 | its symbol; 0 for longer codes. */
static void fill_single_symbols(const struct huffman_table *table, uint16_t *single)
{
    const uint8_t *symbol = table->symbols;
    uint16_t *next = single;
    memset(single, 0, LOOKUP_SIZE * sizeof *single);
    for (unsigned length = 1; length <= LOOKUP_BITS; length++)
        for (unsigned i = 0; i < table->counts[length]; i++, symbol++)
            for (unsigned fill = 0; fill < LOOKUP_SIZE >> length; fill++)
                *next++ = (uint16_t)(length << 8 | *symbol);
}

/* An entry whose AC symbols begin `bits` bits into `index`, behind what made `coefficients` already. */
static uint16_t gather_ac(const uint16_t *single, unsigned index, unsigned bits, unsigned coefficients)
{
    while (bits < LOOKUP_BITS) {
        unsigned found = single[index << bits & (LOOKUP_SIZE - 1)];
        unsigned length = found >> 8, run = found >> 4 & 15, size = found & 15;
        if (length == 0 || bits + length > LOOKUP_BITS)
            break; /* the code reaches beyond the index */
        if (size == 0 && run != 15) /* EOB; libjpeg takes any run without a value for one, but 15: sixteen zeros */
            return (uint16_t)(END_OF_BLOCK | coefficients << 8 | (bits + length));
        if (coefficients + run + 1 > COEFFICIENTS || bits + length + size > ENTRY_MAX_BITS)
            break;
        coefficients += run + 1;
        bits += length + size;
    }
    return (uint16_t)(coefficients ? coefficients << 8 | bits : NO_ENTRY);
}

/* Whether the symbols of a DC table are such as libjpeg takes. */
static bool are_dc_symbols(const struct huffman_table *dc)
{
    for (unsigned i = 0; i < dc->total; i++)
        if (dc->symbols[i] > MAX_DC_SYMBOL)
            return false;
    return true;
}

bool block_tables_build(struct block_tables *tables, const struct huffman_table *dc, const struct huffman_table *ac)
{
    uint16_t single_dc[LOOKUP_SIZE], single_ac[LOOKUP_SIZE];
    if (!huffman_codes_build(dc, &tables->dc_codes) || !huffman_codes_build(ac, &tables->ac_codes) ||
        !are_dc_symbols(dc))
        return false;
    fill_single_symbols(dc, single_dc);
    fill_single_symbols(ac, single_ac);
    for (unsigned index = 0; index < LOOKUP_SIZE; index++) {
        unsigned length = single_dc[index] >> 8, size = single_dc[index] & 0xFF;
        bool known = length != 0 && size <= MAX_DC_SIZE, fits = known && length + size <= ENTRY_MAX_BITS;
        tables->ac_lookup[index] = gather_ac(single_ac, index, 0, 0);
        tables->dc_lookup[index] = fits ? gather_ac(single_ac, index, length + size, 1) : NO_ENTRY;
        /* Of 10 bits at most: 11, behind a code of one, would make it too large. */
        bool whole = known && size < MAX_DC_SIZE && length + size <= LOOKUP_BITS;
        int difference = whole ? extend((uint64_t)index << (64 - LOOKUP_BITS) << length, size) : 0;
        tables->dc_differences[index] = (int16_t)(whole ? difference * 32 + (int)(length + size) : 0);
    }
    tables->dc = *dc;
    tables->ac = *ac;
    return true;
}

static void fill_light(const struct huffman_table *table, bool dc, uint16_t *lookup)
{
    const uint8_t *symbol = table->symbols;
    uint16_t *next = lookup;
    memset(lookup, 0, LIGHT_SIZE * sizeof *lookup);
    for (unsigned length = 1; length <= LIGHT_BITS; length++)
        for (unsigned i = 0; i < table->counts[length]; i++, symbol++) {
            unsigned run = dc ? 0 : *symbol >> 4, size = dc ? *symbol : *symbol & 15;
            bool ends = !dc && size == 0 && run != 15; /* as in gather_ac */
            unsigned entry = (ends ? 0 : (run + 1) << 8) | (length + size);
            for (unsigned fill = 0; fill < LIGHT_SIZE >> length; fill++)
                *next++ = (uint16_t)(dc && size > MAX_DC_SIZE ? 0 : entry);
        }
}

bool light_tables_build(struct light_tables *tables, const struct huffman_table *dc, const struct huffman_table *ac)
{
    if (!huffman_codes_build(dc, &tables->dc_codes) || !huffman_codes_build(ac, &tables->ac_codes) ||
        !are_dc_symbols(dc))
        return false;
    fill_light(dc, true, tables->dc_lookup);
    fill_light(ac, false, tables->ac_lookup);
    tables->dc = dc;
    tables->ac = ac;
    return true;
}

bool dc_codes_build(struct dc_codes *codes, const struct huffman_table *table)
{
    struct huffman_codes canonical;
    if (!huffman_codes_build(table, &canonical))
        return false;
    codes->table = *table;
    memset(codes->length, 0, sizeof codes->length);
    for (unsigned length = 1, index = 0; length <= 16; length++)
        for (unsigned i = 0; i < table->counts[length]; i++, index++) {
            unsigned size = table->symbols[index];
            if (size <= MAX_DC_SIZE) {
                codes->code[size] = (uint16_t)((int32_t)index - canonical.offset[length]);
                codes->length[size] = (uint8_t)length;
            }
        }
    return true;
}

/* Gives a size a code behind the last one, so that no code there is changes: a table optimised for its frame may
 * lack the DC difference with which a crop's row now begins. There is room because the code of all ones is reserved:
 * either it is not next in line, or, one bit longer, its first half is free. Returns false at the longest length. */
bool dc_codes_append(struct dc_codes *codes, unsigned size)
{
    struct huffman_table *table = &codes->table;
    struct huffman_codes canonical;
    unsigned length = 16;
    while (length > 1 && table->counts[length] == 0)
        length--;
    if (table->total == sizeof table->symbols || !huffman_codes_build(table, &canonical))
        return false;
    uint32_t code = canonical.limit[length];
    if (code + 1 >= 1u << length) {
        length++;
        code <<= 1;
    }
    if (length > 16)
        return false;
    table->counts[length]++;
    table->symbols[table->total++] = (uint8_t)size;
    codes->code[size] = (uint16_t)code;
    codes->length[size] = (uint8_t)length;
    return true;
}
