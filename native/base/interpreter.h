// The lock of the interpreter that the library serves, where one does.
#pragma once

#include <type_traits>

namespace funcnn {

// Runs `block(context)` on this thread, which does not hold the lock meanwhile.
using WithoutInterpreter = void (*)(void (*block)(void*), void* context);
// Set once, while the library loads.
void set_without_interpreter(WithoutInterpreter run);
void without_interpreter(void (*block)(void*), void* context);

// For what waits for a device or for a thread that may need the interpreter.
template <class F>
void without_interpreter(F&& f) {
  without_interpreter([](void* given) { (*static_cast<std::remove_reference_t<F>*>(given))(); }, &f);
}

}  // namespace funcnn
