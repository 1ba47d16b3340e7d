/* pipeline.crop._core: the cropper for Python, in the limited API. Its types are in ../_core.pyi. */
#include <Python.h>

#include "jpeg_crop.h"

#include <string.h>

typedef struct {
    PyObject_HEAD
    struct cropper *cropper;
    PyObject *error_types; /* a tuple: what to raise for each crop_status from CROP_NOT_A_JPEG to CROP_BAD_RECTANGLE */
    int busy;              /* a thread is at work in it; read and written under the GIL */
} Cropper;

static void *raise_error(const Cropper *self, const struct crop_error *error)
{
    if (error->status == CROP_NO_MEMORY) {
        PyErr_SetString(PyExc_MemoryError, error->message);
    } else {
        PyObject *type = PyTuple_GetItem(self->error_types, (Py_ssize_t)error->status - CROP_NOT_A_JPEG);
        if (type)
            PyErr_SetString(type, error->message);
    }
    return NULL;
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
    if (status != CROP_OK)
        return raise_error(self, &error);
    return Py_BuildValue("IIIIINNz", header.width, header.height, header.components, header.mcu_width,
                         header.mcu_height, PyBool_FromLong(header.subsampled_horizontally),
                         PyBool_FromLong(header.subsampled_vertically), header.ineligible);
}

/* Returns an array to be freed with PyMem_Free, or NULL with an exception set. */
static struct crop_rectangle *rectangles_from(const Cropper *self, PyObject *sequence, Py_ssize_t count)
{
    struct crop_rectangle *rectangles = PyMem_Calloc(count ? (size_t)count : 1, sizeof *rectangles);
    if (!rectangles)
        return (struct crop_rectangle *)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++) {
        long long left, top, width, height;
        PyObject *item = PySequence_GetItem(sequence, i);
        PyObject *tuple = item ? PySequence_Tuple(item) : NULL;
        int parsed = tuple && PyArg_ParseTuple(tuple, "LLLL;a rectangle is (left, top, width, height)", &left, &top,
                                               &width, &height);
        Py_XDECREF(tuple);
        Py_XDECREF(item);
        if (!parsed) {
            if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
                struct crop_error error = {CROP_BAD_RECTANGLE, "a rectangle's number takes more than 64 bits"};
                PyErr_Clear();
                raise_error(self, &error);
            }
            PyMem_Free(rectangles);
            return NULL;
        }
        rectangles[i] = (struct crop_rectangle){left, top, width, height};
    }
    return rectangles;
}

static PyObject *list_of_bytes(const struct crop_bytes *crops, Py_ssize_t count)
{
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++) {
        PyObject *bytes = PyBytes_FromStringAndSize((const char *)crops[i].data, (Py_ssize_t)crops[i].size);
        if (!bytes || PyList_SetItem(list, i, bytes) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *cropper_crop_method(Cropper *self, PyObject *arguments)
{
    Py_buffer view;
    PyObject *sequence, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*O:crop", &view, &sequence))
        return NULL;
    Py_ssize_t count = PySequence_Size(sequence);
    struct crop_rectangle *rectangles = count < 0 ? NULL : rectangles_from(self, sequence, count);
    struct crop_bytes *crops = rectangles ? PyMem_Calloc(count ? (size_t)count : 1, sizeof *crops) : NULL;
    if (crops && self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "this Cropper is at work in another thread: each needs its own");
    } else if (crops) {
        struct crop_error error = {CROP_OK, ""};
        self->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        cropper_crop(self->cropper, (struct crop_bytes){view.buf, (size_t)view.len}, rectangles, (size_t)count, crops,
                     &error);
        Py_END_ALLOW_THREADS
        result = error.status == CROP_OK ? list_of_bytes(crops, count) : raise_error(self, &error);
        self->busy = 0;
    } else if (rectangles) {
        PyErr_NoMemory();
    }
    PyMem_Free(crops);
    PyMem_Free(rectangles);
    PyBuffer_Release(&view);
    return result;
}

static PyMethodDef cropper_methods[] = {
    {"read_header", (PyCFunction)(void (*)(void))cropper_read_header, METH_O,
     "read_header(data): the fields of Header, in their order"},
    {"crop", (PyCFunction)(void (*)(void))cropper_crop_method, METH_VARARGS,
     "crop(data, rectangles): a list of JPEGs, one a rectangle"},
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
