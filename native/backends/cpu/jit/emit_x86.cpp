#include "backends/cpu/jit/emit_x86.h"

#include <algorithm>
#include <cstddef>

#include "backends/cpu/jit/body_x86.h"
#include "backends/cpu/jit/brain_x86.h"
#include "backends/cpu/jit/fold.h"

namespace funcnn::cpu::jit {
namespace {

using x86::at;
using x86::rbp;
using x86::rsp;

// clang-format off
constexpr Op kShuffleQuads{"vshuff32x4", "vshuff64x2"}, kPermute{"vpermilps", "vpermilpd"},
    kLoadOne{"vmovss", "vmovsd"}, kLoad{"vmovups", "vmovupd"};
// clang-format on
constexpr x86::Gpr kStreamRegisters[] = {x86::rsi, x86::r8,  x86::r9,  x86::r10, x86::r12,
                                         x86::r13, x86::r14, x86::r15, x86::rbx};
constexpr int kAhead = 32;  // vectors
// All that a convention may want saved.
constexpr x86::Gpr kSaved[] = {x86::rbx, x86::r12, x86::r13, x86::r14, x86::r15, x86::rsi, x86::rdi};

constexpr int32_t kRowsAt = int32_t(offsetof(Frame, rows)), kColsAt = int32_t(offsetof(Frame, cols)),
                  kWholeAt = int32_t(offsetof(Frame, whole)), kTailMaskAt = int32_t(offsetof(Frame, tail_mask)),
                  kTailLanesAt = int32_t(offsetof(Frame, tail_lanes)), kBlockAt = int32_t(offsetof(Frame, block)),
                  kBlockEndAt = int32_t(offsetof(Frame, block_end)), kGroupedAt = int32_t(offsetof(Frame, grouped)),
                  kMeetAt = int32_t(offsetof(Frame, meet)), kPartialAt = int32_t(offsetof(Frame, partial)),
                  kPastCachesAt = int32_t(offsetof(Frame, past_caches)), kStreamsAt = int32_t(offsetof(Frame, stream)),
                  kTablesAt = int32_t(offsetof(Frame, table));

// The stage with its choices made: all for the first value.
Stage chosen(const Stage& stage) {
  Stage out;
  out.folds = stage.folds;
  std::vector<int> to;
  for (const Node& n : stage.line.nodes) {
    Node copy = n;
    for (int* a : {&copy.a, &copy.b, &copy.c})
      if (*a >= 0) *a = to[size_t(*a)];
    if (n.what == Do::choose) {
      to.push_back(copy.b);
      continue;
    }
    out.line.nodes.push_back(copy);
    to.push_back(int(out.line.nodes.size()) - 1);
  }
  return out;
}
// Whether all its masks of choices hold, into the flag.
Stage question(const Stage& stage, int flag) {
  Stage out;
  out.line.nodes = stage.line.nodes;
  std::erase_if(out.line.nodes, [](const Node& n) { return is_result(n.what); });
  std::vector<int> to;
  int all = -1, kept = 0;
  for (const Node& n : stage.line.nodes) to.push_back(is_result(n.what) ? -1 : kept++);
  for (Node& n : out.line.nodes)
    for (int* a : {&n.a, &n.b, &n.c})
      if (*a >= 0) *a = to[size_t(*a)];
  for (const Node& n : stage.line.nodes) {
    if (n.what != Do::choose) continue;
    const int mask = to[size_t(n.a)];
    if (all >= 0) {
      out.line.nodes.push_back({.what = Do::mask_and, .a = all, .b = mask});
      all = int(out.line.nodes.size()) - 1;
    } else {
      all = mask;
    }
  }
  out.line.nodes.push_back({.what = Do::mask_store, .a = all, .stream = flag});
  return out;
}
bool chooses(const Stage& stage) {
  return std::any_of(stage.line.nodes.begin(), stage.line.nodes.end(),
                     [](const Node& n) { return n.what == Do::choose; });
}

class Generator {
 public:
  Generator(const Loop& loop, bool wide, const x86::Convention& convention)
      : loop_(loop), wide_(wide), convention_(convention), w_(wide, loop.wide, loop.straight) {}

