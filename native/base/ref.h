// Intrusive reference counting: one word a object, handles the size of a pointer.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace funcnn {

template <class T>
class Ref;

// Base of everything shared by Ref. Counts are atomic: handles move freely between threads.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void retain(uint32_t times = 1) const noexcept { count_.fetch_add(times, std::memory_order_relaxed); }
  // True when this was the last reference: the caller deletes.
  bool release() const noexcept {
    // Sole owner: nobody else can add a reference, so skip the locked instruction.
    if (count_.load(std::memory_order_acquire) == 1) return true;
    return count_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  // The same for several references.
  bool release(uint32_t times) const noexcept {
    if (count_.load(std::memory_order_acquire) == times) return true;
    return count_.fetch_sub(times, std::memory_order_acq_rel) == times;
  }
  uint32_t use_count() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  template <class T>
  friend class Ref;
  // The first reference, of which nobody else can know.
  void retain_first() const noexcept { count_.store(1, std::memory_order_relaxed); }

  mutable std::atomic<uint32_t> count_{0};
};

template <class T>
class Ref {
 public:
  Ref() noexcept = default;
  Ref(std::nullptr_t) noexcept {}
  Ref(T* pointer) noexcept : pointer_(pointer) { retain(); }
  Ref(const Ref& other) noexcept : pointer_(other.pointer_) { retain(); }
  Ref(Ref&& other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
  template <class U>
  Ref(const Ref<U>& other) noexcept : pointer_(other.get()) {
    retain();
  }
  ~Ref() { drop(); }

  Ref& operator=(Ref other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }

  T* get() const noexcept { return pointer_; }
  T& operator*() const noexcept { return *pointer_; }
  T* operator->() const noexcept { return pointer_; }
  explicit operator bool() const noexcept { return pointer_ != nullptr; }
  bool operator==(const Ref& other) const noexcept { return pointer_ == other.pointer_; }

  // The first reference on an object that was just made.
  static Ref first(T* made) noexcept {
    Ref ref;
    static_cast<const RefCounted*>(made)->retain_first();
    ref.pointer_ = made;
    return ref;
  }
  // A reference that is counted already, as by `retain(times)` for several at once.
  static Ref counted(T* pointer) noexcept {
    Ref ref;
    ref.pointer_ = pointer;
    return ref;
  }
  // Give up the reference without counting it down.
  T* detach() noexcept { return std::exchange(pointer_, nullptr); }

 private:
  void retain() const noexcept {
    if (pointer_) pointer_->retain();
  }
  void drop() noexcept {
    if (pointer_ && pointer_->release()) delete pointer_;
  }

  T* pointer_ = nullptr;
};

template <class T, class... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

}  // namespace funcnn
