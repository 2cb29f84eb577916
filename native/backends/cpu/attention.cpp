// The kernels of attention: which rows go to which task, and what tasks leave to be added up. Both depend on shapes
// only.
#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "backends/cpu/arena.h"
#include "backends/cpu/attention.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/kernels.h"
#include "base/dtype.h"
#include "base/error.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(AttentionTables, attention_tables);

const AttentionTables& attention_tables() { return FUNCNN_OF_ACTIVE_SET(attention_tables); }

size_t attention_room(const AttentionSizes& sizes, size_t wide) {
  int64_t depth = attention_width(sizes.depth), values = attention_width(sizes.values);
  int64_t blocks = 3 * kQueryBlock * (depth + values) + 3 * kKeyBlock * kQueryBlock +
                   std::max(kKeyBlock, kQueryBlock) * (depth + values);
  int64_t few = kFewRows * (depth + kFewKeys) + 5 * 16 * 16 + kFewKeys * std::max(depth, values);
  return size_t(std::max(blocks, few)) * wide + 16 * 64;
}

namespace {

thread_local Arena scratch;

template <class S>
const AttentionTable<S>& table() {
  if constexpr (std::is_same_v<S, float>) return attention_tables().f32;
  if constexpr (std::is_same_v<S, double>) return attention_tables().f64;
  if constexpr (std::is_same_v<S, float16_t>) return attention_tables().f16;
  if constexpr (std::is_same_v<S, bfloat16_t>) return attention_tables().bf16;
}

// Where an operand lies: its last axes, and its leading ones for the number of a batch.
struct Place {
  Shape lead;
  Strides steps, last;

  Place() = default;
  // `last_axes`: how many axes are not leading. Along axes of length 1 there is no step.
  Place(const Layout& layout, size_t last_axes) {
    size_t rank = layout.shape.size();
    Strides strides = layout.strides;
    for (size_t i = 0; i < rank; ++i)
      if (layout.shape[i] == 1) strides[i] = 0;
    lead = Shape(layout.shape.begin(), layout.shape.end() - ptrdiff_t(last_axes));
    steps = Strides(strides.begin(), strides.end() - ptrdiff_t(last_axes));
    last = Strides(strides.end() - ptrdiff_t(last_axes), strides.end());
  }
  // `all`: the lengths of the leading axes of the batches.
  int64_t offset(int64_t batch, const Shape& all) const {
    int64_t at = 0;
    for (size_t d = all.size(); d-- > 0;) {
      at += batch % all[d] * steps[d];
      batch /= all[d];
    }
    return at;
  }
};

// Axes of length 1 keep their step where vectors are to run along them.
Place dense_place(const Layout& layout) {
  Place place(layout, 3);
  if (layout.shape.back() == 1) place.last[2] = 1;
  return place;
}

// What the layouts of the operands decide.
template <class S>
struct Operands {
  using T = typename WideOf<S>::type;
  AttentionSizes sizes;
  Shape lead;
  int64_t batches, key_heads;
  Place q, k, v, mask, sinks, result, most, sums, rows, ct, dq;
  size_t mask_item = 0;

  Operands(const AttentionScores& scores, std::span<const Layout> in) {
    const Shape &a = in[0].shape, &b = in[1].shape;
    size_t rank = a.size();
    lead = Shape(a.begin(), a.end() - 3);
    batches = element_count(lead);
    key_heads = b[rank - 3];
    sizes = {a[rank - 3] / key_heads, a[rank - 2],  b[rank - 2],   a[rank - 1],
             in[2].shape[rank - 1],   scores.scale, scores.causal, false};
    q = dense_place(in[0]);
    k = dense_place(in[1]);
    v = dense_place(in[2]);
    if (scores.mask) {
      mask = Place(in[3], 3);
      sizes.boolean = in[3].dtype == Dtype::bool_;
      mask_item = item_size(in[3].dtype);
    }
  }

