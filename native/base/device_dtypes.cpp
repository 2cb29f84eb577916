#include "base/device_dtypes.h"

#include <array>
#include <atomic>

#include "base/error.h"

namespace funcnn {
namespace {

std::array<std::array<std::atomic<uint32_t>, kMostDevices>, kDeviceKinds> missing{};

}  // namespace

void set_device_dtypes(Device device, uint32_t dtypes) {
  missing[size_t(device.kind)][device.index].store(~dtypes, std::memory_order_relaxed);
}

bool device_has(Device device, Dtype dtype) {
  return !(missing[size_t(device.kind)][device.index].load(std::memory_order_relaxed) >> int(dtype) & 1);
}

void check_device_dtype(std::string_view op, Device device, Dtype dtype) {
  if (!device_has(device, dtype)) throw_no_dtype(op, device, dtype);
}

void throw_no_dtype(std::string_view op, Device device, Dtype dtype) {
  throw ValueError(cat(op, op.empty() ? "" : ": ", "the device ", device_name(device), " has no ", dtype_name(dtype),
                       "; convert with astype, or work on the CPU: fn.default_device(\"cpu\"), fn.device_put"));
}

}  // namespace funcnn
