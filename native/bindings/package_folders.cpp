// Where Python packages lie: libraries of NVIDIA come as such. Asked for when a GPU is.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "backends/cuda/library.h"
#include "bindings/bindings.h"

namespace funcnn {
namespace {

std::vector<std::string> package_folders() {
  nb::gil_scoped_acquire held;
  std::vector<std::string> folders;
  for (nb::handle folder : nb::module_::import_("sys").attr("path"))
    if (nb::isinstance<nb::str>(folder)) folders.push_back(nb::cast<std::string>(folder));
  return folders;
}

const bool set = (cuda::set_package_folders(package_folders), true);

}  // namespace

}  // namespace funcnn
