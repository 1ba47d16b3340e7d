/* What the parts of the library share. */
#ifndef JPEG_CROP_INTERNAL_H
#define JPEG_CROP_INTERNAL_H

#include "jpeg_crop.h"

#define MAX_COMPONENTS 4     /* in one scan: ITU-T T.81, table B.3 */
#define MAX_BLOCKS_PER_MCU 10 /* T.81, B.2.3; libjpeg refuses more */
#define MAX_DIMENSION 65500 /* pixels across or down: libjpeg takes no more, of the 65535 that T.81 allows */
#define MAX_TABLES 4
#define COEFFICIENTS 64 /* in a block */
#define MAX_SYMBOL_BITS (16 + 15) /* the longest code, and the largest size of a value */
#define MAX_DC_SYMBOL 15 /* libjpeg refuses a DC table with a larger one, used or not */
#define MAX_DC_SIZE 11  /* bits of a DC difference of 8-bit samples: T.81, table F.1 */

#if defined(__GNUC__)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define ALWAYS_INLINED inline __attribute__((always_inline))
#define NOT_INLINED __attribute__((noinline))
#define CHECKED_FORMAT __attribute__((format(printf, 3, 4)))
#else
#define UNLIKELY(condition) (condition)
#define ALWAYS_INLINED inline
#define NOT_INLINED
#define CHECKED_FORMAT
#endif

/* Fills in `error` and returns `status`. */
enum crop_status crop_fail(struct crop_error *error, enum crop_status status, const char *format, ...) CHECKED_FORMAT;

/* ---- header.c: a frame as its header describes it ---- */

/* A Huffman table as DHT spells it: symbols in the order of their codes, and how many codes have each length. */
struct huffman_table {
    bool defined;
    unsigned total;
    uint8_t counts[17]; /* by code length, 1 to 16 */
    uint8_t symbols[256];
};

struct quantisation_table {
    unsigned size; /* bytes: 64 or, of 16-bit values, 128; 0 where it is not defined */
    uint8_t values[128];
};

struct component {
    uint8_t id;
    uint8_t horizontal, vertical; /* sampling factors, which are its blocks per MCU across and down */
    uint8_t quantisation, dc_table, ac_table;
};

struct frame {
    struct crop_header header;
    uint8_t start_of_frame; /* the marker's code: SOF0 or SOF1 */
    struct component components[MAX_COMPONENTS];
    struct quantisation_table quantisation[MAX_TABLES];
    struct huffman_table dc_tables[MAX_TABLES], ac_tables[MAX_TABLES];
    struct crop_bytes jfif, adobe; /* payloads of APP0 and APP14, on which the colour space depends */
    bool unknown_jfif;             /* some APP0 says another version than 1, of which libjpeg warns */
    uint32_t restart_interval;     /* MCUs; 0 for none */
    bool arithmetic_conditioning;  /* there is a DAC segment, which libjpeg checks */
    size_t scan;                   /* where the entropy-coded data begins */
};

/* Reads up to the scan, or, where the frame is not eligible, up to SOF. */
enum crop_status frame_parse(struct crop_bytes input, struct frame *frame, struct crop_error *error);

/* ---- huffman.c: codes and look-up tables ---- */

/* With 12 bits, a look-up mostly covers two or three symbols, and the tables still fit the first-level cache. */
#define LOOKUP_BITS 12
#define LOOKUP_SIZE (1u << LOOKUP_BITS)

/* Canonical codes of one table: those of a length are consecutive, so a prefix below `limit` is a code. */
struct huffman_codes {
    uint32_t limit[17]; /* by length: one above its last code */
    int32_t offset[17]; /* by length: index of a code's symbol, less the code */
};

/* An entry of a look-up table, found by the next LOOKUP_BITS bits of the scan, stands for all the symbols that these
 * determine: every code that lies wholly in them, with its value bits, which may reach beyond.
 *
 *   bits 0-5    bits that the symbols and their values take, ENTRY_MAX_BITS at most
 *   bits 8-14   coefficients that they make, COEFFICIENTS at most
 *   bit 15      the last of them is EOB
 *
 * Coefficients are added up from look-up to look-up until an EOB. A sum with the bit COEFFICIENTS set means trouble:
 * the block is full, so that no EOB follows, or even overfull, as the entry went on into the next block. NO_ENTRY (a
 * code longer than LOOKUP_BITS, or no code) always makes such a sum. The skim then goes on by a single symbol. */
