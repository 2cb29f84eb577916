#include "backends/gpu/dot_few.h"
#include "backends/gpu/lane_sums.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// Lanes go along the depth together, taking turns where neighbours do not lie in packs.
constexpr std::string_view kAlongDepth = R"text(  const u32 outer0 = (block * WARPS + warp) * ROWS;
  const bool packs = p.wide_w && begin % V == 0 && end % V == 0;
  I at[ROWS];
  UNROLL for (u32 o = 0; o < ROWS; ++o) at[o] = I(min(outer0 + o, p.outer - 1)) * p.w_outer;
  S sum[SLOTS * ROWS] = {};
  if (packs) {
#{in_packs}
  } else {
#{one_by_one}
  }
#{add_up}
  const u32 vector = lane / #{alike} / ROWS, outer = outer0 + lane / #{alike} % ROWS;
  if (lane % #{alike} == 0 && vector < p.vectors && outer < p.outer) {
    const S value = sum[0];
)text";

// What lies beyond the end is read from within and left out.
constexpr std::string_view kAlongDepthWalk = R"text(    for (u32 start = begin; start < end; start += 32 * V * STEPS) {
      Pack<T, V> w[STEPS][ROWS], x[STEPS][SLOTS];
#{read}
      UNROLL for (u32 s = 0; s < STEPS; ++s) {
        UNROLL for (u32 i = 0; i < V; ++i) {
          if (#{place} >= end) continue;
          UNROLL for (u32 r = 0; r < SLOTS; ++r) {
            const S x_i = load(x[s][r].v[i]);
            UNROLL for (u32 o = 0; o < ROWS; ++o) {
              const S w_i = load(w[s][o].v[i]);
              #{add}
            }
          }
        }
      }
    })text";

constexpr std::string_view kAlongDepthPacks = R"text(      UNROLL for (u32 s = 0; s < STEPS; ++s) {
        const u32 d = min(start + (s * 32 + lane) * V, end - V);
        UNROLL for (u32 o = 0; o < ROWS; ++o) w[s][o] = load_pack<V>(matrix + (at[o] + I(d)));
      }
      if (p.wide_x) {
        UNROLL for (u32 s = 0; s < STEPS; ++s) {
          const u32 d = min(start + (s * 32 + lane) * V, end - V);
          UNROLL for (u32 r = 0; r < SLOTS; ++r)
            x[s][r] = load_pack<V>(vectors + (I(min(r, p.vectors - 1)) * p.x_vector + I(d)));
        }
      } else {
        UNROLL for (u32 s = 0; s < STEPS; ++s) {
          const u32 d = min(start + (s * 32 + lane) * V, end - V);
          UNROLL for (u32 r = 0; r < SLOTS; ++r) {
            UNROLL for (u32 i = 0; i < V; ++i)
              x[s][r].v[i] = vectors[I(min(r, p.vectors - 1)) * p.x_vector + I(d + i) * p.x_depth];
          }
        }
      })text";

constexpr std::string_view kAlongDepthOnes = R"text(      UNROLL for (u32 s = 0; s < STEPS; ++s) {
        UNROLL for (u32 i = 0; i < V; ++i) {
          const u32 d = min(#{place}, end - 1);
          UNROLL for (u32 o = 0; o < ROWS; ++o) w[s][o].v[i] = matrix[at[o] + I(d) * p.w_depth];
          UNROLL for (u32 r = 0; r < SLOTS; ++r)
            x[s][r].v[i] = vectors[I(min(r, p.vectors - 1)) * p.x_vector + I(d) * p.x_depth];
        }
      })text";

// A lane takes some neighbouring steps of the depth, whose share of the vectors is packs, too.
constexpr std::string_view kAlongOuter =
    R"text(  const u32 across = lane % ACROSS, line = item.x / ACROSS, lines = items.x / ACROSS;
  const bool packs = p.wide_w;
  const u32 outer0 = block * (ACROSS * V), mine = outer0 + (packs ? across * V : across);
  S sum[SLOTS * V] = {};
  if (packs) {
    DEVICE const T* const columns = matrix + I(min(mine, p.outer - V));
#{in_packs}
  } else {
    I at[V];
    UNROLL for (u32 i = 0; i < V; ++i) at[i] = I(min(mine + i * ACROSS, p.outer - 1)) * p.w_outer;
#{one_by_one}
  }
