// From a kernel function to a row of the table that the device reads.
#pragma once

namespace software_metal {

using metal::conditional_t;
using metal::is_const_v;
using metal::is_same_v;
using metal::remove_cv_t;
using metal::remove_reference_t;

// Numbered as `kBuiltins` of the translator names them.
template <int which>
Extent builtin(const Group& group, const Thread& thread) {
  const Extent& size = group.size;
  unsigned threads = size.x * size.y * size.z, index = thread.index;
  if constexpr (which == 0)  // thread_position_in_grid
    return {group.position.x * group.usual_size.x + thread.position.x,
            group.position.y * group.usual_size.y + thread.position.y,
            group.position.z * group.usual_size.z + thread.position.z};
  if constexpr (which == 1) return thread.position;                           // thread_position_in_threadgroup
  if constexpr (which == 2) return group.position;                            // threadgroup_position_in_grid
  if constexpr (which == 3) return {index, 0, 0};                             // thread_index_in_threadgroup
  if constexpr (which == 4) return {index % kLanes, 0, 0};                    // thread_index_in_simdgroup
  if constexpr (which == 5) return {index / kLanes, 0, 0};                    // simdgroup_index_in_threadgroup
  if constexpr (which == 6) return group.grid;                                // threads_per_grid
  if constexpr (which == 7) return size;                                      // threads_per_threadgroup
  if constexpr (which == 8) return group.groups;                              // threadgroups_per_grid
  if constexpr (which == 9) return group.usual_size;                          // dispatch_threads_per_threadgroup
  if constexpr (which == 10) return {kLanes, 0, 0};                           // threads_per_simdgroup
  if constexpr (which == 11) return {kLanes, 0, 0};                           // thread_execution_width
  if constexpr (which == 12) return {(threads + kLanes - 1) / kLanes, 0, 0};  // simdgroups_per_threadgroup
  if constexpr (which == 13) {                                                // dispatch_simdgroups_per_threadgroup
    const Extent& usual = group.usual_size;
    return {(usual.x * usual.y * usual.z + kLanes - 1) / kLanes, 0, 0};
  }
  if constexpr (which == 14) return {index % 4, 0, 0};          // thread_index_in_quadgroup
  if constexpr (which == 15) return {index / 4, 0, 0};          // quadgroup_index_in_threadgroup
  if constexpr (which == 16) return {(threads + 3) / 4, 0, 0};  // quadgroups_per_threadgroup
  if constexpr (which == 17) return {0, 0, 0};                  // grid_origin
  if constexpr (which == 18) return group.grid;                 // grid_size
}

template <class P>
struct from_extent {
  static constexpr unsigned count = 1;
  static P get(Extent e) { return P(e.x); }
};
template <class T>
struct from_extent<metal::vec<T, 2>> {
  static constexpr unsigned count = 2;
  static metal::vec<T, 2> get(Extent e) { return {T(e.x), T(e.y)}; }
};
template <class T>
struct from_extent<metal::vec<T, 3>> {
  static constexpr unsigned count = 3;
  static metal::vec<T, 3> get(Extent e) { return {T(e.x), T(e.y), T(e.z)}; }
};

template <class P>
struct from_address;
template <class T>
struct from_address<T*> {
  static constexpr bool reference = false, read_only = is_const_v<T>;
  static constexpr unsigned size = sizeof(conditional_t<is_same_v<remove_cv_t<T>, void>, char, T>);
  static T* get(void* address) { return (T*)address; }
};
template <class T>
struct from_address<T&> {
  static constexpr bool reference = true, read_only = is_const_v<T>;
  static constexpr unsigned size = sizeof(T);
  static T& get(void* address) { return *(T*)address; }
};

// How parameter P is bound.
template <Parameter::Kind kind, int index>
struct Binding {
  template <class P>
  static decltype(auto) get(const Group& group, const Thread& thread) {
    if constexpr (kind == Parameter::builtin)
      return from_extent<remove_cv_t<remove_reference_t<P>>>::get(builtin<index>(group, thread));
    else
      return from_address<P>::get((kind == Parameter::shared ? group.shared : group.buffers)[index]);
  }
  template <class P>
  static constexpr Parameter describe() {
    if constexpr (kind == Parameter::builtin)
      return {kind, index, false, true, from_extent<remove_cv_t<remove_reference_t<P>>>::count};
    else
      return {kind, index, from_address<P>::reference, from_address<P>::read_only, from_address<P>::size};
  }
};

template <class Function, class... Bindings>
struct Entry;
template <class... Ps, class... Bindings>
struct Entry<void (*)(Ps...), Bindings...> {
  static_assert(sizeof...(Ps) == sizeof...(Bindings));
  static constexpr Parameter parameters[sizeof...(Ps) + 1] = {Bindings::template describe<Ps>()..., {}};

  // One function, into which the kernel is inlined once.
  template <void (*function)(Ps...)>
  static void run(const Group& group, const Thread& first, unsigned count) {
    for (Thread thread = first; count; --count, ++thread.index) {
      function(Bindings::template get<Ps>(group, thread)...);
      Extent& at = thread.position;
      if (++at.x < group.size.x) continue;
      at.x = 0;
      if (++at.y < group.size.y) continue;
      at.y = 0;
      ++at.z;
    }
  }
  template <void (*function)(Ps...)>
  static constexpr Kernel row(const char* name, unsigned most_threads) {
    return {name, run<function>, parameters, sizeof...(Ps), most_threads};
  }
};

template <class T>
T function_constant(unsigned index, bool& defined) {
  const void* given = software_metal_function_constant(index, sizeof(T));
  defined = given != nullptr;
  T value{};
  if (given) __builtin_memcpy((void*)&value, given, sizeof(T));
  return value;
}

}  // namespace software_metal
