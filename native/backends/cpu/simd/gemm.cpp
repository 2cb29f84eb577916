// Matrix products with one multiply-add for each element.
#include "backends/cpu/gemm.h"

#include "backends/cpu/simd/gemm_blocked.h"
#include "backends/cpu/simd/of_this_set.h"

namespace funcnn::cpu {
extern const GemmTable FUNCNN_OF_THIS_SET(gemm_table_);

#if defined(FUNCNN_VECTORS)
namespace {

// Elements of S, multiplied and accumulated as T.
template <class T, class S>
struct Plain : TileKernel<T> {
  using Source = S;
  using Word = T;
  using Sum = T;
  using V = typename Simd<T>::Vector;
  static constexpr int group = 1;
  static constexpr int dot_step = Simd<T>::lanes;
  static constexpr bool direct_b = std::is_same_v<T, S>;

  static void pack_a(MatrixView<S> a, int64_t rows, int64_t k, T* out) { cpu::pack_a(a, rows, k, out); }
  static void pack_b_panel(MatrixView<S> b, int64_t k, int64_t columns, T* out) {
    cpu::pack_b_panel(b, k, columns, out);
  }
  static std::optional<TileRows<T>> in_place([[maybe_unused]] MatrixView<S> a, int64_t) {
    if constexpr (std::is_same_v<T, S>)
      return TileRows<T>{a.data, a.row, a.column};
    else
      return std::nullopt;
  }

  static V load(const S* from) { return load_wide<T>(from); }
  static V add_products(V sum, V a, V b) { return simd::fma(a, b, sum); }
  template <int rows, int columns>
  static void dots(int64_t k, const S* a, int64_t row, DotColumns<S> b, T* c, int64_t leading) {
    run_dots<Plain, rows, columns, dot_step>(k, a, row, b, c, leading);
  }
};

}  // namespace

const GemmTable FUNCNN_OF_THIS_SET(gemm_table_) = {
    gemm_of<Plain<float, float>>(),
    gemm_of<Plain<double, double>>(),
    gemm_of<Plain<float, float16_t>>(),
    gemm_of<Plain<float, bfloat16_t>>(),
};
#else
const GemmTable FUNCNN_OF_THIS_SET(gemm_table_) = {};
#endif

}  // namespace funcnn::cpu
