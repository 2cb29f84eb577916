// Shared libraries of NVIDIA, found while the program runs: nothing is linked.
#pragma once

#include <initializer_list>
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

// Functions that we need of a library, all of them; what some releases lack is asked for by itself.
class Needed {
 public:
  // `first`: what the library looks for by name alone: loaded before, it is found.
  explicit Needed(const std::vector<std::string>& names, std::initializer_list<std::string_view> first = {});
  template <class F>
  void bind(F*& function, const char* name) {
    whole_ = library_.bind(function, name) && whole_;
  }
  template <class F>
  bool bind_if_there(F*& function, const char* name) const {
    return library_.bind(function, name);
  }
  // Whether all are there. If not, the log says what comes of it ("products run on ...") and what to install.
  bool usable(std::string_view library, std::string_view without, std::string_view extra = "cuda") const;

 private:
  Library library_;
  bool whole_;
};

// What lists the folders of Python packages; set by the bindings, called when a library is first looked for.
void set_package_folders(std::vector<std::string> (*folders)());

// Throws where a function of cuSOLVER or cuFFT did not succeed, by the status it gave: an OutOfMemoryError where it
// found no memory, an Error otherwise.
void expect_success(int status, const char* function);

// The names of a library of the toolkit by its major versions, the newest first: "nvrtc" is libnvrtc.so.13 and so on.
std::vector<std::string> toolkit_names(std::string_view library);

}  // namespace funcnn::cuda
