// What bodies read, write and reduce.
#include <array>
#include <cstddef>

#include "backends/cpu/jit/body_x86.h"

namespace funcnn::cpu::jit {

using x86::at;
using x86::k;
using x86::Memory;
using x86::under;
using x86::xmm;
using x86::ymm;
using x86::zeroed;

bool Body::masked() const { return layout_.wide && place_.tail; }

void Body::load(int v, const Node& n) {
  const Dtype memory = loop_.streams[size_t(n.stream)].memory;
  int r = take();
  Memory m = at_stream(n.stream);
  const x86::Operand to = masked() ? zeroed(w_.v(r), k(kTailMask)) : x86::Operand(w_.v(r));
  if (int(item_size(memory)) == w_.item()) {
    if (!layout_.wide && place_.tail)
      w_(op::some, to, w_.v(kTailLanes), m);
    else
      w_(op::load, to, m);
    values_.reg(v) = r;
    return;
  }
  if (w_.eight()) throw Refused{"memory of this dtype"};
  switch (memory) {
    case Dtype::float16:
      w_.as("vcvtph2ps", to, m);
      break;
    case Dtype::bfloat16:
      w_.as("vpmovzxwd", to, m);
      w_(op::shift_left, w_.v(r), w_.v(r), 16);
      break;
    case Dtype::uint8:
      w_.as("vpmovzxbd", to, m);
      break;
    case Dtype::int8:
      w_.as("vpmovsxbd", to, m);
      break;
    case Dtype::uint16:
      w_.as("vpmovzxwd", to, m);
      break;
    case Dtype::int16:
      w_.as("vpmovsxwd", to, m);
      break;
    default:
      throw Refused{"memory of this dtype"};
  }
  values_.reg(v) = r;
}
void Body::index(int v) {
  const int r = take(), item = w_.item();
  if (layout_.wide) {
    w_(op::repeat_general, w_.v(r), kIndex.part(8 * item));
  } else {
    w_(op::move_general, xmm(r), kIndex.part(8 * item));
    w_(op::repeat_general, w_.v(r), xmm(r));
  }
  std::array<uint8_t, 64> lanes{};
  for (int l = 0; l < w_.lanes(); ++l) lanes[size_t(l * item)] = uint8_t(place_.unit * w_.lanes() + l);
  w_(op::int_add, w_.v(r), w_.v(r), w_.as.constant({lanes.data(), size_t(w_.bytes())}));
  values_.reg(v) = r;
}
void Body::pick(int v, const Node& n) {
  if (level_ != Level::row || w_.eight()) throw Refused{"one of many elements"};
  const int number = in(n.a);
  w_.as("vmovd", kLimit.part(32), xmm(number));
  used(n.a);
  const int r = take();
  Memory m = at_stream(n.stream, int32_t(n.bits));
  m.index = kLimit;
  m.scale = uint8_t(w_.item());
  w_.fetch(r, m.broadcast(w_.item()));
  values_.reg(v) = r;
}
void Body::load_mask(int v, const Node& n) {
  const bool single = loop_.streams[size_t(n.stream)].walk >= Walk::row;
  int r = take();
  Memory m = at_stream(n.stream, int32_t(n.bits));
  if (single)
    w_.as("vpbroadcastb", w_.v(r), m);
  else
    w_(op::bytes_to_ints, masked() ? zeroed(w_.v(r), k(kTailMask)) : x86::Operand(w_.v(r)), m);
  if (layout_.wide) {
    int mask = take_mask();
    w_(op::test, k(mask), w_.v(r), w_.v(r));
    temporaries_.push_back(r);
    values_.reg(v) = mask;
    return;
  }
  // Zero or not, all bits of the lane.
  int zero = take_temporary();
  w_(op::bit_xor, w_.v(zero), w_.v(zero), w_.v(zero));
  w_(op::int_equal, w_.v(r), w_.v(r), w_.v(zero));
  w_(op::int_equal, w_.v(r), w_.v(r), w_.v(zero));
  values_.reg(v) = r;
}

// Whole vectors, or halves of long ones.
bool Body::passes_caches(int stream) const {
  return place_.past_caches && bytes_past_caches(loop_.streams[size_t(stream)], w_.lanes());
}
// The low 16 or 8 bits of lanes of 4 bytes, which is all that they hold.
void Body::store_narrow(int r, int bytes, const Memory& m) {
  if (layout_.wide) {
    const x86::Operand to = masked() ? under(m, k(kTailMask)) : x86::Operand(m);
    if (bytes == 2)
      w_.as("vpmovdw", to, w_.v(r));
    else
      w_.as("vpmovdb", to, w_.v(r));
    return;
  }
  int t = take_temporary(), u = take_temporary();
  w_(op::bit_and, w_.v(t), w_.v(r), w_.constant(bytes == 2 ? 0xffff : 0xff));
  w_.as("vextracti128", xmm(u), ymm(t), 1);
  w_.as("vpackusdw", xmm(t), xmm(t), xmm(u));
  if (bytes == 1) {
    w_.as("vpackuswb", xmm(t), xmm(t), xmm(t));
    w_.as("vmovq", m, xmm(t));
  } else {
    w_.as("vmovups", m, xmm(t));
  }
}
void Body::store_packed(int r, int stream, const Memory& m) {
  if (masked())
    w_.as("vmovdqu16", under(m, k(kTailMask)), w_.half(r));
  else
    w_.as(passes_caches(stream) ? x86::Name("vmovntps") : x86::Name("vmovups"), m, w_.half(r));
}
void Body::store_past_caches(int r, Dtype memory, const Memory& m) {
  if (int(item_size(memory)) == w_.item()) {
    w_(op::pass, m, w_.v(r));
    return;
  }
  const int t = take_temporary();
  if (memory == Dtype::float16) {
    w_.as("vcvtps2ph", w_.half(t), w_.v(r), 0);
  } else if (memory == Dtype::bfloat16) {
    w_(op::shift_right, w_.v(t), w_.v(r), 16);
    w_.as("vpmovdw", w_.half(t), w_.v(t));
  } else {
    w_.as("vpmovdw", w_.half(t), w_.v(r));
  }
  w_.as("vmovntps", m, w_.half(t));
}
void Body::store(const Node& n) {
  if (level_ == Level::row) return store_for_row(n);
  const Dtype memory = loop_.streams[size_t(n.stream)].memory;
  int ra = in(n.a);
  Memory m = at_stream(n.stream);
  const x86::Operand to = masked() ? under(m, k(kTailMask)) : x86::Operand(m);
  if (stays_packed(n.a)) {
    store_packed(ra, n.stream, m);
  } else if (passes_caches(n.stream)) {
    store_past_caches(ra, memory, m);
  } else if (int(item_size(memory)) == w_.item()) {
    if (!layout_.wide && place_.tail)
      w_(op::some, to, w_.v(kTailLanes), w_.v(ra));
    else
      w_(op::load, to, w_.v(ra));
  } else if (w_.eight()) {
    throw Refused{"memory of this dtype"};
  } else if (memory == Dtype::float16) {
    w_.as("vcvtps2ph", to, w_.v(ra), 0);
  } else if (memory == Dtype::bfloat16) {  // the line has rounded
    int t = take_temporary();
    w_(op::shift_right, w_.v(t), w_.v(ra), 16);
    store_narrow(t, 2, m);
  } else {
    store_narrow(ra, int(item_size(memory)), m);
  }
  used(n.a);
}
// The value of a row: the first lane.
void Body::store_for_row(const Node& n) {
  if (n.what == Do::mask_store) {
    const int mask = mask_in(n.a);
    const x86::Gpr bits = kLimit.part(32);
    if (layout_.wide)
      w_.as("kmovw", bits, k(mask));
    else
      w_.as("vmovmskps", bits, w_.v(mask));
    w_.as("and", bits, 1);
    w_.as("mov", at_stream(n.stream, int32_t(n.bits)), kLimit.part(8));
  } else {
    if (int(item_size(loop_.streams[size_t(n.stream)].memory)) != w_.item()) throw Refused{"memory of this dtype"};
    const int r = in(n.a);
    w_(op::one, at_stream(n.stream, int32_t(n.bits)), xmm(r));  // found last: it may take the scratch register
  }
  used(n.a);
}
void Body::store_mask(const Node& n) {
  if (level_ == Level::row) return store_for_row(n);
  int mask = mask_in(n.a);
  int t = take_temporary();
  Memory m = at_stream(n.stream);
  if (layout_.wide) {
    Memory one = w_.constant(1);
    one.repeated = 0;
    w_(op::repeat, zeroed(w_.v(t), k(mask)), one);
    w_(op::ints_to_bytes, masked() ? under(m, k(kTailMask)) : x86::Operand(m), w_.v(t));
  } else {
    if (w_.eight()) throw Refused{"booleans beside lanes of 8 bytes"};
    w_(op::bit_and, w_.v(t), w_.v(mask), w_.constant(1));
    store_narrow(t, 1, m);
  }
  used(n.a);
}
void Body::leave(const Node& n) {
  const x86::Gpr bits = kLimit.part(32);
  if (level_ != Level::row) throw Refused{"an end among elements"};
  if (n.a < 0) return;
  const int mask = mask_in(n.a);
  if (layout_.wide)
    w_.as("kmovw", bits, k(mask));
  else
    w_.as("vmovmskps", bits, w_.v(mask));
  w_.as("mov", at(kFrame, int32_t(offsetof(Frame, rows))), int64_t(n.bits));
  w_.as("and", bits, 1);
  w_.as("je", layout_.end);
  used(n.a);
}

void Body::reduce(const Node& n) {
  int ra = in(n.a);
  if (place_.to_buffers) {
    w_(op::load, at(x86::rsp, kBuffer, 1, kFoldBytes * n.stream), w_.v(ra));
    return used(n.a);
  }
  const Fold& fold = stage_.folds[size_t(n.stream)];
  const int acc = n.stream * layout_.unroll + place_.unit;
  const bool order = fold.op == ReduceOp::max || fold.op == ReduceOp::min;
  int t = !layout_.wide && order && is_float(fold.dtype) ? take_temporary() : -1;
  combine(w_, fold, Meeting::vectors, acc, ra, t, t);
  used(n.a);
}

void combine(Writer& w, const Fold& fold, Meeting meeting, int acc, int x, int t, int u) {
  const bool floating = is_float(fold.dtype), sign = fold.dtype == Dtype::int32 || fold.dtype == Dtype::int64;
  auto binary = [&](const Op& op) { w(op, w.v(acc), w.v(acc), w.v(x)); };
  if (fold.op == ReduceOp::sum) {
    if (fold.squares && meeting != Meeting::lanes) return w(op::fma231, w.v(acc), w.v(x), w.v(x));
    return binary(floating ? op::add : op::int_add);
  }
  if (fold.op == ReduceOp::prod) return binary(floating ? op::multiply : op::int_multiply);
  if (fold.op != ReduceOp::max && fold.op != ReduceOp::min) throw Refused{"a reduction of this kind"};
  const bool max = fold.op == ReduceOp::max;
  if (!floating)
    return binary(max ? (sign ? op::int_greatest : op::uint_greatest) : (sign ? op::int_least : op::uint_least));
  const Op& best = max ? op::greatest : op::least;
  if (meeting == Meeting::vectors) {  // of two equal ones the first, NaN wins
    if (w.evex()) {
      w(op::compare, k(kFoldMask), w.v(x), w.v(x), kUnordered);
      w(best, w.v(acc), w.v(x), w.v(acc));
      w(op::copy, under(w.v(acc), k(kFoldMask)), w.v(x));
    } else {
      w(op::compare, w.v(t), w.v(x), w.v(x), kUnordered);
      w(best, w.v(acc), w.v(x), w.v(acc));
      w(op::blend_by_vector, w.v(acc), w.v(acc), w.v(x), w.v(t));
    }
  } else if (w.evex()) {  // of two equal ones the second
    w(op::compare, k(kFoldMask), w.v(acc), w.v(acc), kOrdered);
    w(best, under(w.v(acc), k(kFoldMask)), w.v(acc), w.v(x));
  } else {
    w(op::compare, w.v(t), w.v(acc), w.v(acc), kUnordered);
    w(best, w.v(u), w.v(acc), w.v(x));
    w(op::blend_by_vector, w.v(acc), w.v(u), w.v(acc), w.v(t));
  }
}

}  // namespace funcnn::cpu::jit
