// Rows that are added to, or otherwise combined with, rows of other memory.
#pragma once

#include <cstdint>

#include "backends/cpu/simd/table.h"

namespace funcnn::cpu {

// into[to[i] + c] = op(into[to[i] + c], values[from[i] + c]) for all c < columns, i after i. `into` and `values` are
// disjoint, places count elements.
using CombineRowsFn = void (*)(void* into, const int64_t* to, const void* values, const int64_t* from, int64_t count,
                               int64_t columns);

struct CombineRowsTable {
  CombineRowsFn entry[simd::kReduceCount][kDtypeCount];
};
// The table in use.
const CombineRowsTable& combine_rows_table();

}  // namespace funcnn::cpu
