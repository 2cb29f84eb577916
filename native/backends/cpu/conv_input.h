// The rows of the input that a strip of outputs reads: where they lie if they can be read there, else copied with their
// padding, as what they are accumulated in.
#pragma once

#include <algorithm>
#include <vector>

#include "backends/cpu/arena.h"
#include "backends/cpu/conv.h"

namespace funcnn::cpu {

// Which channels: element q of a position is, in plane k, channel (first + q) / repeat * planes + k; `width` elements
// are kept of each.
struct ConvChannels {
  int64_t first, count, repeat, width;
};

// An output row by its number: example and places along the two axes in front.
struct ConvRow {
  int64_t n, place[2];
  ConvRow(const ConvProblem& p, int64_t row)
      : n(row / (p.axes[0].out * p.axes[1].out)), place{row / p.axes[1].out % p.axes[0].out, row % p.axes[1].out} {}
};

template <class S>
class ConvInput {
 public:
  using T = ConvSum<S>;
  enum class InPlace {
    never,
    unpadded,  // where no tap leaves the row
    always,    // the caller leaves out what is beyond the ends of a row
  };
  // `width`: elements of a position. `spare`: elements behind each row that may be read. `planes`: a row is there so
  // many times, one after another.
  ConvInput(const ConvProblem& p, int64_t width, InPlace in_place, int64_t spare, int64_t planes = 1)
      : p_(p), spare_(spare), planes_(planes) {
    const ConvAxis& a = p.axes[2];
    int64_t longest = 0;
    for (const ConvPhase& phase : a.phases) longest = std::max(longest, phase.taps.empty() ? 0 : phase.count);
    bool inside = a.lowest >= 0 && (longest - 1) * a.move + a.highest < a.in;
    in_place_ = std::is_same_v<S, T> && p.x.last == 1 && planes == 1 &&
                (in_place == InPlace::always || (in_place == InPlace::unpadded && inside && spare == 0));
    position_ = in_place_ ? p.x.spatial[2] : width;
  }

  // From one position of a row to the next.
  int64_t position() const { return position_; }
  bool in_place() const { return in_place_; }
  // Elements of a plane of a row for a block of this length.
  int64_t row_length(int64_t block) const {
    const ConvAxis& a = p_.axes[2];
    return ((block - 1) * a.move + a.highest - a.lowest + 1) * position_ + spare_;
  }

  // The rows that outputs of rows [first, last) read.
  void load(const ConvTable& table, const S* x, int64_t first, int64_t last, ConvBlock block, ConvChannels channels) {
    first_example_ = ConvRow(p_, first).n;
    const ConvAxis *d = &p_.axes[0], *h = &p_.axes[1];
    int64_t examples = ConvRow(p_, last - 1).n + 1 - first_example_;
    rows_.assign(size_t(examples * d->in * h->in), nullptr);
    // First a mark on each that is needed, then its place.
    int64_t needed = 0;
    const T* mark = reinterpret_cast<const T*>(this);
    for (int64_t row = first; row < last; ++row)
      for_each_tap(row, [&](int64_t slot, int64_t, int64_t) {
        if (rows_[size_t(slot)] == nullptr) ++needed;
        rows_[size_t(slot)] = mark;
      });
    int64_t start = block.begin * p_.axes[2].move + p_.axes[2].lowest;
    int64_t length = row_length(block.end - block.begin), pitch = plane(block.end - block.begin);
    T* room = in_place_ ? nullptr : reinterpret_cast<T*>(arena().get(size_t(needed * planes_ * pitch) * sizeof(T)));
    index_.clear();
    if (channels.repeat * planes_ > 1 || p_.x.last != 1)
      for (int64_t k = 0; k < planes_; ++k)
        for (int64_t q = 0; q < channels.count; ++q)
          index_.push_back(((channels.first + q) / channels.repeat * planes_ + k) * p_.x.last);
    for (size_t slot = 0; slot < rows_.size(); ++slot) {
      if (!rows_[slot]) continue;
      int64_t rest = int64_t(slot);
      int64_t ih = rest % h->in, id = rest / h->in % d->in, n = first_example_ + rest / h->in / d->in;
      const S* from = x + n * p_.x.first + id * p_.x.spatial[0] + ih * p_.x.spatial[1];
      if constexpr (std::is_same_v<S, T>) {
        if (in_place_) {
          rows_[slot] = from + start * p_.x.spatial[2] + channels.first;
          continue;
        }
      }
      rows_[slot] = room;
      for (int64_t k = 0; k < planes_; ++k, room += pitch) copy(table, from, start, length, channels, k, room);
    }
  }

