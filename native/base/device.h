// Where an array lives.
#pragma once

#include <cstdint>
#include <string_view>

namespace funcnn {

enum class Device : uint8_t { cpu, gpu };

constexpr std::string_view device_name(Device device) { return device == Device::cpu ? "cpu" : "gpu"; }

}  // namespace funcnn
