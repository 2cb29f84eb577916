#include "backends/gpu/positions.h"

#include <algorithm>

#include "base/error.h"

namespace funcnn::gpu {

Positions::Positions(const Layout& x, Layouts indices, const IndexedAxes& axes, const Shape& common,
                     const Strides* along, bool wide)
    : lengths_(common),
      base_(common.size(), 0),
      has_along_(along != nullptr),
      count_(element_count(common)),
      type_(wide ? "i64" : "i32") {
  const size_t rank = common.size();
  along_ = along ? *along : Strides(rank, 0);
  for (size_t i = 0; i < axes.x_batch.size(); ++i) {
    const auto axis = size_t(axes.x_batch[i]);
    base_[size_t(axes.index_batch[i])] = x.shape[axis] == 1 ? 0 : x.strides[axis];
  }
  for (size_t k = 0; k < indices.size(); ++k) {
    const Layout& index = indices[k];
    Strides strides(rank, 0);
    size_t lead = rank - index.shape.size();
    for (size_t d = 0; d < index.shape.size(); ++d)
      if (index.shape[d] != 1) strides[lead + d] = index.strides[d];
    const auto axis = size_t(axes.indexed[k]);
    indices_.push_back({index, std::move(strides), x.shape[axis], x.strides[axis]});
  }
  SmallVector<Strides*, 4> all{&base_, &along_};
  for (Index& index : indices_) all.push_back(&index.strides);
  merge_axes(lengths_, std::span<Strides* const>(all.data(), all.size()));
  has_base_ = std::any_of(base_.begin(), base_.end(), [](int64_t s) { return s != 0; });
}

void Positions::declare(KernelText& text, Numbers& numbers) const {
  for (size_t d = 0; d < lengths_.size(); ++d) {
    if (has_base_) numbers.add(text, cat("base", d), base_[d]);
    if (has_along_) numbers.add(text, cat("along", d), along_[d]);
  }
  bool wide_index = false, narrow_index = false;
  for (size_t k = 0; k < indices_.size(); ++k) {
    const Index& index = indices_[k];
    for (size_t d = 0; d < lengths_.size(); ++d) numbers.add(text, cat("index", k, "_", d), index.strides[d]);
    numbers.add(text, cat("length", k), index.length);
    numbers.add(text, cat("step", k), index.step);
    (index.layout.dtype == Dtype::int32 ? narrow_index : wide_index) = true;
  }
  if (!indices_.empty())
    text.before("// The place of an index, which counts from the end if it is negative; -1: out of range.\n");
  auto function = [&](std::string_view of, std::string_view computed) {
    text.before(cat("FUNCTION ", type_, " place_of(", of, " index, ", type_, " length) {\n  const ", computed,
                    " at = index < 0 ? (", computed, ")index + (", computed, ")length : (", computed,
                    ")index;\n  return at >= 0 && at < length ? (", type_, ")at : -1;\n}\n"));
  };
  if (narrow_index) function("i32", type_);
  if (wide_index) function("i64", "i64");
}

void Positions::declare_indices(KernelText& text) const {
  for (size_t k = 0; k < indices_.size(); ++k)
    declare_read(text, indices_[k].layout, type_name(indices_[k].layout.dtype), cat("index", k));
}

void Positions::declare_lengths(KernelText& text, Numbers& numbers) const {
  for (size_t d = 1; d < lengths_.size(); ++d) numbers.add(text, cat("lead", d), lengths_[d]);
}

namespace {

std::string sum_text(size_t rank, std::string_view axis, std::string_view stride) {
  std::string out;
  for (size_t d = 0; d < rank; ++d) out += cat(d ? " + " : "", axis, d, " * p.", stride, d);
  return rank ? out : "0";
}

}  // namespace

std::string Positions::place_text(std::string_view name, std::string_view axis) const {
  const size_t rank = lengths_.size();
  std::string out = cat("    ", type_, " ", name, " = ", has_base_ ? sum_text(rank, axis, "base") : "0", ";\n");
  out += cat("    bool ", name, "_inside = true;\n");
  for (size_t k = 0; k < indices_.size(); ++k) {
    const bool narrow = indices_[k].layout.dtype == Dtype::int32;
    out += cat("    {\n      const ", type_, " at = place_of(", narrow ? "" : "(i64)", "index", k, "[",
               sum_text(rank, axis, cat("index", k, "_")), "], p.length", k, ");\n");
    out += cat("      ", name, "_inside = ", name, "_inside && at >= 0;\n      ", name, " += at * p.step", k,
               ";\n    }\n");
  }
  return out;
}

std::string Positions::along_text(std::string_view axis) const { return sum_text(lengths_.size(), axis, "along"); }

std::string Positions::unravel_text(std::string_view number, std::string_view axis) const {
  const size_t rank = lengths_.size();
  if (rank == 0) return {};
  if (rank == 1) return cat("    const ", type_, " ", axis, "0 = ", number, ";\n");
  std::string out = cat("    ", type_, " ", axis, "_left = ", number, ";\n");
  for (size_t d = rank - 1; d > 0; --d)
    out += cat("    const ", type_, " ", axis, d, " = ", axis, "_left % p.lead", d, ";\n    ", axis, "_left /= p.lead",
               d, ";\n");
  return out + cat("    const ", type_, " ", axis, "0 = ", axis, "_left;\n");
}

}  // namespace funcnn::gpu
