// Attention over one head of keys and the rows of queries that see it, compiled for each instruction set. A row is one
// query of one of the heads that share the keys: row g * queries + t is query t of head g. Blocks of rows are the
// columns of what is computed, so that every step of the softmax is a step over vectors.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/gemm.h"
#include "base/half.h"

namespace funcnn::cpu {

// Queries of heads that share keys: element d of query t of head g at data[g * head + t * row + d * column].
template <class S>
struct QueryView {
  S* data = nullptr;
  int64_t head = 0, row = 0, column = 1;
  S* at(int64_t g, int64_t t) const { return data + g * head + t * row; }
};

// 16-bit floats are computed with in float32.
template <class S>
struct WideOf {
  using type = float;
};
template <>
struct WideOf<double> {
  using type = double;
};

struct AttentionSizes {
  int64_t group, queries, keys, depth, values;  // heads, places of both, lengths of the rows of q and k, and of v
  double scale;
  bool causal, boolean;  // boolean: the mask says which scores count
  int64_t rows() const { return group * queries; }
};

template <class S>
struct AttentionHead {
  using T = typename WideOf<S>::type;
  QueryView<const S> q;
  MatrixView<S> k, v;
  QueryView<const std::byte> mask;  // null: none. Steps in bytes; along axes of length 1, 0.
  // Forward.
  const S* sinks = nullptr;  // null: none
  int64_t sink_step = 0;
  QueryView<S> result;
  QueryView<T> most, sums;
  // Backward.
  QueryView<const T> given_most, given_sums, rows;
  QueryView<const S> ct;
  QueryView<S> dq;
};

// Rows of float32 or float64 that sums are kept in, `step` apart.
template <class T>
struct SumRows {
  T* data;
  int64_t step;
};

template <class S>
struct AttentionTable {
  using T = typename WideOf<S>::type;
  // The results of rows [begin, end).
  void (*forward)(const AttentionSizes&, const AttentionHead<S>&, int64_t begin, int64_t end, std::byte* room);
  // What all rows, at most kFewRows, find among keys [begin, end): for each row the largest score, the sum of the
  // exponentials of the scores less that, and the sum of the values so weighted.
  void (*few)(const AttentionSizes&, const AttentionHead<S>&, int64_t begin, int64_t end, T* part, std::byte* room);
  // The derivatives by the queries of rows [begin, end), and what these rows add to those by keys and values: their
  // rows may hold more elements than depth and values, as many as attention_width says.
  void (*gradient)(const AttentionSizes&, const AttentionHead<S>&, int64_t begin, int64_t end, SumRows<T> dk,
                   SumRows<T> dv, std::byte* room);
  // What rows [begin, end) add to the derivative by the mask: element (g, t, j) of the steps of `dmask`.
  void (*mask_gradient)(const AttentionSizes&, const AttentionHead<S>&, int64_t begin, int64_t end,
                        QueryView<double> dmask, std::byte* room);
};

struct AttentionTables {
  AttentionTable<float> f32;
  AttentionTable<double> f64;
  AttentionTable<float16_t> f16;
  AttentionTable<bfloat16_t> bf16;
};

inline constexpr int64_t kQueryBlock = 64;  // rows in a block
inline constexpr int64_t kKeyBlock = 96;    // keys in a block, at most
inline constexpr int64_t kFewRows = 8;
inline constexpr int64_t kFewKeys = 256;  // keys that few rows go over at a time

// Elements of a row of `length` with whole vectors of at most 64 bytes.
inline int64_t attention_width(int64_t length) { return (length + 15) / 16 * 16; }
// Bytes of scratch memory any of the functions needs.
size_t attention_room(const AttentionSizes& sizes, size_t wide);
const AttentionTables& attention_tables();

}  // namespace funcnn::cpu
