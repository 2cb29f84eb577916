// Memory of the host in large pages: a processor knows where few pages lie, and the system hands each out at a price.
#pragma once

#include <cstddef>

namespace funcnn {

// Large pages are that large, and blocks of fewer bytes have none.
inline constexpr size_t kLargePage = size_t(1) << 21;

#if defined(__linux__)
inline constexpr bool kHasLargePages = true;
#else
inline constexpr bool kHasLargePages = false;  // nothing below may be called
#endif

// Aligned to 64 bytes; null where there is no memory left.
std::byte* map_large(size_t bytes);
void unmap_large(std::byte* at, size_t bytes);

}  // namespace funcnn
