// Devices: where arrays live, and the memory they take there.
#include <optional>

#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include "backends/gpu/backend.h"
#include "base/device_dtypes.h"
#include "base/memory.h"
#include "bindings/device.h"
#include "bindings/gil.h"
#include "bindings/kept_arrays.h"
#include "graph/transfer.h"
#include "plan/backend.h"

namespace funcnn {
namespace {

// A Device or the name of one.
std::optional<Device> try_device(nb::handle object) {
  if (nb::isinstance<Device>(object)) return nb::cast<Device>(object);
  if (nb::isinstance<nb::str>(object)) return parse_device(nb::cast<std::string_view>(object));
  return std::nullopt;
}

// None: the default device.
DeviceMemory& memory_of(nb::handle device, const char* name) {
  return device_memory(device.is_none() ? default_device() : device_of(device, name));
}

auto device_argument() { return nb::arg("device").none() = nb::none(); }

void bind_memory(nb::module_& m) {
  m.def(
      "get_active_memory", [](nb::handle device) { return memory_of(device, "get_active_memory").stats().active; },
      device_argument(), nb::sig("def get_active_memory(device: Device | str | None = None) -> int"),
      "Count the bytes that arrays use now on a device; default: the default device.");
  m.def(
      "get_peak_memory", [](nb::handle device) { return memory_of(device, "get_peak_memory").stats().peak; },
      device_argument(), nb::sig("def get_peak_memory(device: Device | str | None = None) -> int"),
      "Count the most bytes that arrays have used at once on a device since `reset_peak_memory`.");
  m.def(
      "reset_peak_memory", [](nb::handle device) { memory_of(device, "reset_peak_memory").reset_peak(); },
      device_argument(), nb::sig("def reset_peak_memory(device: Device | str | None = None) -> None"),
      "Start measuring the peak of a device again, from what is in use now.");
  m.def(
      "get_cache_memory", [](nb::handle device) { return memory_of(device, "get_cache_memory").stats().cached; },
      device_argument(), nb::sig("def get_cache_memory(device: Device | str | None = None) -> int"),
      "Count the freed bytes of a device that are kept for reuse.");
  m.def(
      "clear_cache",
      [](nb::handle device) {
        Device of = device.is_none() ? default_device() : device_of(device, "clear_cache");
        DeviceMemory& memory = device_memory(of);
        Backend& back_end = backend(of);
        drop_kept_arrays();
        Unlocked unlocked;
        memory.clear_cache();
        back_end.clear_tables();
      },
      device_argument(), nb::sig("def clear_cache(device: Device | str | None = None) -> None"),
      "Return the memory of a device that is kept for reuse to the system, forget tables of Fourier transforms, and "
      "let go of what is kept of small results for later calls.");
  m.def(
      "get_memory_limit", [](nb::handle device) { return memory_of(device, "get_memory_limit").limit(); },
      device_argument(), nb::sig("def get_memory_limit(device: Device | str | None = None) -> int"),
      "Tell how many bytes of a device may be used at most, as `set_memory_limit` set it; 0: no limit.");
  m.def(
      "_buffer_of",
      [](const Array& x) -> nb::object {
        const Node& node = *x.node();
        if (node.abstract || !node.available())
          throw ValueError("get_array_buffer_size: an array is not computed yet; call fn.eval first");
        if (!node.storage.buffer) return nb::none();
        const Buffer& buffer = *node.storage.buffer;
        return nb::make_tuple(reinterpret_cast<uintptr_t>(&buffer),
                              buffer.owned() ? block_capacity(buffer.size()) : buffer.size());
      },
      nb::arg("x"), nb::sig("def _buffer_of(x: array) -> tuple[int, int] | None"));
  m.def(
      "set_cache_limit",
      [](size_t limit, nb::handle device) { return memory_of(device, "set_cache_limit").set_cache_limit(limit); },
      nb::arg("limit"), device_argument(),
      nb::sig("def set_cache_limit(limit: int, device: Device | str | None = None) -> int"),
      "Set how many freed bytes of a device to keep for reuse at most; return the limit before. At first: 1 GiB, or a "
      "quarter of the memory of an NVIDIA card.");
  m.def(
      "set_memory_limit",
      [](size_t limit, nb::handle device) { return memory_of(device, "set_memory_limit").set_limit(limit); },
      nb::arg("limit"), device_argument(),
      nb::sig("def set_memory_limit(limit: int, device: Device | str | None = None) -> int"),
      "Refuse with MemoryError to use more than this many bytes of a device (0: no limit); return the limit before.");
}

}  // namespace

Device device_of(nb::handle object, const char* name) {
  std::optional<Device> device = try_device(object);
  if (!device)
    throw TypeError(cat(name, ": expected a device, such as fn.Device(\"cpu\") or \"cpu\", got ",
                        nb::cast<std::string>(nb::repr(object))));
  backend(*device);  // raises where there is none
  return *device;
}

Array placed(Array x, nb::handle device, const char* name) {
  if (!device.is_none()) return device_put(x, device_of(device, name));
  if (!x.node()->device.placed()) check_device_dtype(name, default_device(), x.dtype());
  return x;
}

void bind_device(nb::module_& m) {
  nb::class_<Device>(m, "Device", nb::is_final(), R"(A place where arrays live and are computed.

Args:
    type: "cpu" or `fn.cpu`; "gpu" or `fn.gpu`, or "gpu:1" and so on where there are several; "reference", a slow one
        for tests.
    index: Which of several, from 0, where the type does not say.

Raises:
    ValueError: for other names. Whether this machine has the device shows when it is used.

Example:
    >>> fn.Device("cpu") == fn.ones(3).device
    True
)")
      .def(
          "__init__",
          [](Device* self, nb::handle type, int64_t index) {
            std::optional<Device> device = try_device(type);
            if (!device) throw TypeError("Device: expected the name of a device, such as \"cpu\"");
            if (index < 0 || index >= kMostDevices)
              throw ValueError(cat("Device: expected an index from 0 to ", kMostDevices - 1, ", got ", index));
            if (index && device->index)
              throw ValueError(cat("Device: ", device_name(*device), " has an index already, got ", index, " too"));
            if (index) device->index = uint8_t(index);
            new (self) Device(*device);
          },
          nb::arg("type"), nb::arg("index") = 0,
          nb::sig("def __init__(self, type: Device | str, index: int = 0) -> None"))
      .def_prop_ro(
          "type",
          [](Device d) { return nb::module_::import_("funcnn._streams").attr("type_of")(device_name({d.kind, 0})); },
          nb::sig("def type(self) -> Any"), "Its kind as MLX has it: `fn.cpu` or `fn.gpu`.")
      .def_prop_ro(
          "kind", [](Device d) { return device_name({d.kind, 0}); }, "The name without the number.")
      .def_prop_ro(
          "index", [](Device d) { return int(d.index); }, "Which of several of a kind.")
      .def("__repr__", [](Device d) { return cat("Device('", device_name(d), "')"); })
      .def("__str__", &device_name)
      .def(
          "__eq__",
          [](Device d, nb::handle other) {
            if (nb::isinstance<nb::str>(other)) return device_name(d) == nb::cast<std::string_view>(other);
            return nb::isinstance<Device>(other) && nb::cast<Device>(other) == d;
          },
          nb::arg("other").none(), nb::sig("def __eq__(self, other: object) -> bool"), "A name stands for its device.")
      .def("__hash__", [](Device d) { return nb::hash(nb::str(device_name(d).c_str())); })
      .def("__reduce__", [](Device d) { return nb::make_tuple(nb::type<Device>(), nb::make_tuple(device_name(d))); });
  bind_memory(m);
  m.def(
      "_device_put", [](const Array& x, nb::handle device) { return device_put(x, device_of(device, "device_put")); },
      nb::arg("x"), nb::arg("device"), nb::sig("def _device_put(x: array, device: Device | str) -> array"));
  m.def(
      "set_default_device",
      [](nb::handle device) { return set_default_device(device_of(device, "set_default_device")); }, nb::arg("device"),
      nb::sig("def set_default_device(device: Device | str) -> Device"),
      R"(Set where new arrays go, for all threads; return the device before.

Args:
    device: A device or its name.

Raises:
    ValueError: for a device that this build or machine does not have.

Example:
    >>> fn.set_default_device("cpu")
    Device('cpu')
)");
  m.def(
      "_set_thread_device",
      [](nb::handle device) -> nb::object {
        Device before = set_thread_device(device.is_none() ? Device() : device_of(device, "default_device"));
        return before.placed() ? nb::cast(before) : nb::none();
      },
      nb::arg("device").none(), nb::sig("def _set_thread_device(device: Device | str | None) -> Device | None"));
  m.def(
      "_device_has", [](nb::handle device, Dtype dtype) { return device_has(device_of(device, "device"), dtype); },
      nb::arg("device"), nb::arg("dtype"), nb::sig("def _device_has(device: Device | str, dtype: Dtype) -> bool"),
      "Whether arrays of the device can have the dtype.");
  m.def(
      "_gpu_info",
      [](nb::handle device) {
        nb::dict info;
        gpu::Machine* machine = gpu::machine_of(device_of(device, "device_info"));
        if (!machine) return info;
        const gpu::Traits& traits = machine->traits();
        info["device_name"] = traits.name;
        info["architecture"] = traits.architecture;
        for (auto [name, bytes] : {std::pair{"memory_size", traits.memory_bytes},
                                   {"max_buffer_length", traits.largest_buffer},
                                   {"max_recommended_working_set_size", traits.working_set}})
          if (bytes) info[name] = bytes;
        return info;
      },
      nb::arg("device"), nb::sig("def _gpu_info(device: Device | str) -> dict[str, str | int]"));
  m.def("get_default_device", &default_device, R"(Name the device that new arrays go to.

Example:
    >>> fn.get_default_device()
    Device('cpu')
)");
}

}  // namespace funcnn
