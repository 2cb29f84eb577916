#include "backends/cuda/nvrtc.h"

#include <algorithm>
#include <vector>

#include "backends/cuda/library.h"
#include "base/error.h"

namespace funcnn::cuda {
namespace {

using Program = struct ProgramHandle*;

struct Nvrtc {
  int (*version)(int* major, int* minor);
  const char* (*error_text)(int status);
  int (*architecture_count)(int* count);
  int (*architectures)(int* list);
  int (*create)(Program*, const char* text, const char* name, int headers, const char* const* header_texts,
                const char* const* header_names);
  int (*destroy)(Program*);
  int (*compile)(Program, int count, const char* const* options);
  int (*log_size)(Program, size_t*);
  int (*log)(Program, char*);
  int (*cubin_size)(Program, size_t*);
  int (*cubin)(Program, char*);
  int (*ptx_size)(Program, size_t*);
  int (*ptx)(Program, char*);

  int major = 0, minor = 0;
  std::string version_text;
  bool usable = false;
};

const Nvrtc& nvrtc() {
  static const auto* once = [] {
    auto* n = new Nvrtc{};
    Library library = Library::open(toolkit_names("nvrtc"));
    if (!library) return n;
    bool whole = library.bind(n->version, "nvrtcVersion");
    whole &= library.bind(n->error_text, "nvrtcGetErrorString");
    whole &= library.bind(n->architecture_count, "nvrtcGetNumSupportedArchs");
    whole &= library.bind(n->architectures, "nvrtcGetSupportedArchs");
    whole &= library.bind(n->create, "nvrtcCreateProgram");
    whole &= library.bind(n->destroy, "nvrtcDestroyProgram");
    whole &= library.bind(n->compile, "nvrtcCompileProgram");
    whole &= library.bind(n->log_size, "nvrtcGetProgramLogSize");
    whole &= library.bind(n->log, "nvrtcGetProgramLog");
    whole &= library.bind(n->cubin_size, "nvrtcGetCUBINSize");
    whole &= library.bind(n->cubin, "nvrtcGetCUBIN");
    whole &= library.bind(n->ptx_size, "nvrtcGetPTXSize");
    whole &= library.bind(n->ptx, "nvrtcGetPTX");
    if (!whole || n->version(&n->major, &n->minor) != 0) return n;
    n->version_text = cat(n->major, ".", n->minor);
    n->usable = true;
    return n;
  }();
  return *once;
}

}  // namespace

bool find_nvrtc(int driver_version, std::string& reason) {
  const Nvrtc& n = nvrtc();
  if (!n.usable) {
    reason = "CUDA: a GPU needs NVRTC, which is not installed: pip install 'funcnn[cuda]', or set CUDA_HOME";
    return false;
  }
  if (driver_version && driver_version / 1000 < n.major) {
    reason = cat("CUDA: NVRTC ", n.version_text, " makes code that NVIDIA's driver, which speaks CUDA ",
                 driver_version / 1000, ".", driver_version % 1000 / 10,
                 ", is too old for: update the driver or pip install 'funcnn[cuda12]'");
    return false;
  }
  return true;
}

const std::string& nvrtc_version() { return nvrtc().version_text; }

Target target_for(int capability) {
  const Nvrtc& n = nvrtc();
  int count = 0;
  n.architecture_count(&count);
  std::vector<int> list(static_cast<size_t>(count));
  n.architectures(list.data());
  std::sort(list.begin(), list.end());
  // Code runs on later chips of the same major number, too.
  int best = -1;
  for (int known : list)
    if (known <= capability) best = known;
  if (best < 0)
    throw Error(cat("CUDA: NVRTC ", n.version_text, " has no code for chips of compute capability ", capability / 10,
                    ".", capability % 10,
                    list.empty() ? "" : cat("; it begins at ", list.front() / 10, ".", list.front() % 10),
                    ": pip install 'funcnn[cuda12]'"));
  return {cat(best / 10 == capability / 10 ? "sm_" : "compute_", best)};
}

std::string compile(const std::string& name, const std::string& text, const Target& target) {
  const Nvrtc& n = nvrtc();
  Program program = nullptr;
  if (int status = n.create(&program, text.c_str(), cat(name, ".cu").c_str(), 0, nullptr, nullptr))
    throw Error(cat("CUDA: the compiler does not start: ", n.error_text(status)));
  const std::string architecture = "--gpu-architecture=" + target.architecture;
  // Products that are joined with sums only where the text says so: the prelude promises it.
  const char* options[] = {architecture.c_str(), "--std=c++17", "-default-device", "--fmad=false"};
  const int status = n.compile(program, int(std::size(options)), options);
  std::string image;
  size_t size = 0;
  if (status != 0) {
    n.log_size(program, &size);
    image.resize(size);
    n.log(program, image.data());
    while (!image.empty() && image.back() == '\0') image.pop_back();
  } else {
    (target.native() ? n.cubin_size : n.ptx_size)(program, &size);
    image.resize(size);
    (target.native() ? n.cubin : n.ptx)(program, image.data());
  }
  n.destroy(&program);
  if (status != 0) throw Error(cat("CUDA: the kernel ", name, " does not compile:\n", image));
  return image;
}

}  // namespace funcnn::cuda
