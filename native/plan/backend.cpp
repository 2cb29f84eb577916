#include "plan/backend.h"

#include <array>

#include "base/error.h"

namespace funcnn {
namespace {

std::array<Backend*, 2>& backends() {
  static std::array<Backend*, 2> registered{};
  return registered;
}

}  // namespace

void register_backend(Backend& backend) { backends()[size_t(backend.device())] = &backend; }

Backend& backend(Device device) {
  Backend* found = backends()[size_t(device)];
  if (!found) throw ValueError(cat("this build has no back end for the device ", device_name(device)));
  return *found;
}

}  // namespace funcnn
