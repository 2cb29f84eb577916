// The tables of attention of one instruction set.
#include "backends/cpu/attention.h"

#include "backends/cpu/simd/attention_few.h"
#include "backends/cpu/simd/attention_forward.h"
#include "backends/cpu/simd/attention_gradient.h"
#include "backends/cpu/simd/of_this_set.h"

namespace funcnn::cpu {
extern const AttentionTables FUNCNN_OF_THIS_SET(attention_tables_);
namespace {

template <class S>
constexpr AttentionTable<S> table = {forward<S>, few<S>, gradient<S>, mask_gradient<S>};

}  // namespace

const AttentionTables FUNCNN_OF_THIS_SET(attention_tables_) = {table<float>, table<double>, table<float16_t>,
                                                               table<bfloat16_t>};

}  // namespace funcnn::cpu
