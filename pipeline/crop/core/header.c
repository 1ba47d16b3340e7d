/* The segments in front of the scan. They are checked as libjpeg checks them, so that a frame which decoders refuse
 * gives no crops, and a crop, which repeats what they say, opens in every decoder. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum marker {
    SOF0 = 0xC0, SOF1 = 0xC1, SOF2 = 0xC2, DHT = 0xC4, JPG = 0xC8, SOF9 = 0xC9, DAC = 0xCC, SOF15 = 0xCF,
    SOS = 0xDA, DQT = 0xDB, DRI = 0xDD, APP0 = 0xE0, APP1 = 0xE1, APP14 = 0xEE, APP15 = 0xEF, COM = 0xFE,
};

enum crop_status crop_fail(struct crop_error *error, enum crop_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error->status = status;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

static unsigned read_16(const uint8_t *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

static enum crop_status bad_segment(struct crop_error *error, const char *name, const char *what)
{
    return crop_fail(error, CROP_CORRUPT, "%s segment: %s", name, what);
}

/* One segment may define several tables, and a later one replaces an earlier one of the same number. */
static enum crop_status parse_huffman_tables(struct crop_bytes segment, struct frame *frame, struct crop_error *error)
{
    while (segment.size > 0) {
        if (segment.size < 17)
            return bad_segment(error, "DHT", "ends inside a table");
        unsigned class = segment.data[0] >> 4, number = segment.data[0] & 15;
        if (class > 1 || number >= MAX_TABLES)
            return bad_segment(error, "DHT", "no such table number");
        struct huffman_table table = {.defined = true};
        for (unsigned length = 1; length <= 16; length++) {
            table.counts[length] = segment.data[length];
            table.total += table.counts[length];
        }
        if (table.total > sizeof table.symbols || table.total > segment.size - 17)
            return bad_segment(error, "DHT", "more codes than there is room for");
        memcpy(table.symbols, segment.data + 17, table.total);
        *(class ? &frame->ac_tables[number] : &frame->dc_tables[number]) = table;
        segment.data += 17 + table.total;
        segment.size -= 17 + table.total;
    }
    return CROP_OK;
}

static enum crop_status parse_quantisation_tables(struct crop_bytes segment, struct frame *frame,
                                                  struct crop_error *error)
{
    while (segment.size > 0) {
        unsigned precision = segment.data[0] >> 4, number = segment.data[0] & 15;
        if (precision > 1 || number >= MAX_TABLES)
            return bad_segment(error, "DQT", "no such table number or precision");
        unsigned size = COEFFICIENTS * (precision + 1);
        if (segment.size < 1 + size)
            return bad_segment(error, "DQT", "ends inside a table");
        frame->quantisation[number].size = size;
        memcpy(frame->quantisation[number].values, segment.data + 1, size);
        segment.data += 1 + size;
        segment.size -= 1 + size;
    }
    return CROP_OK;
}

/* Why a frame's kind can only be cropped through its pixels; NULL for baseline and for extended sequential Huffman. */
static const char *ineligible_kind(unsigned marker, unsigned precision, const struct crop_header *header)
{
    if (marker >= SOF9)
        return "arithmetic coding";
    if (marker == SOF2)
        return "progressive";
    if (marker > SOF2)
        return "lossless or hierarchical";
    if (precision != 8)
        return "samples of other than 8 bits";
    if (header->height == 0)
        return "no height in SOF";
    if (header->width > MAX_DIMENSION || header->height > MAX_DIMENSION)
        return "more than 65500 pixels across or down";
    if (header->components == 2 || header->components > MAX_COMPONENTS)
        return "other than 1, 3 or 4 components";
    return NULL;
}

static enum crop_status parse_start_of_frame(unsigned marker, struct crop_bytes segment, struct frame *frame,
                                             struct crop_error *error)
{
    struct crop_header *header = &frame->header;
    if (frame->start_of_frame)
        return bad_segment(error, "SOF", "there are two");
    if (segment.size < 6 || segment.data[5] == 0 || segment.size != 6 + 3 * (size_t)segment.data[5])
        return bad_segment(error, "SOF", "its size does not fit its number of components, or it has none");
    frame->start_of_frame = (uint8_t)marker;
    header->height = read_16(segment.data + 1);
    header->width = read_16(segment.data + 3);
    header->components = segment.data[5];
    if (header->width == 0)
        return bad_segment(error, "SOF", "a width of 0");
    header->ineligible = ineligible_kind(marker, segment.data[0], header);

