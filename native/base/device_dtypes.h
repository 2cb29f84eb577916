// Which dtypes devices have, for errors at the call that asks for another.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/device.h"
#include "base/dtype.h"

namespace funcnn {

// Back ends whose device lacks some say so when they register; a mask of dtypes.
void set_device_dtypes(Device device, uint32_t dtypes);
bool device_has(Device device, Dtype dtype);
// Raises ValueError where the device has no such dtype.
void check_device_dtype(std::string_view op, Device device, Dtype dtype);
// The error of a device without a dtype.
[[noreturn]] void throw_no_dtype(std::string_view op, Device device, Dtype dtype);

}  // namespace funcnn
