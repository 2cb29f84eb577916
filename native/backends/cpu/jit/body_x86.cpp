#include "backends/cpu/jit/body_x86.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace funcnn::cpu::jit {

using x86::at;
using x86::k;
using x86::Memory;
using x86::xmm;
using x86::ymm;

void Writer::fetch(int to, Memory m) {
  const int repeated = m.repeated;
  m.repeated = 0;
  if (repeated)
    as(repeated == 8 ? op::repeat.eight : op::repeat.four, v(to), m);
  else
    (*this)(op::load, v(to), m);
}
void Writer::move(int to, int from) { (*this)(op::copy, v(to), v(from)); }

Body::Body(Writer& w, const Loop& loop, const Stage& stage, Layout& layout, Level level, BodyPlace place)
    : w_(w),
      loop_(loop),
      stage_(stage),
      layout_(layout),
      level_(level),
      place_(place),
      values_(
          stage.line.nodes, [&](size_t v) { return layout.level[v] == level; },
          [&](size_t v) { return layout.home_slot[v] >= 0; }),
      lazy_load_(stage.line.nodes.size(), 0) {
  find_lazy_loads();
  registers_ = layout.wide ? 32 : place.tail ? kTailLanes : 16;
  find_free();
}
// Registers without a value.
void Body::find_free() {
  free_.clear();
  free_masks_.clear();
  std::vector<char> taken(32), taken_masks(kFoldMask);
  for (int v : values_.placed())
    if (const int r = std::as_const(values_).reg(v); r >= 0) (mask_register(v) ? taken_masks : taken)[size_t(r)] = 1;
  for (int r = std::min(registers_ - 1, layout_.last_free); r >= layout_.accumulators; --r)
    if (!taken[size_t(r)]) free_.push_back(r);
  if (layout_.wide)
    for (int k = 1; k < kFoldMask; ++k)
      if (!taken_masks[size_t(k)]) free_masks_.push_back(k);
}

// A load may wait for its use, unless memory is written in between: that of a result may be that of an operand.
void Body::find_lazy_loads() {
  const std::vector<int>& order = values_.order();
  for (int position = 0; position < int(order.size()); ++position) {
    const int v = order[size_t(position)];
    if (node(v).what != Do::load || values_.uses(v) != 1) continue;
    const auto use = order.begin() + values_.readers(v)[0];
    const bool written =
        std::any_of(order.begin() + position + 1, use, [&](int between) { return is_result(node(between).what); });
    lazy_load_[size_t(v)] = !written && int(item_size(loop_.streams[size_t(node(v).stream)].memory)) == w_.item();
  }
}

// What is computed leaves too few vectors under way to hide how long memory takes.
void Body::ask_ahead() {
  std::vector<char> asked(loop_.streams.size());
  for (int v : values_.order()) {
    const Node& n = node(v);
    const bool moves = is_result(n.what) ? n.what != Do::reduce : n.stream >= 0;
    if (!moves || asked[size_t(n.stream)]) continue;
    const Stream& s = loop_.streams[size_t(n.stream)];
    if (!s.operand || s.walk != Walk::element) continue;
    asked[size_t(n.stream)] = 1;
    if (is_result(n.what) && passes_caches(n.stream)) continue;
    const int bytes = place_.ahead * w_.lanes() * int(item_size(s.memory));
    w_.as(is_result(n.what) ? x86::Name("prefetchw") : x86::Name("prefetcht0"), at_stream(n.stream, bytes).of(8));
  }
}

// Processors see sooner which lines of memory they should fetch next where each is read in two parts.
void Body::touch() {
  std::vector<char> touched(loop_.streams.size());
  for (int v : values_.order()) {
    const Node& n = node(v);
    if (n.what != Do::load || touched[size_t(n.stream)]) continue;
    const Stream& s = loop_.streams[size_t(n.stream)];
    if (!s.operand || s.walk != Walk::element || int(item_size(s.memory)) != w_.item()) continue;
    touched[size_t(n.stream)] = 1;
    w_.as("mov", kScratch.part(32), at_stream(n.stream, w_.bytes() / 2));
  }
}

