// Functions that must not exist on their own: code compiled for one instruction set includes them, and the linker would
// give everybody the copy of any.
#pragma once

#if defined(_MSC_VER) && !defined(__clang__)
#define FUNCNN_INLINE __forceinline
#else
#define FUNCNN_INLINE inline __attribute__((always_inline))
#endif
