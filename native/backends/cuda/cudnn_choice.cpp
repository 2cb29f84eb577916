#include "backends/cuda/cudnn_choice.h"

namespace funcnn::cuda {
namespace {

// Measured on an H100 in bfloat16 and float16, with and without causal masks; what is not here was not measured, or
// lost. Times of ours over the library's, forward and derivatives, batches x heads x places x depth: 64 x 12 x 128 x 64
// 1.1 to 1.35 and 1.25 to 1.4; 16 x 12 x 512 x 64 1.4 to 1.6 and 1.2 to 1.35; 16 x 16 x 256 x 128 1.4 to 1.9 and 1.9 to
// 2.4; 8 x 12 x 512 x 96 1.2 to 1.9 and 1.3 to 1.6; 1 x 32 x 8192 x 128 2.0 to 2.3 and 1.9 to 3.1. Of 64 places 0.75
// and 1.1.
constexpr std::string_view kArchitecture = "sm_90";
constexpr int64_t kShortest = 128;                      // of queries and keys
constexpr int64_t kMultiplications = int64_t(3) << 28;  // pairs of query and key times the depth: the first of these
// Where queries share keys, derivatives of longer ones take so much memory that they go in slices: 512 places 1.1 to
// 2.3, 4096 0.75 to 1.3.
constexpr int64_t kLongestGrouped = 512;
// Lengths that vary from call to call would each wait for a plan, for about a second. Such are rarely multiples.
constexpr int64_t kMultiple = 64;

}  // namespace

bool cudnn_is_quicker(const AttentionWork& work) {
  return work.architecture == kArchitecture && work.depth == work.values &&
         (work.depth == 64 || work.depth == 96 || work.depth == 128) && work.queries == work.keys &&
         work.queries >= kShortest && work.queries % kMultiple == 0 &&
         !(work.gradient && work.grouped && work.queries > kLongestGrouped) &&
         double(work.pairs) * double(work.queries) * double(work.keys) * double(work.depth) >= double(kMultiplications);
}

}  // namespace funcnn::cuda
