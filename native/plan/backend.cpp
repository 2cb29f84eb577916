#include "plan/backend.h"

#include <array>

#include "base/error.h"

namespace funcnn {
namespace {

Backend*& registered(Device device) {
  static std::array<std::array<Backend*, kMostDevices>, kDeviceKinds> backends{};
  return backends[size_t(device.kind)][device.index];
}

}  // namespace

void register_backend(Backend& backend) {
  registered(backend.device()) = &backend;
  register_memory(backend.memory());
}

Backend& backend(Device device) {
  Backend* found = registered(device);
  if (!found) throw ValueError(cat("there is no device ", device_name(device), " in this build or on this machine"));
  return *found;
}

}  // namespace funcnn
