// One plain loop; the compiler turns it into as many hashes at a time as fit the registers.
#include "backends/cpu/threefry.h"

#include "backends/cpu/simd/of_this_set.h"

namespace funcnn::cpu {
namespace {

template <int r>
inline void round(uint32_t& x, uint32_t& y) {
  x += y;
  y = (y << r) | (y >> (32 - r));
  y ^= x;
}

}  // namespace

void FUNCNN_OF_THIS_SET(threefry_)(uint32_t key0, uint32_t key1, uint32_t first, uint32_t second, int64_t count,
                                   uint32_t* __restrict a, uint32_t* __restrict b) {
  uint32_t key2 = key0 ^ key1 ^ 0x1bd11bdau;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t x = first + uint32_t(i) + key0, y = second + uint32_t(i) + key1;
    auto four = [&]<int r0, int r1, int r2, int r3>(uint32_t add_x, uint32_t add_y) {
      round<r0>(x, y);
      round<r1>(x, y);
      round<r2>(x, y);
      round<r3>(x, y);
      x += add_x;
      y += add_y;
    };
    four.template operator()<13, 15, 26, 6>(key1, key2 + 1);
    four.template operator()<17, 29, 16, 24>(key2, key0 + 2);
    four.template operator()<13, 15, 26, 6>(key0, key1 + 3);
    four.template operator()<17, 29, 16, 24>(key1, key2 + 4);
    four.template operator()<13, 15, 26, 6>(key2, key0 + 5);
    a[i] = x;
    b[i] = y;
  }
}

}  // namespace funcnn::cpu
