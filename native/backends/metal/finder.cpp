// Finds the Metal device of this machine, or the one that FUNCNN_METAL names: "software" or the path of a library that
// answers the messages of messages.h.
#include <cstdlib>
#include <memory>
#include <string_view>

#include "backends/gpu/backend.h"
#include "backends/metal/machine.h"
#include "base/error.h"
#include "plan/evaluation.h"

namespace funcnn::metal {
namespace {

#if defined(__APPLE__)
constexpr bool kApple = true;
#else
constexpr bool kApple = false;
#endif

std::string library_path(std::string_view setting) {
  if (setting != "software") return std::string(setting);
#if defined(FUNCNN_SOFTWARE_METAL)
  return FUNCNN_SOFTWARE_METAL;
#else
  return {};
#endif
}

MetalMachine* machine = nullptr;

std::string find() {
  const char* setting = std::getenv("FUNCNN_METAL");
  const bool named = setting && *setting;
  if (!named && !kApple) return {};
  std::string path;
  if (named) {
    path = library_path(setting);
    if (path.empty())
      return "FUNCNN_METAL=software works in a checkout; elsewhere say the path of the software device's library";
  }
  if (std::string error = load_runtime(path); !error.empty())
    return named ? cat("FUNCNN_METAL=", setting, ": ", error) : error;
  Pool pool;
  Owned device(runtime().default_device());
  if (!device) {
    Owned all(runtime().all_devices());
    if (messages().count(all.get()) > 0) device = Owned::retained(messages().object(all.get(), 0));
  }
  if (!device) return "Metal has no device";
  if (!(messages().family(device.get(), kFamilyApple7) & 0xff) ||
      !(messages().family(device.get(), kFamilyMetal3) & 0xff))
    return cat("the Metal device ", text_of(messages().name(device.get())),
               " is not one of Apple silicon with Metal 3");
  try {
    machine = new MetalMachine({DeviceKind::gpu, 0}, std::move(device));
  } catch (const Error& error) {
    return error.what();
  }
  gpu::register_machine(*machine);
  if (machine->traits().unified) {
    static const BlockSource source{[](size_t capacity) { return forked() ? Block() : machine->host_block(capacity); },
                                    [](Block block, size_t capacity) { machine->release(block, capacity); }};
    set_host_source(source);
  }
  // Nothing may be under way while the process takes itself apart.
  std::atexit([] {
    Uninterrupted without_interpreter;
    if (!forked()) machine->finish();
  });
  return {};
}

const bool registered = (register_finder(DeviceKind::gpu, find), true);

}  // namespace
}  // namespace funcnn::metal
