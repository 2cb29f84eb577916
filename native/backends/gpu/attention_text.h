// What the kernels of attention share: where operands lie, and the text of what a group of threads does with tiles of
// queries and keys.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "backends/gpu/operand.h"
#include "ops/attention.h"

namespace funcnn::gpu {

// The text of a kernel, and the values of its fields.
struct AttentionKernelText {
  KernelText text;
  Values values;

  AttentionKernelText(const Traits& traits, std::string_view name, uint32_t threads) : text(traits, name, threads) {}
  void field(std::string_view name, int64_t value) {  // fits in 32 bits
    text.value("i32", name);
    values.add(int32_t(value));
  }
};

enum class AttentionMask : uint8_t { none, boolean, added };

// An operand: its steps from one batch, head, place and feature to the next.
struct AttentionOperand {
  std::string name, type;
  Strides lead;
  int64_t head = 0, row = 0, column = 0;
  bool one = false;  // all elements are one in memory, which the host may hold

  void read(KernelText& text, std::string_view as) const { one ? text.read_one(type, as) : text.read(type, as); }
};

struct AttentionProblem {
  Dtype dtype;
  double scale;
  bool causal;
  AttentionMask mask = AttentionMask::none;
  int64_t batches = 1, heads, group, queries, keys, depth, values;
  int inputs;  // of the primitive, behind which its outputs come
  Shape lead;
  std::vector<AttentionOperand> operands;
  bool far = false;  // offsets of elements do not fit in 32 bits

  AttentionProblem(const AttentionScores& scores, Layouts in);
  // An operand with so many axes behind the leading ones: heads, places, features. `exchanged`: places come first.
  void add(std::string_view name, const Layout& layout, int last_axes, bool exchanged = false);
  // Merge leading axes, once all operands are known.
  void settle();

  const AttentionOperand& operand(std::string_view name) const;
  int64_t key_heads() const { return heads / group; }
  bool wide() const { return dtype == Dtype::float64; }
  // Part of the name of a kernel: what its text depends on.
  std::string suffix() const;

  // Types S, of elements; T, of what is computed; I, of offsets.
  std::string types() const;
  // Fields for sizes, the scale, and the steps of the operands declared.
  void fields(AttentionKernelText& out, const std::vector<std::string_view>& names) const;
  // Statements that move pointers to their batch, number `batch` (an expression, u32); and to a head.
  std::string to_batch(std::string_view batch, const std::vector<std::string_view>& names) const;
  // const T scale.
  std::string scale_text() const;
  // Statements which, of query `t` and key `j` (i32), tell whether the query sees the key (`seen`), and make of the
  // product `x` of both (T) the score.
  std::string score() const;
};

// Tiles: kAttentionRows of what a group owns by kAttentionKeys of what it walks over, for 128 threads, of which thread
// `me` has rows me / 8 * 4 ... + 3, and columns me % 8, + 8, + 16, + 24.
inline constexpr int kAttentionRows = 64, kAttentionKeys = 32, kAttentionThreads = 128;

// Functions and types for tiles: Block, Sums of `columns` (a multiple of 8) columns, add_products, add_weighted. STAGE
// is the number of elements of T that both need in shared memory.
std::string attention_tiles(int columns);
// How many columns of a result a group holds in registers, of `columns` that there are.
int attention_columns(int64_t columns, bool wide);

// most, sums, rows and ct, of derivatives.
void add_attention_gradient_inputs(AttentionProblem& problem, Layouts in);

}  // namespace funcnn::gpu