void Body::emit() {
  if (place_.ahead) ask_ahead();
  if (place_.touches && layout_.wide) touch();
  for (int i = 0; i < int(values_.order().size()); ++i) {
    const int v = values_.order()[size_t(i)];
    if (lazy_load_[size_t(v)]) continue;
    if (const int choice = values_.branch_at(i); choice >= 0) enter_branch(choice, i);
    values_.begin(i);
    w_.on_halves(node(v).eight);
    one(v, node(v));
    w_.on_halves(false);
    end_operation();
    if (values_.held() == v) leave_branch();
    if (!is_result(node(v).what)) keep(v);
  }
  layout_.most_spills = std::max(layout_.most_spills, values_.slots());
}
void Body::end_operation() {
  for (int r : temporaries_) free_.push_back(r);
  for (int k : temporary_masks_) free_masks_.push_back(k);
  temporaries_.clear();
  temporary_masks_.clear();
  values_.end();
}

// A value that outlives this level goes home.
void Body::keep(int v) {
  const int slot = layout_.home_slot[size_t(v)];
  const int home = level_ == Level::scalar && layout_.scalars_return ? -1 : layout_.home_register[size_t(v)];
  int r = values_.reg(v);
  if (home >= 0) {
    w_.move(home, r);
  } else if (slot >= 0) {
    if (mask_register(v))
      w_.as("kmovw", at_slot(slot), k(r));
    else
      w_(op::load, at_slot(slot), w_.v(r));
  } else if (values_.uses(v) > 0) {
    return;
  }
  if (home >= 0 || values_.uses(v) == 0) {
    (mask_register(v) ? free_masks_ : free_).push_back(r);
    values_.reg(v) = -1;
  }
}

// ---- operands

Memory Body::at_stream(int stream, int32_t bytes) {
  const Stream& s = loop_.streams[size_t(stream)];
  std::optional<x86::Gpr> base = layout_.pointer[size_t(stream)];
  if (!base) {
    w_.as("mov", kScratch, at(kFrame, int32_t(offsetof(Frame, stream)) + 8 * stream));
    base = kScratch;
  }
  if (s.walk >= Walk::row) return at(*base, bytes);
  const int item = int(item_size(s.memory));
  return at(*base, kIndex, item, bytes + place_.unit * w_.lanes() * item);
}
Memory Body::at_slot(int slot) const { return at(x86::rsp, layout_.slots_at + w_.bytes() * slot); }
// Of a value that is not in a register.
Memory Body::memory_of(int v) {
  const Node& n = node(v);
  if (values_.slot(v) >= 0) return at_slot(layout_.first_slot + values_.slot(v));
  if (layout_.home_slot[size_t(v)] >= 0 && layout_.level[size_t(v)] != level_)
    return at_slot(layout_.home_slot[size_t(v)]);
  if (n.what == Do::constant) return w_.constant(n.bits, n.eight);
  Memory m = at_stream(n.stream, int32_t(n.bits));
  return n.what == Do::uniform ? m.broadcast(w_.item()) : m;
}
bool Body::foldable(int v) const {
  if (in_register(v)) return false;
  const Node& n = node(v);
  if (values_.slot(v) >= 0) return true;
  if (lazy_load_[size_t(v)]) return !place_.tail;
  if (n.what == Do::constant) return true;
  if (n.what == Do::uniform) return layout_.wide;
  return layout_.home_slot[size_t(v)] >= 0;
}
int Body::take() {
  if (free_.empty()) spill(false);
  int r = free_.back();
  free_.pop_back();
  peak_ = std::max(peak_, layout_.last_free + 1 - layout_.accumulators - int(free_.size()));
  return r;
}
int Body::take_temporary() {
  int r = take();
  temporaries_.push_back(r);
  return r;
}
int Body::take_mask() {
  if (free_masks_.empty()) spill(true);
  int k = free_masks_.back();
  free_masks_.pop_back();
  return k;
}
void Body::spill(bool masks) {
  const int v = values_.victim([&](int value) { return mask_register(value) == masks; }), r = values_.reg(v);
  if (values_.take_slot(v)) {
    const Memory slot = at_slot(layout_.first_slot + values_.slot(v));
    if (masks)
      w_.as("kmovw", slot, k(r));
    else
      w_(op::load, slot, w_.v(r));
  }
  (masks ? free_masks_ : free_).push_back(r);
  values_.reg(v) = -1;
}
int Body::in(int v) {
  values_.pin(v);
  const Node& n = node(v);
  int& r = values_.reg(v);
  if (r >= 0) return r;
  if (int home = home_register(v); home >= 0) return home;
  if (lazy_load_[size_t(v)] && values_.slot(v) < 0) {
    load(v, n);
    return r;
  }
  int to = take();
  w_.fetch(to, memory_of(v));
  if (values_.slot(v) >= 0)
    r = to;
  else
    temporaries_.push_back(to);
  return to;
}
int Body::mask_in(int v) {
  if (!layout_.wide) return in(v);
  values_.pin(v);
  if (values_.reg(v) >= 0) return values_.reg(v);
  int mask = take_mask();
  temporary_masks_.push_back(mask);
  const int slot = values_.slot(v);
  w_.as("kmovw", x86::k(mask), at_slot(slot >= 0 ? layout_.first_slot + slot : layout_.home_slot[size_t(v)]));
  return mask;
}
// One use less; the register is free when none is left.
void Body::used(int v) {
  if (v < 0 || !values_.read(v)) return;
  if (int& r = values_.reg(v); r >= 0) {
    (mask_register(v) ? free_masks_ : free_).push_back(r);
    r = -1;
  }
}

