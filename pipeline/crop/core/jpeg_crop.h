/* Rectangles cut out of a baseline JPEG in its bitstream: nothing is decoded to pixels, nothing is compressed again.
 *
 * The idea. A JPEG's scan is a row-by-row sequence of MCUs (minimum coded units: 8x8 pixels of a grayscale image, 16x16
 * of one with 4:2:0 chroma), each of a fixed number of *blocks* (the 64 DCT coefficients of 8x8 samples of one
 * component). A block is coded as its DC coefficient, as the difference to the previous block of the same component,
 * then its 63 AC coefficients as (zeros before it, size) symbols with `size` bits of value behind each, mostly cut
 * short by an end-of-block symbol (EOB). AC codes mean the same wherever their block stands, so cutting takes:
 *
 *   1. one *skim* over the scan down to the last MCU row needed, which records where each MCU begins and the DC values
 *      that its differences refer to, and looks at no AC value (skim.c, with the look-up tables of huffman.c); as it
 *      mostly waits for its last look-up, the skims of two frames take turns in one thread;
 *   2. for each rectangle and MCU row, a bit copy of the run of MCUs, in whose first MCU alone the DC differences are
 *      encoded anew, and a header with the frame's own tables (emit.c).
 *
 * This library is plain C11, holds no global state and knows nothing of Python: module.c binds it, and the fuzz target
 * links it alone. Input is hostile until proven otherwise; the comments say which bound holds where.
 */
#ifndef JPEG_CROP_H
#define JPEG_CROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum crop_status {
    CROP_OK = 0,
    CROP_NOT_A_JPEG,    /* does not begin with SOI */
    CROP_UNSUPPORTED,   /* a JPEG that can only be cropped through its pixels */
    CROP_CORRUPT,       /* breaks the standard in a place that was read */
    CROP_TRUNCATED,     /* ends before all that was needed had been read */
    CROP_BAD_RECTANGLE, /* empty, off the MCU grid, or outside the frame */
    CROP_TOO_LARGE,     /* all crops together may take more than CROP_MAX_OUTPUT */
    CROP_NO_MEMORY,
};

/* Why a call failed; `message` is for a person and carries the values. */
struct crop_error {
    enum crop_status status;
    char message[160];
};

/* What a frame's header says. */
struct crop_header {
    unsigned width, height; /* pixels; height is 0 where it stands in a DNL segment behind the scan */
    unsigned components;
    unsigned mcu_width, mcu_height;                 /* pixels */
    bool subsampled_horizontally, subsampled_vertically; /* some component has fewer samples than another */
    unsigned orientation;   /* as Exif has it, 1 to 8: 1 where it has none */
    const char *ineligible; /* why only the pixel path can crop it; NULL where this library can */
};

/* In pixels. Left and top lie on the MCU grid; width and height are free within the frame. */
struct crop_rectangle {
    int64_t left, top, width, height;
};

struct crop_bytes {
    const uint8_t *data;
    size_t size;
};

/* Owns what is kept between calls: look-up tables (cached by what the DHT segments say) and buffers that only grow.
 * Use one from one thread at a time. */
struct cropper;

/* Returns NULL where memory ran out. */
struct cropper *cropper_new(void);
void cropper_free(struct cropper *cropper);

/* Reads a header. It succeeds, with `ineligible` set, for JPEGs of kinds that cropper_crop does not take. */
enum crop_status crop_read_header(struct crop_bytes input, struct crop_header *header, struct crop_error *error);

/* A frame, and what to cut out of it. */
struct crop_job {
    struct crop_bytes input;
    const struct crop_rectangle *rectangles;
    size_t count;             /* of rectangles */
    struct crop_bytes *crops; /* filled in, `count` of them: they lie in the cropper's memory, until its next call */
    struct crop_error error;  /* filled in: its status is CROP_OK, or there are no crops */
};

/* Bytes that may be reserved for the crops of a frame; about twice what they take, because any byte may need stuffing. */
#define CROP_MAX_OUTPUT ((uint64_t)256 << 20)

/* An image that is taken over as it is, to be read over from end to end. */
struct check_job {
    struct crop_bytes input;
    struct crop_header header; /* filled in, as far as it was read */
    struct crop_error error;   /* filled in: CROP_OK means that libjpeg decodes the image without a warning */
};

/* Cuts up to CROP_MAX_FRAMES frames. A frame gives the same crops or the same error whatever stands beside it; two take
 * less time together than one by one. */
#define CROP_MAX_FRAMES 2
void cropper_crop(struct cropper *cropper, struct crop_job *jobs, size_t count);

/* Checks up to CROP_MAX_FRAMES images, each as if it stood alone. It fails with CROP_UNSUPPORTED for those of which only
 * a decoder can tell. It is stricter than libjpeg in two points: coefficients beyond the last, and whole bytes that are
 * left before a marker, are errors wherever they stand. */
void cropper_check(struct cropper *cropper, struct check_job *jobs, size_t count);

#endif
