#include "backends/cpu/jit/emit_arm.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "backends/cpu/jit/body_arm.h"
#include "backends/cpu/jit/fold.h"

namespace funcnn::cpu::jit {
namespace arm {
namespace {

// Saved by whoever uses them: v8 to v15, of which the low halves count, and x19 to x30, of which calls write the last.
constexpr int kSavedVectors = 8, kFirstSavedVector = 8, kSavedGenerals = 12, kFirstSavedGeneral = 19;
constexpr int kSavedBytes = 8 * (kSavedVectors + kSavedGenerals);
constexpr int kPointers[] = {1, 2, 3, 4, 5, 6, 7, 8, 19, 20, 21, 22, 23, 24, 25, 26, 27};
constexpr General kKept = x(28);
// Of 32 registers so many stay free for values of a row.
constexpr int kLeastFree = 8;

class Generator {
 public:
  explicit Generator(const Loop& loop) : loop_(loop) {}

  std::vector<uint8_t> run() {
    for (size_t s = 0; s < loop_.streams.size(); ++s) {
      const bool left = s < std::size(kPointers);
      pointer_.push_back(left ? std::optional(x(kPointers[s])) : std::nullopt);
    }
    for (const Stage& stage : loop_.stages) most_folds_ = std::max(most_folds_, int(stage.folds.size()));
    if (most_folds_ > kMostFolds) throw Refused{"too many reductions"};
    for (const Stage& stage : loop_.stages) add(stage);
    for (Planned& p : stages_) p.layout.first_spill = homes_;
    // The first pass learns how much of the stack spilled values take.
    write();
    for (const Planned& p : stages_) spills_ = std::max(spills_, p.layout.most_spills);
    as_ = Assembler();
    write();
    return as_.finish();
  }

 private:
  struct Planned {
    const Stage& stage;  // of the loop, whose folds stay where they are for as long as its code
    Layout layout = {};
    bool loops = false;  // over the elements of a row
    const Node& node(size_t n) const { return stage.line.nodes[n]; }
  };

  bool eight() const { return loop_.wide; }
  int item() const { return eight() ? 8 : 4; }
  int lanes() const { return kArmVectorBytes / item(); }
  int results_at() const { return kFoldBytes * most_folds_; }
  int slots_at() const { return results_at() + 16 * most_folds_; }

  void find_levels(Planned& p) const {
    const std::vector<Node>& nodes = p.stage.line.nodes;
    const std::vector<char> needed = p.stage.line.needed();
    p.layout.level.assign(nodes.size(), Level::dead);
    for (size_t n = 0; n < nodes.size(); ++n) {
      if (!needed[n]) continue;
      Level level = Level::row;
      if (nodes[n].what == Do::reduce || nodes[n].what == Do::index)
        level = Level::element;
      else if (nodes[n].stream >= 0 && loop_.streams[size_t(nodes[n].stream)].walk < Walk::row)
        level = Level::element;
      for (int a : {nodes[n].a, nodes[n].b, nodes[n].c})
        if (a >= 0) level = std::max(level, p.layout.level[size_t(a)]);
      p.layout.level[n] = level;
      p.loops = p.loops || level == Level::element;
    }
  }

  void add(const Stage& stage) {
    stages_.push_back({stage});
    Planned& p = stages_.back();
    Layout& layout = p.layout;
    layout.pointer = pointer_;
    find_levels(p);
    const size_t count = stage.line.nodes.size();
    layout.home_register.assign(count, -1);
    layout.home_slot.assign(count, -1);
    layout.results_at = results_at();
    layout.slots_at = slots_at();

    // What elements read of a row, most often read first, lives in the registers that they leave free.
    std::vector<int> uses(count);
    std::vector<size_t> wanted;
    for (size_t n = 0; n < count; ++n)
      if (layout.level[n] == Level::element)
        for (int a : {p.node(n).a, p.node(n).b, p.node(n).c})
          if (a >= 0 && layout.level[size_t(a)] == Level::row && uses[size_t(a)]++ == 0) wanted.push_back(size_t(a));
    for (size_t n : wanted)
      if (!is_lazy(p.node(n).what)) layout.home_slot[n] = homes_++;
    Assembler dry;
    Body trial(dry, loop_, stage, layout, Level::element, stage.folds.empty() ? Mode::vectors : Mode::serial);
    trial.emit();
    layout.most_spills = 0;
    const int left = 32 - std::max(trial.peak(), kLeastFree);
    std::stable_sort(wanted.begin(), wanted.end(), [&](size_t a, size_t b) { return uses[a] > uses[b]; });
    for (size_t i = 0; i < wanted.size() && int(i) < left; ++i) layout.home_register[wanted[i]] = --layout.first_home;
  }

