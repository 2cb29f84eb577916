// What comes from and goes to other libraries: copies, conversions, pickles.
#include "bindings/interchange.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "backends/cpu/copy.h"
#include "base/half_from_double.h"
#include "base/thread_pool.h"
#include "base/to_integer.h"
#include "bindings/device.h"
#include "bindings/sequence.h"
#include "bindings/texts.h"
#include "graph/trace.h"
#include "graph/transfer.h"
#include "ops/elementwise.h"
#include "plan/eval.h"

namespace funcnn {
namespace {

Strides in_bytes(const Strides& strides, size_t itemsize) {
  Strides out = strides;
  for (int64_t& s : out) s *= int64_t(itemsize);
  return out;
}

Strides in_elements(const Strides& strides, int64_t itemsize) {
  Strides out = strides;
  for (int64_t& s : out) s /= itemsize;
  return out;
}

bool are_elements(const Strides& strides, size_t itemsize) {
  return std::ranges::all_of(strides, [&](int64_t s) { return s % int64_t(itemsize) == 0; });
}

// Strided elements (strides in bytes) in row-major order.
void gather(const std::byte* from, const Shape& shape, const Strides& strides, size_t itemsize, std::byte* out) {
  if (are_elements(strides, itemsize)) {
    cpu::StridedCopy(shape, in_elements(strides, int64_t(itemsize)), contiguous_strides(shape), itemsize)
        .run(from, out);
    return;
  }
  // Fields of records: steps that are no multiple of the element.
  Strides position(shape.size(), 0);
  for (int64_t count = element_count(shape); count > 0; --count) {
    std::memcpy(out, from, itemsize);
    out += itemsize;
    for (size_t axis = shape.size(); axis-- > 0;) {
      from += strides[axis];
      if (++position[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      position[axis] = 0;
    }
  }
}

bool is_dense(const Foreign& f) {
  auto itemsize = int64_t(item_size(f.dtype));
  if (f.complex128 || reinterpret_cast<uintptr_t>(f.data) % size_t(itemsize) != 0) return false;
  return are_elements(f.strides, size_t(itemsize)) && is_contiguous(f.shape, in_elements(f.strides, itemsize));
}

template <class From, class To>
To convert_element(From value) {
  if constexpr (std::is_same_v<To, complex64_t>) {
    if constexpr (std::is_same_v<From, complex64_t>)
      return value;
    else
      return To(float(value), 0);
  } else if constexpr (std::is_same_v<From, complex64_t>) {
    return convert_element<float, To>(value.real());
  } else if constexpr (std::is_same_v<To, bool>) {
    return double(value) != 0;
  } else if constexpr (std::is_same_v<To, float16_t> || std::is_same_v<To, bfloat16_t>) {
    return to_half<To>(value);
  } else if constexpr (std::is_integral_v<To> && !std::is_integral_v<From>) {
    return to_integer<To>(double(value));
  } else {
    return To(value);
  }
}

// Any byte but 0 is true elsewhere; kernels and comparisons here know 0 and 1.
bool is_normal_bool(std::byte b) { return std::to_integer<unsigned>(b) <= 1; }

// A dense array of the foreign elements, in their own dtype.
Array copy_as_is(const Foreign& f) {
  Array made = empty_array(f.shape, f.dtype);
  std::byte* out = fresh_elements(made);
  if (!f.complex128) {
    gather(f.data, f.shape, f.strides, item_size(f.dtype), out);
    if (f.dtype == Dtype::bool_)
      std::transform(out, out + made.nbytes(), out, [](std::byte b) { return std::byte(b != std::byte{}); });
    return made;
  }
  Shape pairs = f.shape;
  Strides steps = f.strides;
  pairs.push_back(2);
  steps.push_back(sizeof(double));
  std::vector<std::complex<double>> wide(size_t(element_count(f.shape)));
  gather(f.data, pairs, steps, sizeof(double), reinterpret_cast<std::byte*>(wide.data()));
  auto* narrow = reinterpret_cast<complex64_t*>(out);
  for (size_t i = 0; i < wide.size(); ++i) narrow[i] = complex64_t(wide[i]);
  return made;
}

// Values without axes live in their nodes, where operations find them.
Array as_constant(Array x) { return x.ndim() == 0 ? scalar_array(fresh_elements(x), x.dtype()) : x; }

Array copy_as(const Foreign& f, Dtype dtype) {
  if (dtype == f.dtype) return as_constant(copy_as_is(f));
  // Dense elements are converted where they lie.
  Array copied = is_dense(f) && f.dtype != Dtype::bool_ ? Array() : copy_as_is(f);
  const std::byte* source = copied ? fresh_elements(copied) : f.data;
  Array made = empty_array(f.shape, dtype);
  visit_dtype(f.dtype, [&](auto from_tag) {
    using From = typename decltype(from_tag)::type;
    visit_dtype(dtype, [&](auto to_tag) {
      using To = typename decltype(to_tag)::type;
      const From* from = reinterpret_cast<const From*>(source);
      To* to = fresh_elements<To>(made);
      parallel_for(made.size(), 1 << 16, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) to[i] = convert_element<From, To>(from[i]);
      });
    });
  });
  return as_constant(made);
}

// The foreign memory itself, if it can be used as it is.
std::optional<Array> adopt(const Foreign& f) {
  if (f.complex128 || !is_dense(f) || element_count(f.shape) == 0) return std::nullopt;
  Storage storage;
  size_t bytes = size_t(element_count(f.shape)) * item_size(f.dtype);
  if (f.dtype == Dtype::bool_ && !std::all_of(f.data, f.data + bytes, is_normal_bool)) return std::nullopt;
  storage.buffer = Buffer::adopt(f.data, bytes, [owner = f.owner] {});
  storage.strides = contiguous_strides(f.shape);
  return from_storage(std::move(storage), f.shape, f.dtype);
}

// What stands on the host goes to the device asked for, which may have dtypes that the default device lacks.
nb::object asarray(nb::handle object, nb::handle dtype_object, nb::handle copy_object, nb::handle device,
                   const char* name) {
  auto put = [&](Array made) {
    return wrap_object(device.is_none() ? on_default_device(std::move(made)) : placed(std::move(made), device, name));
  };
  std::optional<Dtype> dtype = optional_dtype(dtype_object);
  std::optional<bool> copy;
  if (!copy_object.is_none()) copy = nb::cast<bool>(copy_object);
  PyObject* o = object.ptr();
  bool nested = PyList_Check(o) || PyTuple_Check(o);
  if (!is_array(o) && !nested && is_foreign(o)) {
    if (std::optional<Array> own = open_own(object))
      return asarray(wrap_object(*own), dtype_object, copy_object, device, name);
    if (std::optional<Foreign> f = open_foreign(object)) {
      bool converts = dtype && *dtype != f->dtype;
      if (!converts && !copy.value_or(false))
        if (std::optional<Array> adopted = adopt(*f)) return put(std::move(*adopted));
      if (copy && !*copy)
        throw ValueError(
            cat(name,
                ": a copy is needed (copy=False): the memory is not contiguous and aligned, the dtype differs, or "
                "bools "
                "are stored as other bytes than 0 and 1"));
      return put(copy_as(*f, dtype.value_or(f->dtype)));
    }
  }
  if (copy && !*copy && !is_array(o)) throw ValueError(cat(name, ": numbers and lists have to be copied (copy=False)"));
  Array made = convert(object, dtype, name);
  if (!is_array(o)) return put(std::move(made));
  if (copy.value_or(false) && made.node() == array_of(o).node()) made = copied(made);
  return wrap_object(device.is_none() ? made : placed(std::move(made), device, name));
}

nb::object restore(nb::handle bytes, nb::handle shape_object, Dtype dtype) {
  Shape shape = shape_of(shape_object, "unpickling an array");
  std::optional<Foreign> f = open_buffer(bytes);
  if (!f || element_count(f->shape) != element_count(shape) * int64_t(item_size(dtype)) || f->dtype != Dtype::uint8)
    throw ValueError(cat("unpickling an array: the data does not have the size of ", shape, " ", dtype));
  f->shape = shape;
  f->dtype = dtype;
  f->strides = in_bytes(contiguous_strides(shape), item_size(dtype));
  if (shape.empty()) return wrap_object(as_constant(copy_as_is(*f)));
  std::optional<Array> adopted = adopt(*f);
  return wrap_object(on_default_device(adopted ? std::move(*adopted) : copy_as_is(*f)));
}

}  // namespace

bool is_foreign(PyObject* o) {
  if (PyObject_CheckBuffer(o)) return true;
  return !PyType_Check(o) &&
         (PyObject_HasAttrString(o, "__dlpack__") || PyObject_HasAttrString(o, "__array__") ||
          PyObject_HasAttrString(o, "__array_interface__") || PyObject_HasAttrString(o, "__mlx_array__"));
}

namespace {

// NumPy's masked arrays hand out the memory below their masks, values that were said to be none included.
void refuse_masked(nb::handle object) {
  static std::atomic<PyObject*> unmasked{nullptr};  // the first class without masks: nearly always numpy.ndarray
  PyObject* type = object.type().ptr();
  if (type == unmasked.load(std::memory_order_relaxed)) return;
  if (nb::hasattr(object, "mask") && nb::hasattr(object, "filled"))
    throw TypeError("an array with a mask: masked elements have no value; give them one with .filled(value)");
  PyObject* none = nullptr;
  if (unmasked.compare_exchange_strong(none, type)) Py_INCREF(type);
}

[[noreturn]] void refuse_elements(nb::handle dtype) {
  const std::string_view kind = nb::str(dtype.attr("kind")).c_str();
  const char* advice = "";
  if (kind == "O" || kind == "f" || kind == "c") advice = "; convert it first, as in x.astype(numpy.float32)";
  if (!dtype.attr("names").is_none()) advice = "; take its fields one by one, as in x['name']";
  throw TypeError(cat("cannot make an array of NumPy elements of dtype ", nb::str(dtype).c_str(), advice));
}

}  // namespace

std::optional<Array> open_own(nb::handle object) {
  if (PyObject_CheckBuffer(object.ptr()) || !nb::hasattr(object, "__mlx_array__")) return std::nullopt;
  nb::object made = object.attr("__mlx_array__")();
  if (!is_array(made.ptr())) throw TypeError(cat("__mlx_array__: expected an array, got ", python_type(made)));
  return with_weakness(array_of(made.ptr()), false);
}

std::optional<Foreign> open_foreign(nb::handle object) {
  refuse_masked(object);
  if (PyObject_CheckBuffer(object.ptr()))
    if (std::optional<Foreign> f = open_buffer(object)) return f;
  // NumPy arrays of ml_dtypes' bfloat16 speak no protocol; their bits do.
  nb::object dtype = nb::getattr(object, "dtype", nb::none());
  if (nb::hasattr(object, "__array_interface__") && !dtype.is_none() &&
      std::string_view(nb::str(dtype).c_str()) == "bfloat16") {
    std::optional<Foreign> f = open_buffer(object.attr("view")("uint16"));
    if (f) f->dtype = Dtype::bfloat16;
    return f;
  }
  if (PyType_Check(object.ptr())) return std::nullopt;
  if (nb::hasattr(object, "__array_interface__") && !dtype.is_none()) refuse_elements(dtype);
  if (std::optional<Foreign> f = open_dlpack(object)) return f;
  if (nb::hasattr(object, "__array__") || nb::hasattr(object, "__array_interface__"))
    return open_foreign(nb::module_::import_("numpy").attr("asarray")(object));
  return std::nullopt;
}

std::optional<Array> copy_foreign(nb::handle object, std::optional<Dtype> dtype) {
  if (!is_foreign(object.ptr())) return std::nullopt;
  if (std::optional<Array> own = open_own(object)) return dtype ? astype(*own, *dtype) : *own;
  std::optional<Foreign> f = open_foreign(object);
  if (!f) return std::nullopt;
  return copy_as(*f, dtype.value_or(f->dtype == Dtype::float64 ? Dtype::float32 : f->dtype));
}

void copy_elements(const Array& array, std::byte* out) {
  HostElements elements = host_elements(array);
  size_t itemsize = item_size(array.dtype());
  gather(elements.data, array.shape(), in_bytes(elements.strides, itemsize), itemsize, out);
}

Array dense(const Array& array) {
  bool seen = array.node()->is_scalar() || array.node()->storage.buffer->host();
  return seen && is_contiguous(array.shape(), array.node()->storage.strides) ? array : private_copy(array);
}

Array shareable(const Array& array) {
  const Ref<Buffer>& buffer = array.node()->storage.buffer;
  return buffer && buffer->host() ? array : private_copy(array);
}

Array private_copy(const Array& array) {
  Array made = empty_array(array.shape(), array.dtype());
  copy_elements(array, fresh_elements(made));
  return made;
}

namespace {

bool moves_nothing(const Node& n) {
  return n.primitive && (n.primitive->kind() == Kind::view || n.primitive->kind() == Kind::alias);
}

}  // namespace

Array copied(const Array& array) {
  const Node* node = array.node();
  if (is_traced(array)) return array;
  // What a kernel will compute gets memory of its own; a view is computed without one.
  while (!node->available() && moves_nothing(*node) && !node->inputs.empty()) node = node->inputs[0].get();
  if (!node->available()) return array;
  evaluate(array, "copy()");
  // Nobody else has memory that the host does not see.
  const Ref<Buffer>& buffer = array.node()->storage.buffer;
  if (!buffer || !buffer->host()) return array;
  return with_rebindable(device_put(private_copy(array), buffer->device()), array.node()->rebindable);
}

Array unshared(const Array& array) {
  if (is_traced(array)) return array;
  for (const Node* node = array.node(); node; node = node->inputs.empty() ? nullptr : node->inputs[0].get()) {
    if (node->available()) return node->storage.buffer && !node->storage.buffer->owned() ? copied(array) : array;
    if (!moves_nothing(*node)) break;
  }
  return array;
}

nb::object reduce_for_pickle(nb::handle self, int protocol) {
  const Array& array = array_of(self.ptr());
  evaluate(array, "pickling");
  Array whole = dense(array);
  int64_t bytes = int64_t(whole.nbytes());
  nb::object content;
  if (protocol >= 5 && whole.node()->storage.buffer) {
    Storage storage = whole.node()->storage;
    storage.strides = Strides{1};
    content = nb::module_::import_("pickle").attr("PickleBuffer")(
        wrap_object(from_storage(storage, Shape{bytes}, Dtype::uint8)));
  } else {
    content = nb::bytes(host_elements(whole).data, size_t(bytes));
  }
  nb::object maker = nb::module_::import_("funcnn._array").attr("restore");
  return nb::make_tuple(maker,
                        nb::make_tuple(content, shape_tuple(array.shape()), nb::handle(dtype_object(array.dtype()))));
}

void bind_interchange(nb::module_& m) {
  bind_texts(m);
  auto none = [](const char* name) { return nb::arg(name).none() = nb::none(); };
  m.def(
      "asarray",
      [](nb::handle obj, nb::handle dtype, nb::handle copy, nb::handle device) {
        return asarray(obj, dtype, copy, device, "asarray");
      },
      nb::arg("obj"), none("dtype"), nb::kw_only(), none("copy"), none("device"),
      nb::sig("def asarray(obj: object, dtype: Dtype | None = None, *, copy: bool | None = None, device: Device | str "
              "| None = None) -> array"),
      R"(Make an array of anything that holds numbers, without copying where possible.

Objects that speak the buffer protocol, DLPack or `__array__` (NumPy, PyTorch, JAX, MLX, memoryview)
share their memory if it is contiguous and aligned and keep their dtype, float64 included. The result
is not written to, but shows what the owner writes there later. Anything else is treated as by `array`.

Args:
    obj: The object.
    dtype: The dtype of the result; default: the object's own.
    copy: True always copies, False raises ValueError where a copy is needed, None copies if needed.
    device: Where the array goes; default: an array stays where it is, others go to the default device.

Example:
    >>> import numpy as np
    >>> fn.asarray(np.arange(3, dtype=np.int32))
    array([0, 1, 2], dtype=int32)
)");
  m.def(
      "from_dlpack",
      [](nb::handle x, nb::handle device, nb::handle copy) {
        if (!nb::hasattr(x, "__dlpack__"))
          throw TypeError(cat("from_dlpack: expected an object with __dlpack__, got ", python_type(x)));
        return asarray(x, nb::none(), copy, device, "from_dlpack");
      },
      nb::arg("x"), nb::kw_only(), none("device"), none("copy"),
      nb::sig(
          "def from_dlpack(x: object, /, *, device: Device | str | None = None, copy: bool | None = None) -> array"),
      R"(Make an array of an object with `__dlpack__`, without copying where possible.

Args:
    x: The object.
    device: Where the array goes; default: the default device.
    copy: True always copies, False raises ValueError where a copy is needed, None copies if needed.

Raises:
    TypeError: for an object without `__dlpack__`.

Example:
    >>> import numpy as np
    >>> fn.from_dlpack(np.ones(2, dtype=np.float32))
    array([1., 1.], dtype=float32)
)");
  m.def("_restore", &restore, nb::arg("data"), nb::arg("shape"), nb::arg("dtype"),
        nb::sig("def _restore(data: object, shape: tuple[int, ...], dtype: Dtype) -> array"));
}

}  // namespace funcnn
