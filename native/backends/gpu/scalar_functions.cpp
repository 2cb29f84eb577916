// Which functions a kernel's text names, and what those name themselves.
#include <algorithm>
#include <map>
#include <set>

#include "backends/gpu/scalar.h"
#include "backends/gpu/scalar_texts.h"

namespace funcnn::gpu {
namespace {

bool in_name(char c) { return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::vector<std::string_view> names_in(std::string_view text) {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && in_name(text[end])) ++end;
    if (end > i) names.push_back(text.substr(i, end - i));
    i = std::max(end, i + 1);
  }
  return names;
}

// What a text defines: the name before the parameters of a function, that of a structure.
std::vector<std::string_view> definitions(std::string_view text) {
  std::vector<std::string_view> found;
  for (size_t at = text.find("FUNCTION "); at != text.npos; at = text.find("FUNCTION ", at + 1)) {
    std::vector<std::string_view> before = names_in(text.substr(at, text.find('(', at) - at));
    if (before.back() != "operator") found.push_back(before.back());
  }
  for (size_t at = text.find("struct "); at != text.npos; at = text.find("struct ", at + 1))
    found.push_back(names_in(text.substr(at + 7, 64)).front());
  return found;
}

struct Library {
  struct Entry {
    std::string_view text;
    std::vector<size_t> needs;  // of those before
  };
  std::vector<Entry> entries;
  std::map<std::string_view, size_t> by_name;  // the first that defines it

  explicit Library(Language language) {
    const bool metal = language == Language::metal;
    add(kRealFunctions);
    add(kHalfFunctions);
    add(kTwoFunctions);
    add(kIntegerFunctions);
    if (!metal) add(kDoubleFunctions);
    add(metal ? kMetalGammaFunctions : kCudaGammaFunctions);
    add(kComplexFunctions);
  }
  void add(const std::vector<std::string_view>& texts) {
    for (std::string_view text : texts) {
      std::vector<size_t> needs;
      for (std::string_view name : names_in(text))
        if (auto it = by_name.find(name); it != by_name.end()) needs.push_back(it->second);
      for (std::string_view name : definitions(text)) by_name.emplace(name, entries.size());
      entries.push_back({text, std::move(needs)});
    }
  }
};

const Library& library(Language language) {
  static const auto* metal = new Library(Language::metal);
  static const auto* cuda = new Library(Language::cuda);
  return language == Language::metal ? *metal : *cuda;
}

}  // namespace

std::string scalar_functions(Language language, std::string_view text) {
  const Library& all = library(language);
  std::set<size_t> wanted;
  std::vector<size_t> open;
  for (std::string_view name : names_in(text))
    if (auto it = all.by_name.find(name); it != all.by_name.end()) open.push_back(it->second);
  while (!open.empty()) {
    size_t entry = open.back();
    open.pop_back();
    if (wanted.insert(entry).second)
      open.insert(open.end(), all.entries[entry].needs.begin(), all.entries[entry].needs.end());
  }
  std::string out;
  for (size_t entry : wanted) out += all.entries[entry].text;
  return out;
}

}  // namespace funcnn::gpu
