// What compilers spell differently. FUNCNN_INLINE: functions that must not exist on their own, since code compiled for
// one instruction set includes them and the linker would give everybody the copy of any. FUNCNN_RESTRICT: pointers to
// memory that nothing else reaches.
#pragma once

#if defined(_MSC_VER) && !defined(__clang__)
#define FUNCNN_INLINE __forceinline
#define FUNCNN_RESTRICT __restrict
#else
#define FUNCNN_INLINE inline __attribute__((always_inline))
#define FUNCNN_RESTRICT __restrict__
#endif