// ---- operations

void Body::one(int v, const Node& n) {
  switch (n.what) {
    case Do::constant:
    case Do::uniform:
      return;
    case Do::load:
      return load(v, n);
    case Do::pick:
      return pick(v, n);
    case Do::add:
      return commutative(op::add, v, n.a, n.b);
    case Do::subtract:
      return binary(op::subtract, v, n.a, n.b);
    case Do::multiply:
      return commutative(op::multiply, v, n.a, n.b);
    case Do::divide:
      return binary(op::divide, v, n.a, n.b);
    case Do::fma:
    case Do::fms:
    case Do::fnma:
      return fused(v, n);
    case Do::square_root:
      return unary(op::root, v, n.a);
    case Do::least:
      return binary(op::least, v, n.a, n.b);
    case Do::greatest:
      return binary(op::greatest, v, n.a, n.b);
    case Do::floor:
      return round(v, n.a, 9);
    case Do::ceil:
      return round(v, n.a, 10);
    case Do::truncate:
      return round(v, n.a, 11);
    case Do::nearest:
      return round(v, n.a, 8);
    case Do::half:
      return half(v, n);
    case Do::brain:
      return brain(v, n);
    case Do::int_add:
      return commutative(op::int_add, v, n.a, n.b);
    case Do::int_subtract:
      return binary(op::int_subtract, v, n.a, n.b);
    case Do::int_multiply:
      return commutative(op::int_multiply, v, n.a, n.b);
    case Do::int_least:
      return commutative(op::int_least, v, n.a, n.b);
    case Do::int_greatest:
      return commutative(op::int_greatest, v, n.a, n.b);
    case Do::uint_least:
      return commutative(op::uint_least, v, n.a, n.b);
    case Do::uint_greatest:
      return commutative(op::uint_greatest, v, n.a, n.b);
    case Do::bit_and:
      return commutative(op::bit_and, v, n.a, n.b);
    case Do::bit_or:
      return commutative(op::bit_or, v, n.a, n.b);
    case Do::bit_xor:
      return commutative(op::bit_xor, v, n.a, n.b);
    case Do::shift_left:
    case Do::shift_right:
    case Do::shift_right_signed:
      return shift(v, n);
    case Do::shift_left_by:
      return binary(op::shift_left_by, v, n.a, n.b);
    case Do::shift_right_by:
      return binary(op::shift_right_by, v, n.a, n.b);
    case Do::shift_right_signed_by:
      return binary(op::shift_right_signed_by, v, n.a, n.b);
    case Do::from_int:
      return unary(op::from_int, v, n.a);
    case Do::to_int:
      return unary(op::to_int, v, n.a);
    case Do::widen_first:
    case Do::widen_second:
    case Do::widen_int_first:
    case Do::widen_int_second:
      return widen(v, n);
    case Do::narrow:
    case Do::narrow_to_int:
      return narrow(v, n);
    case Do::mask_first:
    case Do::mask_second:
      return half_of_mask(v, n);
    case Do::less:
    case Do::less_equal:
    case Do::equal:
    case Do::not_equal:
    case Do::int_less:
    case Do::int_equal:
      return compare(v, n);
    case Do::mask_and:
    case Do::mask_or:
    case Do::mask_xor:
    case Do::mask_not:
      return mask_logic(v, n);
    case Do::mask_of_load:
      return load_mask(v, n);
    case Do::seldom:
      if (values_.held() == v) return blend_branch(v, n);
      return select(v, n);
    case Do::select:
    case Do::choose:
      return select(v, n);
    case Do::store:
      return store(n);
    case Do::mask_store:
      return store_mask(n);
    case Do::leave:
      return leave(n);
    case Do::reduce:
      return reduce(n);
    case Do::index:
      return index(v);
  }
  throw Refused{"an operation"};
}

