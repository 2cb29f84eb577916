#include "plan/kept_loop.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/profile.h"
#include "plan/loop_body.h"

namespace funcnn {

KeptLoop::KeptLoop(Backend& backend, std::span<const Layout> inputs, size_t constants,
                   std::span<const size_t> output_bytes, size_t taken)
    : backend_(&backend), inputs_(inputs.size()), constants_(constants), lasting_(inputs.size(), 0) {
  std::fill(lasting_.begin() + ptrdiff_t(constants), lasting_.end(), char(1));
  bool forwards = true;
  for (const Layout& layout : inputs) {
    int64_t span = 1;
    for (size_t d = 0; d < layout.shape.size(); ++d) {
      forwards = forwards && layout.strides[d] >= 0;
      span += (layout.shape[d] - 1) * layout.strides[d];
    }
    bytes_.push_back(element_count(layout.shape) ? size_t(span) * item_size(layout.dtype) : 0);
  }
  bytes_.insert(bytes_.end(), output_bytes.begin(), output_bytes.end());
  for (size_t bytes : bytes_) total_ += block_capacity(bytes);
  fits_ = backend.device() == kCpu && forwards && taken + total_ <= kMostBytes;
  if (!fits_) total_ = 0;
}

bool KeptLoop::bind(ControlKernel& loop, Queue& queue) {
  std::vector<Course> courses;
  for (size_t i = 0; i < places_.size(); ++i) {
    courses.emplace_back(Operand{places_[i].get()});
    courses.back().lasting = i < inputs_ && lasting_[i];
  }
  bound_ = loop.bind(queue, courses);
  queue_ = &queue;
  return fits_ = bound_ != nullptr;
}

bool KeptLoop::run(ControlKernel& loop, Queue& queue, std::span<const Operand> operands) {
  // A function that the loop calls may run it again.
  if (!fits_ || running_ || !std::exchange(has_run_, true) || profiling()) return false;
  if (places_.empty())
    for (size_t bytes : bytes_) places_.push_back(Buffer::allocate(backend_->memory(), bytes));
  for (size_t i = 0; i < inputs_; ++i) {
    const Operand& from = operands[i];
    const std::byte* source = from.buffer ? from.buffer->host() + from.offset : from.scalar;
    if (lasting_[i] && bound_) {
      if (std::memcmp(places_[i]->host(), source, bytes_[i]) == 0) continue;
      lasting_[i] = 0;
      bound_ = nullptr;
    }
    std::memcpy(places_[i]->host(), source, bytes_[i]);
  }
  if ((!bound_ || queue_ != &queue) && !bind(loop, queue)) return false;
  struct Running {
    KeptLoop& loop;
    bool done = false;
    explicit Running(KeptLoop& l) : loop(l) { loop.running_ = true; }
    ~Running() {
      loop.running_ = false;
      if (!done) loop.bound_ = nullptr;
    }
  } running(*this);
  bound_->encode(0);
  running.done = true;
  for (size_t i = inputs_; i < bytes_.size(); ++i)
    std::memcpy(operands[i].buffer->host() + operands[i].offset, places_[i]->host(), bytes_[i]);
  return true;
}

}  // namespace funcnn
