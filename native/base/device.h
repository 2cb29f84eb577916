// Where an array lives.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace funcnn {

enum class DeviceKind : uint8_t {
  any,  // nothing fixes it: scalars, and what is made from them alone
  cpu,
  gpu,        // Metal on a Mac, CUDA elsewhere
  reference,  // a slow one with memory of its own, which shows that nothing takes the CPU for granted
};
inline constexpr int kDeviceKinds = 4;
inline constexpr int kMostDevices = 16;  // of one kind

struct Device {
  DeviceKind kind = DeviceKind::any;
  uint8_t index = 0;
  constexpr bool operator==(const Device&) const = default;
  // False: the value may be computed wherever it is needed.
  constexpr bool placed() const { return kind != DeviceKind::any; }
};
inline constexpr Device kCpu{DeviceKind::cpu, 0};

// "cpu", "gpu:1"; the index 0 is left out.
std::string device_name(Device device);
// The device so called; raises ValueError.
Device parse_device(std::string_view name);

// Where new arrays go: the innermost scope of this thread, else the one set for the process, else the CPU.
Device default_device();
// Set the device for the process; returns the one before.
Device set_default_device(Device device);
// Set it for this thread (any: as the process); returns what was set for this thread before.
Device set_thread_device(Device device);

}  // namespace funcnn
