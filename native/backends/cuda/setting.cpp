#include "backends/cuda/setting.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>

namespace funcnn::cuda {

bool setting_has(std::string_view word) {
  static const auto* words = [] {
    auto* out = new std::set<std::string, std::less<>>;
    const char* set = std::getenv("FUNCNN_CUDA");
    std::string_view rest = set ? set : "";
    while (!rest.empty()) {
      size_t comma = std::min(rest.find(','), rest.size());
      out->emplace(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return out;
  }();
  return words->contains(word);
}

}  // namespace funcnn::cuda