#define ENTRY_MAX_BITS 22 /* two look-ups leave LOOKUP_BITS of the 56 bits of a refill: enough for the next index */
#define ENTRY_BITS(entry) ((entry)&63)
#define ENTRY_COEFFICIENTS(entry) ((entry) >> 8) /* and END_OF_BLOCK above them, which does no harm in the sum */
#define END_OF_BLOCK 0x8000
#define ENTRY_ENDS_BLOCK(entry) ((int16_t)(entry) < 0) /* bit 15, as the sign that processors test for nothing */
#define NO_ENTRY (COEFFICIENTS << 8)

/* What it takes to read the blocks of one component. */
struct block_tables {
    uint16_t dc_lookup[LOOKUP_SIZE];     /* for the beginning of a block: the DC symbol, then AC symbols */
    uint16_t ac_lookup[LOOKUP_SIZE];     /* for what follows */
    int16_t dc_differences[LOOKUP_SIZE]; /* difference * 32 + bits of its code and value; 0 where these do not fit */
    struct huffman_codes dc_codes, ac_codes;
    struct huffman_table dc, ac; /* what all this was built from */
};

/* The same in a microsecond, where building those takes forty: for a small image that nobody has asked for before, it is
 * quicker to read symbol by symbol. An entry, found by the next LIGHT_BITS bits, stands for one symbol with its value:
 *
 *   bits 0-4    bits that they take
 *   bits 8-12   coefficients that they make; 0 for EOB
 *
 * 0 stands for a longer code, or for none. */
#define LIGHT_BITS 9
#define LIGHT_SIZE (1u << LIGHT_BITS)
struct light_tables {
    uint16_t dc_lookup[LIGHT_SIZE], ac_lookup[LIGHT_SIZE];
    struct huffman_codes dc_codes, ac_codes;
    const struct huffman_table *dc, *ac;
};
bool light_tables_build(struct light_tables *tables, const struct huffman_table *dc, const struct huffman_table *ac);

bool huffman_codes_build(const struct huffman_table *table, struct huffman_codes *codes);
bool block_tables_build(struct block_tables *tables, const struct huffman_table *dc, const struct huffman_table *ac);

/* The codes in which DC differences are written: the frame's own, and any appended for a crop. */
struct dc_codes {
    struct huffman_table table;
    uint16_t code[MAX_DC_SIZE + 1];
    uint8_t length[MAX_DC_SIZE + 1]; /* by size of the difference; 0: no code yet */
};
bool dc_codes_build(struct dc_codes *codes, const struct huffman_table *table);
bool dc_codes_append(struct dc_codes *codes, unsigned size);

/* ---- skim.c: where each MCU begins ---- */

/* The scan's state before an MCU, or behind the last one of a restart interval. DC values are kept modulo 2**16, as
 * decoders keep coefficients: hostile differences may add up to anything. */
struct mcu_state {
    uint32_t bit; /* position in the unstuffed scan */
    uint16_t dc[MAX_COMPONENTS];
};

/* MCUs are skimmed in batches, and their positions checked against the data's end after each. So reading may run on
 * from the end by what a batch can take: blocks of 64 symbols, that is 248 bytes each, one block more, as skim_blocks
 * says, and the bytes that a refill loads ahead. */
#define BATCH_MCUS 16
#define BATCH_BLOCKS (BATCH_MCUS * MAX_BLOCKS_PER_MCU)
#define SCAN_PADDING ((BATCH_BLOCKS + 1) * COEFFICIENTS * MAX_SYMBOL_BITS / 8 + 16)

/* A scan taken in: what reading and copying its blocks needs. Every restart interval has one state more than MCUs, so
 * that a run's end is known by itself: MCU i begins at states[i + i / interval] and ends at the state behind that. */