    unsigned across = 1, down = 1, blocks = 0;
    unsigned known = header->components < MAX_COMPONENTS ? header->components : MAX_COMPONENTS;
    for (unsigned i = 0; i < known; i++) {
        const uint8_t *bytes = segment.data + 6 + 3 * i;
        struct component *component = &frame->components[i];
        component->id = bytes[0];
        component->horizontal = bytes[1] >> 4;
        component->vertical = bytes[1] & 15;
        component->quantisation = bytes[2];
        if (component->horizontal < 1 || component->horizontal > 4 || component->vertical < 1 ||
            component->vertical > 4 || component->quantisation >= MAX_TABLES)
            return bad_segment(error, "SOF", "no such sampling factor or quantisation table");
        if (header->components == 1) /* the MCU of a scan with one component is one block, whatever its factors */
            component->horizontal = component->vertical = 1;
        across = component->horizontal > across ? component->horizontal : across;
        down = component->vertical > down ? component->vertical : down;
        blocks += component->horizontal * component->vertical;
    }
    for (unsigned i = 0; i < known; i++) {
        const struct component *component = &frame->components[i];
        header->subsampled_horizontally |= component->horizontal < across;
        header->subsampled_vertically |= component->vertical < down;
        if (!header->ineligible && (across % component->horizontal || down % component->vertical))
            header->ineligible = "fractional sampling";
    }
    header->mcu_width = 8 * across;
    header->mcu_height = 8 * down;
    if (!header->ineligible && blocks > MAX_BLOCKS_PER_MCU)
        header->ineligible = "more than 10 blocks in an MCU";
    return CROP_OK;
}

static enum crop_status parse_start_of_scan(struct crop_bytes segment, struct frame *frame, struct crop_error *error)
{
    struct crop_header *header = &frame->header;
    if (!frame->start_of_frame)
        return bad_segment(error, "SOS", "stands before SOF");
    unsigned count = segment.size ? segment.data[0] : 0;
    if (count == 0 || segment.size != 4 + 2 * (size_t)count)
        return bad_segment(error, "SOS", "its size does not fit its number of components");
    if (count != header->components) {
        header->ineligible = "several scans";
        return CROP_OK;
    }
    for (unsigned i = 0; i < count; i++) {
        struct component *component = &frame->components[i];
        const uint8_t *bytes = segment.data + 1 + 2 * i;
        component->dc_table = bytes[1] >> 4;
        component->ac_table = bytes[1] & 15;
        if (bytes[0] != component->id)
            return bad_segment(error, "SOS", "its components are not those of SOF, in their order");
        if (component->dc_table >= MAX_TABLES || component->ac_table >= MAX_TABLES)
            return bad_segment(error, "SOS", "no such Huffman table number");
        if (!frame->quantisation[component->quantisation].size)
            return bad_segment(error, "SOS", "a component's quantisation table is not defined");
        if (!frame->dc_tables[component->dc_table].defined || !frame->ac_tables[component->ac_table].defined)
            header->ineligible = "no Huffman tables"; /* as in Motion JPEG; decoders then assume the standard's */
    }
    if (frame->arithmetic_conditioning)
        header->ineligible = "conditioning for arithmetic coding";
    if (memcmp(segment.data + 1 + 2 * count, "\x00\x3f\x00", 3) != 0)
        header->ineligible = "a scan of some coefficients";
    return CROP_OK;
}

/* A number of 2 or 4 bytes in a TIFF file, whose first byte says its byte order: I for little-endian. */
static uint32_t read_tiff(const uint8_t *tiff, size_t offset, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | tiff[offset + (tiff[0] == 'I' ? size - 1 - i : i)];
    return value;
}

