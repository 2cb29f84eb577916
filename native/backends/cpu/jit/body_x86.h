// The body of a loop in machine code: one straight line whose values stay in vector registers.
#pragma once

#include <optional>
#include <vector>

#include "backends/cpu/jit/lifetimes.h"
#include "backends/cpu/jit/loop.h"
#include "backends/cpu/jit/writer_x86.h"

namespace funcnn::cpu::jit {

// What a value depends on, and so where in the nest it is computed.
enum class Level : uint8_t { dead, constant, scalar, row, element };

// What all bodies of a stage share.
struct Layout {
  bool wide = true;                              // AVX-512, else AVX2 with FMA
  std::vector<std::optional<x86::Gpr>> pointer;  // of each stream; none: it stays in the frame
  std::vector<Level> level;                      // of each node
  // Of values that outlive their level: a vector register, or a place on the stack.
  std::vector<int> home_register, home_slot;
  bool scalars_return = false;  // registers with scalars are filled again for each row, from the stack
  int accumulators = 0;         // the first registers
  int unroll = 1;               // bodies behind each other, each with accumulators of its own
  int last_free = 0;            // the registers above keep values
  int slots_at = 0;             // bytes from the stack pointer: behind the buffers of folds
  int first_slot = 0;           // for spilled values; those before are homes
  int most_spills = 0;
  x86::Label end = {};  // of the code, for what leaves it
};

// Registers with a fixed meaning.
inline constexpr x86::Gpr kIndex = x86::rax, kLimit = x86::rcx, kScratch = x86::rdx, kFrame = x86::rdi,
                          kBuffer = x86::r11;
inline constexpr int kFoldMask = 6, kTailMask = 7;  // a mask register; with VEX a vector register holds lanes:
inline constexpr int kTailLanes = 15;

// Which elements a body computes.
struct BodyPlace {
  int unit = 0;             // so many vectors beyond the index
  bool tail = false;        // only those of the mask
  bool to_buffers = false;  // values to be reduced go into buffers on the stack, by kBuffer
  int ahead = 0;            // asks for the memory of operands so many vectors further on
  bool touches = false;     // reads each vector of operands in two parts
  bool past_caches = false;
};

class Body {
 public:
  Body(Writer& w, const Loop& loop, const Stage& stage, Layout& layout, Level level, BodyPlace place = {});
  void emit();
  int peak() const { return peak_; }

 private:
  const Node& node(int v) const { return stage_.line.nodes[size_t(v)]; }
  bool mask_register(int v) const { return layout_.wide && makes_mask(node(v).what); }
  void find_lazy_loads();
  void ask_ahead();
  void touch();
  bool may_fold_load(int v) const;
  void one(int v, const Node& n);
  void end_operation();
  void find_free();
  void keep(int v);

  x86::Memory at_stream(int stream, int32_t bytes = 0);
  x86::Memory at_slot(int slot) const;
  x86::Memory memory_of(int v);
  // Where a value of an outer level, or of this one when it has gone there, lives in a register; -1: nowhere.
  int home_register(int v) const {
    const bool away = layout_.scalars_return && level_ == Level::scalar;
    return away ? -1 : layout_.home_register[size_t(v)];
  }
  bool in_register(int v) const { return values_.reg(v) >= 0 || home_register(v) >= 0; }
  bool foldable(int v) const;
  int in(int v);
  int mask_in(int v);
  int take();
  int take_temporary();
  int take_mask();
  void spill(bool masks);
  void used(int v);
  bool dies(int v) const { return values_.uses(v) == 1 && values_.reg(v) >= 0; }

  x86::Vector vector_for(const Op& op, int r) const;
  void binary(const Op& op, int v, int a, int b);
  void commutative(const Op& op, int v, int a, int b);
  void unary(const Op& op, int v, int a);
  void round(int v, int a, int how);
  void half(int v, const Node& n);
  void brain(int v, const Node& n);
  bool stays_packed(int v) const;
  void shift(int v, const Node& n);
  void fused(int v, const Node& n);
  void widen(int v, const Node& n);
  void narrow(int v, const Node& n);
  void half_of_mask(int v, const Node& n);
  void compare(int v, const Node& n);
  void mask_logic(int v, const Node& n);
  void select(int v, const Node& n);
  void enter_branch(int v, int position);
  void blend_branch(int v, const Node& n);
  void leave_branch();
  bool masked() const;
  void load(int v, const Node& n);
  void load_mask(int v, const Node& n);
  void index(int v);
  void pick(int v, const Node& n);
  void store(const Node& n);
  void store_for_row(const Node& n);
  bool passes_caches(int stream) const;
  void store_packed(int r, int stream, const x86::Memory& m);
  void store_past_caches(int r, Dtype memory, const x86::Memory& m);
  void store_narrow(int r, int bytes, const x86::Memory& m);
  void store_mask(const Node& n);
  void leave(const Node& n);
  void reduce(const Node& n);

  Writer& w_;
  const Loop& loop_;
  const Stage& stage_;
  Layout& layout_;
  Level level_;
  BodyPlace place_;
  Lifetimes values_;
  std::vector<char> lazy_load_;  // by node
  std::vector<int> free_, free_masks_, temporaries_, temporary_masks_;
  x86::Label branch_end_ = {};  // of the `seldom` whose branch has begun
  int peak_ = 0, registers_ = 0;
};

// acc = the reduction of acc and x, whose ties and NaN depend on where they meet. `t`, `u`: registers to use with VEX.
enum class Meeting : uint8_t { vectors, lanes, elements };
void combine(Writer& w, const Fold& fold, Meeting meeting, int acc, int x, int t, int u);

}  // namespace funcnn::cpu::jit