  std::vector<uint8_t> run() {
    // Registers for what elements are read from, before what is read once a row.
    std::vector<size_t> streams(loop_.streams.size());
    for (size_t s = 0; s < streams.size(); ++s) streams[s] = s;
    std::stable_sort(streams.begin(), streams.end(),
                     [&](size_t a, size_t b) { return loop_.streams[a].walk < loop_.streams[b].walk; });
    pointer_.resize(streams.size());
    for (size_t i = 0; i < std::min(streams.size(), std::size(kStreamRegisters)); ++i)
      pointer_[streams[i]] = kStreamRegisters[i];
    stages_.reserve(3 * loop_.stages.size());
    for (const Stage& stage : loop_.stages) {
      buffers_ = std::max(buffers_, kFoldBytes * int(stage.folds.size()));
      if (chooses(stage)) {
        if (loop_.flag < 0) throw Refused{"a choice without a flag"};
        add(question(stage, loop_.flag), Part::question, nullptr);
        add(chosen(stage), Part::if_chosen, stage.folds.data());
        add(stage, Part::otherwise, stage.folds.data());
      } else {
        add(stage, Part::always, stage.folds.data());
      }
    }
    scalars_return_ = stages_.size() > 1 || loop_.folds();
    for (Planned& p : stages_) {
      p.layout.scalars_return = scalars_return_;
      p.layout.slots_at = buffers_;
      p.layout.first_slot = homes_;
    }
    // The first pass learns how much of the stack spilled values take.
    write();
    w_ = Writer(wide_, loop_.wide, loop_.straight);
    for (const Planned& p : stages_) spills_ = std::max(spills_, p.layout.most_spills);
    write();
    return w_.as.finish();
  }

 private:
  enum class Part : uint8_t { always, question, if_chosen, otherwise };
  struct Planned {
    Stage stage;
    Part part;
    const Fold* folds = nullptr;  // those of the loop, which stay where they are for as long as its code
    Layout layout = {};
    bool loops = false;  // over the elements of a row
    const Node& node(size_t v) const { return stage.line.nodes[v]; }
  };

  // ---- what is computed where

  Level level_of_stream(int stream) const {
    switch (loop_.streams[size_t(stream)].walk) {
      case Walk::scalar:
        return Level::scalar;
      case Walk::row:
        return Level::row;
      default:
        return Level::element;
    }
  }
  void find_levels(Planned& p) const {
    const std::vector<Node>& nodes = p.stage.line.nodes;
    const std::vector<char> needed = p.stage.line.needed();
    p.layout.level.assign(nodes.size(), Level::dead);
    for (size_t v = 0; v < nodes.size(); ++v) {
      if (!needed[v]) continue;
      const Node& n = nodes[v];
      Level level = Level::constant;
      if (n.what == Do::reduce || n.what == Do::index)
        level = Level::element;
      else if (n.stream >= 0)
        level = level_of_stream(n.stream);
      if (is_result(n.what) && level < Level::row) level = Level::row;  // the flag
      for (int a : {n.a, n.b, n.c})
        if (a >= 0) level = std::max(level, p.layout.level[size_t(a)]);
      // What follows from constants alone is computed once, as what follows from scalars.
      if (level == Level::constant && n.what != Do::constant) level = Level::scalar;
      if (loop_.straight && level == Level::scalar) level = Level::row;
      if (p.part == Part::question && level == Level::element) throw Refused{"a choice by element"};
      p.layout.level[v] = level;
      p.loops = p.loops || level == Level::element;
    }
  }

