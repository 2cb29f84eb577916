// The body of a loop in machine code of AArch64: one straight line whose values stay in vector registers.
#pragma once

#include <optional>
#include <vector>

#include "backends/cpu/jit/arm_assembler.h"
#include "backends/cpu/jit/lifetimes.h"
#include "backends/cpu/jit/loop.h"

namespace funcnn::cpu::jit::arm {

// What a value depends on. What does not depend on the element is computed once a row.
enum class Level : uint8_t { dead, row, element };

// Registers with a fixed meaning. Scratch is for a moment only.
inline constexpr General kFrame = x(0), kIndex = x(13), kLimit = x(14), kLane = x(15), kScratch = x(16),
                         kPointer = x(17);
// Bytes to an element of 1, 2, 4 and 8 bytes.
constexpr General offset_register(int item) { return x(item == 1 ? 9 : item == 2 ? 10 : item == 4 ? 11 : 12); }

// What all bodies of a stage share.
struct Layout {
  std::vector<std::optional<General>> pointer;            // of each stream; none: it stays in the frame
  std::vector<Level> level;                               // of each node
  std::vector<int> home_register, home_slot;              // of values of a row that elements read, or -1
  int first_home = 32;                                    // the registers from here on are homes
  int first_spill = 0, most_spills = 0;                   // slots behind all homes
  int accumulators_at = 0, results_at = 0, slots_at = 0;  // bytes from the stack pointer
};

enum class Mode : uint8_t {
  vectors,  // whole ones; what is reduced goes into accumulators
  serial,   // whole ones, whose lanes are reduced one after another
  single,   // one element
};

class Body {
 public:
  Body(Assembler& as, const Loop& loop, const Stage& stage, Layout& layout, Level level, Mode mode = Mode::vectors);
  void emit();
  int peak() const { return peak_; }

 private:
  const Node& node(int v) const { return stage_.line.nodes[size_t(v)]; }
  // Lanes of 8 bytes: of the line, or of the node that is being written.
  bool eight() const { return loop_.wide || half_; }
  int item() const { return eight() ? 8 : 4; }
  Vector v(int r) const { return eight() ? d2(r) : s4(r); }

  void one(int n, const Node& node);
  void end_operation();
  void enter_branch(int n, int position);
  void blend_branch(int n);
  void leave_branch();
  void find_free();
  void keep(int n);
  Address slot(int number) const { return at(sp, layout_.slots_at + 16 * number); }
  Address stream(int number);
  int in(int n);
  int take();
  int temporary();
  int copy_of(int n);
  int constant(uint64_t bits);
  void spill();
  void used(int n);
  void fetch(int n, int to);
  void move(int to, int from);

  // A row has one value, and so has what is left of it.
  int lanes() const { return level_ == Level::row || mode_ == Mode::single ? 1 : loop_.wide ? 2 : 4; }
  int three(Name name, int a, int b);
  int two(Name name, int a);
  int logic(Name name, int a, int b);
  int choice(Name compare, int first, int second, int yes, int no);
  int multiply(int a, int b);
  int half(int a);
  int widen(const Node& node);
  int narrow(const Node& node);
  int shift(const Node& node);
  int shift_by(const Node& node);
  int load(const Node& node);
  int load_mask(const Node& node);
  void store(const Node& node);
  void store_mask(const Node& node);
  void narrow_store(int r, int lane, int bytes, const Address& to);
  void reduce(const Node& node);

  Assembler& as_;
  const Loop& loop_;
  const Stage& stage_;
  Layout& layout_;
  Level level_;
  Mode mode_;
  Lifetimes values_;
  std::vector<int> free_, temporaries_;
  Label branch_end_ = {};  // of the `seldom` whose branch has begun
  bool half_ = false;      // the node stands for half of the elements, in lanes of 8 bytes
  int peak_ = 0;
};

// A constant in all lanes.
void load_constant(Assembler& as, int to, uint64_t bits, bool eight);

// acc = the reduction of acc and x, whose ties and NaN depend on where they meet: vectors with vectors, or lanes and
// elements with each other. `squared`: of the square of x. `t` and `u` are free.
void combine(Assembler& as, const Fold& fold, bool vectors, bool squared, int acc, int x, int t, int u);

}  // namespace funcnn::cpu::jit::arm
