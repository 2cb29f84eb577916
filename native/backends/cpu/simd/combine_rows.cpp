// Rows combined with rows that come in any order.
#include "backends/cpu/combine_rows.h"

#include "backends/cpu/simd/of_this_set.h"
#include "backends/cpu/simd/reduce.h"

namespace funcnn::cpu {
extern const CombineRowsTable FUNCNN_OF_THIS_SET(combine_rows_table_);

namespace {

// The next rows are asked for while one is written: so many ahead, so many bytes of each.
constexpr int64_t kAhead = 8, kAsked = 512;

template <class T>
FUNCNN_INLINE void ask_for(const T* first, int64_t count) {
#if defined(__GNUC__)
  for (int64_t i = 0; i < count; i += 64 / int64_t(sizeof(T))) __builtin_prefetch(first + i);
#else
  (void)first, (void)count;
#endif
}

template <class T, class Op>
void combine_rows(void* into, const int64_t* to, const void* values, const int64_t* from, int64_t count,
                  int64_t columns) {
  T* const out = static_cast<T*>(into);
  const T* const in = static_cast<const T*>(values);
  constexpr int64_t most = kAsked / int64_t(sizeof(T));
  const int64_t asked = columns < most ? columns : most;
  for (int64_t i = 0; i < count; ++i) {
    if (i + kAhead < count) {
      ask_for(out + to[i + kAhead], asked);
      ask_for(in + from[i + kAhead], asked);
    }
    T* FUNCNN_RESTRICT a = out + to[i];
    const T* FUNCNN_RESTRICT b = in + from[i];
    for (int64_t c = 0; c < columns; ++c) a[c] = Op::apply(a[c], b[c]);
  }
}

struct Entry {
  template <class T, class Op>
  static constexpr auto of = combine_rows<T, Op>;
};

constexpr CombineRowsTable make_table() {
  CombineRowsTable t{};
  simd::add_reductions<Entry>(t.entry);
  return t;
}

}  // namespace

const CombineRowsTable FUNCNN_OF_THIS_SET(combine_rows_table_) = make_table();

}  // namespace funcnn::cpu
