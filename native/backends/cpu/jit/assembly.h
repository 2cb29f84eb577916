// What the assemblers of all machines have: places in code that jumps lead to, and constants behind it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"

namespace funcnn::cpu::jit {

// What no encoding can say.
struct EncodingError : Error {
  using Error::Error;
};

struct Label {
  int number = -1;
};

class Labels {
 public:
  Label make() {
    places_.push_back(-1);
    return {int(places_.size()) - 1};
  }
  void bind(Label l, size_t place) {
    int64_t& bound = places_.at(size_t(l.number));
    if (bound >= 0) throw EncodingError("a label is bound twice");
    bound = int64_t(place);
  }
  bool bound(int number) const { return places_.at(size_t(number)) >= 0; }
  // In bytes from the beginning of the code.
  int64_t place(int number) const {
    if (!bound(number)) throw EncodingError("a jump to a label that is not bound");
    return places_[size_t(number)];
  }

 private:
  std::vector<int64_t> places_;  // -1: not bound
};

class Constants {
 public:
  // The number of that constant; equal ones have one.
  int add(std::span<const uint8_t> bytes) {
    const auto same = [&](const auto& c) { return std::equal(c.begin(), c.end(), bytes.begin(), bytes.end()); };
    const auto known = std::find_if(all_.begin(), all_.end(), same);
    const int number = int(known - all_.begin());
    if (known == all_.end()) all_.emplace_back(bytes.begin(), bytes.end());
    return number;
  }
  bool empty() const { return all_.empty(); }
  size_t size(int number) const { return all_.at(size_t(number)).size(); }

  // Where they lie, by number, if they begin there: the largest first, so that each lies at a multiple of its size.
  std::vector<int64_t> places(size_t begin) const {
    std::vector<int64_t> places(all_.size());
    auto at = int64_t(begin);
    for (size_t i : order()) {
      places[i] = at;
      at += int64_t(all_[i].size());
    }
    return places;
  }
  void append_to(std::vector<uint8_t>& code) const {
    for (size_t i : order()) code.insert(code.end(), all_[i].begin(), all_[i].end());
  }

 private:
  std::vector<size_t> order() const {
    std::vector<size_t> order(all_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return all_[a].size() > all_[b].size(); });
    return order;
  }

  std::vector<std::vector<uint8_t>> all_;
};

}  // namespace funcnn::cpu::jit