  void add(Stage stage, Part part, const Fold* folds) {
    stages_.push_back({std::move(stage), part, folds});
    Planned& p = stages_.back();
    if (wide_ && has_brain_instruction()) join_roundings(p.stage.line);
    Layout& layout = p.layout;
    layout.wide = wide_;
    layout.pointer = pointer_;
    find_levels(p);
    const size_t count = p.stage.line.nodes.size();
    layout.home_register.assign(count, -1);
    layout.home_slot.assign(count, -1);
    layout.unroll = p.stage.folds.empty() ? 1 : kFoldBytes / w_.bytes();
    layout.accumulators = layout.unroll * int(p.stage.folds.size());
    if (layout.accumulators > (wide_ ? 12 : 8)) throw Refused{"too many reductions"};
    const int most = wide_ ? 31 : kTailLanes - 1;  // the tail has one less
    layout.last_free = most;

    // What outlives its level: how often, by inner loops.
    std::vector<int> uses(count), inner(count);
    for (size_t v = 0; v < count; ++v)
      if (layout.level[v] != Level::dead && !is_lazy(p.node(v).what))
        for (int a : {p.node(v).a, p.node(v).b, p.node(v).c})
          if (a >= 0 && layout.level[size_t(a)] < layout.level[v]) {
            ++uses[size_t(a)];
            inner[size_t(a)] += layout.level[v] == Level::element ? 1 : 0;
          }
    std::vector<size_t> wanted;
    for (size_t v = 0; v < count; ++v) {
      if (!uses[v]) continue;
      if (!is_lazy(p.node(v).what)) layout.home_slot[v] = homes_++;
      if (inner[v] && !(wide_ && makes_mask(p.node(v).what))) wanted.push_back(v);
    }
    // The registers that a body leaves free keep what is read most; with VEX what is repeated cannot be read in place.
    Writer dry(wide_, loop_.wide, loop_.straight);
    layout.end = dry.as.label();
    int needed = 3;
    for (Level level : {Level::scalar, Level::row, Level::element}) {
      Body trial(dry, loop_, p.stage, layout, level, {0, level == Level::element && !wide_, false});
      trial.emit();
      needed = std::max(needed, trial.peak());
    }
    layout.most_spills = 0;
    int left = most + 1 - layout.accumulators - needed;
    auto worth = [&](size_t v) { return inner[v] + (!wide_ && p.node(v).what == Do::uniform ? 100 : 0); };
    std::stable_sort(wanted.begin(), wanted.end(), [&](size_t a, size_t b) { return worth(a) > worth(b); });
    for (size_t v : wanted) {
      if (left-- <= 0) break;
      layout.home_register[v] = layout.last_free--;
    }
  }

  // ---- the function

  void write() {
    x86::Assembler& as = w_.as;
    std::vector<x86::Gpr> saved;
    for (x86::Gpr r : kSaved)
      if (std::find(convention_.saved.begin(), convention_.saved.end(), r) != convention_.saved.end())
        saved.push_back(r);
    const int vectors = 16 - convention_.first_saved_vector;
    const int vectors_at = buffers_ + w_.bytes() * (homes_ + spills_);
    as("push", rbp);
    as("mov", rbp, rsp);
    for (x86::Gpr r : saved) as("push", r);
    as("sub", rsp, vectors_at + 16 * vectors + 64);
    as("and", rsp, -64);
    for (int i = 0; i < vectors; ++i)
      as("vmovups", at(rsp, vectors_at + 16 * i), x86::xmm(convention_.first_saved_vector + i));
    if (convention_.arguments[0] != kFrame) as("mov", kFrame, convention_.arguments[0]);
    load_pointers();
    const x86::Label end = as.label();
    for (Planned& p : stages_) {
      p.layout.end = end;
      if (!scalars_return_) load_homes(p, Level::constant), load_homes(p, Level::scalar);
      Body(w_, loop_, p.stage, p.layout, Level::scalar).emit();
    }
    const x86::Label row = as.bound();
    for (size_t i = 0; i < stages_.size(); ++i) {
      if (stages_[i].part != Part::question) {
        write(stages_[i]);
        continue;
      }
      // One of the two that follow.
      const x86::Label other = as.label(), done = as.label();
      write(stages_[i]);
      as("mov", kLimit, pointer(size_t(loop_.flag)));
      as("movzx", kLimit.part(32), at(kLimit).of(8));
      as("test", kLimit.part(32), kLimit.part(32));
      as("je", other);
      write(stages_[i + 1]);
      as("jmp", done);
      as.bind(other);
      write(stages_[i + 2]);
      as.bind(done);
      i += 2;
    }
    if (loop_.by_rows()) next_row(row);
    as.bind(end);
    for (int i = 0; i < vectors; ++i)
      as("vmovups", x86::xmm(convention_.first_saved_vector + i), at(rsp, vectors_at + 16 * i));
    as("vzeroupper");
    as("lea", rsp, at(rbp, -8 * int(saved.size())));
    for (size_t i = saved.size(); i-- > 0;) as("pop", saved[i]);
    as("pop", rbp);
    as("ret");
  }

