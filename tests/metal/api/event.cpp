#include "event.h"

namespace software_metal {
namespace {

const Class& event_class() {
  static const Class* made = new Class("MTLEvent", &object_class());
  return *made;
}
const Class& shared_event_class() {
  static const Class* made =
      &(new Class("MTLSharedEvent", &event_class()))
           ->method("signaledValue", [](Event* self, Selector) { return self->value(); })
           .method("setSignaledValue:", [](Event* self, Selector, uint64_t value) { self->signal(value); });
  return *made;
}
const Class& fence_class() {
  static const Class* made = new Class("MTLFence", &object_class());
  return *made;
}

}  // namespace

Event::Event(bool shared) : Object(shared ? shared_event_class() : event_class()) {}

void Event::signal(uint64_t value) {
  std::lock_guard lock(mutex_);
  value_ = value;
  changed_.notify_all();
}
void Event::wait(uint64_t value) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return value_ >= value; });
}
uint64_t Event::value() const {
  std::lock_guard lock(mutex_);
  return value_;
}

Fence::Fence() : Object(fence_class()) {}

}  // namespace software_metal
