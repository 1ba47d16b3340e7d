/* A libFuzzer target for the crop core, without Python: the data is a JPEG, or two, one behind the other, and 16 bytes
 * in front of them choose four rectangles. Besides what the sanitizers see, it checks that two frames cut together give
 * what each gives alone, that a crop can be read and cut again, and that libjpeg decodes it; and of the check of whole
 * images, that it finds two together to be what each is alone, and that libjpeg decodes what it calls sound whole and
 * without a warning.
 *
 * Compiled with -DSTANDALONE, it brings a main() that mutates seeds by itself, for compilers without libFuzzer:
 * fuzz_crop SECONDS SEED...
 */
#include "jpeg_crop.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jpeglib.h> /* needs stdio.h before it */

#define RECTANGLES 4
#define DECODED_ROWS 64 /* of a crop: hostile ones are of millions of pixels */

static void check(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "failed: %s\n", what);
        abort();
    }
}

/* Mostly on the grid and inside the frame, as anything else is soon refused. */
static struct crop_rectangle rectangle_from(const uint8_t *choice, const struct crop_header *header)
{
    int64_t columns = header->mcu_width ? (header->width + header->mcu_width - 1) / header->mcu_width : 1;
    int64_t rows = header->mcu_height ? (header->height + header->mcu_height - 1) / header->mcu_height : 1;
    struct crop_rectangle rectangle = {.left = choice[0] % (columns + 1) * header->mcu_width,
                                       .top = choice[1] % (rows + 1) * header->mcu_height};
    int64_t across = header->width - rectangle.left, down = header->height - rectangle.top;
    rectangle.width = across > 0 ? 1 + choice[2] * across / 256 : choice[2];
    rectangle.height = down > 0 ? 1 + choice[3] * down / 256 : choice[3];
    return rectangle;
}

/* Where the second JPEG begins, or the size of the data: at the last SOI that a marker follows. */
static size_t second_jpeg(const uint8_t *data, size_t size)
{
    for (size_t at = size; at-- > 1;)
        if (size - at >= 3 && data[at] == 0xFF && data[at + 1] == 0xD8 && data[at + 2] == 0xFF)
            return at;
    return size;
}

struct libjpeg_error {
    struct jpeg_error_mgr manager; /* first, so that libjpeg's pointer to it points to all of this */
    jmp_buf failed;
};

static void fail_decoding(j_common_ptr decoder)
{
    longjmp(((struct libjpeg_error *)decoder->err)->failed, 1);
}

static void count_warning(j_common_ptr decoder, int level)
{
    decoder->err->num_warnings += level < 0;
}

/* Decodes rows of an image. Returns the number of libjpeg's warnings, or -1 where it refuses the image. */
static long decode(struct crop_bytes image, unsigned rows)
{
    struct jpeg_decompress_struct decoder;
    struct libjpeg_error error;
    decoder.err = jpeg_std_error(&error.manager);
    error.manager.error_exit = fail_decoding;
    error.manager.emit_message = count_warning;
    jpeg_create_decompress(&decoder);
    bool decoded = setjmp(error.failed) == 0;
    if (decoded) {
        jpeg_mem_src(&decoder, image.data, (unsigned long)image.size);
        jpeg_read_header(&decoder, TRUE);
        jpeg_start_decompress(&decoder);
        JSAMPARRAY row = decoder.mem->alloc_sarray((j_common_ptr)&decoder, JPOOL_IMAGE,
                                                   decoder.output_width * (JDIMENSION)decoder.output_components, 1);
        while (decoder.output_scanline < decoder.output_height && decoder.output_scanline < rows)
            jpeg_read_scanlines(&decoder, row, 1);
        if (decoder.output_scanline == decoder.output_height)
            jpeg_finish_decompress(&decoder);
    }
    long warnings = decoder.err->num_warnings;
    jpeg_destroy_decompress(&decoder);
    return decoded ? warnings : -1;
}

static void check_crop(struct crop_bytes crop, const struct crop_rectangle *rectangle)
{
    struct crop_error error;
    struct crop_header header;
    struct crop_bytes again = {0};
    struct crop_rectangle whole = {0, 0, rectangle->width, rectangle->height};
    struct crop_job job = {.input = crop, .rectangles = &whole, .count = 1, .crops = &again};
    struct cropper *cropper = cropper_new();
    check(crop_read_header(crop, &header, &error) == CROP_OK && !header.ineligible, "a crop has a header");
    check(header.width == whole.width && header.height == whole.height, "a crop has its rectangle's size");
    cropper_crop(cropper, &job, 1);
    check(job.error.status == CROP_OK, "a crop can be cut");
    check(again.size == crop.size && memcmp(again.data, crop.data, again.size) == 0,
          "cutting all of a crop gives the crop");
    check(decode(crop, DECODED_ROWS) >= 0, "libjpeg decodes a crop"); /* what it refuses, it refuses at once */
    cropper_free(cropper);
}

