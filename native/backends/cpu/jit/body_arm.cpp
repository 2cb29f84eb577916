#include "backends/cpu/jit/body_arm.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace funcnn::cpu::jit::arm {

void load_constant(Assembler& as, int to, uint64_t bits, bool eight) {
  if (bits == 0) return as("movi", d2(to), 0);
  uint8_t bytes[16];
  for (int i = 0; i < 16; ++i) bytes[i] = uint8_t(bits >> (8 * (i % (eight ? 8 : 4))));
  as("ldr", q(to), as.constant(bytes));
}

Body::Body(Assembler& as, const Loop& loop, const Stage& stage, Layout& layout, Level level, Mode mode)
    : as_(as),
      loop_(loop),
      stage_(stage),
      layout_(layout),
      level_(level),
      mode_(mode),
      values_(
          stage.line.nodes, [&](size_t n) { return layout.level[n] == level; },
          [&](size_t n) { return layout.home_slot[n] >= 0; }) {
  find_free();
}
// Registers without a value.
void Body::find_free() {
  free_.clear();
  for (int r = layout_.first_home - 1; r >= 0; --r)
    if (!values_.holds(r)) free_.push_back(r);
}

void Body::emit() {
  for (int i = 0; i < int(values_.order().size()); ++i) {
    const int n = values_.order()[size_t(i)];
    if (const int choice = values_.branch_at(i); choice >= 0) enter_branch(choice, i);
    values_.begin(i);
    one(n, node(n));
    end_operation();
    if (values_.held() == n) leave_branch();
    if (!is_result(node(n).what)) keep(n);
  }
  layout_.most_spills = std::max(layout_.most_spills, values_.slots());
}
void Body::end_operation() {
  free_.insert(free_.end(), temporaries_.begin(), temporaries_.end());
  temporaries_.clear();
  values_.end();
}

// The result holds the second choice from before the branch on.
void Body::enter_branch(int number, int position) {
  const Node& n = node(number);
  half_ = n.eight;
  values_.begin(position);
  const int mask = in(n.a);
  values_.reg(number) = copy_of(n.c);
  used(n.c);
  branch_end_ = as_.label();
  as_("umov", kScratch, Lane{uint8_t(mask), 8, 0});
  as_("umov", kPointer, Lane{uint8_t(mask), 8, 1});
  as_("orr", kScratch, kScratch, kPointer);
  as_("subs", xzr, kScratch, xzr);
  as_("b", Condition::eq, branch_end_);
  end_operation();
  values_.enter(number);
}
void Body::blend_branch(int number) {
  const Node& n = node(number);
  const int mask = in(n.a), yes = in(n.b);
  as_("bit", b16(values_.reg(number)), b16(yes), b16(mask));
  used(n.a), used(n.b);
}
void Body::leave_branch() {
  values_.leave([&](int, int slot_number, int r) { as_("ldr", q(r), slot(layout_.first_spill + slot_number)); });
  find_free();
  as_.bind(branch_end_);
}

// A value that elements read goes home.
void Body::keep(int n) {
  const size_t i = size_t(n);
  if (level_ == Level::row) {
    if (layout_.home_register[i] >= 0) move(layout_.home_register[i], values_.reg(n));
    if (layout_.home_slot[i] >= 0) as_("str", q(values_.reg(n)), slot(layout_.home_slot[i]));
  }
  if (values_.uses(n) > 0) return;
  free_.push_back(values_.reg(n));
  values_.reg(n) = -1;
}

// ---- operands

