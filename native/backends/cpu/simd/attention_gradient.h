// The derivatives of attention: weights are computed again, block by block, from the logarithms of their sums.
// Source: T. Dao et al., "FlashAttention", 2022.
#pragma once

#include "backends/cpu/simd/attention_blocks.h"

namespace funcnn::cpu {
namespace {

// What the derivatives of a block of rows need of it, turned.
template <class S>
struct GradientBlock {
  using T = typename WideOf<S>::type;
  Columns c;
  T *q, *ct;
  alignas(64) T most[kQueryBlock], inverse[kQueryBlock], rows[kQueryBlock];

  GradientBlock(const AttentionSizes& sizes, const AttentionHead<S>& head, int64_t begin, int64_t end, T* q, T* ct)
      : c(Columns::of<T>(sizes, begin, end)), q(q), ct(ct) {
    turn(sizes, c, head.q, sizes.depth, T(sizes.scale), q);
    turn(sizes, c, head.ct, sizes.values, T(1), ct);
    // Where nothing is seen, and beyond the last row, weights are zero.
    std::fill_n(most, kQueryBlock, -kMinusInfinity<T>);
    std::fill_n(inverse, kQueryBlock, T(0));
    std::fill_n(rows, kQueryBlock, T(0));
    c.runs(sizes, [&](int64_t i, int64_t n, int64_t g, int64_t t) {
      for (int64_t r = 0; r < n; ++r) {
        rows[i + r] = head.rows.at(g, t)[r * head.rows.row];
        T sum = head.given_sums.at(g, t)[r * head.given_sums.row];
        if (sum == T(0)) continue;
        inverse[i + r] = T(1) / sum;
        most[i + r] = head.given_most.at(g, t)[r * head.given_most.row];
      }
    });
  }

