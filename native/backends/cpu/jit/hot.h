// Routines that run often enough, in machine code.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backends/cpu/jit/code_memory.h"
#include "backends/cpu/jit/segments.h"
#include "backends/cpu/jit/target.h"
#include "plan/host_work.h"

namespace funcnn::cpu::jit {

// A tile as segments see it: where its slots lie and which elements it holds.
struct TileView {
  std::byte* const* slots;
  std::span<std::byte* const> operands;
  const AccessPath* paths;
  int64_t begin = 0, row = 0, rows = 1, col = 0, cols = 1;
  std::byte* const* partial = nullptr;  // of each reduction by phases
  int64_t partial_number = 0;           // of this tile's part
  int64_t partial_col = 0;              // columns: of the first accumulator
  bool first = false;                   // columns: accumulators are not yet set
  int64_t elements = 0;                 // of all tiles
};

// So many narrow elements take less time than starting the steps on them.
inline constexpr int64_t kFewNarrow = 1024;

class CompiledSegment {
 public:
  CompiledSegment(Segment segment, const Target& target, CodeMemory::Function function);
  size_t first() const { return segment_.first; }
  size_t count() const { return segment_.count; }
  const Segment& segment() const { return segment_; }

  // Whether there is code for tiles of that many columns; else steps have to be interpreted.
  bool runs(int64_t cols) const;
  // Whether the interpreter is quicker over tiles of so many elements.
  bool slow(int64_t elements) const { return segment_.narrow && elements > kFewNarrow; }
  bool run(const TileView& tile) const;  // false: it does not
  // A tile whose streams begin at fixed places of operands.
  struct Fixed {
    struct Start {
      int operand;
      int64_t offset;
    };
    SmallVector<Start, 6> streams;
    int64_t rows, cols;
  };
  // The only tile of a program, if that is so and there is code for it. `slots` says where those that are memory of
  // operands begin.
  std::optional<Fixed> fix(std::span<const AccessPath> paths, std::span<const Slot> slots, int64_t rows,
                           int64_t cols) const;
  // On one set of so many operands after another.
  void run(const Fixed& tile, std::span<std::byte* const> operands, size_t each) const;
  // The call that does it on these, if it needs nothing but a frame.
  std::optional<FixedWork> bind(const Fixed& tile, std::span<std::byte* const> operands) const;
  // What it writes, for comparisons with the interpreter.
  struct Written {
    std::byte* at;
    size_t bytes;
    Dtype dtype;
    bool result;  // else nothing reads it afterwards
  };
  std::vector<Written> written(const TileView& tile) const;

 private:
  std::byte* begin_of(size_t stream, const TileView& tile) const;
  void rows_of(size_t stream, const TileView& tile, std::span<std::byte*> out) const;
  void run_rows(Frame& frame, int64_t rows, int64_t cols) const;
  void run_frame(Frame& frame, int64_t rows, int64_t cols) const;
  void run_tail(const Frame& frame, int64_t done, int64_t n) const;
  void call(Frame& frame, int64_t rows, int64_t cols) const;
  int past_caches(size_t stream) const;
  bool passes_caches(const Frame& frame, int64_t cols) const;
  void set_lengths(Frame& frame, int64_t rows, int64_t cols) const;
  void reduce_columns(const std::byte* from, size_t each, const TileView& tile) const;

  Segment segment_;
  CodeMemory::Function function_;
  Generated code_;
  bool by_rows_, folds_, whole_only_;
  int64_t vector_bytes_, lanes_;
  size_t tables_ = 0;      // streams that are anywhere
  int64_t in_memory_ = 0;  // bytes of operands, of one element
  bool reads_results_ = false;
};

// The segments of one Code.
using CompiledCode = std::vector<CompiledSegment>;

class Hot {
 public:
  explicit Hot(const Target& target) : target_(target) {}

  // A run of so much work, in steps times elements, begins. Compiles what has become worth it.
  void count(const Routine& routine, const std::vector<AccessPath>& paths, double work) {
    if (state_.load(std::memory_order_acquire) == State::cold) heat(routine, paths, work);
  }
  // Of the routine's code of that number, or null: interpret it.
  const CompiledCode* find(size_t number) const {
    return state_.load(std::memory_order_acquire) == State::compiled ? &codes_[number] : nullptr;
  }

 private:
  enum class State : int { cold, compiling, compiled };
  void heat(const Routine& routine, const std::vector<AccessPath>& paths, double work);
  void compile(const Routine& routine, const std::vector<AccessPath>& paths);

  const Target& target_;
  std::atomic<State> state_{State::cold};
  std::atomic<int64_t> runs_{0}, work_{0};
  std::vector<CompiledCode> codes_;
};

// Null where nothing can be compiled: by FUNCNN_JIT, or for this instruction set.
std::shared_ptr<Hot> make_hot(InstructionLevel level);

// Whether memory that a segment has written is the interpreter's, NaN being equal whatever its bits.
bool same_values(const std::byte* a, const std::byte* b, size_t bytes, Dtype dtype);
// `compiled` instead of what lies at `written`, the result of that number.
std::string describe_difference(const CompiledSegment& segment, size_t result, const CompiledSegment::Written& written,
                                const std::byte* compiled);

}  // namespace funcnn::cpu::jit
