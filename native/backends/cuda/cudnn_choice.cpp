#include "backends/cuda/cudnn_choice.h"

namespace funcnn::cuda {
namespace {

// Measured on an H100 in bfloat16 and float16, with and without causal masks; what is not here was not measured. Times
// of ours over the library's, forward and derivatives: 16 batches of 12 heads, 512 places and depth 64: 1.5 to 1.7 and
// 1.25 to 1.3; 4 of 16, 2048 places and depth 128: 2.0 to 2.5 and 2.5 to 3.0; 32 heads, 8192 places and depth 128: 2.0
// to 2.3 and 2.8 to 3.1.
constexpr std::string_view kArchitecture = "sm_90";
constexpr int64_t kShortest = 512;                      // of queries and keys
constexpr int64_t kMultiplications = int64_t(3) << 30;  // pairs of query and key times the depth: the first of these
// Lengths that vary from call to call would each wait for a plan, for about a second. Such are rarely multiples.
constexpr int64_t kMultiple = 64;

}  // namespace

bool cudnn_is_quicker(const AttentionWork& work) {
  return work.architecture == kArchitecture && work.depth == work.values && (work.depth == 64 || work.depth == 128) &&
         work.queries == work.keys && work.queries >= kShortest && work.queries % kMultiple == 0 &&
         !(work.gradient && work.grouped) &&
         double(work.pairs) * double(work.queries) * double(work.keys) * double(work.depth) >= double(kMultiplications);
}

}  // namespace funcnn::cuda
