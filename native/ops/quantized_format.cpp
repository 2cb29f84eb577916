#include "ops/quantized_format.h"

#include "base/error.h"

namespace funcnn {

std::string_view mode_name(QuantMode mode) {
  constexpr std::string_view names[] = {"affine", "mxfp4", "mxfp8", "nvfp4"};
  return names[int(mode)];
}

std::string QuantFormat::text() const { return cat("mode=", mode_name(mode), ", bits=", bits, ", group_size=", group); }

QuantFormat quant_format(const char* op, std::string_view mode, std::optional<int64_t> bits,
                         std::optional<int64_t> group) {
  struct Row {
    QuantMode mode;
    int bits, group;
  };
  constexpr Row rows[] = {
      {QuantMode::affine, 4, 64}, {QuantMode::mxfp4, 4, 32}, {QuantMode::mxfp8, 8, 32}, {QuantMode::nvfp4, 4, 16}};
  for (const Row& row : rows) {
    if (mode_name(row.mode) != mode) continue;
    int64_t b = bits.value_or(row.bits), g = group.value_or(row.group);
    if (row.mode != QuantMode::affine) {
      if (b != row.bits) throw ValueError(cat(op, ": mode ", mode, " has ", row.bits, " bits, got bits=", b));
      if (g != row.group)
        throw ValueError(cat(op, ": mode ", mode, " has groups of ", row.group, ", got group_size=", g));
    } else {
      if (b < 1 || b > 8 || b == 7) throw ValueError(cat(op, ": bits must be 1, 2, 3, 4, 5, 6 or 8, got ", b));
      if (g != 32 && g != 64 && g != 128) throw ValueError(cat(op, ": group_size must be 32, 64 or 128, got ", g));
    }
    return {row.mode, int(b), int(g)};
  }
  throw ValueError(cat(op, ": mode must be 'affine', 'mxfp4', 'mxfp8' or 'nvfp4', got '", mode, "'"));
}

void check_quantized(const char* op, const QuantFormat& format, const Array& w, const Array& scales,
                     const Array& biases) {
  if (w.dtype() != Dtype::uint32)
    throw ValueError(cat(op, ": w must hold packed codes of dtype uint32, got ", w.dtype(), " of shape ", w.shape()));
  if (w.ndim() < 2) throw ValueError(cat(op, ": w must have at least 2 dimensions, got shape ", w.shape()));
  if (format.affine() != bool(biases))
    throw ValueError(format.affine() ? cat(op, ": mode affine needs biases")
                                     : cat(op, ": mode ", mode_name(format.mode), " has no biases; pass none"));
  auto mismatch = [&](const char* name, const Array& x) {
    throw ValueError(cat(op, ": ", name, " of shape ", x.shape(), " do not fit w of shape ", w.shape(), " with ",
                         format.text(), ": expected the axes of w before the last, then one for each group"));
  };
  Shape groups = w.shape();
  groups.back() = format.elements(groups.back()) / format.group;
  if (groups.back() * format.group != format.elements(w.shape().back()) || scales.shape() != groups)
    mismatch("scales", scales);
  if (format.affine()) {
    if (!is_float(scales.dtype()) || !is_float(biases.dtype()))
      throw ValueError(
          cat(op, ": scales and biases must be floating-point arrays, got ", scales.dtype(), " and ", biases.dtype()));
    if (biases.shape() != groups) mismatch("biases", biases);
  } else if (scales.dtype() != Dtype::uint8) {
    throw ValueError(cat(op, ": scales of mode ", mode_name(format.mode), " must be uint8, got ", scales.dtype()));
  }
}

void check_global_scale(const char* op, const QuantFormat& format, const Array& scale) {
  if (format.mode != QuantMode::nvfp4)
    throw ValueError(cat(op, ": only mode nvfp4 has a global scale, got one with mode ", mode_name(format.mode)));
  if (scale.dtype() != Dtype::float32 || scale.ndim() != 0)
    throw ValueError(
        cat(op, ": a global scale must be a float32 scalar, got ", scale.dtype(), " of shape ", scale.shape()));
}

}  // namespace funcnn