void Body::binary(const Op& op, int v, int a, int b) {
  int ra = in(a);
  if (a != b && foldable(b)) {
    Memory m = memory_of(b);
    used(a), used(b);
    int d = take();
    w_(op, vector_for(op, d), vector_for(op, ra), m);
    values_.reg(v) = d;
    return;
  }
  int rb = in(b);
  used(a), used(b);
  int d = take();
  w_(op, vector_for(op, d), vector_for(op, ra), vector_for(op, rb));
  values_.reg(v) = d;
}
// Of single values the first lane is all that counts: short vectors are divided in less time.
x86::Vector Body::vector_for(const Op& op, int r) const {
  const bool dear = &op == &op::divide || &op == &op::root;
  return loop_.straight && dear ? xmm(r) : w_.v(r);
}
void Body::commutative(const Op& op, int v, int a, int b) {
  bool swap = foldable(a) && !foldable(b);
  binary(op, v, swap ? b : a, swap ? a : b);
}
void Body::unary(const Op& op, int v, int a) {
  int ra = in(a);
  used(a);
  int d = take();
  w_(op, vector_for(op, d), vector_for(op, ra));
  values_.reg(v) = d;
}
void Body::round(int v, int a, int how) {
  int ra = in(a);
  used(a);
  int d = take();
  w_(layout_.wide ? op::round_evex : op::round, w_.v(d), w_.v(ra), how);
  values_.reg(v) = d;
}
void Body::shift(int v, const Node& n) {
  int ra = in(n.a);
  used(n.a);
  int d = take();
  const Op& op = n.what == Do::shift_left    ? op::shift_left
                 : n.what == Do::shift_right ? op::shift_right
                                             : op::shift_right_signed;
  w_(op, w_.v(d), w_.v(ra), int(n.bits));
  values_.reg(v) = d;
}
void Body::half(int v, const Node& n) {
  int ra = in(n.a);
  used(n.a);
  int d = take();
  w_.as("vcvtps2ph", w_.half(d), w_.v(ra), 0);
  w_.as("vcvtph2ps", w_.v(d), w_.half(d));
  values_.reg(v) = d;
}

// Subnormal numbers, which the instruction takes for zeros, are rounded by their bits.
void Body::brain(int v, const Node& n) {
  if (!layout_.wide) throw Refused{"AVX-512 for bfloat16"};
  const int ra = in(n.a), d = take(), t = take_temporary(), mask = take_mask();
  temporary_masks_.push_back(mask);
  const x86::Label none = w_.as.label();
  w_.as("vcvtneps2bf16", w_.half(d), w_.v(ra));
  w_.as("vfpclassps", k(mask), w_.v(ra), kSubnormal);
  w_.as("kortestw", k(mask), k(mask));
  w_.as("je", none);
  w_(op::shift_right, w_.v(t), w_.v(ra), 16);
  w_(op::bit_and, w_.v(t), w_.v(t), w_.constant(1));
  w_(op::int_add, w_.v(t), w_.v(t), w_.constant(0x7fff));
  w_(op::int_add, w_.v(t), w_.v(t), w_.v(ra));
  w_(op::shift_right, w_.v(t), w_.v(t), 16);
  w_.as("vpmovdw", x86::under(w_.half(d), k(mask)), w_.v(t));
  w_.as.bind(none);
  used(n.a);
  if (!stays_packed(v)) {
    w_.as("vpmovzxwd", w_.v(d), w_.half(d));
    w_(op::shift_left, w_.v(d), w_.v(d), 16);
  }
  values_.reg(v) = d;
}
// As its only reader, a store, wants it.
bool Body::stays_packed(int v) const {
  if (node(v).what != Do::brain || layout_.level[size_t(v)] != Level::element) return false;
  if (values_.readers(v).size() != 1) return false;
  const Node& reader = node(values_.order()[size_t(values_.readers(v)[0])]);
  return reader.what == Do::store && loop_.streams[size_t(reader.stream)].memory == Dtype::bfloat16;
}

