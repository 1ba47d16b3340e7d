/* pipeline.shards._core: samples written as parts of a tar, and put in order, in the limited API. Its types are in
 * ../_core.pyi. */
#include <Python.h>

#include "gather.h"
#include "tar_write.h"

#include <stdint.h>
#include <string.h>

/* Where a file's data lies in the part of the tar, as a row of an array of Python's says it. */
struct place {
    int64_t offset;
    int64_t size;
};

/* Puts the name of a file together: the sample's key, a dot and the extension. Returns its size; 0, with an exception
 * set, where it does not fit. */
static size_t name_from(PyObject *key, PyObject *extension, char name[TAR_MAX_NAME])
{
    Py_ssize_t key_size, extension_size;
    const char *first = PyUnicode_AsUTF8AndSize(key, &key_size);
    const char *second = first ? PyUnicode_AsUTF8AndSize(extension, &extension_size) : NULL;
    if (!second)
        return 0;
    if (key_size >= TAR_MAX_NAME || extension_size >= TAR_MAX_NAME - key_size) {
        PyErr_Format(PyExc_ValueError, "%R.%U is too long for the name of a file in a shard", key, extension);
        return 0;
    }
    memcpy(name, first, (size_t)key_size);
    name[key_size] = '.';
    memcpy(name + key_size + 1, second, (size_t)extension_size);
    return (size_t)(key_size + 1 + extension_size);
}

/* Fills in a file of Python's. Returns false, with an exception set, where it does not fit. */
static bool file_from(PyObject *key, PyObject *extension, PyObject *data, char name[TAR_MAX_NAME], struct tar_file *file)
{
    char *bytes;
    Py_ssize_t size;
    *file = (struct tar_file){.name = name, .name_size = name_from(key, extension, name)};
    if (!file->name_size || PyBytes_AsStringAndSize(data, &bytes, &size) < 0)
        return false;
    file->data = (const unsigned char *)bytes;
    file->size = (size_t)size;
    if (!tar_fits(file)) {
        PyErr_Format(PyExc_ValueError, "%R.%U with %zd bytes is no file that fits into a shard", key, extension, size);
        return false;
    }
    return true;
}

/* The lists that samples are given as, with a tuple for each sample in `extensions` and `files`. */
struct samples {
    PyObject *keys;
    PyObject *extensions;
    PyObject *files;
    Py_ssize_t count;
};

/* Returns the files of a sample; -1, with an exception set, unless each has an extension. */
static Py_ssize_t files_of(const struct samples *samples, Py_ssize_t i, PyObject **extensions, PyObject **files)
{
    *extensions = PyList_GetItem(samples->extensions, i);
    *files = PyList_GetItem(samples->files, i);
    if (!PyTuple_Check(*extensions) || !PyTuple_Check(*files)) {
        PyErr_SetString(PyExc_TypeError, "the extensions and the files of a sample are tuples");
        return -1;
    }
    Py_ssize_t count = PyTuple_Size(*files), expected = PyTuple_Size(*extensions);
    if (count == expected)
        return count;
    PyErr_Format(PyExc_ValueError, "%S has %zd files, but the extensions of %zd", PyList_GetItem(samples->keys, i),
                 count, expected);
    return -1;
}

/* Fills in where each file will lie, and returns what they take together; -1, with an exception set, where `places` has
 * not exactly one row for each. */
static Py_ssize_t place_files(const struct samples *samples, struct place *places, size_t room)
{
    size_t placed = 0, taken = 0;
    for (Py_ssize_t i = 0; i < samples->count; i++) {
        PyObject *extensions, *files;
        Py_ssize_t count = files_of(samples, i, &extensions, &files);
        if (count < 0)
            return -1;
        for (Py_ssize_t n = 0; n < count; n++, placed++) {
            Py_ssize_t size = PyBytes_Size(PyTuple_GetItem(files, n));
            if (size < 0)
                return -1;
            if (placed < room)
                places[placed] = (struct place){(int64_t)(taken + TAR_BLOCK), size};
            taken += tar_taken((size_t)size);
        }
    }
    if (placed == room)
        return (Py_ssize_t)taken;
    PyErr_Format(PyExc_ValueError, "there are %zu files and %zu places", placed, room);
    return -1;
}

/* Writes the files to `out`, which has room for what `place_files` returned. */
static bool write_files(const struct samples *samples, unsigned char *out)
{
    for (Py_ssize_t i = 0; i < samples->count; i++) {
        PyObject *key = PyList_GetItem(samples->keys, i), *extensions, *files;
        Py_ssize_t count = files_of(samples, i, &extensions, &files);
        for (Py_ssize_t n = 0; n < count; n++) {
            struct tar_file file;
            char name[TAR_MAX_NAME];
            if (!file_from(key, PyTuple_GetItem(extensions, n), PyTuple_GetItem(files, n), name, &file))
                return false;
            tar_write(&file, out);
            out += tar_taken(file.size);
        }
    }
    return true;
}

static PyObject *write_samples(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    struct samples samples;
    Py_buffer places, out;
    if (!PyArg_ParseTuple(arguments, "O!O!O!w*w*:write_samples", &PyList_Type, &samples.keys, &PyList_Type,
                          &samples.extensions, &PyList_Type, &samples.files, &places, &out))
        return NULL;
    samples.count = PyList_Size(samples.keys);
    Py_ssize_t taken = -1;
    if (PyList_Size(samples.extensions) != samples.count || PyList_Size(samples.files) != samples.count)
        PyErr_SetString(PyExc_ValueError, "there must be extensions and files for each key");
    else
        taken = place_files(&samples, places.buf, (size_t)places.len / sizeof(struct place));
    if (taken >= 0 && taken <= out.len && !write_files(&samples, out.buf))
        taken = -1;
    PyBuffer_Release(&places);
    PyBuffer_Release(&out);
    return taken < 0 ? NULL : PyLong_FromSsize_t(taken);
}

static PyObject *gather_ranges(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    Py_buffer first, second, starts, sizes, out;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*w*:gather_ranges", &first, &second, &starts, &sizes, &out))
        return NULL;
    const struct pieces pieces = {first.buf, second.buf, (size_t)first.len, (size_t)second.len};
    const struct ranges ranges = {starts.buf, sizes.buf, (size_t)starts.len / sizeof *ranges.starts};
    PyObject *copied = NULL;
    if (starts.len == sizes.len && ranges_fit(&ranges, &pieces, (size_t)out.len))
        copied = PyLong_FromSize_t(gather(&ranges, &pieces, out.buf));
    else
        PyErr_SetString(PyExc_ValueError, "a range lies outside of the bytes, or the ranges take more room than there is");
    PyBuffer_Release(&first);
    PyBuffer_Release(&second);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&sizes);
    PyBuffer_Release(&out);
    return copied;
}

static PyMethodDef module_methods[] = {
    {"write_samples", write_samples, METH_VARARGS,
     "write_samples(keys, extensions, files, places, out): the bytes that the files take as a part of a tar"},
    {"gather_ranges", gather_ranges, METH_VARARGS,
     "gather_ranges(first, second, starts, sizes, out): copies ranges of two pieces of memory, and returns their size"},
    {NULL, NULL, 0, NULL},
};

static int module_execute(PyObject *Py_UNUSED(module))
{
    tar_prepare();
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_execute},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_core",
    .m_doc = "Samples written as parts of a tar, and put in order; pipeline.shards.packing is the way to it.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&module_definition);
}
