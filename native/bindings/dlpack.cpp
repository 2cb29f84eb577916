// DLPack (https://dmlc.github.io/dlpack), both ways.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include <nanobind/stl/pair.h>

#include "bindings/gil.h"
#include "bindings/interchange.h"

namespace funcnn {
namespace {

// The ABI of DLPack 1.
struct DLDevice {
  int32_t device_type;
  int32_t device_id;
};
struct DLDataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
  uint32_t major, minor;
  void* context;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  DLTensor tensor;
};
enum : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kComplex = 5, kBool = 6 };
constexpr int32_t kDlCpu = 1, kDlCudaHost = 3;
constexpr uint64_t kReadOnly = 1, kIsCopied = 2;

DLDataType dl_dtype(Dtype dtype) {
  auto code = [&]() -> uint8_t {
    if (dtype == Dtype::bool_) return kBool;
    if (dtype == Dtype::bfloat16) return kBfloat;
    if (is_complex(dtype)) return kComplex;
    if (is_float(dtype)) return kFloat;
    return is_unsigned(dtype) ? kUInt : kInt;
  }();
  return {code, uint8_t(item_size(dtype) * 8), 1};
}

[[noreturn]] void buffer_error(const std::string& message) {
  PyErr_SetString(PyExc_BufferError, message.c_str());
  throw nb::python_error();
}

void read_dtype(DLDataType type, Foreign& out) {
  if (type.lanes == 1) {
    for (int i = 0; i < kDtypeCount; ++i) {
      DLDataType ours = dl_dtype(Dtype(i));
      if (ours.code == type.code && ours.bits == type.bits) {
        out.dtype = Dtype(i);
        return;
      }
    }
    if (type.code == kComplex && type.bits == 128) {
      out.dtype = Dtype::complex64;
      out.complex128 = true;
      return;
    }
  }
  throw TypeError(cat("DLPack: elements of type code ", int(type.code), " with ", int(type.bits), " bits and ",
                      type.lanes, " lanes are not supported"));
}

// What an exported tensor keeps alive.
template <class Managed>
struct Exported {
  Managed managed{};
  Array array;
  Ref<Buffer> buffer;
  SmallVector<int64_t, 8> shape, strides;
};

template <class Managed>
Managed* export_tensor(const Array& array) {
  auto* kept = new Exported<Managed>;
  const Node& node = *array.node();
  HostElements elements = host_elements(array);
  kept->array = array;
  kept->buffer = elements.buffer;
  for (int64_t d : node.shape) kept->shape.push_back(d);
  for (int64_t s : elements.strides) kept->strides.push_back(s);
  DLTensor& tensor = kept->managed.tensor;
  tensor.data = const_cast<std::byte*>(elements.data);
  tensor.device = {kDlCpu, 0};
  tensor.ndim = int32_t(node.shape.size());
  tensor.dtype = dl_dtype(node.dtype);
  tensor.shape = kept->shape.data();
  tensor.strides = kept->strides.data();
  tensor.byte_offset = 0;
  kept->managed.context = kept;
  kept->managed.deleter = [](Managed* m) { delete static_cast<Exported<Managed>*>(m->context); };
  return &kept->managed;
}

// A capsule that was never consumed frees its tensor.
template <class Managed>
void destroy_capsule(PyObject* capsule, const char* name) {
  if (!PyCapsule_IsValid(capsule, name)) return;
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  if (managed && managed->deleter) managed->deleter(managed);
}
constexpr const char* kLegacy = "dltensor";
constexpr const char* kVersioned = "dltensor_versioned";