  // ---- the function

  void stack(bool down) {
    for (int left = slots_at() + 16 * (homes_ + spills_); left > 0; left -= 4080) {
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
    load_pointers();
    const Label row = as_.bound();
    for (Planned& p : stages_) write(p);
    if (loop_.by_rows()) next_row(row);
    stack(false);
    save(false);
    as_("add", sp, sp, kSavedBytes);
    as_("ret");
  }
  void write(Planned& p) {
    load_homes(p);
    Body(as_, loop_, p.stage, p.layout, Level::row).emit();
    if (!p.loops) return;
    set_index();
    if (p.stage.folds.empty()) {
      elements(p, offsetof(Frame, whole), Mode::vectors);
      elements(p, offsetof(Frame, cols), Mode::single);
    } else {
      folds(p);
    }
  }

  void load_pointers() {
    for (size_t s = 0; s < pointer_.size(); ++s)
      if (pointer_[s]) as_("ldr", *pointer_[s], in_frame_stream(s));
  }
  General pointer(size_t s) {
    if (pointer_[s]) return *pointer_[s];
    as_("ldr", kPointer, in_frame_stream(s));
    return kPointer;
  }
  // What lives in registers and is not computed.
  void load_homes(const Planned& p) {
    for (size_t n = 0; n < p.stage.line.nodes.size(); ++n) {
      const int home = p.layout.home_register[n];
      if (home < 0 || !is_lazy(p.node(n).what)) continue;
      if (p.node(n).what == Do::constant) {
        load_constant(as_, home, p.node(n).bits, eight() || p.node(n).eight);
        continue;
      }
      const size_t s = size_t(p.node(n).stream);
      if (int(item_size(loop_.streams[s].memory)) != item() || loop_.streams[s].walk < Walk::row)
        throw Refused{"a repeated value of this dtype"};
      as_("ld1r", eight() ? d2(home) : s4(home), at(pointer(s)));
    }
  }
  // All homes, after others used their registers.
  void restore_homes(const Planned& p) {
    load_homes(p);
    for (size_t n = 0; n < p.stage.line.nodes.size(); ++n)
      if (p.layout.home_register[n] >= 0 && p.layout.home_slot[n] >= 0)
        as_("ldr", q(p.layout.home_register[n]), at(sp, slots_at() + 16 * p.layout.home_slot[n]));
  }

  bool indexes(int bytes) const {
    return std::any_of(loop_.streams.begin(), loop_.streams.end(),
                       [&](const Stream& s) { return s.walk < Walk::row && int(item_size(s.memory)) == bytes; });
  }
  void set_index() {
    as_("movz", kIndex, 0);
    for (int bytes : {1, 2, 4, 8})
      if (indexes(bytes)) as_("movz", offset_register(bytes), 0);
  }
  void advance(int count) {
    as_("add", kIndex, kIndex, count);
    for (int bytes : {1, 2, 4, 8})
      if (indexes(bytes)) as_("add", offset_register(bytes), offset_register(bytes), bytes * count);
  }
  // From kIndex to what the frame holds there.
  void elements(Planned& p, size_t limit, Mode mode, int accumulators = 0) {
    const Label none = as_.label();
    as_("ldr", kLimit, in_frame(limit));
    as_("subs", xzr, kIndex, kLimit);
    as_("b", Condition::ge, none);
    if (accumulators) as_("movz", kLane, 0);
    const Label top = as_.bound();
    Body(as_, loop_, p.stage, p.layout, Level::element, mode).emit();
    advance(mode == Mode::single ? 1 : lanes());
    if (accumulators) {  // one after another, and again
      as_("add", kLane, kLane, kArmVectorBytes);
      as_("ubfm", kLane, kLane, 0, std::countr_zero(unsigned(kArmVectorBytes * accumulators)) - 1);
    }
    as_("subs", xzr, kIndex, kLimit);
    as_("b", Condition::lt, top);
    as_.bind(none);
  }

  // Block by block: whole groups of lanes meet in accumulators, these each other until few are left, which go on with
  // smaller groups; what is left follows element by element.
  void folds(Planned& p) {
    static_assert(kFoldBytes == 256);
    constexpr int kAccumulators = kFoldBytes / kArmVectorBytes, kFew = kFewBytes / kArmVectorBytes;
    constexpr int t = kAccumulators, u = t + 1, other = u + 1;
    const std::vector<Fold>& folds = p.stage.folds;
    const int count = int(folds.size());
    const auto place = [&](int f, int n) { return at(sp, kFoldBytes * f + kArmVectorBytes * n); };
    const auto result = [&](int f) { return at(sp, results_at() + 16 * f); };
    const int free = 0;  // no home, since some registers are not
    const Label none = as_.label(), short_block = as_.label(), some = as_.label(), met = as_.label(),
                single = as_.label(), done = as_.label(), in_block = as_.label(), finished = as_.label();
    // The end of whole groups.
    const auto limit = [&](int bytes) {
      as_("ldr", kLimit, in_frame(offsetof(Frame, block_end)));
      as_("sub", kLimit, kLimit, kIndex);
      const int group = std::countr_zero(unsigned(bytes / item()));
      as_("ubfm", kLimit, kLimit, group, 63);
      as_("ubfm", kLimit, kLimit, 64 - group, 63 - group);
      as_("add", kLimit, kLimit, kIndex);
      as_("str", kLimit, in_frame(offsetof(Frame, grouped)));
      as_("subs", xzr, kLimit, kIndex);
    };
    const auto begin = [&](int accumulators) {
      for (int f = 0; f < count; ++f) {
        load_constant(as_, free, neutral(folds[size_t(f)]), eight());
        for (int n = 0; n < accumulators; ++n) as_("str", q(free), place(f, n));
      }
    };
    const auto meet = [&](const Fold& fold, int f, int accumulators, int left) {
      for (int n = 0; n < accumulators; ++n) as_("ldr", q(n), place(f, n));
      for (int half = accumulators / 2; half >= left; half /= 2)
        for (int n = 0; n < half; ++n) combine(as_, fold, true, false, n, n + half, t, u);
    };
    as_("str", xzr, in_frame(offsetof(Frame, block)));
    const Label block = as_.bound();
    as_("add", kLimit, kIndex, kFoldBlock);
    as_("ldr", kScratch, in_frame(offsetof(Frame, cols)));
    as_("subs", xzr, kLimit, kScratch);
    as_("b", Condition::le, in_block);
    as_("orr", kLimit, xzr, kScratch);
    as_.bind(in_block);
    as_("str", kLimit, in_frame(offsetof(Frame, block_end)));
    limit(kFoldBytes);
    as_("b", Condition::eq, short_block);
    begin(kAccumulators);
    elements(p, offsetof(Frame, grouped), Mode::vectors, kAccumulators);
    for (int f = 0; f < count; ++f) {
      meet(folds[size_t(f)], f, kAccumulators, kFew);
      for (int n = 0; n < kFew; ++n) as_("str", q(n), place(f, n));
    }
    if (p.layout.first_home <= u) restore_homes(p);
    limit(kFewBytes);
    as_("b", some);
    as_.bind(short_block);
    limit(kFewBytes);
    as_("b", Condition::eq, none);
    begin(kFew);
    as_.bind(some);
    elements(p, offsetof(Frame, grouped), Mode::vectors, kFew);
    for (int f = 0; f < count; ++f) {
      const Fold& fold = folds[size_t(f)];
      meet(fold, f, kFew, 1);
      for (int bytes = kArmVectorBytes / 2; bytes >= item(); bytes /= 2) {
        as_("ext", b16(other), b16(0), b16(0), bytes);
        combine(as_, fold, false, false, 0, other, t, u);
      }
      as_("str", q(0), result(f));
    }
    if (p.layout.first_home <= other) restore_homes(p);
    as_("b", met);
    as_.bind(none);
    for (int f = 0; f < count; ++f) {
      load_constant(as_, free, identity(folds[size_t(f)]), eight());
      as_("str", q(free), result(f));
    }
    as_.bind(met);
    // Only the last block has more than whole groups; its whole vectors end where those of the row do.
    as_("ldr", kLimit, in_frame(offsetof(Frame, block_end)));
    as_("subs", xzr, kIndex, kLimit);
    as_("b", Condition::eq, finished);
    elements(p, offsetof(Frame, whole), Mode::serial);
    elements(p, offsetof(Frame, block_end), Mode::single);
    as_.bind(finished);

    as_("ldr", kScratch, in_frame(offsetof(Frame, cols)));
    as_("movz", kLimit, kFoldBlock);
    as_("subs", xzr, kScratch, kLimit);
    as_("b", Condition::le, single);
    as_("ldr", kScratch, in_frame(offsetof(Frame, block)));
    as_("ubfm", kLimit, kScratch, eight() ? 61 : 62, eight() ? 60 : 61);  // in bytes
    as_("add", kLimit, kLimit, kFrame);
    for (int f = 0; f < count; ++f) {
      as_("ldr", q(free), result(f));
      const Address to = at(kLimit, int32_t(offsetof(Frame, partial)) + 8 * kMostBlocks * f);
      eight() ? as_("str", d(free), to) : as_("str", s(free), to);
    }
    as_("add", kScratch, kScratch, 1);
    as_("str", kScratch, in_frame(offsetof(Frame, block)));
    as_("ldr", kScratch, in_frame(offsetof(Frame, cols)));
    as_("subs", xzr, kIndex, kScratch);
    as_("b", Condition::lt, block);
    call_meet(p);
    as_("b", done);
    as_.bind(single);
    for (int f = 0; f < count; ++f) {
      as_("ldr", q(free), result(f));
      const Address to = at(pointer(size_t(folds[size_t(f)].stream)));
      eight() ? as_("str", d(free), to) : as_("str", s(free), to);
    }
    as_.bind(done);
  }
  // Blocks of a row meet in a function of C++, which finds streams in the frame and keeps few registers.
  void call_meet(const Planned& p) {
    for (size_t s = 0; s < pointer_.size(); ++s)
      if (pointer_[s]) as_("str", *pointer_[s], in_frame_stream(s));
    as_("orr", kKept, xzr, kFrame);
    as_("ldr", kScratch, in_frame(offsetof(Frame, meet)));
    const uint64_t at = uint64_t(reinterpret_cast<uintptr_t>(p.stage.folds.data()));
    as_("movz", x(1), int64_t(at & 0xffff));
    for (int shift : {16, 32, 48}) as_("movk", x(1), int64_t(at >> shift & 0xffff), shift);
    as_("movz", x(2), int(p.stage.folds.size()));
    as_("blr", kScratch);
    as_("orr", kFrame, xzr, kKept);
    load_pointers();
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
      if (!pointer_[s]) as_("str", base, in_frame_stream(s));
    }
    as_("ldr", kLimit, in_frame(offsetof(Frame, rows)));
    as_("subs", kLimit, kLimit, 1);
    as_("str", kLimit, in_frame(offsetof(Frame, rows)));
    as_("b", Condition::ne, top);
  }

  const Loop& loop_;
  Assembler as_;
  std::vector<std::optional<General>> pointer_;
  std::vector<Planned> stages_;
  int most_folds_ = 0, homes_ = 0, spills_ = 0;
};

}  // namespace
}  // namespace arm

std::vector<uint8_t> emit_arm(const Loop& loop, std::string* why) {
  try {
    if (loop.streams.size() > size_t(kMostStreams)) throw Refused{"too many operands"};
    return arm::Generator(loop).run();
  } catch (const Refused& refused) {
    if (why) *why = refused.why;
  } catch (const arm::EncodingError& error) {
    if (why) *why = error.what();
  }
  return {};
}

}  // namespace funcnn::cpu::jit
