#include "plan/loop_body.h"

namespace funcnn {

BoundBody::BoundBody(const Body& body, std::span<const Course> inputs, std::span<const Ref<Buffer>> prepared,
                     std::span<const Course> to, std::span<const int> goes_to, int64_t alignment)
    : leaves_(leaves(body, inputs)),
      plan_(body.plan_, BoundPlan::Part::run, leaves_, prepared, places(body, to, goes_to, alignment)) {
  for (size_t i = 0; i < body.output_count(); ++i) {
    const int from = body.from_[i];
    outputs_.push_back(from >= 0 ? plan_.result(size_t(from)) : leaves_[size_t(-1 - from)]);
    if (to.empty() || !to[i] || to[i] == outputs_[i]) continue;
    body.copies_[i].add_to(plan_, outputs_[i], to[i]);
  }
}

void BoundBody::follow(const BoundBody& next) {
  plan_.follow(next.plan_);
  Course go_on = next.outputs_[0];
  std::swap(go_on.places[0], go_on.places[1]);
  plan_.stop_by(go_on);
}

std::vector<Course> BoundBody::leaves(const Body& body, std::span<const Course> inputs) {
  std::vector<Course> all(inputs.begin(), inputs.end());
  for (size_t i = inputs.size(); i < body.capture_.leaves.size(); ++i)
    all.push_back(Course::lasts(operand_at(body.capture_.leaves[i]->storage)));
  return all;
}

std::vector<Course> BoundBody::places(const Body& body, std::span<const Course> to, std::span<const int> goes_to,
                                      int64_t alignment) {
  std::vector<Course> places(body.result_count());
  for (size_t r = 0; r < goes_to.size(); ++r) {
    if (goes_to[r] < 0) continue;
    const Course& at = to[size_t(goes_to[r])];
    if (at.stride % alignment == 0 && at.places[0].offset % alignment == 0 && at.places[1].offset % alignment == 0)
      places[r] = at;
  }
  return places;
}

}  // namespace funcnn
