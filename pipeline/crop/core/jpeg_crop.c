/* From a frame and its rectangles to crops. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct buffer {
    void *memory;
    size_t capacity;
};

struct cropper {
    struct block_tables *tables[MAX_COMPONENTS]; /* those of the last frame, in no order; NULL where not built yet */
    struct buffer unstuffed, interval_starts, states, output;
    struct frame frame;
};

struct cropper *cropper_new(void)
{
    return calloc(1, sizeof(struct cropper));
}

void cropper_free(struct cropper *cropper)
{
    if (!cropper)
        return;
    for (unsigned i = 0; i < MAX_COMPONENTS; i++)
        free(cropper->tables[i]);
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

/* Finds or builds the look-up tables of every component. Slots that this frame uses are kept from being built over:
 * there are as many as a frame can have components. */
static enum crop_status look_up_tables(struct cropper *cropper, struct scan *scan, struct crop_error *error)
{
    const struct frame *frame = &cropper->frame;
    bool used[MAX_COMPONENTS] = {false};
    unsigned missing = 0; /* a set of components */
    for (unsigned i = 0; i < scan->components; i++) {
        const struct huffman_table *dc = &frame->dc_tables[frame->components[i].dc_table];
        const struct huffman_table *ac = &frame->ac_tables[frame->components[i].ac_table];
        scan->tables[i] = NULL;
        for (unsigned slot = 0; slot < MAX_COMPONENTS && !scan->tables[i]; slot++) {
            struct block_tables *tables = cropper->tables[slot];
            if (tables && same_table(&tables->dc, dc) && same_table(&tables->ac, ac)) {
                scan->tables[i] = tables;
                used[slot] = true;
            }
        }
        missing |= (unsigned)!scan->tables[i] << i;
    }
    for (unsigned i = 0; i < scan->components; i++) {
        if (!(missing >> i & 1))
            continue;
        const struct component *component = &frame->components[i];
        for (unsigned j = 0; j < i; j++) /* as another component's, just built */
            if (frame->components[j].dc_table == component->dc_table &&
                frame->components[j].ac_table == component->ac_table)
                scan->tables[i] = scan->tables[j];
        if (scan->tables[i])
            continue;
        unsigned slot = 0;
        while (used[slot])
            slot++;
        used[slot] = true;
        struct block_tables *tables = cropper->tables[slot] ? cropper->tables[slot] : malloc(sizeof *tables);
        cropper->tables[slot] = NULL; /* half-built tables are not to be found */
        if (!tables)
            return crop_fail(error, CROP_NO_MEMORY, "no memory for look-up tables");
        if (!block_tables_build(tables, &frame->dc_tables[component->dc_table],
                                &frame->ac_tables[component->ac_table])) {
            free(tables);
            return crop_fail(error, CROP_CORRUPT, "DHT segment: codes that cannot be, for component %u", i);
        }
        scan->tables[i] = cropper->tables[slot] = tables;
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
    for (uint8_t i = 0; i < header->components; i++)
        for (int block = frame->components[i].horizontal * frame->components[i].vertical; block > 0; block--)
            scan->block_component[scan->blocks++] = i;
    if (data.size >= UINT32_MAX / 8 - SCAN_PADDING)
        return crop_fail(error, CROP_UNSUPPORTED, "a scan of %zu bytes, whose bits 32 bits cannot count", data.size);
    scan->mcus = rows * columns;
    /* A block takes two bits at the least, a DC code and EOB. So nothing is reserved that the input does not warrant,
     * whatever size its header claims. */
    if ((uint64_t)scan->mcus * scan->blocks * 2 > (uint64_t)data.size * 8)
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
    enum crop_status status = look_up_tables(cropper, scan, error);
    if (status != CROP_OK)
        return status;
    scan_unstuff(data, unstuffed, starts, intervals, scan);
    scan->data = unstuffed;
    scan->interval_starts = starts;
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
