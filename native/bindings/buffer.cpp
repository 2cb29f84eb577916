// The buffer protocol, both ways.
#include <cstring>

#include "bindings/gil.h"
#include "bindings/interchange.h"
#include "graph/trace.h"

namespace funcnn {
namespace {

// struct-module codes of dtypes; bfloat16 has none, so it is shown by its name, as MLX does, or not at all.
const char* buffer_format(const Node& node) {
  // NumPy makes numpy.int64 of a long, and of a long long another class, which not everybody knows. MLX has those.
  if (sizeof(long) == 8 && !node.rebindable) {
    if (node.dtype == Dtype::int64) return "l";
    if (node.dtype == Dtype::uint64) return "L";
  }
  constexpr const char* formats[kDtypeCount] = {"?", "B", "H", "I",        "Q", "b", "h",
                                                "i", "q", "e", "bfloat16", "f", "d", "Zf"};
  return formats[int(node.dtype)];
}

bool parse_format(const char* format, Py_ssize_t itemsize, Foreign& out) {
  if (!format) format = "B";
  if (*format == '@' || *format == '=' || *format == '<')
    ++format;
  else if (*format == '>' || *format == '!') {
    if (itemsize > 1)
      throw ValueError("an array of foreign byte order; convert it first, as in x.astype(x.dtype.newbyteorder('='))");
    ++format;
  }
  auto sized = [&](Dtype one, Dtype two, Dtype four, Dtype eight) {
    out.dtype = itemsize == 1 ? one : itemsize == 2 ? two : itemsize == 4 ? four : eight;
    return itemsize == 1 || itemsize == 2 || itemsize == 4 || itemsize == 8;
  };
  std::string_view code = format;
  if (code == "?") return out.dtype = Dtype::bool_, true;
  if (code == "e") return out.dtype = Dtype::float16, true;
  if (code == "f") return out.dtype = Dtype::float32, true;
  if (code == "d") return out.dtype = Dtype::float64, true;
  if (code == "Zf" || code == "F") return out.dtype = Dtype::complex64, true;
  if (code == "Zd" || code == "D") return out.dtype = Dtype::complex64, out.complex128 = true, true;
  if (code == "b" || code == "h" || code == "i" || code == "l" || code == "q" || code == "n")
    return sized(Dtype::int8, Dtype::int16, Dtype::int32, Dtype::int64);
  if (code == "B" || code == "H" || code == "I" || code == "L" || code == "Q" || code == "N" || code == "c")
    return sized(Dtype::uint8, Dtype::uint16, Dtype::uint32, Dtype::uint64);
  return false;
}

bool is_column_major(const Node& node) {
  Shape shape(node.shape.rbegin(), node.shape.rend());
  return node.size() == 0 || is_contiguous(shape, Strides(node.storage.strides.rbegin(), node.storage.strides.rend()));
}

// What a view of an array keeps alive: the node, since a handle may be pointed elsewhere, and the memory.
struct Exported {
  Array array;
  Ref<Buffer> buffer;
  SmallVector<Py_ssize_t, 8> shape, strides;
};

}  // namespace

std::optional<Foreign> open_buffer(nb::handle object) {
  auto view = std::shared_ptr<Py_buffer>(new Py_buffer{}, [](Py_buffer* v) {
    if (!v->obj) {
      delete v;
      return;
    }
    release_soon([v] {
      PyBuffer_Release(v);
      delete v;
    });
  });
  if (PyObject_GetBuffer(object.ptr(), view.get(), PyBUF_RECORDS_RO) != 0) {
    // An object of elements that the protocol cannot name may speak another one.
    view->obj = nullptr;
    PyErr_Clear();
    return std::nullopt;
  }
  Foreign out;
  if (!parse_format(view->format, view->itemsize, out)) return std::nullopt;
  out.data = static_cast<std::byte*>(view->buf);
  // NumPy's dates name neither shape nor strides: they show bytes, not elements.
  bool named = view->ndim == 0 || (view->shape && view->strides);
  if (!named && (!view->shape || nb::hasattr(object, "dtype"))) return std::nullopt;
  for (int i = 0; i < view->ndim; ++i) {
    out.shape.push_back(view->shape[i]);
    if (named) out.strides.push_back(view->strides[i]);
  }
  if (!named) {  // as ctypes does for dense elements
    out.strides = contiguous_strides(out.shape);
    for (int64_t& stride : out.strides) stride *= int64_t(view->itemsize);
  }
  out.owner = view;
  return out;
}

bool can_export(Dtype dtype) {
  if (dtype != Dtype::bfloat16) return true;
  PyErr_SetString(PyExc_BufferError, "the buffer protocol has no name for bfloat16; convert with astype");
  return false;
}

int fill_buffer(PyObject* self, const Array& array, Py_buffer* view, int flags, bool readonly) {
  auto asks = [&](int what) { return (flags & what) == what; };
  bool strided = asks(PyBUF_STRIDES);
  auto kept = std::make_unique<Exported>();
  kept->array = array;
  if (asks(PyBUF_F_CONTIGUOUS)) {
    if (!is_column_major(*kept->array.node())) {
      PyErr_SetString(PyExc_BufferError, "the array is not in column-major order");
      return -1;
    }
  } else if (!strided || asks(PyBUF_C_CONTIGUOUS) || asks(PyBUF_ANY_CONTIGUOUS)) {
    kept->array = dense(kept->array);
  }
  const Node& node = *kept->array.node();
  HostElements elements = host_elements(kept->array);
  kept->buffer = elements.buffer;
  Py_ssize_t itemsize = Py_ssize_t(item_size(node.dtype));
  for (size_t i = 0; i < node.shape.size(); ++i) {
    kept->shape.push_back(Py_ssize_t(node.shape[i]));
    kept->strides.push_back(Py_ssize_t(elements.strides[i]) * itemsize);
  }
  view->buf = const_cast<std::byte*>(elements.data);
  view->len = Py_ssize_t(kept->array.nbytes());
  view->itemsize = itemsize;
  view->readonly = readonly;
  view->ndim = int(node.shape.size());
  view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(buffer_format(node)) : nullptr;
  view->shape = (flags & PyBUF_ND) ? kept->shape.data() : nullptr;
  view->strides = strided ? kept->strides.data() : nullptr;
  view->suboffsets = nullptr;
  view->internal = kept.release();
  view->obj = nb::handle(self).inc_ref().ptr();
  return 0;
}

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  view->obj = nullptr;
  return guarded(
      [&] {
        const Array& array = array_of(self);
        if (flags & PyBUF_WRITABLE) {
          PyErr_SetString(PyExc_BufferError, "arrays are immutable: their memory cannot be written");
          return -1;
        }
        if (!can_export(array.dtype())) return -1;
        evaluate(array, "the buffer protocol",
                 "NumPy reads values: compute with functions of funcnn (fn.sin for numpy.sin, fn.where to choose), "
                 "hand values out with fn.debug.callback, or make the argument static");
        return fill_buffer(self, shareable(array), view, flags, true);
      },
      -1);
}

void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<Exported*>(view->internal); }

}  // namespace funcnn
