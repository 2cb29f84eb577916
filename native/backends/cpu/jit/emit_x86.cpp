#include "backends/cpu/jit/emit_x86.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "backends/cpu/jit/body_x86.h"

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
// All that a convention may want saved.
constexpr x86::Gpr kSaved[] = {x86::rbx, x86::r12, x86::r13, x86::r14, x86::r15, x86::rsi, x86::rdi};

constexpr int32_t kRowsAt = int32_t(offsetof(Frame, rows)), kColsAt = int32_t(offsetof(Frame, cols)),
                  kGroupedAt = int32_t(offsetof(Frame, grouped)), kWholeAt = int32_t(offsetof(Frame, whole)),
                  kTailMaskAt = int32_t(offsetof(Frame, tail_mask)),
                  kTailLanesAt = int32_t(offsetof(Frame, tail_lanes)),
                  kStreamsAt = int32_t(offsetof(Frame, stream));

// What accumulators begin with, so that the first elements come out as they are; and the result of no element.
template <class T>
uint64_t neutral_as(ReduceOp op) {
  using Limits = std::numeric_limits<T>;
  constexpr bool floating = std::is_floating_point_v<T>;
  auto bits = [](T x) {
    if constexpr (sizeof(T) == 8)
      return std::bit_cast<uint64_t>(x);
    else
      return uint64_t(std::bit_cast<uint32_t>(x));
  };
  switch (op) {
    case ReduceOp::sum:
      return bits(floating ? -T(0) : T(0));
    case ReduceOp::prod:
      return bits(T(1));
    case ReduceOp::max:
      return bits(floating ? -Limits::infinity() : Limits::lowest());
    default:
      return bits(floating ? Limits::infinity() : Limits::max());
  }
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
  Generator(const Loop& loop, bool wide) : loop_(loop), w_(wide, loop.line.wide) { layout_.wide = wide; }

  std::vector<uint8_t> run() {
    lay_out();
    // The first pass learns how much of the stack spilled values take.
    write();
    const int spills = layout_.most_spills;
    w_ = Writer(layout_.wide, loop_.line.wide);
    layout_.most_spills = 0;
    frame_bytes_ = layout_.slots_at + w_.bytes() * (layout_.home_slots + spills);
    write();
    return w_.as.finish();
  }

 private:
  const Node& node(size_t v) const { return loop_.line.nodes[v]; }

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
  void find_levels() {
    const std::vector<Node>& nodes = loop_.line.nodes;
    std::vector<char> needed(nodes.size());
    for (size_t v = nodes.size(); v-- > 0;) {
      if (is_result(nodes[v].what)) needed[v] = 1;
      if (!needed[v]) continue;
      for (int a : {nodes[v].a, nodes[v].b, nodes[v].c})
        if (a >= 0) needed[size_t(a)] = 1;
    }
    layout_.level.assign(nodes.size(), Level::dead);
    for (size_t v = 0; v < nodes.size(); ++v) {
      if (!needed[v]) continue;
      const Node& n = nodes[v];
      Level level = Level::constant;
      if (is_result(n.what))
        level = Level::element;
      else if (n.stream >= 0)
        level = level_of_stream(n.stream);
      else if (n.what == Do::index)
        level = Level::element;
      for (int a : {n.a, n.b, n.c})
        if (a >= 0) level = std::max(level, layout_.level[size_t(a)]);
      // What follows from constants alone is computed once, as what follows from scalars.
      if (level == Level::constant && n.what != Do::constant) level = Level::scalar;
      layout_.level[v] = level;
    }
  }

  void lay_out() {
    find_levels();
    for (size_t s = 0; s < loop_.streams.size(); ++s)
      layout_.pointer.push_back(s < std::size(kStreamRegisters) ? std::optional(kStreamRegisters[s]) : std::nullopt);
    const size_t count = loop_.line.nodes.size();
    layout_.home_register.assign(count, -1);
    layout_.home_slot.assign(count, -1);
    layout_.unroll = loop_.folds.empty() ? 1 : kFoldBytes / w_.bytes();
    layout_.accumulators = layout_.unroll * int(loop_.folds.size());
    if (layout_.accumulators > (layout_.wide ? 12 : 8)) throw Refused{"too many reductions"};
    layout_.slots_at = kFoldBytes * int(loop_.folds.size());
    const int most = layout_.wide ? 31 : kTailLanes - 1;  // the tail has one less
    layout_.last_free = most;

    // What outlives its level: how often, by inner loops.
    std::vector<int> uses(count), inner(count);
    for (size_t v = 0; v < count; ++v)
      if (layout_.level[v] != Level::dead && !(is_lazy(node(v).what)))
        for (int a : {node(v).a, node(v).b, node(v).c})
          if (a >= 0 && layout_.level[size_t(a)] < layout_.level[v]) {
            ++uses[size_t(a)];
            inner[size_t(a)] += layout_.level[v] == Level::element ? 1 : 0;
          }
    std::vector<size_t> wanted;
    for (size_t v = 0; v < count; ++v) {
      if (!uses[v]) continue;
      const bool computed = !is_lazy(node(v).what);
      if (computed) layout_.home_slot[v] = layout_.home_slots++;
      if (inner[v] && !(layout_.wide && makes_mask(node(v).what))) wanted.push_back(v);
    }
    // The registers that a body leaves free keep what is read most; with VEX what is repeated cannot be read in place.
    Writer dry(layout_.wide, loop_.line.wide);
    Body trial(dry, loop_, layout_, Level::element, {0, !layout_.wide, false});
    trial.emit();
    int needed = std::max(trial.peak(), 3);
    for (Level level : {Level::scalar, Level::row}) {
      Body outer(dry, loop_, layout_, level);
      outer.emit();
      needed = std::max(needed, outer.peak());
    }
    layout_.most_spills = 0;
    int left = most + 1 - layout_.accumulators - needed;
    auto worth = [&](size_t v) {
      return inner[v] + (!layout_.wide && node(v).what == Do::uniform ? 100 : 0);
    };
    std::stable_sort(wanted.begin(), wanted.end(), [&](size_t a, size_t b) { return worth(a) > worth(b); });
    for (size_t v : wanted) {
      if (left-- <= 0) break;
      layout_.home_register[v] = layout_.last_free--;
    }
  }

  // ---- the function

  void write() {
    x86::Assembler& as = w_.as;
    const x86::Convention& host = x86::Convention::host();
    std::vector<x86::Gpr> saved;
    for (x86::Gpr r : kSaved)
      if (std::find(host.saved.begin(), host.saved.end(), r) != host.saved.end()) saved.push_back(r);
    const int vectors = 16 - host.first_saved_vector, vectors_at = (frame_bytes_ + 63) / 64 * 64;
    as("push", rbp);
    as("mov", rbp, rsp);
    for (x86::Gpr r : saved) as("push", r);
    as("sub", rsp, vectors_at + 16 * vectors + 64);
    as("and", rsp, -64);
    for (int i = 0; i < vectors; ++i)
      as("vmovups", at(rsp, vectors_at + 16 * i), x86::xmm(host.first_saved_vector + i));
    if (host.arguments[0] != kFrame) as("mov", kFrame, host.arguments[0]);
    for (size_t s = 0; s < layout_.pointer.size(); ++s)
      if (layout_.pointer[s]) as("mov", *layout_.pointer[s], at(kFrame, kStreamsAt + 8 * int(s)));
    if (layout_.wide) as("kmovw", x86::k(kTailMask), at(kFrame, kTailMaskAt));
    load_homes(Level::constant);
    load_homes(Level::scalar);
    Body(w_, loop_, layout_, Level::scalar).emit();
    const x86::Label row = as.bound();
    load_homes(Level::row);
    Body(w_, loop_, layout_, Level::row).emit();
    zero(kIndex);
    if (loop_.folds.empty()) {
      whole_vectors({});
      tail({0, true, false});
    } else {
      folds();
    }
    if (loop_.by_rows()) next_row(row);
    for (int i = 0; i < vectors; ++i)
      as("vmovups", x86::xmm(host.first_saved_vector + i), at(rsp, vectors_at + 16 * i));
    as("vzeroupper");
    as("lea", rsp, at(rbp, -8 * int(saved.size())));
    for (size_t i = saved.size(); i-- > 0;) as("pop", saved[i]);
    as("pop", rbp);
    as("ret");
  }

  void zero(x86::Gpr r) { w_.as("xor", r.part(32), r.part(32)); }
  x86::Gpr pointer(size_t stream) {
    if (layout_.pointer[stream]) return *layout_.pointer[stream];
    w_.as("mov", kScratch, at(kFrame, kStreamsAt + 8 * int(stream)));
    return kScratch;
  }

  // Constants and uniforms of a level that live in registers.
  void load_homes(Level level) {
    for (size_t v = 0; v < loop_.line.nodes.size(); ++v) {
      const int home = layout_.home_register[v];
      if (home < 0 || layout_.level[v] != level || !is_lazy(node(v).what)) continue;
      if (node(v).what == Do::constant)
        w_.fetch(home, w_.constant(node(v).bits));
      else
        w_.fetch(home, at(pointer(size_t(node(v).stream))).broadcast(w_.item()));
    }
  }

  // From kIndex on, one vector after the other.
  void whole_vectors(Place place) {
    x86::Assembler& as = w_.as;
    const x86::Label none = as.label();
    as("mov", kLimit, at(kFrame, kWholeAt));
    as("cmp", kIndex, kLimit);
    as("je", none);
    as.align(32);
    const x86::Label top = as.bound();
    Body(w_, loop_, layout_, Level::element, place).emit();
    as("add", kIndex, w_.lanes());
    if (place.to_buffers) as("add", kBuffer, w_.bytes());
    as("cmp", kIndex, kLimit);
    as("jb", top);
    as.bind(none);
  }
  void tail(Place place) {
    if (whole_vectors_only(loop_, layout_.wide)) return;
    x86::Assembler& as = w_.as;
    const x86::Label none = as.label();
    as("mov", kLimit, at(kFrame, kTailMaskAt));
    as("test", kLimit, kLimit);
    as("je", none);
    if (!layout_.wide) as("vmovups", x86::ymm(kTailLanes), at(kFrame, kTailLanesAt));
    Body(w_, loop_, layout_, Level::element, place).emit();
    as.bind(none);
  }

  // Whole groups of lanes meet in accumulators, these each other; what is left follows element by element.
  void folds() {
    x86::Assembler& as = w_.as;
    const int unroll = layout_.unroll, count = int(loop_.folds.size());
    auto acc = [&](int f, int u) { return f * unroll + u; };
    const int t = layout_.accumulators, u = t + 1;
    const x86::Label none = as.label(), met = as.label(), finished = as.label();
    as("mov", kLimit, at(kFrame, kGroupedAt));
    as("test", kLimit, kLimit);
    as("je", none);
    for (int f = 0; f < count; ++f) {
      w_.fetch(acc(f, 0), w_.constant(neutral(loop_.folds[size_t(f)])));
      for (int n = 1; n < unroll; ++n) w_.move(acc(f, n), acc(f, 0));
    }
    as.align(32);
    const x86::Label top = as.bound();
    for (int n = 0; n < unroll; ++n) Body(w_, loop_, layout_, Level::element, {n, false, false}).emit();
    as("add", kIndex, w_.lanes() * unroll);
    as("cmp", kIndex, kLimit);
    as("jb", top);
    for (int f = 0; f < count; ++f) meet(loop_.folds[size_t(f)], acc(f, 0), t, u);
    as("jmp", met);
    as.bind(none);
    for (int f = 0; f < count; ++f) w_.fetch(acc(f, 0), w_.constant(identity(loop_.folds[size_t(f)])));
    as.bind(met);

    as("mov", kLimit, at(kFrame, kColsAt));
    as("cmp", kIndex, kLimit);
    as("je", finished);
    zero(kBuffer);
    whole_vectors({0, false, true});
    tail({0, true, true});
    for (int f = 0; f < count; ++f) {
      as("mov", kLimit, at(kFrame, kColsAt));
      as("sub", kLimit, at(kFrame, kGroupedAt));
      zero(kBuffer);
      const x86::Label again = as.bound();
      const int x = acc(f, 1);
      w_(kLoadOne, x86::xmm(x), at(rsp, kBuffer, w_.item(), kFoldBytes * f));
      combine(w_, loop_.folds[size_t(f)], Meeting::elements, acc(f, 0), x, t, u);
      as("add", kBuffer, 1);
      as("cmp", kBuffer, kLimit);
      as("jb", again);
    }
    as.bind(finished);
    for (int f = 0; f < count; ++f)
      w_(kLoadOne, at(pointer(size_t(loop_.folds[size_t(f)].stream))), x86::xmm(acc(f, 0)));
  }
  // Accumulators from `first` on, then the lanes of what they come to.
  void meet(const Fold& fold, int first, int t, int u) {
    Fold plain = fold;
    plain.squares = false;
    for (int half = layout_.unroll / 2; half > 0; half /= 2)
      for (int n = 0; n < half; ++n) combine(w_, plain, Meeting::vectors, first + n, first + n + half, t, u);
    const int other = first + 1;  // no longer needed
    auto lanes = [&](auto&& shuffle) {
      shuffle();
      combine(w_, fold, Meeting::lanes, first, other, t, u);
    };
    if (layout_.wide) {
      for (int order : {0x4e, 0xb1}) lanes([&] { w_(kShuffleQuads, w_.v(other), w_.v(first), w_.v(first), order); });
    } else {
      lanes([&] { w_.as("vperm2f128", w_.v(other), w_.v(first), w_.v(first), 1); });
    }
    if (w_.eight()) {
      lanes([&] { w_(kPermute, w_.v(other), w_.v(first), layout_.wide ? 0x55 : 0x05); });
    } else {
      for (int order : {0x4e, 0xb1}) lanes([&] { w_(kPermute, w_.v(other), w_.v(first), order); });
    }
  }

  void next_row(x86::Label top) {
    x86::Assembler& as = w_.as;
    as("mov", kLimit, at(kFrame, kColsAt));
    for (size_t s = 0; s < loop_.streams.size(); ++s) {
      const Stream& stream = loop_.streams[s];
      const int item = int(item_size(stream.memory));
      if (stream.walk != Walk::element && stream.walk != Walk::row) continue;
      const x86::Gpr base = pointer(s);
      if (stream.walk == Walk::row)
        as("add", base, item);
      else
        as("lea", base, at(base, kLimit, item));
      if (!layout_.pointer[s]) as("mov", at(kFrame, kStreamsAt + 8 * int(s)), base);
    }
    as("dec", at(kFrame, kRowsAt));
    as("jne", top);
  }

  const Loop& loop_;
  Writer w_;
  Layout layout_;
  int frame_bytes_ = 0;
};

}  // namespace

bool whole_vectors_only(const Loop& loop, bool wide) {
  return !wide && std::any_of(loop.streams.begin(), loop.streams.end(), [&](const Stream& s) {
    return s.walk <= Walk::column && item_size(s.memory) < (loop.line.wide ? 8 : 4);
  });
}

std::vector<uint8_t> emit_x86(const Loop& loop, bool wide, std::string* why) {
  try {
    if (loop.streams.size() > size_t(kMostStreams)) throw Refused{"too many operands"};
    return Generator(loop, wide).run();
  } catch (const Refused& refused) {
    if (why) *why = refused.why;
  } catch (const x86::EncodingError& error) {  // what AVX2 has no instruction for
    if (why) *why = error.what();
  }
  return {};
}

}  // namespace funcnn::cpu::jit
