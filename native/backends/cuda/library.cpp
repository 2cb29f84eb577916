#include "backends/cuda/library.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "plan/log.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace funcnn::cuda {
namespace {

namespace fs = std::filesystem;

#if defined(_WIN32)
void* load(const std::string& path) {
  // A library finds what it needs beside itself.
  const bool whole = fs::path(path).is_absolute();
  return reinterpret_cast<void*>(LoadLibraryExA(
      path.c_str(), nullptr, whole ? LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS : 0));
}
#else
void* load(const std::string& path) { return dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL); }
#endif

std::atomic<std::vector<std::string> (*)()> package_folders{nullptr};

// Where nvidia's wheels put libraries, below a folder of packages: one folder for all from CUDA 13 on, one a package
// before.
constexpr const char* kWheelFolders[] = {"nvidia/cu13/lib",         "nvidia/cu13/bin/x86_64", "nvidia/cuda_nvrtc/lib",
                                         "nvidia/cuda_nvrtc/bin",   "nvidia/cublas/lib",      "nvidia/cublas/bin",
                                         "nvidia/cuda_runtime/lib", "nvidia/cu12/lib",        "nvidia/cusolver/lib",
                                         "nvidia/cusolver/bin",     "nvidia/cusparse/lib",    "nvidia/cusparse/bin",
                                         "nvidia/nvjitlink/lib",    "nvidia/nvjitlink/bin",   "nvidia/cufft/lib",
                                         "nvidia/cufft/bin",        "nvidia/cudnn/lib",       "nvidia/cudnn/bin"};
constexpr const char* kToolkitFolders[] = {"lib64",   "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib",
                                           "bin/x64", "bin"};

std::vector<fs::path> toolkits() {
  std::vector<fs::path> out;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* set = std::getenv(variable); set && *set) out.emplace_back(set);
  out.emplace_back("/usr/local/cuda");
  return out;
}

void* load_first(const fs::path& folder, const std::vector<std::string>& names) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) return nullptr;
  for (const std::string& name : names)
    if (fs::exists(folder / name, ignored))
      if (void* handle = load((folder / name).string())) return handle;
  return nullptr;
}

}  // namespace

void set_package_folders(std::vector<std::string> (*folders)()) { package_folders.store(folders); }

Library Library::open_system(const std::vector<std::string>& names) {
  Library library;
  for (const std::string& name : names)
    if ((library.handle_ = load(name))) break;
  return library;
}

Library Library::open(const std::vector<std::string>& names) {
  Library library;
  if (auto* list = package_folders.load())
    for (const std::string& packages : list())
      for (const char* below : kWheelFolders)
        if ((library.handle_ = load_first(fs::path(packages) / below, names))) return library;
  if ((library = open_system(names))) return library;
  for (const fs::path& toolkit : toolkits())
    for (const char* below : kToolkitFolders)
      if ((library.handle_ = load_first(toolkit / below, names))) return library;
  return library;
}

void* Library::symbol(const char* name) const {
  if (!handle_) return nullptr;
#if defined(_WIN32)
  return reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(handle_), name));
#else
  return dlsym(handle_, name);
#endif
}

namespace {

// Of a library in a toolkit of that major version.
int major_of(std::string_view library, int toolkit) {
  if (library == "cusolver" || library == "cufft") return toolkit - 1;
  return library == "cusparse" ? 12 : toolkit;
}

}  // namespace

std::vector<std::string> toolkit_names(std::string_view library) {
  std::vector<std::string> names;
  for (int major : {13, 12}) {
#if defined(_WIN32)
    // NVRTC's names end in the whole version, of which the minor part has stayed 0.
    names.push_back(library == "nvrtc" || library == "nvJitLink"
                        ? cat(library, "64_", major, "0_0.dll")
                        : cat(library, "64_", major_of(library, major), ".dll"));
#else
    names.push_back(cat("lib", library, ".so.", major_of(library, major)));
#endif
  }
  return names;
}

Needed::Needed(const std::vector<std::string>& names, std::initializer_list<std::string_view> first) {
  for (std::string_view library : first) Library::open(toolkit_names(library));
  library_ = Library::open(names);
  whole_ = bool(library_);
}

bool Needed::usable(std::string_view library, std::string_view without, std::string_view extra) const {
  if (!whole_)
    log_line("gpu",
             cat(library, " is not installed or too old, so that ", without, ": pip install 'funcnn[", extra, "]'"));
  return whole_;
}

void expect_success(int status, const char* function) {
  constexpr int kNoMemory = 2;
  if (status == 0) return;
  if (status == kNoMemory) throw OutOfMemoryError(cat("CUDA: ", function, " finds no memory on the GPU"));
  throw Error(cat("CUDA: ", function, " failed with status ", status));
}

}  // namespace funcnn::cuda