Address Body::stream(int number) {
  const Stream& s = loop_.streams[size_t(number)];
  General base = kPointer;
  if (layout_.pointer[size_t(number)])
    base = *layout_.pointer[size_t(number)];
  else
    as_("ldr", base, at(kFrame, int32_t(offsetof(Frame, stream)) + 8 * number));
  return s.walk >= Walk::row ? at(base) : at(base, offset_register(int(item_size(s.memory))));
}
int Body::take() {
  if (free_.empty()) spill();
  const int r = free_.back();
  free_.pop_back();
  peak_ = std::max(peak_, layout_.first_home - int(free_.size()));
  return r;
}
int Body::temporary() {
  temporaries_.push_back(take());
  return temporaries_.back();
}
// The value that is read last makes room.
void Body::spill() {
  const int n = values_.victim([](int) { return true; });
  if (values_.take_slot(n)) as_("str", q(values_.reg(n)), slot(layout_.first_spill + values_.slot(n)));
  free_.push_back(values_.reg(n));
  values_.reg(n) = -1;
}
void Body::move(int to, int from) {
  if (to != from) as_("orr", b16(to), b16(from), b16(from));
}
// A value that is in no register.
void Body::fetch(int n, int to) {
  const Node& read = node(n);
  if (values_.slot(n) >= 0) return as_("ldr", q(to), slot(layout_.first_spill + values_.slot(n)));
  if (read.what == Do::constant) return load_constant(as_, to, read.bits, loop_.wide || read.eight);
  if (read.what == Do::uniform) {
    const Stream& s = loop_.streams[size_t(read.stream)];
    if (item_size(s.memory) != (loop_.wide ? 8 : 4) || s.walk < Walk::row || read.eight)
      throw Refused{"a repeated value of this dtype"};
    return as_("ld1r", loop_.wide ? d2(to) : s4(to), stream(read.stream));
  }
  as_("ldr", q(to), slot(layout_.home_slot[size_t(n)]));
}
int Body::in(int n) {
  values_.pin(n);
  int& r = values_.reg(n);
  if (r >= 0) return r;
  if (level_ == Level::element && layout_.home_register[size_t(n)] >= 0) return layout_.home_register[size_t(n)];
  const int to = take();
  fetch(n, to);
  if (values_.slot(n) >= 0)
    r = to;
  else
    temporaries_.push_back(to);
  return to;
}
// In a register to be overwritten: that of the value where this is its last use.
int Body::copy_of(int n) {
  const int r = in(n);
  if (values_.reg(n) >= 0 && values_.uses(n) == 1) {
    values_.reg(n) = -1;
    return r;
  }
  const int to = take();
  move(to, r);
  return to;
}
int Body::constant(uint64_t bits) {
  const int r = temporary();
  load_constant(as_, r, bits, eight());
  return r;
}
// One use less; the register is free after this operation when none is left.
void Body::used(int n) {
  if (n < 0 || !values_.read(n)) return;
  if (int& r = values_.reg(n); r >= 0) {
    temporaries_.push_back(r);
    r = -1;
  }
}

// ---- operations

int Body::three(Name name, int a, int b) {
  const int ra = in(a), rb = in(b), to = take();
  as_(name, v(to), v(ra), v(rb));
  return to;
}
int Body::logic(Name name, int a, int b) {
  const int ra = in(a), rb = in(b), to = take();
  as_(name, b16(to), b16(ra), b16(rb));
  return to;
}
int Body::two(Name name, int a) {
  const int ra = in(a), to = take();
  as_(name, v(to), v(ra));
  return to;
}
// first `compare` second ? yes : no
int Body::choice(Name compare, int first, int second, int yes, int no) {
  const int to = three(compare, first, second);
  as_("bsl", b16(to), b16(in(yes)), b16(in(no)));
  return to;
}
int Body::multiply(int a, int b) {
  if (!eight()) return three("mul", a, b);
  const int ra = in(a), rb = in(b), to = take();
  for (uint8_t lane : {0, 1}) {
    as_("umov", kScratch, Lane{uint8_t(ra), 8, lane});
    as_("umov", kPointer, Lane{uint8_t(rb), 8, lane});
    as_("madd", kScratch, kScratch, kPointer, xzr);
    as_("ins", Lane{uint8_t(to), 8, lane}, kScratch);
  }
  return to;
}
int Body::shift(const Node& n) {
  const int ra = in(n.a), to = take(), bits = int(n.bits);
  if (n.what == Do::shift_left)
    as_("shl", v(to), v(ra), bits);
  else if (bits == 0)
    move(to, ra);
  else if (n.what == Do::shift_right)
    as_("ushr", v(to), v(ra), bits);
  else
    as_("sshr", v(to), v(ra), bits);
  return to;
}
int Body::half(int a) {
  if (eight()) throw Refused{"halves of this dtype"};
  const int ra = in(a), to = take();
  as_("fcvtn", h4(to), s4(ra));
  as_("fcvtl", s4(to), h4(to));
  return to;
}
// The machine counts with a signed byte, to the right below zero.
int Body::shift_by(const Node& n) {
  const int ra = in(n.a), rb = in(n.b), to = take(), inside = temporary();
  as_("cmhi", v(inside), v(constant(uint64_t(8 * item()))), v(rb));
  if (n.what == Do::shift_right_signed_by) {
    as_("bsl", b16(inside), b16(rb), b16(constant(uint64_t(8 * item() - 1))));
    as_("neg", v(inside), v(inside));
    as_("sshl", v(to), v(ra), v(inside));
    return to;
  }
  if (n.what == Do::shift_right_by) {
    const int back = temporary();
    as_("neg", v(back), v(rb));
    as_("ushl", v(to), v(ra), v(back));
  } else {
    as_("ushl", v(to), v(ra), v(rb));
  }
  as_("and", b16(to), b16(to), b16(inside));
  return to;
}

