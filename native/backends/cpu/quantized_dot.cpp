// The kernel of quantized_dot: rows are brought together by the matrix they meet; few of them read packed codes as they
// go by, many unpack panels of the matrix for the tile kernel.
#include "ops/quantized_dot.h"

#include <algorithm>
#include <vector>

#include "backends/cpu/arena.h"
#include "backends/cpu/chosen.h"
#include "backends/cpu/dense_operands.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/quantized.h"
#include "backends/cpu/quantized_tiles.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(QuantDotTable, quant_dot_table);

const QuantDotTable* quant_dot_table() {
  const QuantDotTable* table = &FUNCNN_OF_ACTIVE_SET(quant_dot_table);
  return table->tiles ? table : nullptr;
}

namespace {

thread_local Arena room_of_thread;

constexpr int64_t kMostRows = 480;     // of A in cache at a time
constexpr int64_t kRowsOfTask = 64;    // of w, for few rows of x
constexpr int64_t kTileColumns = 128;  // of the result, for many

// What the shapes decide.
struct Sizes {
  QuantFormat format;
  bool transpose, indexed;
  int64_t x_count, x_rows, inner, matrices, w_rows, w_columns, items;
  Dtype dtype, scales;

  Sizes(const QuantizedDot& op, std::span<const Layout> in, const Layout& out)
      : format(op.format()),
        transpose(op.transpose()),
        indexed(op.indexed()),
        x_count(in[0].shape[0]),
        x_rows(in[0].shape[1]),
        inner(in[0].shape[2]),
        matrices(in[1].shape[0]),
        w_rows(in[1].shape[1]),
        w_columns(format.elements(in[1].shape[2])),
        items(out.shape[0]),
        dtype(in[0].dtype),
        scales(in[2].dtype) {}
  int64_t columns() const { return transpose ? w_rows : w_columns; }
  int64_t rows() const { return items * x_rows; }
};

struct Inputs {
  const std::byte *x, *w, *scales, *biases;
  const int64_t *lhs, *rhs;
  Inputs(const Sizes& s, std::span<const std::byte* const> in) : x(in[0]), w(in[1]), scales(in[2]) {
    size_t next = 3;
    biases = s.format.affine() ? in[next++] : nullptr;
    lhs = s.indexed ? reinterpret_cast<const int64_t*>(in[next]) : nullptr;
    rhs = s.indexed ? reinterpret_cast<const int64_t*>(in[next + 1]) : nullptr;
  }
};

QuantMatrix matrix(const Sizes& s, const Inputs& in, int64_t number) {
  QuantMatrix m{nullptr, nullptr, nullptr, s.w_columns, s.w_rows, s.format.group, scale_type(s.format, s.scales)};
  m.words = reinterpret_cast<const uint32_t*>(in.w) + number * s.w_rows * s.format.words(s.w_columns);
  size_t skipped = size_t(number * s.w_rows * m.groups()) * (s.format.affine() ? item_size(s.scales) : 1);
  m.scales = in.scales + skipped;
  m.biases = in.biases ? in.biases + skipped : nullptr;
  return m;
}

// Rows of x that meet one matrix.
struct Run {
  int64_t matrix, first, count;  // of the rows in order
  int64_t floats;                // where what is prepared of them begins
};

template <class T>
class QuantizedDotKernel final : public HostKernel {
 public:
  QuantizedDotKernel(const QuantizedDot& op, std::span<const Layout> inputs, const Layout& out)
      : s_(op, inputs, out), dense_(inputs), code_(code_of(s_.format)), table_(*quant_dot_table()) {
    int64_t runs = std::min(s_.matrices, s_.items) + s_.rows() / kMostRows + 1;
    // Rows of short runs are laid out, those of long ones packed in whole panels.
    int64_t laid = laid_out() + sums();
    prepared_ =
        std::min(s_.rows(), runs * kFewRows) * laid + (s_.rows() + runs * table_.packed_length(1, 1)) * s_.inner;
    prepared_bytes_ = size_t(prepared_ * 4 + 63) / 64 * 64;
    wide_bytes_ = std::is_same_v<T, float> ? 0 : size_t(s_.x_count * s_.x_rows * s_.inner * 4 + 63) / 64 * 64;
  }

  size_t scratch_bytes() const override { return dense_.bytes() + prepared_bytes_ + wide_bytes_; }