#{add_up}
  const u32 others = lane / ACROSS;
  if (others % #{alike} == 0) {
    UNROLL for (u32 i = 0; i < #{held}; ++i)
      found[(warp * (SLOTS * V) + others / #{alike} * #{held} + i) * ACROSS + across] = sum[i];
  }
  BARRIER();
  for (u32 e = item.x; e < SLOTS * ACROSS * V; e += items.x) {
    const u32 vector = e / (ACROSS * V), column = e % (ACROSS * V), outer = outer0 + column;
    if (vector >= p.vectors || outer >= p.outer) continue;
    const u32 at = vector * (ACROSS * V) + (packs ? column % V * ACROSS + column / V : column);
    S value = found[at];
    for (u32 i = 1; i < items.x / 32; ++i) value = value + found[i * (SLOTS * V * ACROSS) + at];
)text";

constexpr std::string_view kAlongOuterWalk = R"text(    for (u32 start = begin; start < end; start += lines * STEPS) {
      const u32 d = start + line * STEPS;
      Pack<T, V> w[STEPS];
      Pack<T, X> x[SLOTS][STEPS / X];
      UNROLL for (u32 s = 0; s < STEPS; ++s) {
        const I down = I(min(d + s, end - 1)) * p.w_depth;
        #{read}
      }
      if (p.wide_x && begin % X == 0 && d + STEPS <= end) {
        UNROLL for (u32 r = 0; r < SLOTS; ++r) {
          UNROLL for (u32 i = 0; i < STEPS / X; ++i)
            x[r][i] = load_pack<X>(vectors + (I(min(r, p.vectors - 1)) * p.x_vector + I(d + i * X)));
        }
      } else {
        UNROLL for (u32 r = 0; r < SLOTS; ++r) {
          UNROLL for (u32 s = 0; s < STEPS; ++s)
            x[r][s / X].v[s % X] = vectors[I(min(r, p.vectors - 1)) * p.x_vector + I(min(d + s, end - 1)) * p.x_depth];
        }
      }
      UNROLL for (u32 s = 0; s < STEPS; ++s) {
        if (d + s >= end) continue;
        UNROLL for (u32 r = 0; r < SLOTS; ++r) {
          const S x_i = load(x[r][s / X].v[s % X]);
          UNROLL for (u32 i = 0; i < V; ++i) {
            const S w_i = load(w[s].v[i]);
            #{add}
          }
        }
      }
    })text";

FewText along_depth(const DotProblem& p, const FewVectors& f, const FewForm& form) {
  const LaneSums sums = summed_over_lanes("sum", register_type(p.dtype), f.slots * form.rows, 32, 1);
  const std::string add = multiply_add(p.dtype, "sum[r * ROWS + o]", "x_i", "w_i");
  const std::string_view pack = "start + (s * 32 + lane) * V", one = "start + (s * V + i) * 32 + lane";
  FewText out;
  out.before = cat("enum { ROWS = ", form.rows, ", WARPS = ", form.most_warps, " };\n");
  out.body =
      filled_in(kAlongDepth,
                {{"in_packs", filled_in(kAlongDepthWalk, {{"read", kAlongDepthPacks}, {"place", pack}, {"add", add}})},
                 {"one_by_one",
                  filled_in(kAlongDepthWalk,
                            {{"read", filled_in(kAlongDepthOnes, {{"place", one}})}, {"place", one}, {"add", add}})},
                 {"add_up", indented(sums.statements, 0)},
                 {"alike", std::to_string(sums.alike)}});
  return out;
}

FewText along_outer(const DotProblem& p, const FewVectors& f, const FewForm& form) {
  const LaneSums sums =
      summed_over_lanes("sum", register_type(p.dtype), f.slots * form.each, 32 / form.across, form.across);
  const std::string add = multiply_add(p.dtype, "sum[r * V + i]", "x_i", "w_i");
  FewText out;
  out.before = cat("enum { ACROSS = ", form.across, ", X = ", form.together, " };\n");
  out.body = cat(
      "  SHARED S found[", form.most_warps * f.slots * form.each * form.across, "];\n",
      filled_in(
          kAlongOuter,
          {{"in_packs", filled_in(kAlongOuterWalk, {{"read", "w[s] = load_pack<V>(columns + down);"}, {"add", add}})},
           {"one_by_one", filled_in(kAlongOuterWalk,
                                    {{"read", "UNROLL for (u32 i = 0; i < V; ++i) w[s].v[i] = matrix[at[i] + down];"},
                                     {"add", add}})},
           {"add_up", indented(sums.statements, 0)},
           {"held", std::to_string(sums.held)},
           {"alike", std::to_string(sums.alike)}}));
  return out;
}

}  // namespace

FewText few_text(const DotProblem& p, const FewVectors& f, const FewForm& form) {
  FewText out = f.along_depth ? along_depth(p, f, form) : along_outer(p, f, form);
  out.before = cat("typedef ", type_name(p.dtype), " T;\ntypedef ", register_type(p.dtype), " S;\ntypedef ", p.index,
                   " I;\nenum { SLOTS = ", f.slots, ", V = ", form.each, ", STEPS = ", form.steps, " };\n", out.before);
  return out;
}

}  // namespace funcnn::gpu
