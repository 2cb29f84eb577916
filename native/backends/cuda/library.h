// Shared libraries of NVIDIA, found while the program runs: nothing is linked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace funcnn::cuda {

// A library that stays loaded; false where it was not found.
class Library {
 public:
  Library() = default;
  // The first of `names` that loads: from nvidia's wheels beside the Python packages of this process, by the loader's
  // own path, from CUDA_HOME or the usual place of a toolkit.
  static Library open(const std::vector<std::string>& names);
  // By the loader's path alone: what a driver brings.
  static Library open_system(const std::vector<std::string>& names);

  explicit operator bool() const { return handle_ != nullptr; }
  // The function so called, in `function`; whether it is there.
  template <class F>
  bool bind(F*& function, const char* name) const {
    function = reinterpret_cast<F*>(symbol(name));
    return function != nullptr;
  }

 private:
  void* symbol(const char* name) const;
  void* handle_ = nullptr;
};

// What lists the folders of Python packages; set by the bindings, called when a library is first looked for.
void set_package_folders(std::vector<std::string> (*folders)());

// Throws where a function of cuSOLVER or cuFFT did not succeed, by the status it gave: an OutOfMemoryError where it
// found no memory, an Error otherwise.
void expect_success(int status, const char* function);

// The names of a library of the toolkit by its major versions, the newest first: "nvrtc" is libnvrtc.so.13 and so on.
std::vector<std::string> toolkit_names(std::string_view library);

}  // namespace funcnn::cuda