  template <class U>
  QueryView<U> queries(U* data, const Place& p, int64_t batch, int64_t head, bool exchanged = false) const {
    int64_t by_head = p.last[exchanged ? 1 : 0], by_place = p.last[exchanged ? 0 : 1];
    return {data + p.offset(batch, lead) + head * sizes.group * by_head, by_head, by_place,
            p.last.size() > 2 ? p.last[2] : 1};
  }
  AttentionHead<S> head(std::span<std::byte* const> at, int64_t batch, int64_t head) const {
    AttentionHead<S> h;
    h.q = queries(reinterpret_cast<const S*>(at[0]), q, batch, head);
    auto matrix = [&](std::byte* data, const Place& p) {
      return MatrixView<S>{reinterpret_cast<const S*>(data) + p.offset(batch, lead) + head * p.last[0], p.last[1],
                           p.last[2]};
    };
    h.k = matrix(at[1], k);
    h.v = matrix(at[2], v);
    if (mask_item) {
      QueryView<const std::byte> m = queries(static_cast<const std::byte*>(nullptr), mask, 0, 0);
      int64_t item = int64_t(mask_item);
      h.mask = {at[3] + (mask.offset(batch, lead) + head * sizes.group * mask.last[0]) * item, m.head * item,
                m.row * item, m.column * item};
    }
    return h;
  }
  // A task of `rows` rows takes this share of what is worth handing to a thread.
  int64_t grain(int64_t rows) const {
    double work = double(rows) * double(sizes.keys) * double(sizes.depth + sizes.values);
    return std::max<int64_t>(1, int64_t(1'000'000 / std::max(work, 1.0)));
  }
  size_t room() const { return attention_room(sizes, sizeof(T)); }
};

size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

// ---- forward

template <class S>
class AttentionKernel final : public HostKernel {
 public:
  using T = typename WideOf<S>::type;
  AttentionKernel(const AttentionScores& scores, std::span<const Layout> in, std::span<const Layout> out)
      : p_(scores, in), sinks_at_(scores.sinks ? in.size() - 1 : 0), result_at_(in.size()) {
    if (scores.sinks) p_.sinks = Place(in.back(), 1);
    p_.result = Place(out[0], 3);
    p_.most = Place(out[1], 2);
    p_.sums = Place(out[2], 2);
    int64_t pairs = p_.batches * p_.key_heads;
    if (p_.sizes.rows() <= kFewRows) {
      constexpr int64_t wanted = 32, least = 2 * kFewKeys;
      int64_t parts = std::max<int64_t>(1, std::min(p_.sizes.keys / least, wanted / std::max<int64_t>(pairs, 1)));
      int64_t chunks = (p_.sizes.keys + kFewKeys - 1) / kFewKeys;
      part_keys_ = (chunks + parts - 1) / parts * kFewKeys;
      parts_ = (p_.sizes.keys + part_keys_ - 1) / part_keys_;
    }
  }

  size_t scratch_bytes() const override {
    return size_t(p_.batches * p_.key_heads * parts_ * p_.sizes.rows() * (p_.sizes.values + 2)) * sizeof(T);
  }

  void run(std::span<std::byte* const> at) override {
    if (parts_) return run_few(at);
    int64_t rows = p_.sizes.rows(), blocks = (rows + kQueryBlock - 1) / kQueryBlock;
    parallel_for(p_.batches * p_.key_heads * blocks, p_.grain(kQueryBlock), [&](int64_t begin, int64_t end) {
      std::byte* room = scratch.get(p_.room());
      while (begin < end) {
        int64_t pair = begin / blocks, first = begin % blocks, last = std::min(blocks, first + end - begin);
        table<S>().forward(p_.sizes, head(at, pair), first * kQueryBlock, std::min(rows, last * kQueryBlock), room);
        begin += last - first;
      }
    });
  }

 private:
  AttentionHead<S> head(std::span<std::byte* const> at, int64_t pair) const {
    int64_t batch = pair / p_.key_heads, number = pair % p_.key_heads;
    AttentionHead<S> h = p_.head(at, batch, number);
    if (sinks_at_) {
      h.sink_step = p_.sinks.last[0];
      h.sinks = reinterpret_cast<const S*>(at[sinks_at_]) + p_.sinks.offset(batch, p_.lead) +
                number * p_.sizes.group * h.sink_step;
    }
    h.result = p_.queries(reinterpret_cast<S*>(at[result_at_]), p_.result, batch, number, true);
    h.most = p_.queries(reinterpret_cast<T*>(at[result_at_ + 1]), p_.most, batch, number);
    h.sums = p_.queries(reinterpret_cast<T*>(at[result_at_ + 2]), p_.sums, batch, number);
    return h;
  }