// Half of the elements of a, in lanes twice as wide.
int Body::widen(const Node& n) {
  int from = in(n.a);
  const int to = take();
  if (n.what == Do::widen_second || n.what == Do::widen_int_second || n.what == Do::mask_second) {
    as_("ext", b16(to), b16(from), b16(from), 8);
    from = to;
  }
  if (n.what == Do::widen_first || n.what == Do::widen_second) {
    as_("fcvtl", d2(to), s2(from));
    return to;
  }
  as_("sshll", d2(to), s2(from), 0);
  if (n.what == Do::widen_int_first || n.what == Do::widen_int_second) as_("scvtf", d2(to), d2(to));
  return to;
}
// The halves a and b in lanes half as wide.
int Body::narrow(const Node& n) {
  const int first = in(n.a), second = in(n.b), to = take(), t = temporary();
  if (n.what == Do::narrow) {
    as_("fcvtn", s2(to), d2(first));
    as_("fcvtn", s2(t), d2(second));
  } else {
    as_("fcvtzs", d2(to), d2(first));
    as_("fcvtzs", d2(t), d2(second));
    as_("xtn", s2(to), d2(to));
    as_("xtn", s2(t), d2(t));
  }
  as_("zip1", d2(to), d2(to), d2(t));
  return to;
}

void Body::one(int number, const Node& n) {
  int to = -1;
  half_ = n.eight;
  switch (n.what) {
    case Do::load:
      to = load(n);
      break;
    case Do::add:
      to = three("fadd", n.a, n.b);
      break;
    case Do::subtract:
      to = three("fsub", n.a, n.b);
      break;
    case Do::multiply:
      to = three("fmul", n.a, n.b);
      break;
    case Do::divide:
      to = three("fdiv", n.a, n.b);
      break;
    case Do::fma:
    case Do::fms:
    case Do::fnma: {
      const int ra = in(n.a), rb = in(n.b);
      to = n.what == Do::fms ? two("fneg", n.c) : copy_of(n.c);
      if (n.what == Do::fnma)
        as_("fmls", v(to), v(ra), v(rb));
      else
        as_("fmla", v(to), v(ra), v(rb));
      break;
    }
    case Do::square_root:
      to = two("fsqrt", n.a);
      break;
    case Do::least:
      to = choice("fcmgt", n.b, n.a, n.a, n.b);
      break;
    case Do::greatest:
      to = choice("fcmgt", n.a, n.b, n.a, n.b);
      break;
    case Do::floor:
      to = two("frintm", n.a);
      break;
    case Do::ceil:
      to = two("frintp", n.a);
      break;
    case Do::truncate:
      to = two("frintz", n.a);
      break;
    case Do::nearest:
      to = two("frintn", n.a);
      break;
    case Do::half:
      to = half(n.a);
      break;
    case Do::int_add:
      to = three("add", n.a, n.b);
      break;
    case Do::int_subtract:
      to = three("sub", n.a, n.b);
      break;
    case Do::int_multiply:
      to = multiply(n.a, n.b);
      break;
    case Do::int_least:
      to = choice("cmgt", n.b, n.a, n.a, n.b);
      break;
    case Do::int_greatest:
      to = choice("cmgt", n.a, n.b, n.a, n.b);
      break;
    case Do::uint_least:
      to = choice("cmhi", n.b, n.a, n.a, n.b);
      break;
    case Do::uint_greatest:
      to = choice("cmhi", n.a, n.b, n.a, n.b);
      break;
    case Do::bit_and:
    case Do::mask_and:
      to = logic("and", n.a, n.b);
      break;
    case Do::bit_or:
    case Do::mask_or:
      to = logic("orr", n.a, n.b);
      break;
    case Do::bit_xor:
    case Do::mask_xor:
      to = logic("eor", n.a, n.b);
      break;
    case Do::mask_not: {
      const int ra = in(n.a);
      to = take();
      as_("not", b16(to), b16(ra));
      break;
    }
    case Do::shift_left:
    case Do::shift_right:
    case Do::shift_right_signed:
      to = shift(n);
      break;
    case Do::shift_left_by:
    case Do::shift_right_by:
    case Do::shift_right_signed_by:
      to = shift_by(n);
      break;
    case Do::from_int:
      to = two("scvtf", n.a);
      break;
    case Do::to_int:
      to = two("fcvtzs", n.a);
      break;
    case Do::widen_first:
    case Do::widen_second:
    case Do::widen_int_first:
    case Do::widen_int_second:
    case Do::mask_first:
    case Do::mask_second:
      to = widen(n);
      break;
    case Do::narrow:
    case Do::narrow_to_int:
      to = narrow(n);
      break;
    case Do::less:
      to = three("fcmgt", n.b, n.a);
      break;
    case Do::less_equal:
      to = three("fcmge", n.b, n.a);
      break;
    case Do::equal:
      to = three("fcmeq", n.a, n.b);
      break;
    case Do::not_equal:
      to = three("fcmeq", n.a, n.b);
      as_("not", b16(to), b16(to));
      break;
    case Do::int_less:
      to = three("cmgt", n.b, n.a);
      break;
    case Do::int_equal:
      to = three("cmeq", n.a, n.b);
      break;
    case Do::mask_of_load:
      to = load_mask(n);
      break;
    case Do::seldom:
      if (values_.held() == number) return blend_branch(number);
      [[fallthrough]];
    case Do::select:
    case Do::choose: {
      const int yes = in(n.b), no = in(n.c);
      to = copy_of(n.a);
      as_("bsl", b16(to), b16(yes), b16(no));
      break;
    }
    case Do::store:
      store(n);
      break;
    case Do::mask_store:
      store_mask(n);
      break;
    case Do::reduce:
      reduce(n);
      break;
    default:
      throw Refused{"an operation"};
  }
  used(n.a), used(n.b), used(n.c);
  values_.reg(number) = to;
}

