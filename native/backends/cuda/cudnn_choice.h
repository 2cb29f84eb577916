// Where cuDNN's attention is quicker than kernels of our own.
#pragma once

#include <cstdint>
#include <string_view>

namespace funcnn::cuda {

struct AttentionWork {
  std::string_view architecture;  // of the chip: "sm_90"
  bool gradient, grouped;         // grouped: heads share keys and values
  int64_t pairs;                  // of batch and head
  int64_t queries, keys, depth, values;
};
bool cudnn_is_quicker(const AttentionWork& work);

}  // namespace funcnn::cuda
