/* pipeline.crop._core: the cropper for Python, in the limited API. Its types are in ../_core.pyi. */
#include <Python.h>

#include "jpeg_crop.h"

#include <string.h>

typedef struct {
    PyObject_HEAD
    struct cropper *cropper;
    PyObject *error_types; /* a tuple: what to raise for each crop_status from CROP_NOT_A_JPEG to CROP_TOO_LARGE */
    int busy;              /* a thread is at work in it; read and written under the GIL */
} Cropper;

/* The exception that an error stands for, as an object; NULL, with MemoryError set, where memory ran out. */
static PyObject *exception_from(const Cropper *self, const struct crop_error *error)
{
    if (error->status == CROP_NO_MEMORY) {
        PyErr_SetString(PyExc_MemoryError, error->message);
        return NULL;
    }
    PyObject *type = PyTuple_GetItem(self->error_types, (Py_ssize_t)error->status - CROP_NOT_A_JPEG);
    return type ? PyObject_CallFunction(type, "s", error->message) : NULL;
}

static PyObject *cropper_create(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *error_types;
    if (keywords && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Cropper() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "O!:Cropper", &PyTuple_Type, &error_types))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Cropper *self = (Cropper *)allocate(type, 0);
    if (!self)
        return NULL;
    self->error_types = Py_NewRef(error_types);
    self->cropper = cropper_new();
    if (!self->cropper) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void cropper_destroy(PyObject *object)
{
    Cropper *self = (Cropper *)object;
    PyTypeObject *type = Py_TYPE(object);
    cropper_free(self->cropper);
    Py_XDECREF(self->error_types);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyObject *cropper_read_header(Cropper *self, PyObject *data)
{
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    struct crop_header header;
    struct crop_error error;
    enum crop_status status = crop_read_header((struct crop_bytes){view.buf, (size_t)view.len}, &header, &error);
    PyBuffer_Release(&view);
    if (status != CROP_OK) {
        PyObject *exception = exception_from(self, &error);
        if (exception)
            PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        Py_XDECREF(exception);
        return NULL;
    }
    return Py_BuildValue("IIIIINNIz", header.width, header.height, header.components, header.mcu_width,
                         header.mcu_height, PyBool_FromLong(header.subsampled_horizontally),
                         PyBool_FromLong(header.subsampled_vertically), header.orientation, header.ineligible);
}

/* One of a rectangle's numbers. One that takes more than 64 bits becomes the nearest that does not, which lies outside
 * any frame as well. */
static bool number_from(PyObject *tuple, Py_ssize_t index, int64_t *number)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(PyTuple_GetItem(tuple, index), &overflow);
    *number = overflow == 0 ? value : overflow > 0 ? INT64_MAX : INT64_MIN;
    return !PyErr_Occurred();
}

static bool rectangle_from(PyObject *sequence, Py_ssize_t index, struct crop_rectangle *rectangle)
{
    PyObject *item = PySequence_GetItem(sequence, index);
    PyObject *tuple = item ? PySequence_Tuple(item) : NULL;
    bool valid = tuple != NULL;
    if (valid && PyTuple_Size(tuple) != 4) {
        PyErr_SetString(PyExc_TypeError, "a rectangle is (left, top, width, height)");
        valid = false;
    }
    valid = valid && number_from(tuple, 0, &rectangle->left) && number_from(tuple, 1, &rectangle->top) &&
            number_from(tuple, 2, &rectangle->width) && number_from(tuple, 3, &rectangle->height);
    Py_XDECREF(tuple);
    Py_XDECREF(item);
    return valid;
}

/* A job whose data and arrays are Python's. */
struct python_job {
    Py_buffer view; /* holds the data, which `view.obj` says */
    struct crop_rectangle *rectangles;
    struct crop_bytes *crops;
};

static void release_job(struct python_job *own)
{
    PyMem_Free(own->rectangles);
    PyMem_Free(own->crops);
    if (own->view.obj)
        PyBuffer_Release(&own->view);
}

/* Fills in a job from a tuple (data, rectangles), and what is to be released later, in all cases. */
static bool job_from(PyObject *frame, struct python_job *own, struct crop_job *job)
{
    PyObject *sequence;
    *own = (struct python_job){.rectangles = NULL};
    if (!PyTuple_Check(frame)) {
        PyErr_SetString(PyExc_TypeError, "a frame is a tuple (data, rectangles)");
        return false;
    }
    if (!PyArg_ParseTuple(frame, "y*O;a frame is (data, rectangles)", &own->view, &sequence))
        return false;
    Py_ssize_t count = PySequence_Size(sequence);
    if (count < 0)
        return false;
    own->rectangles = PyMem_Calloc(count ? (size_t)count : 1, sizeof *own->rectangles);
    own->crops = PyMem_Calloc(count ? (size_t)count : 1, sizeof *own->crops);
    if (!own->rectangles || !own->crops) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (!rectangle_from(sequence, i, &own->rectangles[i]))
            return false;
    *job = (struct crop_job){.input = {own->view.buf, (size_t)own->view.len},
                             .rectangles = own->rectangles,
                             .count = (size_t)count,
                             .crops = own->crops};
    return true;
}