  void run_few(std::span<std::byte* const> at) const {
    int64_t rows = p_.sizes.rows(), size = rows * (p_.sizes.values + 2), pairs = p_.batches * p_.key_heads;
    T* found = reinterpret_cast<T*>(at.back());
    parallel_for(pairs * parts_, std::max<int64_t>(1, 200'000 / (part_keys_ * (p_.sizes.depth + p_.sizes.values))),
                 [&](int64_t begin, int64_t end) {
                   std::byte* room = scratch.get(p_.room());
                   for (int64_t i = begin; i < end; ++i) {
                     int64_t first = i % parts_ * part_keys_;
                     table<S>().few(p_.sizes, head(at, i / parts_), first, std::min(p_.sizes.keys, first + part_keys_),
                                    found + i * size, room);
                     if (parts_ == 1) finish(head(at, i), found + i * size);
                   }
                 });
    if (parts_ > 1)
      for (int64_t pair = 0; pair < pairs; ++pair) finish(head(at, pair), found + pair * parts_ * size);
  }

  // The result of a pair from what was found in the parts of its keys.
  void finish(const AttentionHead<S>& h, const T* found) const {
    constexpr T none = -std::numeric_limits<T>::infinity();
    int64_t rows = p_.sizes.rows(), values = p_.sizes.values, width = values + 2;
    std::vector<T> total(static_cast<size_t>(values));
    for (int64_t r = 0; r < rows; ++r) {
      int64_t g = r / p_.sizes.queries, t = r % p_.sizes.queries;
      T sink = h.sinks ? T(h.sinks[g * h.sink_step]) : none, most = sink;
      for (int64_t i = 0; i < parts_; ++i) most = std::max(most, found[(i * rows + r) * width]);
      T shift = most == none ? T(0) : most, sum = std::exp(sink - shift);
      std::fill(total.begin(), total.end(), T(0));
      for (int64_t i = 0; i < parts_; ++i) {
        const T* part = found + (i * rows + r) * width;
        T factor = std::exp(part[0] - shift);
        sum += factor * part[1];
        for (int64_t d = 0; d < values; ++d) total[size_t(d)] += factor * part[2 + d];
      }
      T scale = sum == T(0) ? T(0) : T(1) / sum;
      S* out = h.result.at(g, t);
      for (int64_t d = 0; d < values; ++d) out[d] = S(total[size_t(d)] * scale);
      *h.most.at(g, t) = most;
      *h.sums.at(g, t) = sum;
    }
  }

  Operands<S> p_;
  size_t sinks_at_, result_at_;
  int64_t parts_ = 0, part_keys_ = 0;  // of the keys, where there are few rows
};

// ---- derivatives by q, k and v

template <class S>
void set_gradient_inputs(Operands<S>& p, std::span<const Layout> in, size_t first) {
  p.most = Place(in[first], 2);
  p.sums = Place(in[first + 1], 2);
  p.rows = Place(in[first + 2], 2);
  p.ct = dense_place(in[first + 3]);
}

template <class S>
AttentionHead<S> gradient_head(const Operands<S>& p, std::span<std::byte* const> at, size_t first, int64_t batch,
                               int64_t number) {
  using T = typename WideOf<S>::type;
  AttentionHead<S> h = p.head(at, batch, number);
  h.given_most = p.queries(reinterpret_cast<const T*>(at[first]), p.most, batch, number);
  h.given_sums = p.queries(reinterpret_cast<const T*>(at[first + 1]), p.sums, batch, number);
  h.rows = p.queries(reinterpret_cast<const T*>(at[first + 2]), p.rows, batch, number);
  h.ct = p.queries(reinterpret_cast<const S*>(at[first + 3]), p.ct, batch, number);
  return h;
}

template <class S>
class GradientKernel final : public HostKernel {
 public:
  using T = typename WideOf<S>::type;
  GradientKernel(const AttentionGradient& op, std::span<const Layout> in, std::span<const Layout> out)
      : p_(op.scores(), in), order_(op.exchanged()), first_(op.scores().first_given()), outputs_(in.size()) {
    set_gradient_inputs(p_, in, first_);
    p_.dq = Place(out[0], 3);
    dk_ = Place(out[1], 3);
    dv_ = Place(out[2], 3);
    // Few pairs of batch and head are shared out by rows, and what rows add to the derivatives by k and v is kept
    // apart.
    int64_t pairs = std::max<int64_t>(p_.batches * p_.key_heads, 1);
    int64_t blocks = (p_.sizes.rows() + kQueryBlock - 1) / kQueryBlock;
    int64_t parts = std::clamp<int64_t>(8 / pairs, 1, blocks);
    part_rows_ = (blocks + parts - 1) / parts * kQueryBlock;
    parts_ = (p_.sizes.rows() + part_rows_ - 1) / part_rows_;
    constexpr int64_t vector = 16;
    direct_ = std::is_same_v<S, T> && parts_ == 1 && p_.sizes.depth % vector == 0 && p_.sizes.values % vector == 0;
  }

