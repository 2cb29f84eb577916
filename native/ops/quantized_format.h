// How matrices are quantised: groups of neighbours in a row share a scale, elements are packed codes.
//
// Codes lie one after another, lowest bits first, in little-endian words of 32 bits; groups fill whole words. The
// layout and the values are MLX's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "graph/array.h"

namespace funcnn {

// affine: unsigned integers q, standing for scale * q + bias. The others are small floating-point numbers times a scale
// of 8 bits: e2m1 or e4m3 times a power of two (OCP microscaling formats 1.0), e2m1 times e4m3 (nvfp4).
enum class QuantMode : uint8_t { affine, mxfp4, mxfp8, nvfp4 };

std::string_view mode_name(QuantMode mode);

struct QuantFormat {
  QuantMode mode;
  int bits, group;

  bool affine() const { return mode == QuantMode::affine; }
  // Words that `count` elements fill, and elements that fill `words`.
  int64_t words(int64_t count) const { return count * bits / 32; }
  int64_t elements(int64_t words) const { return words * 32 / bits; }
  void hash(Hasher& h) const {
    h.add(int(mode));
    h.add(bits);
    h.add(group);
  }
  std::string text() const;
};

// The format that a call names; raises ValueError for one that does not exist.
QuantFormat quant_format(const char* op, std::string_view mode, std::optional<int64_t> bits,
                         std::optional<int64_t> group);
// Checks that packed codes, scales and biases (null: none) of the shapes of one another are what the format asks for.
void check_quantized(const char* op, const QuantFormat& format, const Array& w, const Array& scales,
                     const Array& biases);
// The scale of a whole array that nvfp4 may have: a float32 scalar.
void check_global_scale(const char* op, const QuantFormat& format, const Array& scale);

}  // namespace funcnn
