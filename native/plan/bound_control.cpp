#include "plan/bound_control.h"

namespace funcnn {

std::optional<Course> FixedOperands::input(const Layout& layout, const Course& from, bool copies) {
  if (from.stays() && !copies) return from;
  if (!is_contiguous(layout.shape, layout.strides)) return std::nullopt;
  copies_.emplace_back(*backend_, layout, layout);
  return copied(copies_.back(), bytes_of(layout), from);
}

Course FixedOperands::copied(const Copy& copy, size_t bytes, const Course& from) {
  const Course to = fresh(bytes);
  copy.add_to(before_, from, to);
  return to;
}

Course FixedOperands::fresh(size_t bytes) {
  memory_.push_back(Buffer::allocate(backend_->memory(), bytes));
  bytes_ += block_capacity(bytes);
  return Course(Operand{memory_.back().get()});
}

Course FixedOperands::output(const Layout& layout, const Course& to) {
  if (to.stays()) return to;
  const Course at = fresh(bytes_of(layout));
  bring(layout, at, to);
  return at;
}

void FixedOperands::bring(const Layout& layout, const Course& from, const Course& to) {
  copies_.emplace_back(*backend_, layout, layout);
  copies_.back().add_to(after_, from, to);
}

BoundSteps::BoundSteps(const Body& body, std::span<const Course> inputs, size_t constants, std::span<const Course> to,
                       std::span<const int> goes_to, int64_t alignment)
    : constants_(body.plan(), BoundPlan::Part::constants, BoundBody::leaves(body, inputs), {}, {}),
      prepares_(!constants_.prepared().empty()),
      last_(
          std::all_of(inputs.begin() + ptrdiff_t(constants), inputs.end(), [](const Course& c) { return c.lasting; })),
      body_(body, inputs, constants_.prepared(), to, goes_to, alignment) {}

}  // namespace funcnn
