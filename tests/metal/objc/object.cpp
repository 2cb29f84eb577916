#include "object.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <set>

#include "../device/options.h"

namespace software_metal {
namespace {

std::mutex& registry_mutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}
std::unordered_map<std::string, Class*>& classes() {
  static auto* all = new std::unordered_map<std::string, Class*>;
  return *all;
}

// Released objects stay for a while, so that messages to them are noticed.
constexpr long kReleased = -1000000;
constexpr size_t kKeptReleased = 4096;

struct PoolStack {
  std::vector<Object*> objects;
  std::vector<size_t> begins;  // of the pools
};
thread_local PoolStack pools;

void pop_to(size_t begin) {
  while (pools.objects.size() > begin) {
    Object* object = pools.objects.back();
    pools.objects.pop_back();
    object->release();
  }
}

}  // namespace

Selector selector(const std::string& name) {
  static std::mutex mutex;
  static auto* names = new std::set<std::string>;
  std::lock_guard lock(mutex);
  return names->insert(name).first->c_str();
}

void misuse(const std::string& what) {
  std::fprintf(stderr, "software Metal: %s\n", what.c_str());
  std::fflush(stderr);
  std::abort();
}

void Object::retain() {
  if (references_.fetch_add(1) < 1) misuse("retain of a released " + class_->name());
}

void Object::release() {
  long before = references_.fetch_sub(1);
  if (before > 1) return;
  if (before < 1) misuse("release of a released " + class_->name());
  references_ = kReleased;
  static std::mutex mutex;
  static auto* released = new std::deque<void*>;
  // What it holds goes now; the shell stays for messages that come too late.
  const Class* of = class_;
  void* shell = dynamic_cast<void*>(this);
  this->~Object();
  Object* husk = new (shell) Object(*of);
  husk->references_ = kReleased;
  std::lock_guard lock(mutex);
  released->push_back(shell);
  if (released->size() > kKeptReleased) {
    ::operator delete(released->front());
    released->pop_front();
  }
}

Class::Class(std::string name, const Class* super, IsMeta) : Object(*this), name_(std::move(name)), super_(super) {}

Class::Class(std::string name, const Class* super)
    : Object(*new Class(name + " (class)", super ? &super->meta() : nullptr, IsMeta{})),
      name_(std::move(name)),
      super_(super) {
  std::lock_guard lock(registry_mutex());
  classes()[name_] = this;
}

Class* Class::named(const std::string& name) {
  std::lock_guard lock(registry_mutex());
  auto it = classes().find(name);
  return it == classes().end() ? nullptr : it->second;
}

Class::Method Class::find(Selector name) const {
  for (const Class* at = this; at; at = at->super_)
    if (auto it = at->methods_.find(name); it != at->methods_.end()) return it->second;
  return nullptr;
}

const Class& object_class() {
  static const Class* root = [] {
    auto* made = new Class("NSObject");
    made->method("retain", [](Object* self, Selector) {
      self->retain();
      return self;
    });
    made->method("release", [](Object* self, Selector) { self->release(); });
    made->method("autorelease", [](Object* self, Selector) { return autorelease(self); });
    made->method("retainCount", [](Object* self, Selector) { return (unsigned long)self->references(); });
    made->method("init", [](Object* self, Selector) { return self; });
    made->method("respondsToSelector:", [](Object* self, Selector, Selector name) {
      return (signed char)(self->of_class().find(name) != nullptr);
    });
    made->method("class", [](Object* self, Selector) { return &self->of_class(); });
    // Classes live for ever.
    made->class_method("retain", [](Object* self, Selector) { return self; });
    made->class_method("release", [](Object*, Selector) {});
    made->class_method("autorelease", [](Object* self, Selector) { return self; });
    made->class_method("respondsToSelector:", [](Object* self, Selector, Selector name) {
      return (signed char)(self->of_class().find(name) != nullptr);
    });
    return made;
  }();
  return *root;
}

Object* autorelease(Object* object) {
  if (!object) return nullptr;
  if (pools.begins.empty()) misuse("a " + object->of_class().name() + " is autoreleased where there is no pool");
  pools.objects.push_back(object);
  return object;
}

Pool::Pool() { pools.begins.push_back(pools.objects.size()); }
Pool::~Pool() {
  pop_to(pools.begins.back());
  pools.begins.pop_back();
}

}  // namespace software_metal

using namespace software_metal;

extern "C" {

// Called by objc_msgSend: the function that answers.
__attribute__((visibility("hidden"))) void* software_metal_method(Object* receiver, Selector name) {
  static void* (*const nil)() = []() -> void* { return nullptr; };
  if (!receiver) return reinterpret_cast<void*>(nil);
  if (receiver->references() < 1)
    misuse("message " + std::string(name) + " to a released " + receiver->of_class().name());
  if (auto method = receiver->of_class().find(name)) return reinterpret_cast<void*>(method);
  misuse("a " + receiver->of_class().name() + " does not know " + name);
}

const char* sel_registerName(const char* name) { return selector(name); }
const char* sel_getUid(const char* name) { return selector(name); }
const char* sel_getName(const char* name) { return name; }
void* objc_getClass(const char* name) { return Class::named(name); }
void* objc_lookUpClass(const char* name) { return Class::named(name); }
void* objc_getRequiredClass(const char* name) {
  if (Class* found = Class::named(name)) return found;
  misuse(std::string("no class ") + name);
}
// Protocols are only asked for their address.
const void* objc_getProtocol(const char* name) { return selector(name); }
const void* object_getClass(Object* object) { return object ? &object->of_class() : nullptr; }
const char* object_getClassName(Object* object) { return object ? object->of_class().name().c_str() : "nil"; }
const char* class_getName(Class* of) { return of->name().c_str(); }
signed char class_respondsToSelector(Class* of, Selector name) { return of && of->find(name); }

Object* objc_retain(Object* object) {
  if (object) object->retain();
  return object;
}
void objc_release(Object* object) {
  if (object) object->release();
}
Object* objc_autorelease(Object* object) { return autorelease(object); }
void* objc_autoreleasePoolPush() {
  pools.begins.push_back(pools.objects.size());
  return reinterpret_cast<void*>(pools.begins.size());
}
void objc_autoreleasePoolPop(void* pool) {
  auto depth = reinterpret_cast<size_t>(pool);
  if (depth == 0 || depth > pools.begins.size()) misuse("an autorelease pool is popped that is not there");
  pop_to(pools.begins[depth - 1]);
  pools.begins.resize(depth - 1);
}

// What the isa of blocks points at.
void* _NSConcreteStackBlock[32];
void* _NSConcreteGlobalBlock[32];
void* _NSConcreteMallocBlock[32];
}