  // f(slot, d, h) for the taps along the axes in front that reach the input.
  template <class F>
  void for_each_tap(int64_t row, F&& f) const {
    ConvRow at(p_, row);
    const ConvAxis &d = p_.axes[0], &h = p_.axes[1];
    const ConvPhase &pd = d.phases[size_t(at.place[0] % d.step)], &ph = h.phases[size_t(at.place[1] % h.step)];
    int64_t td = at.place[0] / d.step * d.move, th = at.place[1] / h.step * h.move;
    for (size_t i = 0; i < pd.taps.size(); ++i) {
      int64_t id = td + pd.taps[i].offset;
      if (id < 0 || id >= d.in) continue;
      for (size_t j = 0; j < ph.taps.size(); ++j) {
        int64_t ih = th + ph.taps[j].offset;
        if (ih < 0 || ih >= h.in) continue;
        f(((at.n - first_example_) * d.in + id) * h.in + ih, int64_t(i), int64_t(j));
      }
    }
  }
  // The outputs of a phase, among those of a block, all of whose taps are inside the row.
  std::pair<int64_t, int64_t> inside(const ConvPhase& phase, ConvBlock block) const {
    const ConvAxis& a = p_.axes[2];
    int64_t begin = block.begin, end = std::min(block.end, phase.count);
    for (const ConvTap& tap : phase.taps) {
      if (tap.offset < 0) begin = std::max(begin, (a.move - 1 - tap.offset) / a.move);
      end = std::min(end, a.in > tap.offset ? (a.in - 1 - tap.offset) / a.move + 1 : 0);
    }
    begin = std::min(begin, std::min(block.end, phase.count));
    return {begin - block.begin, std::max(begin, end) - block.begin};
  }
  bool reaches(const ConvTap& tap, int64_t output) const {
    int64_t i = output * p_.axes[2].move + tap.offset;
    return i >= 0 && i < p_.axes[2].in;
  }
  // From a plane of a row to the next, for a block of this length.
  int64_t plane(int64_t block) const { return (row_length(block) + 15) / 16 * 16; }
  // The row, from the first position that the block reads.
  const T* row(int64_t slot) const { return rows_[size_t(slot)]; }

 private:
  static Arena& arena() {
    thread_local Arena rows;
    return rows;
  }

  void copy(const ConvTable& table, const S* from, int64_t start, int64_t length, ConvChannels c, int64_t plane,
            T* out) const {
    int64_t step = p_.x.spatial[2];
    int64_t positions = (length - spare_) / position_;
    int64_t before = std::clamp<int64_t>(-start, 0, positions);
    int64_t after = std::clamp<int64_t>(start + positions - p_.axes[2].in, 0, positions - before);
    int64_t inside = positions - before - after;
    std::fill_n(out, before * position_, T(0));
    std::fill_n(out + (before + inside) * position_, after * position_ + spare_, T(0));
    out += before * position_;
    from += (start + before) * step;
    auto& packing = table.packing<S>();
    if (!index_.empty()) {
      packing.choose(from, inside, step, index_.data() + plane * c.count, c.count, c.width, out);
    } else if (c.width == c.count && step == c.width) {
      packing.widen(from + c.first, inside * c.width, out);
    } else if (c.count >= 8) {
      for (int64_t i = 0; i < inside; ++i, from += step, out += c.width) {
        packing.widen(from + c.first, c.count, out);
        std::fill(out + c.count, out + c.width, T(0));
      }
    } else {
      for (int64_t i = 0; i < inside; ++i, from += step, out += c.width) {
        for (int64_t q = 0; q < c.count; ++q) out[q] = T(from[c.first + q]);
        std::fill(out + c.count, out + c.width, T(0));
      }
    }
  }

  const ConvProblem& p_;
  int64_t spare_, position_, planes_;
  bool in_place_;
  int64_t first_example_ = 0;
  std::vector<int64_t> index_;  // of what is chosen of a position, plane by plane; empty: what lies side by side
  std::vector<const T*> rows_;
};

}  // namespace funcnn::cpu