  // p: the weights of n keys; ds: the derivatives by their scores, times `scale`.
  void weights(const AttentionSizes& sizes, const AttentionHead<S>& head, int64_t key, int64_t n, Dense<T> k,
               Dense<T> v, T scale, T* __restrict p, T* __restrict ds, T* mask) const {
    multiply_keys(sizes, c, key, n, sizes.depth, k, q, p);
    apply_mask(sizes, head, c, key, n, p, mask);
    multiply_keys(sizes, c, key, n, sizes.values, v, ct, ds);
    for_panels<T>(sizes, c, key, n, [&](int64_t i, int64_t width, int64_t, int64_t keys) {
      for (int64_t j = keys; j < n; ++j) std::fill_n(ds + j * kQueryBlock + i, width, T(0));
    });
    for (int64_t j = 0; j < n; ++j) {
      T *to = p + j * kQueryBlock, *of = ds + j * kQueryBlock;
      for (int64_t i = 0; i < c.width; ++i) {
        T e = weight(to[i] - most[i]) * inverse[i];
        to[i] = e;
        of[i] = e * scale * (of[i] - rows[i]);
      }
    }
  }
};

// The rows of a block as they are, whole vectors long: where they lie, or copied with zeros behind.
template <class T, class S>
Dense<T> block_rows(const AttentionSizes& sizes, const Columns& c, const QueryView<const S>& from, int64_t length,
                    T* room) {
  if constexpr (std::is_same_v<S, T>)
    if (from.column == 1 && length % kLanes<T> == 0 &&
        c.first / sizes.queries == (c.first + c.count - 1) / sizes.queries)
      return {from.at(c.first / sizes.queries, c.first % sizes.queries), from.row};
  int64_t width = attention_width(length);
  c.runs(sizes, [&](int64_t i, int64_t n, int64_t g, int64_t t) {
    for (int64_t r = 0; r < n; ++r) {
      const S* row = from.at(g, t + r);
      T* to = room + (i + r) * width;
      for (int64_t d = 0; d < length; ++d) to[d] = widen(row[d * from.column]);
      std::fill(to + length, to + width, T(0));
    }
  });
  return {room, width};
}

template <class T>
int64_t whole(int64_t length) {
  return (length + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

template <class S>
void gradient(const AttentionSizes& sizes, const AttentionHead<S>& head, int64_t begin, int64_t end,
              SumRows<typename WideOf<S>::type> dk, SumRows<typename WideOf<S>::type> dv, std::byte* memory) {
  using T = typename WideOf<S>::type;
  Room room{memory};
  T* q = room.take<T>(sizes.depth * kQueryBlock);
  T* ct = room.take<T>(sizes.values * kQueryBlock);
  T* dq = room.take<T>(sizes.depth * kQueryBlock);
  T* q_room = room.take<T>(attention_width(sizes.depth) * kQueryBlock);
  T* ct_room = room.take<T>(attention_width(sizes.values) * kQueryBlock);
  T* p = room.take<T>(kKeyBlock * kQueryBlock);
  T* ds = room.take<T>(kKeyBlock * kQueryBlock);
  T* mask = room.take<T>(kKeyBlock * kQueryBlock);
  T* k_room = room.take<T>(kKeyBlock * sizes.depth);
  T* v_room = room.take<T>(kKeyBlock * sizes.values);
  int64_t depth = whole<T>(sizes.depth), values = whole<T>(sizes.values);
  for (int64_t j = 0; j < sizes.keys; ++j) {
    std::fill_n(dk.data + j * dk.step, depth, T(0));
    std::fill_n(dv.data + j * dv.step, values, T(0));
  }
  for (int64_t first = begin; first < end; first += kQueryBlock) {
    GradientBlock<S> block(sizes, head, first, std::min(end, first + kQueryBlock), q, ct);
    const Columns& c = block.c;
    Dense<T> q_rows = block_rows(sizes, c, head.q, sizes.depth, q_room);
    Dense<T> ct_rows = block_rows(sizes, c, head.ct, sizes.values, ct_room);
    bool add = false;
    for_key_blocks(c, [&](int64_t key, int64_t n) {
      Dense<T> k = dense(head.k.at(key, 0), n, sizes.depth, k_room);
      Dense<T> v = dense(head.v.at(key, 0), n, sizes.values, v_room);
      block.weights(sizes, head, key, n, k, v, T(sizes.scale), p, ds, mask);
      for_panels<T>(sizes, c, key, n, [&](int64_t i, int64_t, int64_t count, int64_t keys) {
        product<true>(keys, values, count, p + i, kQueryBlock, ct_rows.data + i * ct_rows.row, ct_rows.row,
                      dv.data + key * dv.step, dv.step, true);
        product<true>(keys, depth, count, ds + i, kQueryBlock, q_rows.data + i * q_rows.row, q_rows.row,
                      dk.data + key * dk.step, dk.step, true);
      });
      add_weighted(sizes, c, key, n, sizes.depth, k, ds, dq, add);
      add = true;
    });
    if (!add) std::fill_n(dq, sizes.depth * kQueryBlock, T(0));
    turn_back(sizes, c, dq, sizes.depth, head.dq, q_room);
  }
}

template <class S>
void mask_gradient(const AttentionSizes& sizes, const AttentionHead<S>& head, int64_t begin, int64_t end,
                   QueryView<double> dmask, std::byte* memory) {
  using T = typename WideOf<S>::type;
  Room room{memory};
  T* q = room.take<T>(sizes.depth * kQueryBlock);
  T* ct = room.take<T>(sizes.values * kQueryBlock);
  T* p = room.take<T>(kKeyBlock * kQueryBlock);
  T* ds = room.take<T>(kKeyBlock * kQueryBlock);
  T* mask = room.take<T>(kKeyBlock * kQueryBlock);
  T* k_room = room.take<T>(kKeyBlock * sizes.depth);
  T* v_room = room.take<T>(kKeyBlock * sizes.values);
  for (int64_t first = begin; first < end; first += kQueryBlock) {
    GradientBlock<S> block(sizes, head, first, std::min(end, first + kQueryBlock), q, ct);
    for_key_blocks(block.c, [&](int64_t key, int64_t n) {
      Dense<T> k = dense(head.k.at(key, 0), n, sizes.depth, k_room);
      Dense<T> v = dense(head.v.at(key, 0), n, sizes.values, v_room);
      block.weights(sizes, head, key, n, k, v, T(1), p, ds, mask);
      block.c.runs(sizes, [&](int64_t i, int64_t count, int64_t g, int64_t t) {
        for (int64_t r = 0; r < count; ++r) {
          double* to = dmask.at(g, t + r) + key * dmask.column;
          for (int64_t j = 0; j < n; ++j) to[j * dmask.column] += double(ds[j * kQueryBlock + i + r]);
        }
      });
    });
  }
}

}  // namespace
}  // namespace funcnn::cpu