  void write(Planned& p) {
    if (scalars_return_) load_homes(p, Level::constant), load_homes(p, Level::scalar);
    load_homes(p, Level::row);
    Body(w_, loop_, p.stage, p.layout, Level::row).emit();
    if (!p.loops) return;
    zero(kIndex);
    if (p.stage.folds.empty()) {
      elements(p);
    } else {
      folds(p);
    }
  }

  void load_pointers() {
    for (size_t s = 0; s < pointer_.size(); ++s)
      if (pointer_[s]) w_.as("mov", *pointer_[s], at(kFrame, kStreamsAt + 8 * int(s)));
    if (wide_) w_.as("kmovw", x86::k(kTailMask), at(kFrame, kTailMaskAt));
  }
  void zero(x86::Gpr r) { w_.as("xor", r.part(32), r.part(32)); }
  x86::Gpr pointer(size_t stream) {
    if (pointer_[stream]) return *pointer_[stream];
    w_.as("mov", kScratch, at(kFrame, kStreamsAt + 8 * int(stream)));
    return kScratch;
  }

  // What of a level lives in registers and is not computed there.
  void load_homes(const Planned& p, Level level) {
    for (size_t v = 0; v < p.stage.line.nodes.size(); ++v) {
      const int home = p.layout.home_register[v];
      if (home < 0 || p.layout.level[v] != level) continue;
      if (p.node(v).what == Do::constant)
        w_.fetch(home, w_.constant(p.node(v).bits, p.node(v).eight));
      else if (p.node(v).what == Do::uniform)
        w_.fetch(home, at(pointer(size_t(p.node(v).stream))).broadcast(w_.item()));
      else if (level == Level::scalar && scalars_return_)
        w_.fetch(home, at(rsp, p.layout.slots_at + w_.bytes() * p.layout.home_slot[v]));
    }
  }