/* The orientation in an APP1 segment's payload; 1 where it holds none. */
static unsigned read_orientation(struct crop_bytes segment)
{
    if (segment.size < 6 || memcmp(segment.data, "Exif\0", 6) != 0)
        return 1;
    const uint8_t *tiff = segment.data + 6;
    size_t size = segment.size - 6;
    if (size < 8 || (memcmp(tiff, "II*\0", 4) != 0 && memcmp(tiff, "MM\0*", 4) != 0))
        return 1;
    size_t directory = read_tiff(tiff, 4, 4);
    if (directory > size - 2)
        return 1;
    unsigned entries = read_tiff(tiff, directory, 2);
    for (size_t entry = directory + 2; entries > 0 && size - entry >= 12; entries--, entry += 12)
        if (read_tiff(tiff, entry, 2) == 0x0112 && read_tiff(tiff, entry + 2, 2) == 3) { /* Orientation, a SHORT */
            unsigned orientation = read_tiff(tiff, entry + 8, 2);
            return orientation >= 1 && orientation <= 8 ? orientation : 1;
        }
    return 1;
}

static enum crop_status parse_segment(unsigned marker, struct crop_bytes segment, struct frame *frame,
                                      struct crop_error *error)
{
    switch (marker) {
    case DHT:
        return parse_huffman_tables(segment, frame, error);
    case DQT:
        return parse_quantisation_tables(segment, frame, error);
    case SOS:
        return parse_start_of_scan(segment, frame, error);
    case DRI:
        if (segment.size != 2)
            return bad_segment(error, "DRI", "its size is not 2");
        frame->restart_interval = read_16(segment.data);
        return CROP_OK;
    case APP0: /* the lengths from which on libjpeg believes these two */
        if (segment.size >= 14 && memcmp(segment.data, "JFIF", 5) == 0) {
            frame->jfif = segment;
            frame->unknown_jfif |= segment.data[5] != 1;
        }
        return CROP_OK;
    case APP1:
        if (frame->header.orientation == 1)
            frame->header.orientation = read_orientation(segment);
        return CROP_OK;
    case APP14:
        if (segment.size >= 12 && memcmp(segment.data, "Adobe", 5) == 0)
            frame->adobe = segment;
        return CROP_OK;
    case DAC: /* of no use where no arithmetic coding is, but nothing forbids it */
        frame->arithmetic_conditioning = true;
        return CROP_OK;
    default:
        if (marker >= SOF0 && marker <= SOF15)
            return parse_start_of_frame(marker, segment, frame, error);
        return CROP_OK;
    }
}

/* Whether libjpeg takes a segment with this marker in front of the scan. */
static bool is_segment(unsigned marker)
{
    return (marker >= SOF0 && marker <= SOF15 && marker != JPG) || (marker >= SOS && marker <= DRI) ||
           (marker >= APP0 && marker <= APP15) || marker == COM;
}

enum crop_status frame_parse(struct crop_bytes input, struct frame *frame, struct crop_error *error)
{
    const uint8_t *data = input.data;
    memset(frame, 0, sizeof *frame);
    frame->header.orientation = 1;
    if (input.size < 2 || data[0] != 0xFF || data[1] != 0xD8)
        return crop_fail(error, CROP_NOT_A_JPEG, "not a JPEG: does not begin with FF D8");
    for (size_t offset = 2;;) {
        size_t begin = offset;
        while (offset < input.size && data[offset] == 0xFF) /* any number of FF may fill up before a marker */
            offset++;
        if (input.size - offset < 3)
            return crop_fail(error, CROP_TRUNCATED, "ends inside the header, at byte %zu", input.size);
        unsigned marker = data[offset];
        if (offset == begin || !is_segment(marker))
            return crop_fail(error, CROP_CORRUPT, "no segment begins at byte %zu of the header", begin);
        size_t length = read_16(data + offset + 1);
        if (length < 2)
            return crop_fail(error, CROP_CORRUPT, "segment %02X at byte %zu: a length of %zu", marker, begin, length);
        if (length > input.size - offset - 1)
            return crop_fail(error, CROP_TRUNCATED, "ends inside segment %02X, begun at byte %zu", marker, begin);
        struct crop_bytes segment = {data + offset + 3, length - 2};
        offset += 1 + length;
        enum crop_status status = parse_segment(marker, segment, frame, error);
        if (status != CROP_OK)
            return status;
        frame->scan = offset;
        if (marker == SOS || frame->header.ineligible)
            return CROP_OK;
    }
}

enum crop_status crop_read_header(struct crop_bytes input, struct crop_header *header, struct crop_error *error)
{
    struct frame frame;
    enum crop_status status = frame_parse(input, &frame, error);
    *header = frame.header;
    return status;
}
