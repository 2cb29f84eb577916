#include "library.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <stdexcept>

namespace software_metal {
namespace {

// Those of the library that is being loaded, whose initialisers ask.
std::mutex loading;
const Constants* constants_asked = nullptr;

// Whether the library takes one of the functions from elsewhere that threads meet in. In a table with a GNU hash the
// symbols that are not its own come first.
bool imports_rendezvous(const link_map& map) {
  const ElfW(Sym)* symbols = nullptr;
  const char* strings = nullptr;
  const uint32_t* hash = nullptr;
  for (const ElfW(Dyn)* entry = map.l_ld; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(entry->d_un.d_ptr);
    if (entry->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(entry->d_un.d_ptr);
    if (entry->d_tag == DT_GNU_HASH) hash = reinterpret_cast<const uint32_t*>(entry->d_un.d_ptr);
  }
  if (!symbols || !strings || !hash) return true;
  for (uint32_t i = 1; i < hash[1]; ++i)
    for (const char* name :
         {"software_metal_barrier", "software_metal_simd_barrier", "software_metal_exchange", "software_metal_lane"})
      if (!std::strcmp(strings + symbols[i].st_name, name)) return true;
  return false;
}

std::string copy_of(const std::string& path) {
  std::string copy = (std::filesystem::temp_directory_path() / "software_metal_XXXXXX").string();
  int file = mkstemp(copy.data());
  if (file < 0) throw std::runtime_error("no temporary file can be made");
  close(file);
  std::filesystem::copy_file(path, copy, std::filesystem::copy_options::overwrite_existing);
  return copy;
}

}  // namespace

std::shared_ptr<Module> Module::load(const std::string& path, const Constants& constants) {
  std::lock_guard lock(loading);
  std::string file = constants.empty() ? path : copy_of(path);
  std::shared_ptr<Module> made(new Module);
  constants_asked = &constants;
  made->handle_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  constants_asked = nullptr;
  std::string error = made->handle_ ? "" : dlerror();
  if (!constants.empty()) unlink(file.c_str());
  if (!made->handle_) throw std::runtime_error(error);
  made->kernels_ = static_cast<const Kernel*>(dlsym(made->handle_, "software_metal_kernels"));
  if (!made->kernels_) throw std::runtime_error(path + " holds no kernels");
  link_map* map = nullptr;
  dlinfo(made->handle_, RTLD_DI_LINKMAP, &map);
  made->waits_ = imports_rendezvous(*map);
  struct Search {
    uintptr_t base;
    Module* module;
  } search{map->l_addr, made.get()};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        auto& [base, module] = *static_cast<Search*>(data);
        if (info->dlpi_addr != base) return 0;
        module->begin_ = base;
        for (int i = 0; i < info->dlpi_phnum; ++i)
          if (info->dlpi_phdr[i].p_type == PT_LOAD)
            module->end_ = std::max(module->end_, base + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz);
        return 1;
      },
      &search);
  return made;
}

Module::~Module() {
  if (handle_) dlclose(handle_);
}

const Kernel* Module::find(const std::string& name) const {
  for (const Kernel* kernel = kernels_; kernel->name; ++kernel)
    if (name == kernel->name) return kernel;
  return nullptr;
}

std::vector<std::string> Module::names() const {
  std::vector<std::string> all;
  for (const Kernel* kernel = kernels_; kernel->name; ++kernel) all.push_back(kernel->name);
  return all;
}

bool Module::holds(const void* address) const {
  auto at = reinterpret_cast<uintptr_t>(address);
  return at >= begin_ && at < end_;
}

}  // namespace software_metal

extern "C" const void* software_metal_function_constant(unsigned index, unsigned size) {
  using namespace software_metal;
  if (!constants_asked) return nullptr;
  auto it = constants_asked->find(index);
  return it == constants_asked->end() || it->second.size() < size ? nullptr : it->second.data();
}