// ---- between lanes of 4 bytes and halves in lanes of 8

void Body::widen(int v, const Node& n) {
  int ra = in(n.a);
  used(n.a);
  int d = take();
  const bool second = n.what == Do::widen_second || n.what == Do::widen_int_second;
  if (second && layout_.wide) w_.as("vextractf64x4", w_.half(d), w_.v(ra), 1);
  if (second && !layout_.wide) w_.as("vextractf128", w_.half(d), w_.v(ra), 1);
  constexpr x86::Name real("vcvtps2pd"), integer("vcvtdq2pd");
  w_.as(n.what == Do::widen_first || n.what == Do::widen_second ? real : integer, w_.v(d), w_.half(second ? d : ra));
  values_.reg(v) = d;
}
void Body::narrow(int v, const Node& n) {
  constexpr x86::Name real("vcvtpd2ps"), integer("vcvttpd2dq");
  const x86::Name name = n.what == Do::narrow ? real : integer;
  int ra = in(n.a), rb = in(n.b);
  int t = take_temporary(), d = take();
  w_.as(name, w_.half(d), w_.v(ra));
  if (!loop_.straight) {
    w_.as(name, w_.half(t), w_.v(rb));
    if (layout_.wide)
      w_.as("vinsertf64x4", w_.v(d), w_.v(d), w_.half(t), 1);
    else
      w_.as("vinsertf128", w_.v(d), w_.v(d), w_.half(t), 1);
  }
  used(n.a), used(n.b);
  values_.reg(v) = d;
}
void Body::half_of_mask(int v, const Node& n) {
  const bool second = n.what == Do::mask_second;
  int ra = mask_in(n.a);
  if (layout_.wide) {
    int d = take_mask();
    w_.as("kshiftrw", k(d), k(ra), second ? 8 : 0);
    used(n.a);
    values_.reg(v) = d;
    return;
  }
  used(n.a);
  int d = take();
  if (second) w_.as("vextracti128", xmm(d), ymm(ra), 1);
  w_.as("vpmovsxdq", ymm(d), xmm(second ? d : ra));
  values_.reg(v) = d;
}

// a * b + c in one of three forms, which overwrite a factor (132, 213) or the sum (231).
void Body::fused(int v, const Node& n) {
  const bool plus = n.what == Do::fma, minus = n.what == Do::fms;
  const Op& form132 = plus ? op::fma132 : minus ? op::fms132 : op::fnma132;
  const Op& form213 = plus ? op::fma213 : minus ? op::fms213 : op::fnma213;
  const Op& form231 = plus ? op::fma231 : minus ? op::fms231 : op::fnma231;
  int a = n.a, b = n.b, c = n.c;
  const bool distinct = a != b && a != c && b != c;
  if (distinct && !dies(a) && (dies(b) || foldable(a))) std::swap(a, b);
  if (distinct && dies(a) && !dies(c)) {
    int ra = in(a);
    if (foldable(b) && !foldable(c)) {
      int rc = in(c);
      w_(form132, w_.v(ra), w_.v(rc), memory_of(b));
    } else {
      int rb = in(b);
      if (foldable(c))
        w_(form213, w_.v(ra), w_.v(rb), memory_of(c));
      else
        w_(form213, w_.v(ra), w_.v(rb), w_.v(in(c)));
    }
    values_.reg(a) = -1;
    used(a), used(b), used(c);
    values_.reg(v) = ra;
    return;
  }
  // Into c, or a copy of it.
  int ra = in(a);
  int rb = distinct && foldable(b) ? -1 : in(b);
  const bool own = dies(c) && c != a && c != b;
  int d;
  if (own) {
    values_.pin(c);
    d = values_.reg(c);
  } else if (foldable(c)) {
    d = take();
    w_.fetch(d, memory_of(c));
  } else {
    int rc = in(c);
    d = take();
    w_.move(d, rc);
  }
  if (rb < 0)
    w_(form231, w_.v(d), w_.v(ra), memory_of(b));
  else
    w_(form231, w_.v(d), w_.v(ra), w_.v(rb));
  if (own) values_.reg(c) = -1;
  used(a), used(b), used(c);
  values_.reg(v) = d;
}

}  // namespace funcnn::cpu::jit
