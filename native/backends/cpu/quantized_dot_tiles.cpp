// Many rows of bfloat16 times a quantised matrix by tiles of AMX: a few of its rows at a time become bfloat16.
#include <algorithm>
#include <cstring>

#include "backends/cpu/amx.h"
#include "backends/cpu/arena.h"
#include "backends/cpu/dense_operands.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_blocks.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/quantized.h"
#include "backends/cpu/quantized_tiles.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(QuantPairs, quant_pairs);

namespace {

using S = bfloat16_t;
thread_local Arena room_of_thread;

class QuantizedTiles final : public HostKernel {
 public:
  QuantizedTiles(const QuantizedDot& op, std::span<const Layout> in, const GemmOf<S>& products)
      : products_(products),
        pairs_(FUNCNN_OF_ACTIVE_SET(quant_pairs)),
        format_(op.format()),
        code_(code_of(format_)),
        type_(scale_type(format_, in[2].dtype)),
        dense_(in),
        m_(in[0].shape[1]),
        n_(in[1].shape[1]),
        k_(in[0].shape[2]),
        apart_(k_) {
    // Whole steps of rows that fall on few places of the cache are copied.
    while (k_ % kAmxStep == 0 && lines_collide(apart_ * int64_t(sizeof(S)))) apart_ += kAmxStep;
  }

  size_t scratch_bytes() const override {
    return dense_.bytes() + 64 + (apart_ == k_ ? 0 : size_t(m_ * apart_) * sizeof(S));
  }

  void run(std::span<std::byte* const> operands) override {
    std::vector<const std::byte*> in = dense_.prepare(operands.first(dense_.count()), operands.back());
    const S* x = reinterpret_cast<const S*>(in[0]);
    S* y = reinterpret_cast<S*>(operands[dense_.count()]);
    if (apart_ != k_) {
      const uintptr_t scratch = reinterpret_cast<uintptr_t>(operands.back() + dense_.bytes());
      S* copy = reinterpret_cast<S*>((scratch + 63) / 64 * 64);
      parallel_for(m_, 1 + 65536 / k_, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) std::memcpy(copy + i * apart_, x + i * k_, size_t(k_) * sizeof(S));
      });
      x = copy;
    }
    QuantMatrix matrix{reinterpret_cast<const uint32_t*>(in[1]), in[2], nullptr, k_, n_, format_.group, type_};
    if (format_.affine()) matrix.biases = in[3];
    // Columns of the result that a task computes: many rows are read for many of them.
    const int64_t wide = (m_ >= 128 ? 4 : 2) * kAmxSide;
    parallel_for((n_ + wide - 1) / wide, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) compute(matrix, x, i * wide, std::min(n_, (i + 1) * wide), y);
    });
  }

 private:
  void compute(const QuantMatrix& matrix, const S* x, int64_t first, int64_t end, S* y) const {
    const int64_t columns = end - first, panels = (columns + kAmxSide - 1) / kAmxSide, block = amx_depth(k_);
    const size_t packed_bytes = products_.packing.bytes(columns, k_);
    std::byte* packed =
        room_of_thread.get(packed_bytes + std::max(pairs_.room(block), gemm_room(m_, columns, k_, sizeof(S))));
    std::byte* room = packed + packed_bytes;
    for (int64_t k0 = 0; k0 < k_; k0 += block)
      for (int64_t j = 0; j < panels; ++j)
        pairs_.panel(code_, matrix, first + j * kAmxSide, std::min(kAmxSide, columns - j * kAmxSide), k0,
                     std::min(block, k_ - k0), room, reinterpret_cast<S*>(packed) + amx_panel(panels, k_, k0, j));
    products_.rounded.multiply_packed(m_, columns, k_, {x, apart_, 1}, {packed, columns, 0}, y + first, n_, room);
  }

  const GemmOf<S>& products_;
  const QuantPairs& pairs_;
  QuantFormat format_;
  QuantCode code_;
  ScaleType type_;
  DenseOperands dense_;
  int64_t m_, n_, k_, apart_;
};

}  // namespace

std::unique_ptr<Kernel> make_quantized_tiles(const QuantizedDot& op, std::span<const Layout> inputs) {
  constexpr int64_t least_rows = 16;
  if (amx_use() == AmxUse::off || op.indexed() || !op.transpose() || inputs[0].dtype != Dtype::bfloat16) return nullptr;
  if (inputs[0].shape[1] < least_rows || inputs[0].shape[2] == 0 || inputs[1].shape[1] == 0) return nullptr;
  if (op.format().affine() && inputs[2].dtype != Dtype::bfloat16) return nullptr;
  const GemmOf<S>* products = products_of<S>();
  return products ? std::make_unique<QuantizedTiles>(op, inputs, *products) : nullptr;
}

}  // namespace funcnn::cpu
