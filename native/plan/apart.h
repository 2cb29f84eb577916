// Why computations that follow each other are not one kernel.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace funcnn {

enum class Apart : uint8_t {
  no,  // they are one
  off,
  only_after,
  producer_alone,
  reader_alone,
  domain,
  order,
  by_column,
  nothing,
  reduced_twice,
  long_rows,
  rows,
  not_worth,
  numbers,
  places,
  length,
  operands,
  mixed,
  bands,
  waits,
  several_results,
  later_reader,
  taken,
  kernel,
  reduction,
  no_place,
};
std::string_view text_of(Apart why);

// Value `value` is read from memory by `reader` (a value, or -1 - operation); or, of siblings, both are members of
// units that load the same array.
struct Seam {
  int value, reader;
  Apart why;
  bool siblings = false;
};
using Seams = std::vector<Seam>;

// While one lives, plans that this thread makes note their seams.
class Explaining {
 public:
  Explaining();
  ~Explaining();
  Explaining(const Explaining&) = delete;
  static bool on();

 private:
  bool before_;
};

}  // namespace funcnn
