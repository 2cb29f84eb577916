#include "base/device.h"

#include <atomic>
#include <charconv>
#include <utility>

#include "base/error.h"

namespace funcnn {
namespace {

constexpr std::string_view kNames[kDeviceKinds] = {"any", "cpu", "gpu", "reference"};

std::atomic<Device> process_device{kCpu};
thread_local Device thread_device;

}  // namespace

std::string device_name(Device device) {
  std::string name(kNames[int(device.kind)]);
  return device.index ? name + ":" + std::to_string(device.index) : name;
}

Device parse_device(std::string_view name) {
  std::string_view kind = name.substr(0, name.find(':'));
  int index = 0;
  bool counted = true;
  if (kind.size() < name.size()) {
    const char *first = name.data() + kind.size() + 1, *last = name.data() + name.size();
    auto [end, error] = std::from_chars(first, last, index);
    counted = error == std::errc() && end == last && index >= 0 && index < kMostDevices;
  }
  for (int k = 1; counted && k < kDeviceKinds; ++k)
    if (kNames[k] == kind) return {DeviceKind(k), uint8_t(index)};
  bool maker = kind == "cuda" || kind == "metal" || kind == "mps" || kind == "rocm";
  throw ValueError(cat("device: expected a name such as \"cpu\", \"gpu\" or \"gpu:1\", got \"", name, "\"",
                       maker ? "; every GPU is \"gpu\" here" : ""));
}

Device default_device() {
  return thread_device.placed() ? thread_device : process_device.load(std::memory_order_relaxed);
}
Device set_default_device(Device device) { return process_device.exchange(device); }
Device set_thread_device(Device device) { return std::exchange(thread_device, device); }

}  // namespace funcnn