  size_t scratch_bytes() const override {
    return direct_ ? 0 : size_t(p_.batches * p_.key_heads * parts_) * part_size() * sizeof(T);
  }

  void run(std::span<std::byte* const> at) override {
    T* sums = direct_ ? nullptr : reinterpret_cast<T*>(at.back());
    int64_t rows = p_.sizes.rows(), pairs = p_.batches * p_.key_heads;
    parallel_for(pairs * parts_, p_.grain(part_rows_), [&](int64_t begin, int64_t end) {
      std::byte* room = scratch.get(p_.room());
      for (int64_t i = begin; i < end; ++i) {
        int64_t pair = i / parts_, first = i % parts_ * part_rows_;
        int64_t batch = pair / p_.key_heads, number = pair % p_.key_heads;
        AttentionHead<S> h = gradient_head(p_, at, first_, batch, number);
        h.dq = p_.queries(reinterpret_cast<S*>(at[outputs_]), p_.dq, batch, number, order_.q);
        SumRows<T> dk, dv;
        if (direct_) {
          dk = {reinterpret_cast<T*>(keys(at[outputs_ + 1], dk_, batch, number, order_.k)), step(dk_, order_.k)};
          dv = {reinterpret_cast<T*>(keys(at[outputs_ + 2], dv_, batch, number, order_.v)), step(dv_, order_.v)};
        } else {
          T* own = sums + size_t(i) * part_size();
          int64_t depth = attention_width(p_.sizes.depth);
          dk = {own, depth};
          dv = {own + p_.sizes.keys * depth, attention_width(p_.sizes.values)};
        }
        table<S>().gradient(p_.sizes, h, first, std::min(rows, first + part_rows_), dk, dv, room);
      }
    });
    if (direct_) return;
    int64_t grain = std::max<int64_t>(1, 100'000 / (parts_ * (p_.sizes.depth + p_.sizes.values)));
    parallel_for(pairs * p_.sizes.keys, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t pair = i / p_.sizes.keys, key = i % p_.sizes.keys;
        int64_t batch = pair / p_.key_heads, number = pair % p_.key_heads;
        const T* own = sums + size_t(pair * parts_) * part_size();
        int64_t depth = attention_width(p_.sizes.depth), values = attention_width(p_.sizes.values);
        S* to_k = keys(at[outputs_ + 1], dk_, batch, number, order_.k) + key * step(dk_, order_.k);
        S* to_v = keys(at[outputs_ + 2], dv_, batch, number, order_.v) + key * step(dv_, order_.v);
        add_up(own + key * depth, p_.sizes.depth, to_k);
        add_up(own + p_.sizes.keys * depth + key * values, p_.sizes.values, to_v);
      }
    });
  }

 private:
  size_t part_size() const {
    return size_t(p_.sizes.keys * (attention_width(p_.sizes.depth) + attention_width(p_.sizes.values)));
  }
  // The rows of a head in an output.
  S* keys(std::byte* data, const Place& place, int64_t batch, int64_t number, bool exchanged) const {
    return reinterpret_cast<S*>(data) + place.offset(batch, p_.lead) + number * place.last[exchanged ? 1 : 0];
  }
  static int64_t step(const Place& place, bool exchanged) { return place.last[exchanged ? 0 : 1]; }
  void add_up(const T* parts, int64_t length, S* to) const {
    for (int64_t d = 0; d < length; ++d) {
      T total = parts[d];
      for (int64_t i = 1; i < parts_; ++i) total += parts[size_t(i) * part_size() + size_t(d)];
      to[d] = S(total);
    }
  }

  Operands<S> p_;
  AttentionOrder order_;
  Place dk_, dv_;
  size_t first_, outputs_;  // of the operands after the mask, and of the results
  int64_t parts_, part_rows_;
  bool direct_;
};

// ---- derivative by the mask

template <class S>
class MaskGradientKernel final : public HostKernel {
 public:
  MaskGradientKernel(const AttentionMaskGradient& op, std::span<const Layout> in)
      : p_(op.scores(), in), shape_(in[3].shape), first_(op.scores().first_given()) {
    set_gradient_inputs(p_, in, first_);
    size_t rank = shape_.size();
    mask_heads_ = shape_[rank - 3];
    mask_rows_ = shape_[rank - 2];
    mask_keys_ = shape_[rank - 1];
    mask_lead_ = Shape(shape_.begin(), shape_.end() - 3);
  }