struct scan {
    const uint8_t *data;             /* the unstuffed scan, with SCAN_PADDING bytes behind it */
    const uint32_t *interval_starts; /* byte offsets in `data`, and its end: intervals + 1 of them */
    uint32_t intervals;
    bool cut_short;                               /* by the input's end, not by a marker */
    uint8_t marker;                               /* the code of that marker */
    uint32_t interval;                            /* MCUs; `mcus` where no restart marker matters */
    uint32_t mcus;                                /* that are needed, from the frame's first */
    unsigned components, blocks;                  /* per MCU */
    uint8_t component_blocks[MAX_COMPONENTS];     /* per MCU */
    uint8_t block_component[MAX_BLOCKS_PER_MCU];  /* in scan order; blocks of a component stand together */
    const struct block_tables *tables[MAX_COMPONENTS];
    const struct light_tables *light; /* by component, in place of these, or NULL */
    bool positions_only;              /* states hold no DC values, as a check needs none; always so with light tables */
    /* For each block of a batch, and one more: its AC look-ups, and the DC look-ups of the block behind it. */
    const uint16_t *ac_lookups[BATCH_BLOCKS + 1], *next_dc_lookups[BATCH_BLOCKS + 1];
    struct mcu_state *states;
};

/* Fills in what follows from components, block counts and tables. */
void scan_plan(struct scan *scan);

/* Copies a scan without its stuffing (the 00 behind each FF) and without restart markers. `output` has room for the
 * input, `interval_starts` for `intervals` + 1 entries. Stops behind that many intervals, or earlier at another marker or
 * the input's end. The caller sees to the SCAN_PADDING bytes behind the data, which must have been written before. */
void scan_unstuff(struct scan *scan, struct crop_bytes input, uint8_t *output, uint32_t *interval_starts,
                  uint32_t intervals);

/* Fills in states for all MCUs that are needed, of up to CROP_MAX_FRAMES scans at once. Where one fails, its error is
 * filled in, and the others go on. */
void scan_skim(const struct scan *const *scans, struct crop_error *const *errors, size_t count);

/* A block of an MCU that has been skimmed: where it begins, where its AC codes do, and its DC difference. */
struct block_view {
    uint32_t start, ac_start;
    int difference;
};

/* Views all blocks of the MCU that begins at `bit`. */
void scan_view_mcu(const struct scan *scan, uint32_t bit, struct block_view *views);

/* ---- emit.c: crops ---- */

/* How many bytes crop_emit may write for these MCU columns and rows, [first, last). */
struct mcu_window {
    uint32_t first_column, last_column, first_row, last_row, columns; /* columns: of the frame */
};
uint64_t crop_bound(const struct frame *frame, const struct scan *scan, struct mcu_window window);

/* Writes a crop, and its size to `written`. */
enum crop_status crop_emit(const struct frame *frame, const struct scan *scan, struct mcu_window window, unsigned width,
                           unsigned height, uint8_t *output, size_t *written, struct crop_error *error);

/* The bytes at `bytes` as a big-endian number: compilers make one load of it. */
static inline uint64_t load_big_endian(const uint8_t *bytes)
{
    return (uint64_t)bytes[0] << 56 | (uint64_t)bytes[1] << 48 | (uint64_t)bytes[2] << 40 | (uint64_t)bytes[3] << 32 |
           (uint64_t)bytes[4] << 24 | (uint64_t)bytes[5] << 16 | (uint64_t)bytes[6] << 8 | (uint64_t)bytes[7];
}

/* Reads one code at the top of `window`, bit by bit as it were. Returns its symbol, or -1 where there is none. */
static inline int read_symbol(uint64_t window, const struct huffman_codes *codes, const struct huffman_table *table,
                              unsigned *length)
{
    for (*length = 1; *length <= 16; ++*length) {
        uint32_t prefix = (uint32_t)(window >> (64 - *length));
        if (prefix < codes->limit[*length])
            return table->symbols[(int32_t)prefix + codes->offset[*length]];
    }
    return -1;
}

/* A value of `size` bits at the top of `window`: without its top bit set, it is negative. `size` may be 0. */
static inline int extend(uint64_t window, unsigned size)
{
    int negative = (int)(window >> 63) - 1; /* all ones, or 0 */
    return (int)(window >> 1 >> (63 - size)) + (negative & (1 - (1 << size)));
}

#endif
