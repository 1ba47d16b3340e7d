/* From a frame and its rectangles to crops. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct buffer {
    void *memory;
    size_t capacity;
};

struct cropper {
    struct block_tables tables[MAX_COMPONENTS]; /* by component, as some frame before had it */
    bool built[MAX_COMPONENTS];
    uint16_t lookups[MAX_COMPONENTS * 2 * LOOKUP_SIZE]; /* of all `tables` */
    struct buffer unstuffed, interval_starts, states, output;
    struct frame frame;
};

struct cropper *cropper_new(void)
{
    struct cropper *cropper = calloc(1, sizeof *cropper);
    for (unsigned i = 0; cropper && i < MAX_COMPONENTS; i++) {
        cropper->tables[i].dc_lookup = cropper->lookups + 2 * i * LOOKUP_SIZE;
        cropper->tables[i].ac_lookup = cropper->tables[i].dc_lookup + LOOKUP_SIZE;
    }
    return cropper;
}

void cropper_free(struct cropper *cropper)
{
    if (!cropper)
        return;
    free(cropper->unstuffed.memory);
    free(cropper->interval_starts.memory);
    free(cropper->states.memory);
    free(cropper->output.memory);
    free(cropper);
}

/* Room for `size` bytes, whose former content is lost where it has to grow. NULL where memory ran out. */
static void *reserve(struct buffer *buffer, uint64_t size)
{
    if (buffer->capacity >= size)
        return buffer->memory;
    free(buffer->memory);
    buffer->memory = size <= SIZE_MAX / 2 ? malloc((size_t)size) : NULL;
    buffer->capacity = buffer->memory ? (size_t)size : 0;
    return buffer->memory;
}

static bool same_table(const struct huffman_table *a, const struct huffman_table *b)
{
    return a->total == b->total && memcmp(a->counts, b->counts, sizeof a->counts) == 0 &&
           memcmp(a->symbols, b->symbols, a->total) == 0;
}

/* Gives every component its tables: those of a component before it with the same DHT numbers, or its own, which are
 * built anew where those of the frame before had other content. */
static enum crop_status find_tables(struct cropper *cropper, struct scan *scan, struct crop_error *error)
{
    const struct frame *frame = &cropper->frame;
    for (unsigned i = 0; i < scan->components; i++) {
        const struct component *component = &frame->components[i];
        const struct huffman_table *dc = &frame->dc_tables[component->dc_table];
        const struct huffman_table *ac = &frame->ac_tables[component->ac_table];
        struct block_tables *own = &cropper->tables[i];
        scan->tables[i] = NULL;
        for (unsigned j = 0; j < i; j++)
            if (frame->components[j].dc_table == component->dc_table &&
                frame->components[j].ac_table == component->ac_table)
                scan->tables[i] = scan->tables[j];
        if (scan->tables[i])
            continue;
        if (!cropper->built[i] || !same_table(&own->dc, dc) || !same_table(&own->ac, ac))
            cropper->built[i] = block_tables_build(own, dc, ac);
        if (!cropper->built[i])
            return crop_fail(error, CROP_CORRUPT, "DHT segment: codes that cannot be, for component %u", i);
        scan->tables[i] = own;
    }
    return CROP_OK;
}

static enum crop_status check_rectangle(const struct crop_header *header, const struct crop_rectangle *rectangle,
                                        struct crop_error *error)
{
    int64_t left = rectangle->left, top = rectangle->top, width = rectangle->width, height = rectangle->height;
    const char *what = NULL;
    if (width < 1 || height < 1)
        what = "is empty";
    else if (left < 0 || top < 0 || width > header->width || height > header->height ||
             left > (int64_t)header->width - width || top > (int64_t)header->height - height)
        what = "leaves the frame";
    else if (left % header->mcu_width || top % header->mcu_height)
        what = "does not begin on the MCU grid";
    if (!what)
        return CROP_OK;
    return crop_fail(error, CROP_BAD_RECTANGLE, "rectangle %lld,%lld %lldx%lld %s (frame %ux%u, MCU %ux%u)",
                     (long long)left, (long long)top, (long long)width, (long long)height, what, header->width,
                     header->height, header->mcu_width, header->mcu_height);
}

/* A rectangle that has been checked, in MCUs. Its right and bottom edges may lie inside their MCUs, whose pixels
 * beyond the edge then stay in the data, hidden by the size that SOF gives. */
