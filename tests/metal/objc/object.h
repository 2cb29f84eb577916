// An Objective-C runtime of as much as Metal's host code needs: classes with methods in C++, counted references,
// autorelease pools. Misuse ends the process with a message, as under Metal's validation layer.
#pragma once

#include <atomic>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace software_metal {

using Selector = const char*;  // interned: equal names have one address
Selector selector(const std::string& name);

// Says what is wrong with how Metal is used, and aborts.
[[noreturn]] void misuse(const std::string& what);

class Class;

class Object {
 public:
  explicit Object(const Class& of) : class_(&of) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  const Class& of_class() const { return *class_; }
  void retain();
  void release();
  long references() const { return references_; }

 private:
  const Class* class_;
  std::atomic<long> references_{1};
};

// A class, which is an object too: its own methods are those of `meta`.
class Class final : public Object {
 public:
  using Method = void (*)();

  explicit Class(std::string name, const Class* super = nullptr);
  static Class* named(const std::string& name);  // null: none

  const std::string& name() const { return name_; }
  const Class& meta() const { return of_class(); }
  Method find(Selector name) const;

  // Functions of (self, selector, arguments...), without captures.
  template <class F>
  Class& method(const char* name, F function) {
    methods_[selector(name)] = reinterpret_cast<Method>(+function);
    return *this;
  }
  template <class F>
  Class& class_method(const char* name, F function) {
    const_cast<Class&>(meta()).method(name, function);
    return *this;
  }

 private:
  struct IsMeta {};
  Class(std::string name, const Class* super, IsMeta);
  std::string name_;
  const Class* super_;
  std::unordered_map<Selector, Method> methods_;
};

// The root, with retain, release, respondsToSelector: and so on.
const Class& object_class();

// A counted reference.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(T* object) : object_(object) {
    if (object_) object_->retain();
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) object_->release();
  }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

// Takes over the reference that `new` made.
template <class T>
Ref<T> adopt(T* object) {
  Ref<T> reference(object);
  object->release();
  return reference;
}

// Owned by the innermost pool of this thread.
Object* autorelease(Object* object);
template <class T>
T* autoreleased(T* object) {
  autorelease(object);
  return object;
}

class Pool {
 public:
  Pool();
  ~Pool();
  Pool(const Pool&) = delete;
};

}  // namespace software_metal