static void check_whole(struct cropper *together, struct cropper *alone, struct check_job *jobs, size_t count)
{
    cropper_check(together, jobs, count);
    for (size_t i = 0; i < count; i++) {
        struct check_job own = {.input = jobs[i].input};
        cropper_check(alone, &own, 1);
        check(own.error.status == jobs[i].error.status && strcmp(own.error.message, jobs[i].error.message) == 0,
              "an image is the same beside another");
        check(own.header.orientation <= 8, "an orientation is one of eight");
        if (own.error.status == CROP_OK) /* so there is data for its pixels: decoding takes no longer than reading */
            check(decode(own.input, UINT32_MAX) == 0, "libjpeg decodes what is sound without a warning");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Kept, as applications do, so that their caches and buffers see changing frames. */
    static struct cropper *together, *alone;
    if (size < 4 * RECTANGLES)
        return 0;
    if (!together) {
        together = cropper_new();
        alone = cropper_new();
    }
    const uint8_t *jpegs = data + 4 * RECTANGLES;
    size_t all = size - 4 * RECTANGLES, first = second_jpeg(jpegs, all);
    uint8_t *copies[2] = {malloc(first ? first : 1), malloc(all - first ? all - first : 1)}; /* with ends to be seen */
    struct crop_rectangle rectangles[2][RECTANGLES];
    struct crop_bytes crops[2][RECTANGLES];
    struct crop_job jobs[2];
    check(copies[0] && copies[1], "there is memory");
    memcpy(copies[0], jpegs, first);
    memcpy(copies[1], jpegs + first, all - first);
    for (size_t i = 0; i < 2; i++) {
        struct crop_error error;
        struct crop_header header = {0};
        struct crop_bytes input = {copies[i], i == 0 ? first : all - first};
        crop_read_header(input, &header, &error);
        for (size_t j = 0; j < RECTANGLES; j++)
            rectangles[i][j] = rectangle_from(data + 4 * j, &header);
        /* Fewer of the second, so that the two are not done at the same row. */
        jobs[i] = (struct crop_job){
            .input = input, .rectangles = rectangles[i], .count = RECTANGLES - 2 * i, .crops = crops[i]};
    }
    cropper_crop(together, jobs, first == all ? 1 : 2);
    for (size_t i = 0; i < (first == all ? 1 : 2); i++) {
        struct crop_bytes own_crops[RECTANGLES];
        struct crop_job own = jobs[i];
        own.crops = own_crops;
        cropper_crop(alone, &own, 1);
        check(own.error.status == jobs[i].error.status && strcmp(own.error.message, jobs[i].error.message) == 0,
              "a frame ends the same way beside another");
        for (size_t j = 0; j < own.count && own.error.status == CROP_OK; j++) {
            check(own_crops[j].size == crops[i][j].size &&
                      memcmp(own_crops[j].data, crops[i][j].data, own_crops[j].size) == 0,
                  "a frame gives the same crops beside another");
            check_crop(crops[i][j], &rectangles[i][j]);
        }
    }
    struct check_job checks[2] = {{.input = jobs[0].input}, {.input = jobs[1].input}};
    check_whole(together, alone, checks, first == all ? 1 : 2);
    free(copies[0]);
    free(copies[1]);
    return 0;
}

#ifdef STANDALONE
static uint64_t random_state = 1;

static uint32_t random_below(uint32_t limit) /* xorshift64* */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545F4914F6CDD1D) >> 32) % limit;
}

/* Overwrites, flips, removes or repeats some bytes. `data` has room for `size` + 32. */
static size_t mutate(uint8_t *data, size_t size)
{
    static const uint8_t telling[] = {0x00, 0xFF, 0xC0, 0xC4, 0xD0, 0xD9, 0xDA, 0xDD, 0x7F, 0x80, 0x01, 0x11};
    for (uint32_t count = 1 + random_below(4); count > 0 && size > 32; count--) {
        uint32_t at = random_below((uint32_t)size - 16), length = 1 + random_below(8);
        switch (random_below(5)) {
        case 0:
            data[at] = (uint8_t)random_below(256);
            break;
        case 1:
            data[at] ^= (uint8_t)(1u << random_below(8));
            break;
        case 2:
            data[at] = telling[random_below(sizeof telling)];
            break;
        case 3:
            memmove(data + at, data + at + length, size - at - length);
            size -= length;
            break;
        default:
            memmove(data + at + length, data + at, size - at);
            size += length;
            break;
        }
    }
    return random_below(8) ? size : random_below((uint32_t)size);
}

int main(int count, char **arguments)
{
    clock_t end = clock() + (clock_t)(count > 1 ? atof(arguments[1]) * CLOCKS_PER_SEC : 0);
    unsigned long runs = 0;
    while (count > 2 && clock() < end) {
        uint8_t seed[1 << 16];
        FILE *file = fopen(arguments[2 + random_below((uint32_t)count - 2)], "rb");
        check(file != NULL, "a seed can be opened");
        size_t size = fread(seed, 1, sizeof seed - 32, file);
        fclose(file);
        for (int i = 0; i < 200; i++, runs++) {
            uint8_t *data = malloc(size + 32); /* for the address sanitizer to see the end of */
            check(data != NULL, "there is memory");
            memcpy(data, seed, size);
            size_t mutated = mutate(data, size);
            uint8_t *exact = malloc(mutated ? mutated : 1);
            check(exact != NULL, "there is memory");
            memcpy(exact, data, mutated);
            LLVMFuzzerTestOneInput(exact, mutated);
            free(exact);
            free(data);
        }
    }
    printf("%lu runs\n", runs);
    return runs == 0;
}
#endif