  // What is computed quickly waits for memory.
  bool is_quick(const Planned& p) const {
    constexpr int kQuick = 24;
    return std::count(p.layout.level.begin(), p.layout.level.end(), Level::element) < kQuick;
  }
  // One long loop whose operands come from memory. Rows are mostly shorter than what is asked for ahead.
  bool asks_ahead(const Planned& p) const {
    return !loop_.by_rows() && !is_quick(p) && any_stream(p, [](const Node& n, const Stream& s) {
      return n.what != Do::reduce && s.operand && s.walk == Walk::element;
    });
  }
  bool passes_caches(const Planned& p) const {
    return any_stream(p, [&](const Node& n, const Stream& s) {
      return n.what == Do::store && bytes_past_caches(s, w_.lanes()) != 0;
    });
  }
  template <class F>
  bool any_stream(const Planned& p, F&& is) const {
    const std::vector<Node>& nodes = p.stage.line.nodes;
    return std::any_of(nodes.begin(), nodes.end(),
                       [&](const Node& n) { return n.stream >= 0 && is(n, loop_.streams[size_t(n.stream)]); });
  }
  void elements(Planned& p) {
    BodyPlace place{.ahead = asks_ahead(p) ? kAhead : 0, .touches = is_quick(p)};
    if (passes_caches(p)) {
      x86::Assembler& as = w_.as;
      const x86::Label none = as.label();
      as("cmp", at(kFrame, kPastCachesAt), 0);
      as("je", none);
      place.past_caches = true;
      whole_vectors(p, place);
      place.past_caches = false;
      as.bind(none);
    }
    if (place.ahead) whole_vectors(p, place);
    whole_vectors(p, {.touches = place.touches});
    tail(p, {.tail = true});
  }
  // From kIndex on, one vector after the other, for as long as there is something ahead.
  void whole_vectors(Planned& p, BodyPlace place) {
    x86::Assembler& as = w_.as;
    const x86::Label none = as.label();
    as("mov", kLimit, at(kFrame, kWholeAt));
    if (place.ahead) {
      as("sub", kLimit, place.ahead * w_.lanes());
      as("jb", none);
    }
    as("cmp", kIndex, kLimit);
    as("jae", none);
    as.align(32);
    const x86::Label top = as.bound();
    Body(w_, loop_, p.stage, p.layout, Level::element, place).emit();
    as("add", kIndex, w_.lanes());
    if (place.to_buffers) as("add", kBuffer, w_.bytes());
    as("cmp", kIndex, kLimit);
    as("jb", top);
    as.bind(none);
  }
  void tail(Planned& p, BodyPlace place) {
    if (whole_vectors_only(loop_, wide_)) return;
    x86::Assembler& as = w_.as;
    const x86::Label none = as.label();
    as("mov", kLimit, at(kFrame, kTailMaskAt));
    as("test", kLimit, kLimit);
    as("je", none);
    if (!wide_) as("vmovups", x86::ymm(kTailLanes), at(kFrame, kTailLanesAt));
    Body(w_, loop_, p.stage, p.layout, Level::element, place).emit();
    as.bind(none);
  }

