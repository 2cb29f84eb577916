#include "backends/gpu/lane_sums.h"

#include "backends/gpu/operand.h"
#include "base/error.h"

namespace funcnn::gpu {

LaneSums summed_over_lanes(std::string_view array, std::string_view type, int count, int lanes, int apart) {
  LaneSums out{"", count, 1};
  for (int m = lanes / 2 * apart; m >= apart; m /= 2) {
    if (out.held == 1) {
      out.statements += cat("  ", array, "[0] = ", array, "[0] + warp_shuffle_xor(", array, "[0], ", m, ");\n");
      out.alike *= 2;
      continue;
    }
    out.held /= 2;
    out.statements +=
        filled_in(R"text(  UNROLL for (u32 i = 0; i < #{half}; ++i) {
    const #{T} low = #{x}[i], high = #{x}[i + #{half}];
    #{x}[i] = (lane & #{m} ? high : low) + warp_shuffle_xor(lane & #{m} ? low : high, #{m});
  }
)text",
                  {{"half", std::to_string(out.held)}, {"T", type}, {"x", array}, {"m", std::to_string(m)}});
  }
  return out;
}

}  // namespace funcnn::gpu