  void run(std::span<std::byte* const> operands) override {
    std::byte* scratch = operands.back();
    T* out = reinterpret_cast<T*>(operands[dense_.count()]);
    std::vector<const std::byte*> dense = dense_.prepare(operands.first(dense_.count()), scratch);
    Inputs in(s_, dense);
    scratch += dense_.bytes();
    float* prepared = reinterpret_cast<float*>(scratch);
    const float* x = widened(reinterpret_cast<const T*>(in.x), reinterpret_cast<float*>(scratch + prepared_bytes_));

    // Rows in the order of their matrices: where each is read and where its result goes.
    ItemsByMatrix grouped(in.rhs, s_.items, s_.matrices);
    std::vector<const float*> from;
    std::vector<T*> to;
    std::vector<Run> runs;
    int64_t n = s_.columns(), floats = 0;
    auto zero = [&](int64_t item) { std::fill_n(out + item * s_.x_rows * n, s_.x_rows * n, T(0)); };
    for (int64_t m = 0; m < s_.matrices; ++m) {
      int64_t first = int64_t(from.size());
      for (int64_t i = grouped.begin[size_t(m)]; i < grouped.begin[size_t(m) + 1]; ++i) {
        int64_t item = grouped.items[size_t(i)], which = in.lhs ? in.lhs[item] : 0;
        if (which < 0 || which >= s_.x_count) {
          zero(item);
          continue;
        }
        for (int64_t r = 0; r < s_.x_rows; ++r) {
          from.push_back(x + (which * s_.x_rows + r) * s_.inner);
          to.push_back(out + (item * s_.x_rows + r) * n);
        }
      }
      int64_t count = int64_t(from.size()) - first;
      for (int64_t at = 0; at < count; at += kMostRows) {
        Run run{m, first + at, std::min(kMostRows, count - at), floats};
        floats += prepared_length(run.count);
        runs.push_back(run);
      }
    }
    for (int64_t i = grouped.begin.back(); i < s_.items; ++i) zero(grouped.items[size_t(i)]);

    prepare(runs, from, prepared);
    multiply(in, runs, to, prepared);
  }

 private:
  bool few(int64_t rows) const { return rows <= kFewRows; }
  int64_t laid_out() const { return s_.transpose ? table_.few_length(code_, s_.inner) : s_.inner; }
  int64_t sums() const { return s_.transpose ? s_.inner / s_.format.group : 0; }
  int64_t prepared_length(int64_t rows) const {
    return few(rows) ? rows * (laid_out() + sums()) : table_.packed_length(rows, s_.inner);
  }

  const float* widened(const T* x, float* room) const {
    if constexpr (std::is_same_v<T, float>) {
      return x;
    } else {
      parallel_for(s_.x_count * s_.x_rows * s_.inner, 65536, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) room[i] = float(x[i]);
      });
      return room;
    }
  }

  // Rows laid out, or packed in panels, block by block of the inner axis.
  void prepare(const std::vector<Run>& runs, const std::vector<const float*>& from, float* prepared) const {
    int64_t blocks = (s_.inner + kQuantBlock - 1) / kQuantBlock;
    parallel_for(int64_t(runs.size()) * blocks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Run& run = runs[size_t(i / blocks)];
        float* at = prepared + run.floats;
        if (!few(run.count)) {
          table_.pack(&from[size_t(run.first)], run.count, s_.inner, i % blocks * kQuantBlock, at);
        } else if (i % blocks == 0) {
          for (int64_t r = 0; r < run.count; ++r) {
            const float* row = from[size_t(run.first + r)];
            if (s_.transpose)
              table_.few_lay_out(code_, row, s_.inner, s_.format.group, at + r * laid_out(),
                                 at + run.count * laid_out() + r * sums());
            else
              std::copy_n(row, s_.inner, at + r * s_.inner);
          }
        }
      }
    });
  }

  void multiply(const Inputs& in, const std::vector<Run>& runs, const std::vector<T*>& to,
                const float* prepared) const {
    int64_t n = s_.columns(), step = table_.few_columns_step(code_);
    // Columns of the result that a task computes.
    auto columns = [&](const Run& run) { return !few(run.count) ? kTileColumns : s_.transpose ? kRowsOfTask : step; };
    std::vector<int64_t> tasks{0};
    for (const Run& run : runs) tasks.push_back(tasks.back() + (n + columns(run) - 1) / columns(run));
    parallel_for(tasks.back(), 1, [&](int64_t begin, int64_t end) {
      size_t r = size_t(std::upper_bound(tasks.begin(), tasks.end(), begin) - tasks.begin()) - 1;
      for (int64_t i = begin; i < end; ++i) {
        while (i >= tasks[r + 1]) ++r;
        const Run& run = runs[r];
        int64_t first = (i - tasks[r]) * columns(run), last = std::min(n, first + columns(run));
        compute(matrix(s_, in, run.matrix), run, prepared + run.floats, first, last, &to[size_t(run.first)]);
      }
    });
  }

  void compute(const QuantMatrix& m, const Run& run, const float* rows, int64_t first, int64_t end,
               T* const* to) const {
    constexpr int64_t wide = kTileColumns + 16;
    int64_t leading = few(run.count) ? end - first : wide;
    size_t result = size_t(run.count * leading) * sizeof(float) / 64 * 64 + 64;
    size_t room =
        few(run.count) ? s_.transpose ? 0 : table_.few_columns_room(code_) : table_.tiles_room(code_, s_.inner);
    std::byte* memory = room_of_thread.get(result + room);
    float* out = reinterpret_cast<float*>(memory);
    if (!few(run.count))
      table_.tiles(code_, m, s_.transpose, rows, run.count, first, end, out, leading, memory + result);
    else if (s_.transpose)
      table_.few_rows(code_, m, rows, rows + run.count * laid_out(), run.count, first, end, out, leading);
    else
      table_.few_columns(code_, m, rows, run.count, first, end, out, leading, memory + result);
    for (int64_t r = 0; r < run.count; ++r)
      for (int64_t j = 0; j < end - first; ++j) to[r][first + j] = T(out[r * leading + j]);
  }

  Sizes s_;
  DenseOperands dense_;
  QuantCode code_;
  const QuantDotTable& table_;
  int64_t prepared_;
  size_t prepared_bytes_, wide_bytes_;
};