  void run(std::span<std::byte* const> at) override {
    S* out = reinterpret_cast<S*>(at[first_ + 4]);
    int64_t blocks = mask_rows_ == 1 ? 1 : (mask_rows_ + kQueryBlock - 1) / kQueryBlock;
    int64_t heads = p_.key_heads * p_.sizes.group;
    parallel_for(element_count(mask_lead_) * mask_heads_ * blocks, 1, [&](int64_t begin, int64_t end) {
      size_t room = rounded(p_.room());
      int64_t rows = std::min(mask_rows_, kQueryBlock);
      std::byte* memory = scratch.get(room + size_t(rows * mask_keys_) * sizeof(double));
      double* sums = reinterpret_cast<double*>(memory + room);
      for (int64_t task = begin; task < end; ++task) {
        int64_t block = task % blocks, mask_head = task / blocks % mask_heads_,
                mask_batch = task / blocks / mask_heads_;
        int64_t first = block * kQueryBlock, last = mask_rows_ == 1 ? p_.sizes.queries : first + kQueryBlock;
        last = std::min(last, p_.sizes.queries);
        std::fill_n(sums, rows * mask_keys_, 0.0);
        int64_t row = mask_rows_ == 1 ? 0 : mask_keys_;
        QueryView<double> to{sums - first * row, 0, row, mask_keys_ == 1 ? 0 : 1};
        for (int64_t batch = 0; batch < p_.batches; ++batch) {
          if (number_in_mask(batch) != mask_batch) continue;
          for (int64_t h = mask_heads_ == 1 ? 0 : mask_head; h < (mask_heads_ == 1 ? heads : mask_head + 1); ++h) {
            AttentionHead<S> head = gradient_head(p_, at, first_, batch, h / p_.sizes.group);
            int64_t before = h % p_.sizes.group * p_.sizes.queries;
            table<S>().mask_gradient(p_.sizes, head, before + first, before + last, to, memory);
          }
        }
        int64_t count = mask_rows_ == 1 ? 1 : last - first;
        S* target = out + ((mask_batch * mask_heads_ + mask_head) * mask_rows_ + first) * mask_keys_;
        for (int64_t i = 0; i < count * mask_keys_; ++i) target[i] = S(float_or_double(sums[i]));
      }
    });
  }

 private:
  static auto float_or_double(double x) { return typename WideOf<S>::type(x); }
  // Which batch of the mask a batch of the scores reads.
  int64_t number_in_mask(int64_t batch) const {
    int64_t number = 0, step = 1;
    for (size_t d = p_.lead.size(); d-- > 0;) {
      if (mask_lead_[d] != 1) number += batch % p_.lead[d] * step;
      step *= mask_lead_[d];
      batch /= p_.lead[d];
    }
    return number;
  }

  Operands<S> p_;
  Shape shape_, mask_lead_;
  size_t first_;
  int64_t mask_heads_, mask_rows_, mask_keys_;
};

// ----

std::unique_ptr<Kernel> make_attention(const Primitive& primitive, std::span<const Layout> in,
                                       std::span<const Layout> out, const KernelProgram*) {
  return for_float(in[0].dtype, "attention", [&](auto tag) -> std::unique_ptr<Kernel> {
    return std::make_unique<AttentionKernel<typename decltype(tag)::type>>(
        static_cast<const Attention&>(primitive).scores(), in, out);
  });
}

std::unique_ptr<Kernel> make_gradient(const Primitive& primitive, std::span<const Layout> in,
                                      std::span<const Layout> out, const KernelProgram*) {
  return for_float(in[0].dtype, "attention", [&](auto tag) -> std::unique_ptr<Kernel> {
    return std::make_unique<GradientKernel<typename decltype(tag)::type>>(
        static_cast<const AttentionGradient&>(primitive), in, out);
  });
}

std::unique_ptr<Kernel> make_mask_gradient(const Primitive& primitive, std::span<const Layout> in,
                                           std::span<const Layout>, const KernelProgram*) {
  return for_float(in[0].dtype, "attention", [&](auto tag) -> std::unique_ptr<Kernel> {
    return std::make_unique<MaskGradientKernel<typename decltype(tag)::type>>(
        static_cast<const AttentionMaskGradient&>(primitive), in);
  });
}

const RegisterKernel attention_kernel("attention", make_attention);
const RegisterKernel gradient_kernel("attention_gradient", make_gradient);
const RegisterKernel mask_gradient_kernel("attention_mask_gradient", make_mask_gradient);

}  // namespace
}  // namespace funcnn::cpu
