/* What the parts of the library share. */
#ifndef JPEG_CROP_INTERNAL_H
#define JPEG_CROP_INTERNAL_H

#include "jpeg_crop.h"

#define MAX_COMPONENTS 4     /* in one scan: ITU-T T.81, table B.3 */
#define MAX_BLOCKS_PER_MCU 10 /* T.81, B.2.3; libjpeg refuses more */
#define MAX_TABLES 4
#define COEFFICIENTS 64 /* in a block */

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
    uint32_t restart_interval;     /* MCUs; 0 for none */
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

/* What it takes to read the blocks of one component. An entry of a look-up table stands for all symbols that the next
 * LOOKUP_BITS bits of the scan determine: every code that lies wholly in them, with its value bits, which may reach
 * beyond. An entry of 0 means that the first code is longer than LOOKUP_BITS (or that there is no such code).
 *
 *   bits 0-5    bits that the symbols and their values take: at most 12 + 15, see ENTRY_MAX_BITS
 *   bits 8-15   coefficients they advance by; END_OF_BLOCK is added where an EOB is among them
 *   bits 16-19  (DC only) length of the DC code, with which the entry begins
 *   bits 20-23  (DC only) size of the DC difference behind it
 */
struct block_tables {
    struct huffman_table dc, ac; /* what they were built from */
    struct huffman_codes dc_codes, ac_codes;
    uint32_t dc_lookup[LOOKUP_SIZE];
    uint16_t ac_lookup[LOOKUP_SIZE];
};

#define ENTRY_MAX_BITS 28
#define ENTRY_BITS(entry) ((unsigned)(entry) & 63)
#define ENTRY_ADVANCE(entry) ((unsigned)(entry) >> 8 & 255)
#define ENTRY_DC_LENGTH(entry) ((unsigned)(entry) >> 16 & 15)
#define ENTRY_DC_SIZE(entry) ((unsigned)(entry) >> 20 & 15)
/* Entries advance by at most 64 before an EOB and blocks are looked up while below 64, so that a block's end tells its
 * story: 64 (full, no EOB), 128 to 191 (EOB in time), or, having run past the end, 65 to 127 or 192 and more. */
#define END_OF_BLOCK 128

bool huffman_codes_build(const struct huffman_table *table, struct huffman_codes *codes);
bool block_tables_build(struct block_tables *tables, const struct huffman_table *dc, const struct huffman_table *ac);

/* The codes in which DC differences are written: the frame's own, and any appended for a crop. */
struct dc_codes {
    struct huffman_table table;
    uint16_t code[12];
    uint8_t length[12]; /* by category (size of the difference, at most 11 for 8-bit samples); 0: no code yet */
};
bool dc_codes_build(struct dc_codes *codes, const struct huffman_table *table);
bool dc_codes_append(struct dc_codes *codes, unsigned category);

/* ---- skim.c: where each MCU begins ---- */

/* The scan's state before an MCU, or behind the last one of a restart interval. DC values are kept modulo 2**16, as
 * decoders keep coefficients: hostile differences may add up to anything. */
struct mcu_state {
    uint32_t bit; /* position in the unstuffed scan */
    uint16_t dc[MAX_COMPONENTS];
};

/* A scan taken in: what reading and copying its blocks needs. Every restart interval has one state more than MCUs, so
 * that a run's end is known by itself: MCU i begins at states[i + i / interval] and ends at the state behind that. */
struct scan {
    const uint8_t *data; /* the unstuffed scan, with SCAN_PADDING bytes behind it */
    const uint32_t *interval_starts; /* byte offsets in `data`, and its end: intervals + 1 of them */
    uint32_t intervals;
    bool cut_short;    /* by the input's end, not by a marker */
    uint32_t interval; /* MCUs; those of the whole frame where there are no restart markers */
    uint32_t mcus;     /* that are needed, from the frame's first */
    unsigned components, blocks;                     /* per MCU */
    uint8_t block_component[MAX_BLOCKS_PER_MCU];     /* in scan order */
    const struct block_tables *tables[MAX_COMPONENTS];
    struct mcu_state *states;
};

/* An MCU's position is checked against the data's end once it is skimmed, so the reader may have run on from the end
 * by what an MCU can take: 10 blocks of 64 symbols of 16 + 15 bits, which are 2,480 bytes, and a refill. */
#define SCAN_PADDING 4096

/* Copies a scan without its stuffing (the 00 behind each FF) and without restart markers. `output` has room for the
 * input and SCAN_PADDING bytes, `interval_starts` for `intervals` + 1 entries. Stops behind that many intervals, or
 * earlier at another marker or the input's end. */
void scan_unstuff(struct crop_bytes input, uint8_t *output, uint32_t *interval_starts, uint32_t intervals,
                  struct scan *scan);

/* Fills in states for all MCUs that are needed. */
enum crop_status scan_skim(const struct scan *scan, struct crop_error *error);

/* The first block of a component in an MCU that has been skimmed: where it ends, where its AC codes begin, and its DC
 * difference. */
struct block_view {
    uint32_t end, ac_start;
    int difference;
};
struct block_view scan_view_block(const struct scan *scan, unsigned component, uint32_t bit);

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

#endif