  // Block by block: whole groups of lanes meet in accumulators, these each other until few are left, which go on with
  // smaller groups; what is left follows element by element.
  void folds(Planned& p) {
    x86::Assembler& as = w_.as;
    const std::vector<Fold>& folds = p.stage.folds;
    const int unroll = p.layout.unroll, count = int(folds.size()), few = kFewBytes / w_.bytes();
    auto acc = [&](int f, int u) { return f * unroll + u; };
    const int t = p.layout.accumulators, u = t + 1;
    const x86::Label none = as.label(), short_block = as.label(), some = as.label(), met = as.label(),
                     grouped = as.label(), finished = as.label(), single = as.label(), done = as.label();
    // The end of whole groups.
    auto limit = [&](int bytes) {
      as("sub", kLimit, kIndex);
      as("and", kLimit, -(bytes / w_.item()));
      as("add", kLimit, kIndex);
      as("cmp", kIndex, kLimit);
    };
    auto begin = [&](int vectors) {
      for (int f = 0; f < count; ++f) {
        w_.fetch(acc(f, 0), w_.constant(neutral(folds[size_t(f)])));
        for (int n = 1; n < vectors; ++n) w_.move(acc(f, n), acc(f, 0));
      }
    };
    auto go_on = [&](int vectors) {
      as.align(32);
      const x86::Label top = as.bound();
      for (int n = 0; n < vectors; ++n)
        Body(w_, loop_, p.stage, p.layout, Level::element, {.unit = n, .touches = is_quick(p)}).emit();
      as("add", kIndex, w_.lanes() * vectors);
      as("cmp", kIndex, kLimit);
      as("jb", top);
    };
    as("mov", at(kFrame, kBlockAt), 0);
    const x86::Label block = as.bound();
    as("lea", kLimit, at(kIndex, kFoldBlock));
    as("mov", kScratch, at(kFrame, kColsAt));
    as("cmp", kLimit, kScratch);
    as("cmova", kLimit, kScratch);
    as("mov", at(kFrame, kBlockEndAt), kLimit);
    limit(kFoldBytes);
    as("je", short_block);
    begin(unroll);
    go_on(unroll);
    for (int f = 0; f < count; ++f) meet(folds[size_t(f)], acc(f, 0), unroll, few, t, u);
    as("mov", kLimit, at(kFrame, kBlockEndAt));
    limit(kFewBytes);
    as("mov", at(kFrame, kGroupedAt), kLimit);
    as("jb", some);
    as("jmp", met);
    as.bind(short_block);
    as("mov", kLimit, at(kFrame, kBlockEndAt));
    limit(kFewBytes);
    as("mov", at(kFrame, kGroupedAt), kLimit);
    as("je", none);
    begin(few);
    as.bind(some);
    go_on(few);
    as.bind(met);
    for (int f = 0; f < count; ++f) {
      meet(folds[size_t(f)], acc(f, 0), few, 1, t, u);
      meet_lanes(folds[size_t(f)], acc(f, 0), t, u);
    }
    as("jmp", grouped);
    as.bind(none);
    for (int f = 0; f < count; ++f) w_.fetch(acc(f, 0), w_.constant(identity(folds[size_t(f)])));
    as.bind(grouped);

    as("mov", kLimit, at(kFrame, kBlockEndAt));
    as("cmp", kIndex, kLimit);
    as("je", finished);
    zero(kBuffer);
    whole_vectors(p, {0, false, true});
    tail(p, {0, true, true});
    for (int f = 0; f < count; ++f) {
      as("mov", kLimit, at(kFrame, kBlockEndAt));
      as("sub", kLimit, at(kFrame, kGroupedAt));
      zero(kBuffer);
      const x86::Label again = as.bound();
      const int x = acc(f, 1);
      w_(kLoadOne, x86::xmm(x), at(rsp, kBuffer, w_.item(), kFoldBytes * f));
      combine(w_, folds[size_t(f)], Meeting::elements, acc(f, 0), x, t, u);
      as("add", kBuffer, 1);
      as("cmp", kBuffer, kLimit);
      as("jb", again);
    }
    as.bind(finished);

    as("cmp", at(kFrame, kColsAt), kFoldBlock);
    as("jbe", single);
    as("mov", kLimit, at(kFrame, kBlockAt));
    for (int f = 0; f < count; ++f)
      w_(kLoadOne, at(kFrame, kLimit, w_.item(), kPartialAt + 8 * kMostBlocks * f), x86::xmm(acc(f, 0)));
    as("inc", at(kFrame, kBlockAt));
    as("mov", kIndex, at(kFrame, kBlockEndAt));
    as("cmp", kIndex, at(kFrame, kColsAt));
    as("jb", block);
    call_meet(p);
    as("jmp", done);
    as.bind(single);
    for (int f = 0; f < count; ++f) w_(kLoadOne, at(pointer(size_t(folds[size_t(f)].stream))), x86::xmm(acc(f, 0)));
    as.bind(done);
  }
  // Accumulators from `first` on, until so many are left.
  void meet(const Fold& fold, int first, int vectors, int left, int t, int u) {
    Fold plain = fold;
    plain.squares = false;
    for (int half = vectors / 2; half >= left; half /= 2)
      for (int n = 0; n < half; ++n) combine(w_, plain, Meeting::vectors, first + n, first + n + half, t, u);
  }
  // The lanes of the last.
  void meet_lanes(const Fold& fold, int first, int t, int u) {
    const int other = first + 1;  // no longer needed
    auto lanes = [&](auto&& shuffle) {
      shuffle();
      combine(w_, fold, Meeting::lanes, first, other, t, u);
    };
    if (wide_) {
      for (int order : {0x4e, 0xb1}) lanes([&] { w_(kShuffleQuads, w_.v(other), w_.v(first), w_.v(first), order); });
    } else {
      lanes([&] { w_.as("vperm2f128", w_.v(other), w_.v(first), w_.v(first), 1); });
    }
    if (w_.eight()) {
      lanes([&] { w_(kPermute, w_.v(other), w_.v(first), wide_ ? 0x55 : 0x05); });
    } else {
      for (int order : {0x4e, 0xb1}) lanes([&] { w_(kPermute, w_.v(other), w_.v(first), order); });
    }
  }
  // Blocks of a row meet in a function of C++, which finds streams in the frame and leaves no register as it was.
  void call_meet(const Planned& p) {
    x86::Assembler& as = w_.as;
    for (size_t s = 0; s < pointer_.size(); ++s)
      if (pointer_[s]) as("mov", at(kFrame, kStreamsAt + 8 * int(s)), *pointer_[s]);
    as("vzeroupper");
    as("mov", x86::rbx, kFrame);
    as("mov", x86::rax, at(kFrame, kMeetAt));
    if (convention_.arguments[0] != kFrame) as("mov", convention_.arguments[0], kFrame);
    as("movabs", convention_.arguments[1], int64_t(reinterpret_cast<intptr_t>(p.folds)));
    as("mov", convention_.arguments[2], int(p.stage.folds.size()));
    as("sub", rsp, 64);
    as("call", x86::rax);
    as("add", rsp, 64);
    as("mov", kFrame, x86::rbx);
    load_pointers();
  }
  void next_row(x86::Label top) {
    x86::Assembler& as = w_.as;
    as("mov", kLimit, at(kFrame, kColsAt));
    for (size_t s = 0; s < loop_.streams.size(); ++s) {
      const Stream& stream = loop_.streams[s];
      const int item = int(item_size(stream.memory));
      if (stream.walk != Walk::element && stream.walk != Walk::row) continue;
      if (stream.anywhere) {
        const x86::Gpr base = pointer_[s].value_or(kScratch);
        as("mov", kScratch, at(kFrame, kTablesAt + 8 * int(s)));
        as("add", kScratch, 8);
        as("mov", at(kFrame, kTablesAt + 8 * int(s)), kScratch);
        as("mov", base, at(kScratch));
        if (!pointer_[s]) as("mov", at(kFrame, kStreamsAt + 8 * int(s)), base);
        continue;
      }
      const x86::Gpr base = pointer(s);
      if (stream.walk == Walk::row)
        as("add", base, item);
      else
        as("lea", base, at(base, kLimit, item));
      if (!pointer_[s]) as("mov", at(kFrame, kStreamsAt + 8 * int(s)), base);
    }
    as("dec", at(kFrame, kRowsAt));
    as("jne", top);
  }

  const Loop& loop_;
  const bool wide_;
  const x86::Convention& convention_;
  Writer w_;
  std::vector<std::optional<x86::Gpr>> pointer_;
  std::vector<Planned> stages_;
  int buffers_ = 0, homes_ = 0, spills_ = 0;
  bool scalars_return_ = false;
};

}  // namespace

bool whole_vectors_only(const Loop& loop, bool wide) {
  return !wide && std::any_of(loop.streams.begin(), loop.streams.end(), [&](const Stream& s) {
    return s.walk <= Walk::column && item_size(s.memory) < (loop.wide ? 8 : 4);
  });
}

std::vector<uint8_t> emit_x86(const Loop& loop, bool wide, std::string* why, const x86::Convention& convention) {
  try {
    if (loop.streams.size() > size_t(kMostStreams)) throw Refused{"too many operands"};
    return Generator(loop, wide, convention).run();
  } catch (const Refused& refused) {
    if (why) *why = refused.why;
  } catch (const x86::EncodingError& error) {  // what AVX2 has no instruction for
    if (why) *why = error.what();
  }
  return {};
}

}  // namespace funcnn::cpu::jit
