// The tables of attention of one instruction set.
#include "backends/cpu/attention.h"

#include "backends/cpu/simd/attention_few.h"
#include "backends/cpu/simd/attention_forward.h"
#include "backends/cpu/simd/attention_gradient.h"

#define FUNCNN_JOIN_(a, b) a##b
#define FUNCNN_JOIN(a, b) FUNCNN_JOIN_(a, b)

namespace funcnn::cpu {
extern const AttentionTables FUNCNN_JOIN(attention_tables_, FUNCNN_ISA);
namespace {

template <class S>
constexpr AttentionTable<S> table = {forward<S>, few<S>, gradient<S>, mask_gradient<S>};

}  // namespace

const AttentionTables FUNCNN_JOIN(attention_tables_, FUNCNN_ISA) = {table<float>, table<double>, table<float16_t>,
                                                                    table<bfloat16_t>};

}  // namespace funcnn::cpu