// ---- memory

int Body::load(const Node& n) {
  const Stream& s = loop_.streams[size_t(n.stream)];
  if (s.walk >= Walk::row) throw Refused{"a load that repeats"};
  const int bytes = int(item_size(s.memory)), to = take();
  as_("ldr", Scalar{uint8_t(to), uint8_t(bytes * lanes())}, stream(n.stream));
  if (bytes == item()) return to;
  if (eight()) throw Refused{"memory of this dtype"};
  switch (s.memory) {
    case Dtype::float16:
      as_("fcvtl", s4(to), h4(to));
      return to;
    case Dtype::bfloat16:
      as_("ushll", s4(to), h4(to), 0);
      as_("shl", s4(to), s4(to), 16);
      return to;
    case Dtype::uint8:
      as_("ushll", h8(to), b8(to), 0);
      as_("ushll", s4(to), h4(to), 0);
      return to;
    case Dtype::int8:
      as_("sshll", h8(to), b8(to), 0);
      as_("sshll", s4(to), h4(to), 0);
      return to;
    case Dtype::uint16:
      as_("ushll", s4(to), h4(to), 0);
      return to;
    case Dtype::int16:
      as_("sshll", s4(to), h4(to), 0);
      return to;
    default:
      throw Refused{"memory of this dtype"};
  }
}
int Body::load_mask(const Node& n) {
  const Stream& s = loop_.streams[size_t(n.stream)];
  const int to = take();
  if (s.walk >= Walk::row) {
    as_("ld1r", b16(to), stream(n.stream));
    as_("cmtst", b16(to), b16(to), b16(to));
    return to;
  }
  as_("ldr", Scalar{uint8_t(to), uint8_t(lanes())}, stream(n.stream));
  as_("ushll", h8(to), b8(to), 0);
  as_("ushll", s4(to), h4(to), 0);
  if (eight()) as_("ushll", d2(to), s2(to), 0);
  as_("cmtst", v(to), v(to), v(to));
  return to;
}
// The low bytes of lanes.
void Body::narrow_store(int r, int lane, int bytes, const Address& to) {
  const int t = lane == bytes ? r : temporary();
  for (int from = r; lane > bytes; lane /= 2, from = t)
    as_("xtn", Vector{uint8_t(t), uint8_t(lane / 2), 8}, Vector{uint8_t(from), uint8_t(lane), 16});
  as_("str", Scalar{uint8_t(t), uint8_t(bytes * lanes())}, to);
}
void Body::store(const Node& n) {
  const Stream& s = loop_.streams[size_t(n.stream)];
  const int ra = in(n.a), bytes = int(item_size(s.memory));
  const bool narrow = bytes != item();
  if ((narrow && eight()) || (s.walk >= Walk::row && level_ != Level::row)) throw Refused{"a store of this form"};
  int r = ra;
  if (narrow && s.memory == Dtype::float16) {
    r = temporary();
    as_("fcvtn", h4(r), s4(ra));
    as_("str", Scalar{uint8_t(r), uint8_t(2 * lanes())}, stream(n.stream));
    return;
  }
  if (s.memory == Dtype::bfloat16) {  // the line has rounded
    r = temporary();
    as_("ushr", s4(r), s4(ra), 16);
  }
  narrow_store(r, item(), bytes, stream(n.stream));
}
void Body::store_mask(const Node& n) {
  const Stream& s = loop_.streams[size_t(n.stream)];
  if (item_size(s.memory) != 1 || (s.walk >= Walk::row && level_ != Level::row)) throw Refused{"a store of this form"};
  const int ra = in(n.a), ones = temporary();
  as_("ushr", v(ones), v(ra), 8 * item() - 1);
  narrow_store(ones, item(), 1, stream(n.stream));
}