/* What became of a job: a list of bytes, or an exception as an object. */
static PyObject *result_from(const Cropper *self, const struct crop_job *job)
{
    if (job->error.status != CROP_OK)
        return exception_from(self, &job->error);
    PyObject *list = PyList_New((Py_ssize_t)job->count);
    for (size_t i = 0; list && i < job->count; i++) {
        const struct crop_bytes *crop = &job->crops[i];
        PyObject *bytes = PyBytes_FromStringAndSize((const char *)crop->data, (Py_ssize_t)crop->size);
        if (!bytes || PyList_SetItem(list, (Py_ssize_t)i, bytes) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* Marks the cropper as being at work. Returns false, with an exception set, where it is already. */
static bool begin_work(Cropper *self)
{
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "this Cropper is at work in another thread: each needs its own");
        return false;
    }
    self->busy = 1;
    return true;
}

/* Cuts `count` frames from `first` on and puts their results in their places in `results`. */
static bool crop_together(Cropper *self, PyObject *frames, Py_ssize_t first, Py_ssize_t count, PyObject *results)
{
    struct python_job own[CROP_MAX_FRAMES];
    struct crop_job jobs[CROP_MAX_FRAMES];
    Py_ssize_t begun = 0;
    bool done = true;
    while (done && begun < count) {
        PyObject *frame = PyTuple_GetItem(frames, first + begun);
        done = job_from(frame, &own[begun], &jobs[begun]);
        begun++;
    }
    done = done && begin_work(self);
    if (done) {
        Py_BEGIN_ALLOW_THREADS
        cropper_crop(self->cropper, jobs, (size_t)count);
        Py_END_ALLOW_THREADS
        for (Py_ssize_t i = 0; done && i < count; i++) {
            PyObject *result = result_from(self, &jobs[i]);
            done = result && PyList_SetItem(results, first + i, result) == 0;
        }
        self->busy = 0;
    }
    while (begun > 0)
        release_job(&own[--begun]);
    return done;
}

/* Checks `count` images from `first` on and puts their results in their places in `results`. */
static bool check_together(Cropper *self, PyObject *images, Py_ssize_t first, Py_ssize_t count, PyObject *results)
{
    Py_buffer views[CROP_MAX_FRAMES];
    struct check_job jobs[CROP_MAX_FRAMES];
    Py_ssize_t begun = 0;
    while (begun < count && PyObject_GetBuffer(PyTuple_GetItem(images, first + begun), &views[begun], PyBUF_SIMPLE) == 0) {
        jobs[begun] = (struct check_job){.input = {views[begun].buf, (size_t)views[begun].len}};
        begun++;
    }
    bool done = begun == count && begin_work(self);
    if (done) {
        Py_BEGIN_ALLOW_THREADS
        cropper_check(self->cropper, jobs, (size_t)count);
        Py_END_ALLOW_THREADS
        self->busy = 0;
    }
    for (Py_ssize_t i = 0; done && i < count; i++) {
        const struct crop_header *header = &jobs[i].header;
        PyObject *result = jobs[i].error.status != CROP_OK
                               ? exception_from(self, &jobs[i].error)
                               : Py_BuildValue("IIII", header->width, header->height, header->components,
                                               header->orientation);
        done = result && PyList_SetItem(results, first + i, result) == 0;
    }
    while (begun > 0)
        PyBuffer_Release(&views[--begun]);
    return done;
}

/* Calls `work` for all items of a sequence, so many at once as the core takes. */
static PyObject *for_each(Cropper *self, PyObject *sequence,
                          bool (*work)(Cropper *, PyObject *, Py_ssize_t, Py_ssize_t, PyObject *))
{
    PyObject *items = PySequence_Tuple(sequence); /* its own, which nobody changes meanwhile */
    PyObject *results = items ? PyList_New(PyTuple_Size(items)) : NULL;
    Py_ssize_t left;
    for (Py_ssize_t first = 0; results && (left = PyTuple_Size(items) - first) > 0; first += CROP_MAX_FRAMES)
        if (!work(self, items, first, left < CROP_MAX_FRAMES ? left : CROP_MAX_FRAMES, results))
            Py_CLEAR(results);
    Py_XDECREF(items);
    return results;
}

static PyObject *cropper_crop_method(Cropper *self, PyObject *frames)
{
    return for_each(self, frames, crop_together);
}

static PyObject *cropper_check_method(Cropper *self, PyObject *images)
{
    return for_each(self, images, check_together);
}

static PyMethodDef cropper_methods[] = {
    {"read_header", (PyCFunction)(void (*)(void))cropper_read_header, METH_O,
     "read_header(data): the fields of Header, in their order"},
    {"crop", (PyCFunction)(void (*)(void))cropper_crop_method, METH_O,
     "crop([(data, rectangles), ...]): for each frame a list of JPEGs, one a rectangle, or the exception that it met"},
    {"check", (PyCFunction)(void (*)(void))cropper_check_method, METH_O,
     "check([data, ...]): for each image (width, height, components, orientation), or the exception that it met"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cropper_slots[] = {
    {Py_tp_doc, "Cropper(error_types): cuts JPEGs; keeps tables and buffers between calls. One thread at a time."},
    {Py_tp_new, (void *)cropper_create},
    {Py_tp_dealloc, (void *)cropper_destroy},
    {Py_tp_methods, cropper_methods},
    {0, NULL},
};

static PyType_Spec cropper_spec = {
    .name = "pipeline.crop._core.Cropper",
    .basicsize = sizeof(Cropper),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cropper_slots,
};

static int module_execute(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &cropper_spec, NULL);
    if (!type)
        return -1;
    int result = PyModule_AddObjectRef(module, "Cropper", type);
    Py_DECREF(type);
    return result;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_execute},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_core",
    .m_doc = "Rectangles cut out of JPEGs in their bitstream; pipeline.crop.bitstream is the way to it.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&module_definition);
}