template <class Managed>
Foreign import_tensor(PyObject* capsule, const char* name, const char* used) {
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  if (!managed) throw nb::python_error();
  PyCapsule_SetName(capsule, used);
  Foreign out;
  out.owner = std::shared_ptr<void>(managed, [](void* p) {
    auto* m = static_cast<Managed*>(p);
    if (m->deleter) release_soon([m] { m->deleter(m); });
  });
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
    // Of another major version only the deleter is where it was.
    if (managed->major != 1) buffer_error(cat("DLPack: version ", managed->major, " is not supported, only version 1"));
  }
  const DLTensor& tensor = managed->tensor;
  if (tensor.device.device_type != kDlCpu && tensor.device.device_type != kDlCudaHost)
    throw ValueError(
        cat("DLPack: the array lives on a device of type ", tensor.device.device_type, "; copy it to the CPU first"));
  read_dtype(tensor.dtype, out);
  out.data = static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
  int64_t itemsize = tensor.dtype.bits / 8;
  for (int i = 0; i < tensor.ndim; ++i) out.shape.push_back(tensor.shape[i]);
  Strides strides =
      tensor.strides ? Strides(tensor.strides, tensor.strides + tensor.ndim) : contiguous_strides(out.shape);
  for (int64_t s : strides) out.strides.push_back(s * itemsize);
  return out;
}

}  // namespace

std::optional<Foreign> open_dlpack(nb::handle object) {
  nb::object method = nb::getattr(object, "__dlpack__", nb::none());
  if (method.is_none()) return std::nullopt;
  nb::object capsule;
  try {
    capsule = method(nb::arg("max_version") = nb::make_tuple(1, 0));
  } catch (nb::python_error& e) {
    if (!e.matches(PyExc_TypeError)) throw;
    capsule = method();
  }
  if (PyCapsule_IsValid(capsule.ptr(), kVersioned))
    return import_tensor<DLManagedTensorVersioned>(capsule.ptr(), kVersioned, "used_dltensor_versioned");
  if (PyCapsule_IsValid(capsule.ptr(), kLegacy))
    return import_tensor<DLManagedTensor>(capsule.ptr(), kLegacy, "used_dltensor");
  throw TypeError("__dlpack__ returned something that is not a DLPack capsule");
}

nb::object to_dlpack(const Array& array, nb::handle max_version, nb::handle device, nb::handle copy, bool readonly) {
  std::pair<int, int> wanted{kDlCpu, 0};
  if (!device.is_none() && !nb::try_cast(device, wanted))
    throw TypeError("__dlpack__: dl_device is a device type and a number");
  if (wanted != std::pair<int, int>(kDlCpu, 0))
    buffer_error("__dlpack__: arrays live on the CPU, device (1, 0); no other can be asked for");
  evaluate(array, "__dlpack__");
  bool copied = !copy.is_none() && nb::cast<bool>(copy);
  // Backward strides are allowed by the protocol but not foreseen by who reads it: PyTorch ends the process.
  const Strides& strides = array.node()->storage.strides;
  if (!copied && std::any_of(strides.begin(), strides.end(), [](int64_t s) { return s < 0; })) {
    if (!copy.is_none()) buffer_error("__dlpack__: a copy is needed (copy=False): elements lie backwards in memory");
    copied = true;
  }
  Array source = copied ? private_copy(array) : shareable(array);
  std::pair<int, int> version{0, 0};
  if (!max_version.is_none() && !nb::try_cast(max_version, version))
    throw TypeError("__dlpack__: max_version is a pair of ints");
  PyObject* capsule;
  if (version.first >= 1) {
    auto* managed = export_tensor<DLManagedTensorVersioned>(source);
    managed->major = 1;
    managed->minor = 0;
    managed->flags = copied ? kIsCopied : readonly ? kReadOnly : 0;
    capsule = PyCapsule_New(managed, kVersioned,
                            [](PyObject* c) { destroy_capsule<DLManagedTensorVersioned>(c, kVersioned); });
  } else {
    capsule = PyCapsule_New(export_tensor<DLManagedTensor>(source), kLegacy,
                            [](PyObject* c) { destroy_capsule<DLManagedTensor>(c, kLegacy); });
  }
  if (!capsule) throw nb::python_error();
  return nb::steal(capsule);
}

}  // namespace funcnn