// ---- reductions

void Body::reduce(const Node& n) {
  const Fold& fold = stage_.folds[size_t(n.stream)];
  const int x = in(n.a), acc = temporary(), t = temporary(), u = temporary();
  const Address result = at(sp, layout_.results_at + 16 * n.stream);
  if (mode_ == Mode::vectors) {
    as_("add", kScratch, sp, layout_.accumulators_at + kFoldBytes * n.stream);
    as_("ldr", q(acc), at(kScratch, kLane));
    combine(as_, fold, true, fold.squares, acc, x, t, u);
    as_("str", q(acc), at(kScratch, kLane));
    return;
  }
  as_("ldr", q(acc), result);
  const int lane = temporary();
  for (int l = 0; l < lanes(); ++l) {
    if (l) as_("dup", v(lane), Lane{uint8_t(x), uint8_t(item()), uint8_t(l)});
    combine(as_, fold, false, fold.squares, acc, l ? lane : x, t, u);
  }
  as_("str", q(acc), result);
}

void combine(Assembler& as, const Fold& fold, bool vectors, bool squared, int acc, int x, int t, int u) {
  const bool floating = is_float(fold.dtype), eight = item_size(fold.dtype) == 8;
  const bool sign = fold.dtype == Dtype::int32 || fold.dtype == Dtype::int64;
  const auto v = [&](int r) { return eight ? d2(r) : s4(r); };
  switch (fold.op) {
    case ReduceOp::sum:
      if (squared) return as("fmla", v(acc), v(x), v(x));
      return floating ? as("fadd", v(acc), v(acc), v(x)) : as("add", v(acc), v(acc), v(x));
    case ReduceOp::prod:
      if (!floating && eight) throw Refused{"a product of integers of 8 bytes"};
      return floating ? as("fmul", v(acc), v(acc), v(x)) : as("mul", v(acc), v(acc), v(x));
    case ReduceOp::max:
    case ReduceOp::min:
      break;
    default:
      throw Refused{"a reduction of this kind"};
  }
  // Vectors: of two equal ones the first. Elements: the second. NaN wins; of two, that of x, or of acc.
  const bool max = fold.op == ReduceOp::max;
  const int better = vectors ? x : acc, other = vectors ? acc : x;
  const int first = max ? better : other, second = max ? other : better;
  if (!floating) {
    as(sign ? Name("cmgt") : Name("cmhi"), v(t), v(first), v(second));
  } else {
    as("fcmgt", v(t), v(first), v(second));
    as("fcmeq", v(u), v(better), v(better));
    as("orn", b16(t), b16(t), b16(u));
  }
  if (vectors)
    as("bit", b16(acc), b16(x), b16(t));
  else
    as("bif", b16(acc), b16(x), b16(t));
}

}  // namespace funcnn::cpu::jit::arm