// float64, and compilers without vectors: a row of the matrix at a time, in float64.
template <class T>
class PlainQuantizedDot final : public HostKernel {
 public:
  PlainQuantizedDot(const QuantizedDot& op, std::span<const Layout> inputs, const Layout& out)
      : s_(op, inputs, out), dense_(inputs) {}
  size_t scratch_bytes() const override { return dense_.bytes(); }

  void run(std::span<std::byte* const> operands) override {
    std::vector<const std::byte*> dense =
        dense_.prepare(operands.first(dense_.count()), dense_.bytes() ? operands.back() : nullptr);
    Inputs in(s_, dense);
    const T* x = reinterpret_cast<const T*>(in.x);
    T* out = reinterpret_cast<T*>(operands[dense_.count()]);
    int64_t n = s_.columns();
    parallel_for(s_.items, 1, [&](int64_t begin, int64_t end) {
      std::vector<double> row(size_t(s_.w_columns)), total(size_t(s_.x_rows * n));
      for (int64_t i = begin; i < end; ++i) {
        std::fill(total.begin(), total.end(), 0.0);
        int64_t which = in.lhs ? in.lhs[i] : 0, number = in.rhs ? in.rhs[i] : 0;
        bool there = which >= 0 && which < s_.x_count && number >= 0 && number < s_.matrices;
        for (int64_t r = 0; there && r < s_.w_rows; ++r) {
          unpack(in, number, r, row.data());
          for (int64_t m = 0; m < s_.x_rows; ++m) {
            const T* from = x + (which * s_.x_rows + m) * s_.inner;
            double* to = total.data() + m * n;
            for (int64_t c = 0; c < s_.w_columns; ++c) {
              if (s_.transpose)
                to[r] += double(from[c]) * row[size_t(c)];
              else
                to[c] += double(from[r]) * row[size_t(c)];
            }
          }
        }
        for (int64_t j = 0; j < s_.x_rows * n; ++j) {
          if constexpr (std::is_same_v<T, double>)
            out[i * s_.x_rows * n + j] = total[size_t(j)];
          else
            out[i * s_.x_rows * n + j] = T(float(total[size_t(j)]));
        }
      }
    });
  }

 private:
  void unpack(const Inputs& in, int64_t number, int64_t r, double* row) const {
    QuantMatrix m = matrix(s_, in, number);
    int group = s_.format.group;
    float x[128];
    const float one = 1, zero = 0;
    for (int64_t g = 0; g < m.groups(); ++g) {
      const uint32_t* words = m.words + r * s_.format.words(s_.w_columns) + g * s_.format.words(group);
      int64_t at = r * m.groups() + g;
      double scale = 1, bias = 0;
      if (s_.format.affine()) {
        quant_table().f32.dequantize(s_.format, words, &one, &zero, group, 0, x);
        scale = double(reinterpret_cast<const T*>(m.scales)[at]);
        bias = double(reinterpret_cast<const T*>(m.biases)[at]);
      } else {
        quant_table().f32.dequantize(s_.format, words, m.scales + at, nullptr, group, 0, x);
      }
      for (int i = 0; i < group; ++i) row[g * group + i] = double(x[i]) * scale + bias;
    }
  }

  Sizes s_;
  DenseOperands dense_;
};

std::unique_ptr<Kernel> make_quantized_dot(const Primitive& primitive, std::span<const Layout> inputs,
                                           std::span<const Layout> outputs, const KernelProgram*) {
  const auto& op = static_cast<const QuantizedDot&>(primitive);
  if (auto kernel = make_quantized_tiles(op, inputs)) return kernel;
  return for_float(inputs[0].dtype, "quantized_dot", [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_same_v<T, double>)
      if (quant_dot_table()) return std::make_unique<QuantizedDotKernel<T>>(op, inputs, outputs[0]);
    return std::make_unique<PlainQuantizedDot<T>>(op, inputs, outputs[0]);
  });
}

const RegisterKernel registered("quantized_dot", make_quantized_dot);

}  // namespace
}  // namespace funcnn::cpu
