/* From a frame and its rectangles to crops. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct buffer {
    void *memory;
    size_t capacity;
};

/* What cutting one frame takes. */
struct workspace {
    struct frame frame;
    struct scan scan;
    struct buffer unstuffed, interval_starts, states, output;
    size_t written; /* from there on, `unstuffed` holds zeros */
    struct light_tables light[MAX_COMPONENTS];
};

struct cropper {
    struct workspace workspaces[CROP_MAX_FRAMES];
    struct block_tables tables[CROP_MAX_FRAMES * MAX_COMPONENTS]; /* by frame and component, as some call had them */
    bool built[CROP_MAX_FRAMES * MAX_COMPONENTS];
    /* A content that checks had no tables for, and how often that was more or less, other contents taken off. */
    struct huffman_table missed_dc, missed_ac;
    unsigned missed;
};

/* A check builds tables of its own only for images that do not pay for the others: small ones, as long as their tables
 * have not come up so often. */
#define LIGHT_MAX_BYTES (32u << 10)
#define LIGHT_MAX_MISSES 8

struct cropper *cropper_new(void)
{
    return calloc(1, sizeof(struct cropper));
}

void cropper_free(struct cropper *cropper)
{
    for (size_t i = 0; cropper && i < CROP_MAX_FRAMES; i++) {
        free(cropper->workspaces[i].unstuffed.memory);
        free(cropper->workspaces[i].interval_starts.memory);
        free(cropper->workspaces[i].states.memory);
        free(cropper->workspaces[i].output.memory);
    }
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

static const struct block_tables *find_known_tables(const struct cropper *cropper, size_t place,
                                                    const struct huffman_table *dc, const struct huffman_table *ac)
{
    const struct block_tables *tables = cropper->tables;
    for (size_t i = 0; i <= place; i++)
        if (cropper->built[i] && same_table(&tables[i].dc, dc) && same_table(&tables[i].ac, ac))
            return &tables[i];
    return NULL;
}

/* The tables built from this DHT content, among those that stand before `place` or there; else they are built there.
 * Places are asked for in their order, so that none is built anew that this call has given out. The frames of a call
 * share tables not only to save the building: those of two would not fit the first-level cache. NULL where the content
 * makes no sense. */
static const struct block_tables *find_tables(struct cropper *cropper, size_t place, const struct huffman_table *dc,
                                              const struct huffman_table *ac)
{
    struct block_tables *tables = cropper->tables;
    const struct block_tables *known = find_known_tables(cropper, place, dc, ac);
    if (known)
        return known;
    cropper->built[place] = block_tables_build(&tables[place], dc, ac);
    return cropper->built[place] ? &tables[place] : NULL;
}

/* Whether a check of this frame, whose scan has so many bytes, should do with light tables. */
static bool is_light(struct cropper *cropper, size_t number, size_t size)
{
    const struct frame *frame = &cropper->workspaces[number].frame;
    for (unsigned i = 0; i < frame->header.components && size <= LIGHT_MAX_BYTES; i++) {
        const struct huffman_table *dc = &frame->dc_tables[frame->components[i].dc_table];
        const struct huffman_table *ac = &frame->ac_tables[frame->components[i].ac_table];
        if (find_known_tables(cropper, number * MAX_COMPONENTS + i, dc, ac))
            continue;
        if (same_table(&cropper->missed_dc, dc) && same_table(&cropper->missed_ac, ac)) {
            cropper->missed += 2; /* so that a content of every second image still comes up often */
        } else if (cropper->missed > 0) {
            cropper->missed--;
            return true;
        } else {
            cropper->missed_dc = *dc;
            cropper->missed_ac = *ac;
            cropper->missed = 1;
        }
        if (cropper->missed < LIGHT_MAX_MISSES)
            return true;
        cropper->missed = 0;
        return false;
    }
    return false;
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

/* Finds or builds the look-up tables of a component. Returns false where its DHT makes no sense. */
static bool take_in_tables(struct cropper *cropper, size_t number, unsigned component, bool light)
{
    struct workspace *workspace = &cropper->workspaces[number];
    const struct frame *frame = &workspace->frame;
    const struct huffman_table *dc = &frame->dc_tables[frame->components[component].dc_table];
    const struct huffman_table *ac = &frame->ac_tables[frame->components[component].ac_table];
    struct light_tables *own = workspace->light;
    if (!light) {
        const struct block_tables *tables = find_tables(cropper, number * MAX_COMPONENTS + component, dc, ac);
        workspace->scan.tables[component] = tables;
        return tables != NULL;
    }
    for (unsigned i = 0; i < component; i++)
        if (own[i].dc == dc && own[i].ac == ac) {
            own[component] = own[i];
            return true;
        }
    return light_tables_build(&own[component], dc, ac);
}

/* Makes a frame's scan ready for the skim, down to MCU row `rows`. With `whole`, nothing else will be done with it. */
static enum crop_status take_in_scan(struct cropper *cropper, size_t number, struct crop_bytes input, uint32_t rows,
                                     bool whole, struct crop_error *error)
{
    struct workspace *workspace = &cropper->workspaces[number];
    const struct frame *frame = &workspace->frame;
    const struct crop_header *header = &frame->header;
    struct scan *scan = &workspace->scan;
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

    size_t capacity = workspace->unstuffed.capacity;
    uint8_t *unstuffed = reserve(&workspace->unstuffed, (uint64_t)data.size + SCAN_PADDING);
    if (unstuffed && workspace->unstuffed.capacity != capacity)
        workspace->written = workspace->unstuffed.capacity;
    uint32_t *starts = reserve(&workspace->interval_starts, ((uint64_t)intervals + 1) * sizeof *starts);
    scan->states = reserve(&workspace->states, ((uint64_t)scan->mcus + intervals) * sizeof *scan->states);
    if (!unstuffed || !starts || !scan->states)
        return crop_fail(error, CROP_NO_MEMORY, "no memory for a scan of %zu bytes", data.size);
    scan->positions_only = whole;
    scan->light = whole && is_light(cropper, number, data.size) ? workspace->light : NULL;
    for (unsigned i = 0; i < scan->components; i++)
        if (!take_in_tables(cropper, number, i, scan->light != NULL))
            return crop_fail(error, CROP_CORRUPT, "DHT segment: codes that cannot be, for component %u", i);
    scan_plan(scan);
    scan_unstuff(scan, data, unstuffed, starts, intervals);
    /* Zeros behind the data. Mostly few: clearing all the padding would take longer than reading over a small image. */
    size_t end = starts[scan->intervals];
    if (workspace->written > end)
        memset(unstuffed + end, 0, workspace->written - end);
    workspace->written = end;
    return CROP_OK;
}

/* Parses a header into the frame of that number; fails where the scan is not of a kind that can be read here. */
static enum crop_status take_in_header(struct cropper *cropper, size_t number, struct crop_bytes input,
                                       struct crop_error *error)
{
    struct frame *frame = &cropper->workspaces[number].frame;
    enum crop_status status = frame_parse(input, frame, error);
    if (status == CROP_OK && frame->header.ineligible)
        return crop_fail(error, CROP_UNSUPPORTED, "not for the bitstream path: %s", frame->header.ineligible);
    return status;
}

/* All that comes before the skim, if there is anything to cut. */
static enum crop_status prepare(struct cropper *cropper, size_t number, const struct crop_job *job,
                                struct crop_error *error)
{
    const struct frame *frame = &cropper->workspaces[number].frame;
    enum crop_status status = take_in_header(cropper, number, job->input, error);
    if (status != CROP_OK)
        return status;
    uint32_t rows = 0;
    for (size_t i = 0; i < job->count; i++) {
        status = check_rectangle(&frame->header, &job->rectangles[i], error);
        if (status != CROP_OK)
            return status;
        uint32_t last = in_mcus(&frame->header, &job->rectangles[i]).last_row;
        rows = last > rows ? last : rows;
    }
    return job->count > 0 ? take_in_scan(cropper, number, job->input, rows, false, error) : CROP_OK;
}

/* All that comes behind the skim. */
static enum crop_status emit(struct workspace *workspace, const struct crop_job *job, struct crop_error *error)
{
    const struct frame *frame = &workspace->frame;
    const struct scan *scan = &workspace->scan;
    uint64_t bound = 0;
    for (size_t i = 0; i < job->count; i++)
        bound += crop_bound(frame, scan, in_mcus(&frame->header, &job->rectangles[i]));
    if (bound > CROP_MAX_OUTPUT)
        return crop_fail(error, CROP_TOO_LARGE, "%zu crops may take %llu bytes together: at most %llu are taken",
                         job->count, (unsigned long long)bound, (unsigned long long)CROP_MAX_OUTPUT);
    uint8_t *output = reserve(&workspace->output, bound);
    if (!output)
        return crop_fail(error, CROP_NO_MEMORY, "no memory for %zu crops", job->count);
    for (size_t i = 0; i < job->count; i++) {
        const struct crop_rectangle *rectangle = &job->rectangles[i];
        struct crop_bytes *crop = &job->crops[i];
        enum crop_status status = crop_emit(frame, scan, in_mcus(&frame->header, rectangle), (unsigned)rectangle->width,
                                            (unsigned)rectangle->height, output, &crop->size, error);
        if (status != CROP_OK)
            return status;
        crop->data = output;
        output += crop->size;
    }
    return CROP_OK;
}

void cropper_crop(struct cropper *cropper, struct crop_job *jobs, size_t count)
{
    const struct scan *scans[CROP_MAX_FRAMES] = {NULL};
    struct crop_error *errors[CROP_MAX_FRAMES] = {NULL};
    size_t ready = 0;
    for (size_t i = 0; i < count; i++) {
        jobs[i].error = (struct crop_error){.status = CROP_OK};
        if (prepare(cropper, i, &jobs[i], &jobs[i].error) == CROP_OK && jobs[i].count > 0) {
            scans[ready] = &cropper->workspaces[i].scan;
            errors[ready++] = &jobs[i].error;
        }
    }
    scan_skim(scans, errors, ready);
    for (size_t i = 0; i < count; i++)
        if (jobs[i].error.status == CROP_OK && jobs[i].count > 0)
            emit(&cropper->workspaces[i], &jobs[i], &jobs[i].error);
}

/* All that comes before the skim of a whole scan. */
static enum crop_status prepare_check(struct cropper *cropper, size_t number, struct check_job *job)
{
    const struct frame *frame = &cropper->workspaces[number].frame;
    const struct crop_header *header = &job->header;
    enum crop_status status = take_in_header(cropper, number, job->input, &job->error);
    job->header = frame->header;
    if (status != CROP_OK)
        return status;
    unsigned transform = frame->adobe.size ? frame->adobe.data[11] : 0;
    if (frame->unknown_jfif || (transform != 0 && transform != (header->components == 4 ? 2 : 1)))
        return crop_fail(&job->error, CROP_UNSUPPORTED, "an unknown version of JFIF, or of Adobe's colours");
    uint32_t rows = (header->height + header->mcu_height - 1) / header->mcu_height;
    return take_in_scan(cropper, number, job->input, rows, true, &job->error);
}

/* What follows the last MCU, which the skim does not look at. */
static enum crop_status check_end(const struct scan *scan, struct crop_error *error)
{
    uint32_t end = 8 * scan->interval_starts[scan->intervals];
    if (end - scan->states[scan->mcus + scan->intervals - 1].bit >= 8)
        return crop_fail(error, CROP_CORRUPT, "surplus data behind the last MCU");
    if (scan->cut_short)
        return crop_fail(error, CROP_TRUNCATED, "ends behind the last MCU, without EOI");
    if (scan->marker != 0xD9)
        return crop_fail(error, CROP_UNSUPPORTED, "marker %02X behind the scan", (unsigned)scan->marker);
    return CROP_OK;
}

void cropper_check(struct cropper *cropper, struct check_job *jobs, size_t count)
{
    const struct scan *scans[CROP_MAX_FRAMES] = {NULL};
    struct crop_error *errors[CROP_MAX_FRAMES] = {NULL};
    size_t ready = 0;
    for (size_t i = 0; i < count; i++) {
        jobs[i].error = (struct crop_error){.status = CROP_OK};
        if (prepare_check(cropper, i, &jobs[i]) == CROP_OK) {
            scans[ready] = &cropper->workspaces[i].scan;
            errors[ready++] = &jobs[i].error;
        }
    }
    scan_skim(scans, errors, ready);
    for (size_t i = 0; i < count; i++)
        if (jobs[i].error.status == CROP_OK)
            check_end(&cropper->workspaces[i].scan, &jobs[i].error);
}
