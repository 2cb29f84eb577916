#include "backends/cpu/jit/emit_arm.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "backends/cpu/jit/body_arm.h"

namespace funcnn::cpu::jit {
namespace arm {
namespace {

// Saved by whoever uses them: v8 to v15, of which the low halves count, and x19 to x28.
constexpr int kSavedVectors = 8, kFirstSavedVector = 8, kSavedGenerals = 10, kFirstSavedGeneral = 19;
constexpr int kSavedBytes = 8 * (kSavedVectors + kSavedGenerals);
constexpr int kPointers[] = {1, 2, 3, 4, 5, 6, 7, 8, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28};
// Of 32 registers so many stay free for values of a row.
constexpr int kLeastFree = 8;

// What accumulators begin with, so that the first elements come out as they are; and the result of no element.
template <class T>
uint64_t neutral_as(ReduceOp op) {
  using Limits = std::numeric_limits<T>;
  constexpr bool floating = std::is_floating_point_v<T>;
  T value = op == ReduceOp::prod  ? T(1)
            : op == ReduceOp::max ? floating ? -Limits::infinity() : Limits::lowest()
            : op == ReduceOp::min ? floating ? Limits::infinity() : Limits::max()
            : floating            ? -T(0)
                                  : T(0);
  if constexpr (sizeof(T) == 8)
    return std::bit_cast<uint64_t>(value);
  else
    return std::bit_cast<uint32_t>(value);
}
uint64_t neutral(const Fold& fold) {
  switch (fold.dtype) {
    case Dtype::float32:
      return neutral_as<float>(fold.op);
    case Dtype::float64:
      return neutral_as<double>(fold.op);
    case Dtype::int32:
      return neutral_as<int32_t>(fold.op);
    case Dtype::int64:
      return neutral_as<int64_t>(fold.op);
    case Dtype::uint32:
      return neutral_as<uint32_t>(fold.op);
    case Dtype::uint64:
      return neutral_as<uint64_t>(fold.op);
    default:
      throw Refused{"a reduction of this dtype"};
  }
}
uint64_t identity(const Fold& fold) { return fold.op == ReduceOp::sum ? 0 : neutral(fold); }

class Generator {
 public:
  explicit Generator(const Loop& loop) : loop_(loop) {}

  std::vector<uint8_t> run() {
    lay_out();
    // The first pass learns how much of the stack spilled values take.
    write();
    const int spills = layout_.most_spills;
    as_ = Assembler();
    layout_.most_spills = 0;
    stack_bytes_ = layout_.slots_at + 16 * (layout_.home_slots + spills);
    write();
    return as_.finish();
  }

 private:
  const Node& node(size_t n) const { return loop_.stages[0].line.nodes[n]; }
  bool eight() const { return loop_.wide; }
  int item() const { return eight() ? 8 : 4; }
  int lanes() const { return kArmVectorBytes / item(); }

  void find_levels() {
    const std::vector<Node>& nodes = loop_.stages[0].line.nodes;
    std::vector<char> needed(nodes.size());
    for (size_t n = nodes.size(); n-- > 0;) {
      if (is_result(nodes[n].what)) needed[n] = 1;
      if (!needed[n]) continue;
      for (int a : {nodes[n].a, nodes[n].b, nodes[n].c})
        if (a >= 0) needed[size_t(a)] = 1;
    }
    layout_.level.assign(nodes.size(), Level::dead);
    for (size_t n = 0; n < nodes.size(); ++n) {
      if (!needed[n]) continue;
      Level level = Level::row;
      const bool reads = nodes[n].what == Do::load || nodes[n].what == Do::mask_of_load;
      if (is_result(nodes[n].what) || nodes[n].what == Do::index) level = Level::element;
      if (reads && loop_.streams[size_t(nodes[n].stream)].walk < Walk::row) level = Level::element;
      for (int a : {nodes[n].a, nodes[n].b, nodes[n].c})
        if (a >= 0) level = std::max(level, layout_.level[size_t(a)]);
      layout_.level[n] = level;
    }
  }

  void lay_out() {
    find_levels();
    for (size_t s = 0; s < loop_.streams.size(); ++s) {
      const bool left = s < std::size(kPointers);
      layout_.pointer.push_back(left ? std::optional(x(kPointers[s])) : std::nullopt);
    }
    const size_t count = loop_.stages[0].line.nodes.size();
    layout_.home_register.assign(count, -1);
    layout_.home_slot.assign(count, -1);
    layout_.accumulators_at = 0;
    layout_.results_at = kFoldBytes * int(loop_.stages[0].folds.size());
    layout_.slots_at = layout_.results_at + 16 * int(loop_.stages[0].folds.size());

    // What elements read of a row, most often read first, lives in the registers that they leave free.
    std::vector<int> uses(count);
    std::vector<size_t> wanted;
    for (size_t n = 0; n < count; ++n)
      if (layout_.level[n] == Level::element)
        for (int a : {node(n).a, node(n).b, node(n).c})
          if (a >= 0 && layout_.level[size_t(a)] == Level::row && uses[size_t(a)]++ == 0) wanted.push_back(size_t(a));
    for (size_t n : wanted)
      if (!is_lazy(node(n).what)) layout_.home_slot[n] = layout_.home_slots++;
    Assembler dry;
    Body trial(dry, loop_, layout_, Level::element, loop_.stages[0].folds.empty() ? Mode::vectors : Mode::serial);
    trial.emit();
    layout_.most_spills = 0;
    const int left = 32 - std::max(trial.peak(), kLeastFree);
    std::stable_sort(wanted.begin(), wanted.end(), [&](size_t a, size_t b) { return uses[a] > uses[b]; });
    for (size_t i = 0; i < wanted.size() && int(i) < left; ++i) layout_.home_register[wanted[i]] = --layout_.first_home;
  }

