#include <algorithm>
#include <cmath>
#include <cstring>

#include "backends/cpu/instruction_set.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/threefry.h"
#include "base/thread_pool.h"
#include "ops/bits.h"

namespace funcnn::cpu {

void threefry_baseline(uint32_t, uint32_t, uint32_t, uint32_t, int64_t, uint32_t*, uint32_t*);
#if defined(FUNCNN_X86)
void threefry_avx2(uint32_t, uint32_t, uint32_t, uint32_t, int64_t, uint32_t*, uint32_t*);
void threefry_avx512(uint32_t, uint32_t, uint32_t, uint32_t, int64_t, uint32_t*, uint32_t*);
#endif

Threefry threefry() {
  switch (machine_level()) {
#if defined(FUNCNN_X86)
    case InstructionLevel::avx512:
      return threefry_avx512;
    case InstructionLevel::avx2:
      return threefry_avx2;
#endif
    default:
      return threefry_baseline;
  }
}

namespace {

constexpr int64_t kBlock = 512;  // pairs of words hashed at a time

// The keys of an operand (batch..., 2).
struct Keys {
  Shape batch;
  Strides strides;
  int64_t step, count;
  explicit Keys(const Layout& layout)
      : batch(layout.shape.begin(), layout.shape.end() - 1),
        strides(layout.strides.begin(), layout.strides.end() - 1),
        step(layout.strides.back()),
        count(element_count(batch)) {}
  std::pair<uint32_t, uint32_t> read(const std::byte* at, int64_t i) const {
    int64_t offset = 0;
    for (size_t d = batch.size(); d-- > 0;) {
      offset += i % batch[d] * strides[d];
      i /= batch[d];
    }
    const uint32_t* words = reinterpret_cast<const uint32_t*>(at) + offset;
    return {words[0], words[step]};
  }
};

// Draw `words` words for each key and hand them to emit(key number, first word, count, values) in pieces of any order.
template <class Emit>
void draw(const Keys& keys, const std::byte* at, int64_t words, Emit emit) {
  int64_t half = words / 2, odd = words % 2, blocks = (half + odd + kBlock - 1) / kBlock;
  if (words == 0) return;
  parallel_for(keys.count * blocks, std::max<int64_t>(1, 8192 / std::min(kBlock, words)),
               [&](int64_t begin, int64_t end) {
                 uint32_t a[kBlock], b[kBlock];
                 for (int64_t i = begin; i < end; ++i) {
                   int64_t key = i / blocks, first = i % blocks * kBlock, pairs = std::min(kBlock, half - first);
                   auto [k0, k1] = keys.read(at, key);
                   if (pairs > 0) {
                     threefry()(k0, k1, uint32_t(first), uint32_t(first + half + odd), pairs, a, b);
                     emit(key, first, pairs, a);
                     emit(key, first + half + odd, pairs, b);
                   }
                   if (odd && i % blocks == blocks - 1) {
                     threefry()(k0, k1, uint32_t(half), 0, 1, a, b);
                     emit(key, half, 1, a);
                   }
                 }
               });
}

std::unique_ptr<Kernel> make_bits(const Primitive&, std::span<const Layout> inputs, std::span<const Layout> outputs,
                                  const KernelProgram*) {
  Keys keys(inputs[0]);
  int64_t bytes = keys.count ? element_count(outputs[0].shape) / keys.count * int64_t(item_size(outputs[0].dtype)) : 0;
  return make_kernel([keys, bytes](std::span<std::byte* const> at) {
    draw(keys, at[0], (bytes + 3) / 4, [&](int64_t key, int64_t first, int64_t count, const uint32_t* words) {
      // The last word may be cut off. (Bytes within a word lie in the order of the machine, little-endian everywhere.)
      std::memcpy(at[1] + key * bytes + first * 4, words, size_t(std::min(count * 4, bytes - first * 4)));
    });
  });
}

template <class T>
std::unique_ptr<Kernel> make_uniform_of(std::span<const Layout> inputs, const Layout& out) {
  Keys keys(inputs[0]);
  int64_t each = keys.count ? element_count(out.shape) / keys.count : 0;
  bool bounded = inputs.size() == 3;
  return make_kernel([keys, each, bounded](std::span<std::byte* const> at) {
    T* out = reinterpret_cast<T*>(at.back());
    // The largest number below 1.
    constexpr float below = std::is_same_v<T, float>       ? 0x1.fffffep-1f
                            : std::is_same_v<T, float16_t> ? 0x1.ffcp-1f
                                                           : 0x1.fep-1f;
    float low = bounded ? float(*reinterpret_cast<const T*>(at[1])) : 0.0f;
    float range = bounded ? float(*reinterpret_cast<const T*>(at[2])) : 1.0f;
    draw(keys, at[0], each, [&](int64_t key, int64_t first, int64_t count, const uint32_t* words) {
      T* to = out + key * each + first;
      for (int64_t i = 0; i < count; ++i) {
        float u = std::min(float(T(float(words[i]) * 0x1p-32f)), below);
        to[i] = T(u);
        if (bounded) to[i] = T(float(T(range * u)) + low);
      }
    });
  });
}

std::unique_ptr<Kernel> make_uniform(const Primitive&, std::span<const Layout> inputs, std::span<const Layout> outputs,
                                     const KernelProgram*) {
  switch (outputs[0].dtype) {
    case Dtype::float16:
      return make_uniform_of<float16_t>(inputs, outputs[0]);
    case Dtype::bfloat16:
      return make_uniform_of<bfloat16_t>(inputs, outputs[0]);
    default:
      return make_uniform_of<float>(inputs, outputs[0]);
  }
}

std::unique_ptr<Kernel> make_fold_in(const Primitive&, std::span<const Layout> inputs, std::span<const Layout>,
                                     const KernelProgram*) {
  // A length-1 axis behind the data makes its batch axes read like those of the keys.
  Layout data = inputs[1];
  data.shape.push_back(1);
  data.strides.push_back(0);
  return make_kernel([keys = Keys(inputs[0]), numbers = Keys(data)](std::span<std::byte* const> at) {
    uint32_t* out = reinterpret_cast<uint32_t*>(at[2]);
    for (int64_t i = 0; i < keys.count; ++i) {
      auto [k0, k1] = keys.read(at[0], i);
      // Draws count from 0 below 2^31 in the first half of the counter.
      threefry()(k0, k1, 0xffffffffu, numbers.read(at[1], i).first, 1, out + 2 * i, out + 2 * i + 1);
    }
  });
}

const RegisterKernel bits_registered("random_bits", make_bits);
const RegisterKernel uniform_registered("random_uniform", make_uniform);
const RegisterKernel fold_in_registered("random_fold_in", make_fold_in);

}  // namespace
}  // namespace funcnn::cpu
