// softmax(scale q k^T + mask) v of blocks of queries, the softmax carried along over blocks of keys.
// Source: M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018; T. Dao et al.,
// "FlashAttention", 2022.
#pragma once

#include "backends/cpu/simd/attention_blocks.h"

namespace funcnn::cpu {
namespace {

// The largest score so far, and the sum of the exponentials of the scores less it.
template <class T>
struct Running {
  alignas(64) T most[kQueryBlock], sum[kQueryBlock], fade[kQueryBlock];
};

// s (n x width) becomes the weights; `fade` is by what earlier sums shrink. Whether any does.
template <class T>
bool soften(int64_t n, int64_t width, T* __restrict s, Running<T>& r) {
  alignas(64) T most[kQueryBlock], shift[kQueryBlock];
  std::copy_n(r.most, width, most);
  for (int64_t j = 0; j < n; ++j)
    for (int64_t i = 0; i < width; ++i) most[i] = s[j * kQueryBlock + i] > most[i] ? s[j * kQueryBlock + i] : most[i];
  bool moved = false;
  for (int64_t i = 0; i < width; ++i) {
    shift[i] = most[i] == kMinusInfinity<T> ? T(0) : most[i];
    r.fade[i] = weight(r.most[i] - shift[i]);
    moved |= r.fade[i] != T(1);
    r.sum[i] *= r.fade[i];
    r.most[i] = most[i];
  }
  T* __restrict sum = r.sum;
  for (int64_t j = 0; j < n; ++j) {
    T* row = s + j * kQueryBlock;
    for (int64_t i = 0; i < width; ++i) {
      T e = weight(row[i] - shift[i]);
      row[i] = e;
      sum[i] += e;
    }
  }
  return moved;
}

template <class S>
void forward(const AttentionSizes& sizes, const AttentionHead<S>& head, int64_t begin, int64_t end, std::byte* memory) {
  using T = typename WideOf<S>::type;
  Room room{memory};
  T* q = room.take<T>(sizes.depth * kQueryBlock);
  T* sum = room.take<T>(sizes.values * kQueryBlock);
  T* s = room.take<T>(kKeyBlock * kQueryBlock);
  T* mask = room.take<T>(kKeyBlock * kQueryBlock);
  T* k_room = room.take<T>(kKeyBlock * sizes.depth);
  T* v_room = room.take<T>(std::max(kKeyBlock, kQueryBlock) * sizes.values);
  Running<T> r;
  for (int64_t first = begin; first < end; first += kQueryBlock) {
    Columns c = Columns::of<T>(sizes, first, std::min(end, first + kQueryBlock));
    turn(sizes, c, head.q, sizes.depth, T(sizes.scale), q);
    std::fill_n(r.most, c.width, kMinusInfinity<T>);
    std::fill_n(r.sum, c.width, T(0));
    if (head.sinks) {
      c.runs(sizes, [&](int64_t i, int64_t n, int64_t g, int64_t) {
        T sink = widen(head.sinks[g * head.sink_step]);
        std::fill_n(r.most + i, n, sink);
        std::fill_n(r.sum + i, n, sink == kMinusInfinity<T> ? T(0) : T(1));
      });
    }
    bool add = false;
    for_key_blocks(c, [&](int64_t key, int64_t n) {
      Dense<T> k = dense(head.k.at(key, 0), n, sizes.depth, k_room);
      multiply_keys(sizes, c, key, n, sizes.depth, k, q, s);
      apply_mask(sizes, head, c, key, n, s, mask);
      if (soften(n, c.width, s, r) && add)
        for (int64_t d = 0; d < sizes.values; ++d)
          for (int64_t i = 0; i < c.width; ++i) sum[d * kQueryBlock + i] *= r.fade[i];
      Dense<T> v = dense(head.v.at(key, 0), n, sizes.values, v_room);
      add_weighted(sizes, c, key, n, sizes.values, v, s, sum, add);
      add = true;
    });
    if (!add) std::fill_n(sum, sizes.values * kQueryBlock, T(0));
    for (int64_t i = 0; i < c.width; ++i) r.fade[i] = r.sum[i] == T(0) ? T(0) : T(1) / r.sum[i];
    for (int64_t d = 0; d < sizes.values; ++d)
      for (int64_t i = 0; i < c.width; ++i) sum[d * kQueryBlock + i] *= r.fade[i];
    turn_back(sizes, c, sum, sizes.values, head.result, v_room);
    c.runs(sizes, [&](int64_t i, int64_t n, int64_t g, int64_t t) {
      for (int64_t q = 0; q < n; ++q) {
        head.most.at(g, t)[q * head.most.row] = r.most[i + q];
        head.sums.at(g, t)[q * head.sums.row] = r.sum[i + q];
      }
    });
  }
}

}  // namespace
}  // namespace funcnn::cpu