  // ---- the function

  void stack(bool down) {
    for (int left = (stack_bytes_ + 15) / 16 * 16; left > 0; left -= 4080) {
      const int bytes = std::min(left, 4080);
      down ? as_("sub", sp, sp, bytes) : as_("add", sp, sp, bytes);
    }
  }
  void save(bool down) {
    const auto pair = [&](const auto& a, const auto& b, int offset) {
      down ? as_("stp", a, b, at(sp, offset)) : as_("ldp", a, b, at(sp, offset));
    };
    for (int i = 0; i < kSavedVectors; i += 2) pair(d(kFirstSavedVector + i), d(kFirstSavedVector + i + 1), 8 * i);
    for (int i = 0; i < kSavedGenerals; i += 2)
      pair(x(kFirstSavedGeneral + i), x(kFirstSavedGeneral + i + 1), 8 * (kSavedVectors + i));
  }
  Address in_frame(size_t bytes) const { return at(kFrame, int32_t(bytes)); }
  Address in_frame_stream(size_t s) const { return in_frame(offsetof(Frame, stream) + 8 * s); }

  void write() {
    as_("sub", sp, sp, kSavedBytes);
    save(true);
    stack(true);
    for (size_t s = 0; s < layout_.pointer.size(); ++s)
      if (layout_.pointer[s]) as_("ldr", *layout_.pointer[s], in_frame_stream(s));
    load_homes(Do::constant);
    const Label row = as_.bound();
    load_homes(Do::uniform);
    Body(as_, loop_, layout_, Level::row).emit();
    set_index();
    if (loop_.stages[0].folds.empty()) {
      elements(offsetof(Frame, whole), Mode::vectors);
      elements(offsetof(Frame, cols), Mode::single);
    } else {
      folds();
    }
    if (loop_.by_rows()) next_row(row);
    stack(false);
    save(false);
    as_("add", sp, sp, kSavedBytes);
    as_("ret");
  }

  void load_homes(Do what) {
    for (size_t n = 0; n < loop_.stages[0].line.nodes.size(); ++n) {
      const int home = layout_.home_register[n];
      if (home < 0 || node(n).what != what) continue;
      if (what == Do::constant) {
        load_constant(as_, home, node(n).bits, eight());
        continue;
      }
      const size_t s = size_t(node(n).stream);
      if (int(item_size(loop_.streams[s].memory)) != item() || loop_.streams[s].walk < Walk::row)
        throw Refused{"a repeated value of this dtype"};
      as_("ld1r", eight() ? d2(home) : s4(home), at(pointer(s)));
    }
  }
  General pointer(size_t s) {
    if (layout_.pointer[s]) return *layout_.pointer[s];
    as_("ldr", kPointer, in_frame_stream(s));
    return kPointer;
  }

  bool indexes(int bytes) const {
    return std::any_of(loop_.streams.begin(), loop_.streams.end(),
                       [&](const Stream& s) { return s.walk < Walk::row && int(item_size(s.memory)) == bytes; });
  }
  void set_index() {
    as_("movz", kIndex, 0);
    for (int bytes : {1, 2, 4, 8})
      if (indexes(bytes)) as_("movz", offset_register(bytes), 0);
    as_("movz", kLane, 0);
  }
  void advance(int count) {
    as_("add", kIndex, kIndex, count);
    for (int bytes : {1, 2, 4, 8})
      if (indexes(bytes)) as_("add", offset_register(bytes), offset_register(bytes), bytes * count);
  }
  // From kIndex to what the frame holds there.
  void elements(size_t limit, Mode mode, bool accumulate = false) {
    const Label none = as_.label();
    as_("ldr", kLimit, in_frame(limit));
    as_("subs", xzr, kIndex, kLimit);
    as_("b", Condition::ge, none);
    const Label top = as_.bound();
    Body(as_, loop_, layout_, Level::element, mode).emit();
    advance(mode == Mode::single ? 1 : lanes());
    if (accumulate) {  // the accumulators one after another, and again
      as_("add", kLane, kLane, kArmVectorBytes);
      as_("ubfm", kLane, kLane, 0, 7);
    }
    as_("subs", xzr, kIndex, kLimit);
    as_("b", Condition::lt, top);
    as_.bind(none);
  }

