#include "plan/backend.h"

#include <array>

#include "base/error.h"

namespace funcnn {
namespace {

std::array<std::array<Backend*, kMostDevices>, kDeviceKinds>& backends() {
  static std::array<std::array<Backend*, kMostDevices>, kDeviceKinds> all{};
  return all;
}

Backend*& registered(Device device) { return backends()[size_t(device.kind)][device.index]; }

}  // namespace

void register_backend(Backend& backend) {
  registered(backend.device()) = &backend;
  register_memory(backend.memory());
}

Backend& backend(Device device) {
  device_memory(device);  // raises where there is none
  return *registered(device);
}

void clear_backend_caches() {
  for (auto& kind : backends())
    for (Backend* backend : kind)
      if (backend) backend->clear_cache();
}

void wait_for_devices() {
  for (auto& kind : backends())
    for (Backend* backend : kind)
      if (Ref<Event> done = backend ? backend->queue().record() : nullptr) done->wait();
}

}  // namespace funcnn