static struct mcu_window in_mcus(const struct crop_header *header, const struct crop_rectangle *rectangle)
{
    uint32_t across = header->mcu_width, down = header->mcu_height;
    return (struct mcu_window){
        .first_column = (uint32_t)rectangle->left / across,
        .last_column = ((uint32_t)(rectangle->left + rectangle->width) + across - 1) / across,
        .first_row = (uint32_t)rectangle->top / down,
        .last_row = ((uint32_t)(rectangle->top + rectangle->height) + down - 1) / down,
        .columns = (header->width + across - 1) / across,
    };
}

/* Takes in the scan, down to MCU row `rows`. */
static enum crop_status take_in_scan(struct cropper *cropper, struct crop_bytes input, uint32_t rows,
                                     struct scan *scan, struct crop_error *error)
{
    const struct frame *frame = &cropper->frame;
    const struct crop_header *header = &frame->header;
    struct crop_bytes data = {input.data + frame->scan, input.size - frame->scan};
    uint32_t columns = (header->width + header->mcu_width - 1) / header->mcu_width;
    memset(scan, 0, sizeof *scan);
    scan->components = header->components;
    unsigned blocks = 0;
    for (unsigned i = 0; i < header->components; i++) {
        scan->component_blocks[i] = (uint8_t)(frame->components[i].horizontal * frame->components[i].vertical);
        blocks += scan->component_blocks[i];
    }
    if (data.size >= UINT32_MAX / 8 - SCAN_PADDING)
        return crop_fail(error, CROP_UNSUPPORTED, "a scan of %zu bytes, whose bits 32 bits cannot count", data.size);
    scan->mcus = rows * columns;
    /* A block takes two bits at the least, a DC code and EOB. So nothing is reserved that the input does not warrant,
     * whatever size its header claims. */
    if ((uint64_t)scan->mcus * blocks * 2 > (uint64_t)data.size * 8)
        return crop_fail(error, CROP_TRUNCATED, "%zu bytes of data for %u MCUs", data.size, (unsigned)scan->mcus);
    scan->interval = frame->restart_interval;
    if (scan->interval == 0 || scan->interval > scan->mcus)
        scan->interval = scan->mcus;
    uint32_t intervals = (scan->mcus - 1) / scan->interval + 1;

    uint8_t *unstuffed = reserve(&cropper->unstuffed, (uint64_t)data.size + SCAN_PADDING);
    uint32_t *starts = reserve(&cropper->interval_starts, ((uint64_t)intervals + 1) * sizeof *starts);
    scan->states = reserve(&cropper->states, ((uint64_t)scan->mcus + intervals) * sizeof *scan->states);
    if (!unstuffed || !starts || !scan->states)
        return crop_fail(error, CROP_NO_MEMORY, "no memory for a scan of %zu bytes", data.size);
    enum crop_status status = find_tables(cropper, scan, error);
    if (status != CROP_OK)
        return status;
    scan_plan(scan);
    scan_unstuff(scan, data, unstuffed, starts, intervals);
    return scan_skim(scan, error);
}

enum crop_status cropper_crop(struct cropper *cropper, struct crop_bytes input, const struct crop_rectangle *rectangles,
                              size_t count, struct crop_bytes *crops, struct crop_error *error)
{
    struct frame *frame = &cropper->frame;
    struct scan scan;
    enum crop_status status = frame_parse(input, frame, error);
    if (status != CROP_OK)
        return status;
    if (frame->header.ineligible)
        return crop_fail(error, CROP_UNSUPPORTED, "not for the bitstream path: %s", frame->header.ineligible);
    uint32_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        status = check_rectangle(&frame->header, &rectangles[i], error);
        if (status != CROP_OK)
            return status;
        uint32_t last = in_mcus(&frame->header, &rectangles[i]).last_row;
        rows = last > rows ? last : rows;
    }
    if (count == 0)
        return CROP_OK;
    status = take_in_scan(cropper, input, rows, &scan, error);
    if (status != CROP_OK)
        return status;

    uint64_t bound = 0;
    for (size_t i = 0; i < count; i++)
        bound += crop_bound(frame, &scan, in_mcus(&frame->header, &rectangles[i]));
    uint8_t *output = reserve(&cropper->output, bound);
    if (!output)
        return crop_fail(error, CROP_NO_MEMORY, "no memory for %zu crops", count);
    for (size_t i = 0; i < count; i++) {
        status = crop_emit(frame, &scan, in_mcus(&frame->header, &rectangles[i]), (unsigned)rectangles[i].width,
                           (unsigned)rectangles[i].height, output, &crops[i].size, error);
        if (status != CROP_OK)
            return status;
        crops[i].data = output;
        output += crops[i].size;
    }
    return CROP_OK;
}
