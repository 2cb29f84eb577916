// Devices: where arrays live, and the memory they take there.
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include "base/memory.h"
#include "bindings/array.h"
#include "graph/transfer.h"
#include "plan/backend.h"

namespace funcnn {
namespace {

Device device_of(std::string_view name) {
  Device device = parse_device(name);
  backend(device);  // raises where there is none
  return device;
}

// None: the default device.
DeviceMemory& memory_of(nb::handle name) {
  if (name.is_none()) return device_memory(default_device());
  return device_memory(device_of(nb::cast<std::string_view>(name)));
}

auto device_argument() { return nb::arg("device").none() = nb::none(); }

void bind_memory(nb::module_& m) {
  m.def(
      "get_active_memory", [](nb::handle device) { return memory_of(device).stats().active; }, device_argument(),
      nb::sig("def get_active_memory(device: str | None = None) -> int"),
      "Count the bytes that arrays use now on a device; default: the default device.");
  m.def(
      "get_peak_memory", [](nb::handle device) { return memory_of(device).stats().peak; }, device_argument(),
      nb::sig("def get_peak_memory(device: str | None = None) -> int"),
      "Count the most bytes that arrays have used at once on a device since `reset_peak_memory`.");
  m.def(
      "reset_peak_memory", [](nb::handle device) { memory_of(device).reset_peak(); }, device_argument(),
      nb::sig("def reset_peak_memory(device: str | None = None) -> None"),
      "Start measuring the peak of a device again, from what is in use now.");
  m.def(
      "get_cache_memory", [](nb::handle device) { return memory_of(device).stats().cached; }, device_argument(),
      nb::sig("def get_cache_memory(device: str | None = None) -> int"),
      "Count the freed bytes of a device that are kept for reuse.");
  m.def(
      "clear_cache", [](nb::handle device) { memory_of(device).clear_cache(); }, device_argument(),
      nb::sig("def clear_cache(device: str | None = None) -> None"),
      "Return the memory of a device that is kept for reuse to the system.");
  m.def(
      "set_cache_limit", [](size_t limit, nb::handle device) { return memory_of(device).set_cache_limit(limit); },
      nb::arg("limit"), device_argument(), nb::sig("def set_cache_limit(limit: int, device: str | None = None) -> int"),
      "Set how many freed bytes of a device to keep for reuse at most, 1 GiB at first; return the limit before.");
  m.def(
      "set_memory_limit", [](size_t limit, nb::handle device) { return memory_of(device).set_limit(limit); },
      nb::arg("limit"), device_argument(),
      nb::sig("def set_memory_limit(limit: int, device: str | None = None) -> int"),
      "Refuse with MemoryError to use more than this many bytes of a device (0: no limit); return the limit before.");
}

}  // namespace

void bind_device(nb::module_& m) {
  bind_memory(m);
  m.def(
      "_device_put", [](const Array& x, std::string_view device) { return device_put(x, device_of(device)); },
      nb::arg("x"), nb::arg("device"), nb::sig("def _device_put(x: array, device: str) -> array"));
  m.def(
      "set_default_device", [](std::string_view device) { return device_name(set_default_device(device_of(device))); },
      nb::arg("device"), nb::sig("def set_default_device(device: str) -> str"),
      R"(Set where new arrays go; return the device before.

Args:
    device: "cpu", "gpu", or "gpu:1" and so on where there are several.

Raises:
    ValueError: for a device that this build or machine does not have.

Example:
    >>> fn.set_default_device("cpu")
    'cpu'
)");
  m.def(
      "_set_thread_device",
      [](nb::handle device) {
        Device before = set_thread_device(device.is_none() ? Device() : device_of(nb::cast<std::string_view>(device)));
        return before.placed() ? nb::object(nb::str(device_name(before).c_str())) : nb::none();
      },
      nb::arg("device").none(), nb::sig("def _set_thread_device(device: str | None) -> str | None"));
  m.def(
      "get_default_device", [] { return device_name(default_device()); }, nb::sig("def get_default_device() -> str"),
      R"(Name the device that new arrays go to.

Example:
    >>> fn.get_default_device()
    'cpu'
)");
}

}  // namespace funcnn
