// Comparisons, masks, and what is chosen by them: selections and branches for few elements.
#include "backends/cpu/jit/body_x86.h"

namespace funcnn::cpu::jit {

using x86::k;
using x86::Memory;
using x86::under;

void Body::compare(int v, const Node& n) {
  if (!layout_.wide) {
    if (n.what == Do::int_less) return binary(op::int_greater, v, n.b, n.a);
    if (n.what == Do::int_equal) return commutative(op::int_equal, v, n.a, n.b);
  }
  const bool integer = n.what == Do::int_less || n.what == Do::int_equal;
  const int predicate = n.what == Do::less         ? kLess
                        : n.what == Do::less_equal ? kLessEqual
                        : n.what == Do::not_equal  ? kNotEqual
                        : n.what == Do::int_less   ? 1
                                                   : 0;
  const Op& op = integer ? op::int_compare : op::compare;
  int ra = in(n.a);
  const bool fold = n.a != n.b && foldable(n.b);
  const int rb = fold ? -1 : in(n.b);
  const int d = layout_.wide ? take_mask() : take();
  auto write = [&](const auto& to) {
    if (fold)
      w_(op, to, w_.v(ra), memory_of(n.b), predicate);
    else
      w_(op, to, w_.v(ra), w_.v(rb), predicate);
  };
  if (layout_.wide)
    write(k(d));
  else
    write(w_.v(d));
  used(n.a), used(n.b);
  values_.reg(v) = d;
}
void Body::mask_logic(int v, const Node& n) {
  if (!layout_.wide) {
    if (n.what == Do::mask_not) {
      int ra = in(n.a);
      int ones = take();
      w_.as("vpcmpeqd", w_.v(ones), w_.v(ra), w_.v(ra));
      w_(op::bit_xor, w_.v(ones), w_.v(ra), w_.v(ones));
      used(n.a);
      values_.reg(v) = ones;
      return;
    }
    return commutative(n.what == Do::mask_and  ? op::bit_and
                       : n.what == Do::mask_or ? op::bit_or
                                               : op::bit_xor,
                       v, n.a, n.b);
  }
  int a = mask_in(n.a), b = n.b >= 0 ? mask_in(n.b) : -1;
  int d = take_mask();
  switch (n.what) {
    case Do::mask_not:
      w_.as("knotw", k(d), k(a));
      break;
    case Do::mask_and:
      w_.as("kandw", k(d), k(a), k(b));
      break;
    case Do::mask_or:
      w_.as("korw", k(d), k(a), k(b));
      break;
    default:
      w_.as("kxorw", k(d), k(a), k(b));
  }
  used(n.a), used(n.b);
  values_.reg(v) = d;
}
void Body::select(int v, const Node& n) {
  int mask = mask_in(n.a);
  int rc = in(n.c);
  const bool fold = n.b != n.c && n.b != n.a && foldable(n.b);
  const int rb = fold ? -1 : in(n.b);
  Memory m = fold ? memory_of(n.b) : Memory{};
  // The mask stays where it is until the instruction has read it.
  used(n.b), used(n.c);
  int d = take();
  if (layout_.wide) {
    if (fold)
      w_(op::blend, under(w_.v(d), k(mask)), w_.v(rc), m);
    else
      w_(op::blend, under(w_.v(d), k(mask)), w_.v(rc), w_.v(rb));
  } else {
    if (fold)
      w_(op::blend_by_vector, w_.v(d), w_.v(rc), m, w_.v(mask));
    else
      w_(op::blend_by_vector, w_.v(d), w_.v(rc), w_.v(rb), w_.v(mask));
  }
  used(n.a);
  values_.reg(v) = d;
}

// The result holds the second choice from before the branch on.
void Body::enter_branch(int v, int position) {
  const Node& n = node(v);
  values_.begin(position);
  const int mask = mask_in(n.a), rc = in(n.c);
  used(n.c);
  const int d = take();
  if (d != rc) w_.move(d, rc);
  values_.reg(v) = d;
  branch_end_ = w_.as.label();
  if (layout_.wide)
    w_.as("kortestw", k(mask), k(mask));
  else
    w_.as("vptest", w_.v(mask), w_.v(mask));
  w_.as("je", branch_end_);
  end_operation();
  values_.enter(v);
}
void Body::blend_branch(int v, const Node& n) {
  const int mask = mask_in(n.a), rb = in(n.b), d = values_.reg(v);
  if (layout_.wide)
    w_(op::blend, under(w_.v(d), k(mask)), w_.v(d), w_.v(rb));
  else
    w_(op::blend_by_vector, w_.v(d), w_.v(d), w_.v(rb), w_.v(mask));
  used(n.a), used(n.b);
}
void Body::leave_branch() {
  values_.leave([&](int v, int slot, int r) {
    const Memory from = at_slot(layout_.first_slot + slot);
    if (mask_register(v))
      w_.as("kmovw", k(r), from);
    else
      w_.fetch(r, from);
  });
  find_free();
  w_.as.bind(branch_end_);
}

}  // namespace funcnn::cpu::jit