  // Whole groups of lanes meet in accumulators, these each other; what is left follows element by element.
  void folds() {
    static_assert(kFoldBytes == 256);
    constexpr int kAccumulators = kFoldBytes / kArmVectorBytes, t = kAccumulators, u = t + 1, other = u + 1;
    const int count = int(loop_.stages[0].folds.size());
    const auto place = [&](int f, int n) { return at(sp, kFoldBytes * f + kArmVectorBytes * n); };
    const auto result = [&](int f) { return at(sp, layout_.results_at + 16 * f); };
    const Label none = as_.label(), met = as_.label();
    as_("ldr", kLimit, in_frame(offsetof(Frame, grouped)));
    as_("cbz", kLimit, none);
    const int fill = 0;  // no home, since some registers are free
    for (int f = 0; f < count; ++f) {
      load_constant(as_, fill, neutral(loop_.stages[0].folds[size_t(f)]), eight());
      for (int n = 0; n < kAccumulators; ++n) as_("str", q(fill), place(f, n));
    }
    elements(offsetof(Frame, grouped), Mode::vectors, true);
    // Homes are in the way of sixteen accumulators: they are loaded again.
    for (int f = 0; f < count; ++f) {
      const Fold& fold = loop_.stages[0].folds[size_t(f)];
      for (int n = 0; n < kAccumulators; ++n) as_("ldr", q(n), place(f, n));
      for (int half = kAccumulators / 2; half > 0; half /= 2)
        for (int n = 0; n < half; ++n) combine(as_, fold, true, false, n, n + half, t, u);
      for (int bytes = kArmVectorBytes / 2; bytes >= item(); bytes /= 2) {
        as_("ext", b16(other), b16(0), b16(0), bytes);
        combine(as_, fold, false, false, 0, other, t, u);
      }
      as_("str", q(0), result(f));
    }
    restore_homes(other);
    as_("b", met);
    as_.bind(none);
    for (int f = 0; f < count; ++f) {
      load_constant(as_, fill, identity(loop_.stages[0].folds[size_t(f)]), eight());
      as_("str", q(fill), result(f));
    }
    as_.bind(met);
    elements(offsetof(Frame, whole), Mode::serial);
    elements(offsetof(Frame, cols), Mode::single);
    for (int f = 0; f < count; ++f) {
      as_("ldr", q(0), result(f));
      const Address to = at(pointer(size_t(loop_.stages[0].folds[size_t(f)].stream)));
      eight() ? as_("str", d(0), to) : as_("str", s(0), to);
    }
  }
  // Of registers up to `last`.
  void restore_homes(int last) {
    if (layout_.first_home > last) return;
    load_homes(Do::constant);
    load_homes(Do::uniform);
    for (size_t n = 0; n < loop_.stages[0].line.nodes.size(); ++n)
      if (layout_.home_register[n] >= 0 && layout_.home_slot[n] >= 0)
        as_("ldr", q(layout_.home_register[n]), at(sp, layout_.slots_at + 16 * layout_.home_slot[n]));
  }

  void next_row(Label top) {
    as_("ldr", kLimit, in_frame(offsetof(Frame, cols)));
    for (size_t s = 0; s < loop_.streams.size(); ++s) {
      const Stream& stream = loop_.streams[s];
      const int bytes = int(item_size(stream.memory));
      if (stream.walk != Walk::element && stream.walk != Walk::row) continue;
      const General base = pointer(s);
      if (stream.walk == Walk::row) {
        as_("add", base, base, bytes);
      } else {
        as_("movz", kScratch, bytes);
        as_("madd", base, kLimit, kScratch, base);
      }
      if (!layout_.pointer[s]) as_("str", base, in_frame_stream(s));
    }
    as_("ldr", kLimit, in_frame(offsetof(Frame, rows)));
    as_("subs", kLimit, kLimit, 1);
    as_("str", kLimit, in_frame(offsetof(Frame, rows)));
    as_("b", Condition::ne, top);
    // Constants in homes survive a row, unless accumulators took their place, after which they came back.
  }

  const Loop& loop_;
  Assembler as_;
  Layout layout_;
  int stack_bytes_ = 0;
};

}  // namespace
}  // namespace arm

std::vector<uint8_t> emit_arm(const Loop& loop, std::string* why) {
  try {
    if (loop.streams.size() > size_t(kMostStreams)) throw arm::Refused{"too many operands"};
    if (loop.stages.size() != 1 || loop.folds() || loop.flag >= 0) throw arm::Refused{"several stages or reductions"};
    return arm::Generator(loop).run();
  } catch (const arm::Refused& refused) {
    if (why) *why = refused.why;
  } catch (const arm::EncodingError& error) {
    if (why) *why = error.what();
  }
  return {};
}

}  // namespace funcnn::cpu::jit
