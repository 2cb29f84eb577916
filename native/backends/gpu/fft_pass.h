// One pass of a Fourier transform over device memory, as text: a group takes some columns of the data, each of as many
// elements as the pass has for its radix, through the pass's own stages in shared memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/gpu/machine.h"

namespace funcnn::gpu {

// The radices, each at most 16, of the passes that transform `size` elements; empty where there are other prime
// factors.
std::vector<std::vector<int>> fft_passes(const Traits& traits, int64_t size);

// Of a transform of `size` elements whose radices so far multiply to `done`; this one's multiply to `radix`. Element j
// of column i is element i + j (size / radix) of the line.
class FftPass {
 public:
  // `columns`: of all lines. `load_across`, `store_across`: neighbouring threads work at neighbouring columns rather
  // than at neighbouring elements of one.
  // `to_half`: a single pass whose elements are pairs of a real line's; what it gives is half the line's spectrum, an
  // element more.
  FftPass(const Traits& traits, std::vector<int> radices, int64_t size, int64_t done, int64_t columns, bool inverse,
          bool load_across, bool store_across, bool to_half);

  int64_t radix() const { return radix_; }
  uint32_t threads() const { return threads_; }
  uint32_t groups() const;
  // One end of the pass. `column`: statements that declare what `element` needs from `column`, the column's number
  // among all. `element` of the source declares `value`, element `k` of the column's line; that of the target puts it
  // there.
  struct End {
    std::string column, element;
  };
  // The body; indices are of the type `index`, p.columns bounds columns. Both
  // ends' `column` declare i1, its number in its line.
  std::string body(std::string_view index, const End& source, const End& target) const;

 private:
  // A stage of the pass: `done` is the product of the radices before it, in this pass alone.
  std::string stage(size_t number, int64_t done, std::string_view index, const End& source, const End& target) const;
  std::string butterfly_text(int radix, bool across) const;
  // What is in shared memory, from the spectrum of pairs to that of the line.
  std::string halves(std::string_view index, const End& target) const;

  std::vector<int> radices_;
  int64_t size_, done_, columns_, radix_ = 1;
  bool inverse_, load_across_, store_across_, to_half_;
  int64_t side_ = 1, pitch_ = 1;  // columns of a group; how far apart they are in shared memory
  uint32_t threads_ = 32;
};

}  // namespace funcnn::gpu
