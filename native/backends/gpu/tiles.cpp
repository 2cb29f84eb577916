#include "backends/gpu/tiles.h"

#include <algorithm>
#include <cstdlib>

#include "base/error.h"

namespace funcnn::gpu {
namespace {

std::string number(int64_t n) { return std::to_string(n); }

// An element of one dtype as one of another; halves may become f32.
std::string converted(Dtype from, Dtype to, std::string_view element) {
  return from == to ? std::string(element) : cat("load(", element, ")");
}

}  // namespace

TileText::TileText(const Traits& traits, Dtype stored, TileShape shape)
    : traits_(traits), stored_(stored), shape_(shape) {}

TileOperand TileText::operand(std::string_view name, const Memory& m) const {
  const int outer = name == "a" ? shape_.m : shape_.n, each = pack();
  const int packs = outer * shape_.k / each, threads = int(shape_.threads());
  const int held = (packs + threads - 1) / threads;
  const std::string guard = packs % threads ? cat("    if (v >= ", packs, ") break;\n") : "";
  TileOperand out;
  out.outer_first = outer_first(m.along_depth);
  const int pitch = this->pitch(out.outer_first, outer);
  out.functions = fetch_text(name, m.dtype, each, m.index);
  out.registers = cat("  Pack<", type_name(m.dtype), ", ", each, "> held_", name, "[", held, "];\n");
  // Which neighbours a pack holds: position v of the tile in packs, those of one row of memory following one another.
  const int row = m.along_depth ? shape_.k / each : outer / each;
  const std::string position = m.along_depth ? cat("const u32 local = v / ", row, ", at = v % ", row, " * ", each, ";")
                                             : cat("const u32 local = v % ", row, " * ", each, ", at = v / ", row, ";");
  out.fetch = filled_in(R"text(    UNROLL for (u32 i = 0; i < #{held}; ++i) {
      const u32 v = item.x + i * #{threads};
#{guard}      #{position}
      const u32 outer = #{origin} + local, d = depth + at;
      const u32 count = outer < #{count} && d < end ? #{left} : 0;
      held_#{x}[i] = fetch_#{x}(count ? #{pointer} + #{place} : #{pointer}, #{step}, count, #{wide});
    }
)text",
                        {{"held", number(held)},
                         {"threads", number(threads)},
                         {"guard", guard},
                         {"position", position},
                         {"origin", m.origin},
                         {"count", m.count},
                         {"left", m.along_depth ? "end - d" : cat(m.count, " - outer")},
                         {"x", name},
                         {"pointer", m.pointer},
                         {"place", m.place},
                         {"step", m.step},
                         {"wide", m.wide}});
  // A pack stays one where the tile has its neighbours in a row.
  const bool whole = out.outer_first == m.along_depth && m.dtype == stored_;
  const std::string first = out.outer_first ? cat("local * ", pitch, " + at") : cat("at * ", pitch, " + local");
  const int step = out.outer_first == m.along_depth ? 1 : pitch;
  out.put = filled_in(R"text(    UNROLL for (u32 i = 0; i < #{held}; ++i) {
      const u32 v = item.x + i * #{threads};
#{guard}      #{position}
      #{put}
    }
)text",
                      {{"held", number(held)},
                       {"threads", number(threads)},
                       {"guard", guard},
                       {"position", position},
                       {"put", whole ? cat("*(SHARED_POINTER Pack<", type_name(stored_), ", ", each, ">*)(tile + ",
                                           first, ") = held_", name, "[i];")
                                     : cat("UNROLL for (u32 j = 0; j < ", each, "; ++j) tile[", first, " + j * ", step,
                                           "] = ", converted(m.dtype, stored_, cat("held_", name, "[i].v[j]")), ";")}});
  return out;
}

std::string TileText::multiply(const TileOperand& a, const TileOperand& b) const {
  const int pitch_a = pitch(a.outer_first, shape_.m), pitch_b = pitch(b.outer_first, shape_.n);
  if (!shape_.fragments())
    return filled_in(R"text(      for (u32 d = 0; d < #{k}; ++d) {
        #{S} x[#{i}], y[#{j}];
        UNROLL for (u32 i = 0; i < #{i}; ++i) x[i] = load(left[d * #{pitch_a} + first_row + i]);
        UNROLL for (u32 j = 0; j < #{j}; ++j) y[j] = load(right[d * #{pitch_b} + first_column + j]);
        UNROLL for (u32 i = 0; i < #{i}; ++i) {
          UNROLL for (u32 j = 0; j < #{j}; ++j) { #{add} }
        }
      }
)text",
                     {{"k", number(shape_.k)},
                      {"S", register_type(stored_)},
                      {"i", number(shape_.each_m)},
                      {"j", number(shape_.each_n)},
                      {"pitch_a", number(pitch_a)},
                      {"pitch_b", number(pitch_b)},
                      {"add", multiply_add(stored_, "sum[i][j]", "x[i]", "y[j]")}});
  return filled_in(
      R"text(      UNROLL for (u32 d = 0; d < #{k}; d += 16) {
        FragmentA<#{T}> x[#{i}];
        UNROLL for (u32 i = 0; i < #{i}; ++i) #{load_a}
        UNROLL for (u32 j = 0; j < #{j}; ++j) {
          FragmentB<#{T}> y;
          #{load_b}
          UNROLL for (u32 i = 0; i < #{i}; ++i) multiply_add(sum[i][j], x[i], y);
        }
      }
)text",
      {{"k", number(shape_.k)},
       {"T", type_name(stored_)},
       {"i", number(shape_.m / shape_.warps_m / 16)},
       {"j", number(shape_.n / shape_.warps_n / 8)},
       {"load_a",
        a.outer_first
            ? cat("load_a(x[i], left + (first_row + i * 16) * ", pitch_a, " + d, ", pitch_a, ", lane);")
            : cat("load_a_transposed(x[i], left + d * ", pitch_a, " + first_row + i * 16, ", pitch_a, ", lane);")},
       {"load_b",
        b.outer_first
            ? cat("load_b_transposed(y, right + (first_column + j * 8) * ", pitch_b, " + d, ", pitch_b, ", lane);")
            : cat("load_b(y, right + d * ", pitch_b, " + first_column + j * 8, ", pitch_b, ", lane);")}});
}

// Sums to shared memory.
std::string TileText::hand_over() const {
  if (!shape_.fragments())
    return filled_in(R"text(  UNROLL for (u32 i = 0; i < #{i}; ++i) {
    UNROLL for (u32 j = 0; j < #{j}; ++j) stage[(first_row + i) * #{pitch} + first_column + j] = sum[i][j];
  }
)text",
                     {{"i", number(shape_.each_m)}, {"j", number(shape_.each_n)}, {"pitch", number(stage_pitch())}});
  return filled_in(R"text(  UNROLL for (u32 i = 0; i < #{i}; ++i) {
    UNROLL for (u32 j = 0; j < #{j}; ++j) {
      UNROLL for (u32 e = 0; e < 4; ++e)
        stage[(first_row + i * 16 + fragment_row(lane, e)) * #{pitch} + first_column + j * 8 + fragment_column(lane, e)] =
            sum[i][j].v[e];
    }
  }
)text",
                   {{"i", number(shape_.m / shape_.warps_m / 16)},
                    {"j", number(shape_.n / shape_.warps_n / 8)},
                    {"pitch", number(stage_pitch())}});
}

void TileText::write(KernelText& text, const TileOperand& a, const TileOperand& b, std::string_view before,
                     std::string_view inside, std::string_view store) const {
  const int elements_a = tile_elements(a, shape_.m), elements_b = tile_elements(b, shape_.n);
  const size_t item = item_size(stored_), sum_item = std::max<size_t>(item, 4);
  const size_t bytes =
      std::max(2 * size_t(elements_a + elements_b) * item, size_t(shape_.m * stage_pitch()) * sum_item);
  const bool fragments = shape_.fragments();
  if (fragments) text.use(Section::fragments);
  if (stored_ == Dtype::complex64) text.use(Section::complex);
  text.before(a.functions).before(b.functions);
  text.body(filled_in(
      R"text(  SHARED Pack<u32, 4> memory[#{packs}];
#{before}  SHARED_POINTER #{T}* const tiles = (SHARED_POINTER #{T}*)memory;
  const u32 first_row = #{first_row}, first_column = #{first_column};
#{sums}#{registers}  u32 half = 0;
  for (u32 depth = begin;; depth += #{k}) {
    const bool more = depth < end;
    if (more) {
#{fetch}    }
    if (depth > begin) {
      SHARED_POINTER const #{T}* left = tiles + (half ^ 1) * #{both};
      SHARED_POINTER const #{T}* right = left + #{elements_a};
#{multiply}    }
    if (!more) break;
    SHARED_POINTER #{T}* tile = tiles + half * #{both};
#{put_a}    tile += #{elements_a};
#{put_b}    BARRIER();
    half ^= 1;
  }
  BARRIER();
  SHARED_POINTER #{S}* const stage = (SHARED_POINTER #{S}*)memory;
#{hand_over}  BARRIER();
  for (u32 e = item.x; e < #{area}; e += #{threads}) {
    const u32 row = row0 + e / #{n}, column = column0 + e % #{n};
    if (!(#{inside})) continue;
    const #{S} value = stage[e / #{n} * #{stage_pitch} + e % #{n}];
    #{store}
  }
)text",
      {{"packs", number(int64_t((bytes + 15) / 16))},
       {"before", before},
       {"T", type_name(stored_)},
       {"S", register_type(stored_)},
       {"first_row", fragments ? cat("warp / ", shape_.warps_n, " * ", shape_.m / shape_.warps_m)
                               : cat("item.x / ", shape_.n / shape_.each_n, " * ", shape_.each_m)},
       {"first_column", fragments ? cat("warp % ", shape_.warps_n, " * ", shape_.n / shape_.warps_n)
                                  : cat("item.x % ", shape_.n / shape_.each_n, " * ", shape_.each_n)},
       {"sums", fragments
                    ? cat("  FragmentC sum[", shape_.m / shape_.warps_m / 16, "][", shape_.n / shape_.warps_n / 8,
                          "];\n  UNROLL for (u32 i = 0; i < ", shape_.m / shape_.warps_m / 16,
                          "; ++i) {\n    UNROLL for (u32 j = 0; j < ", shape_.n / shape_.warps_n / 8,
                          "; ++j) fill(sum[i][j], 0.0f);\n  }\n")
                    : cat("  ", register_type(stored_), " sum[", shape_.each_m, "][", shape_.each_n, "] = {};\n")},
       {"registers", a.registers + b.registers},
       {"k", number(shape_.k)},
       {"fetch", a.fetch + b.fetch},
       {"both", number(elements_a + elements_b)},
       {"elements_a", number(elements_a)},
       {"multiply", multiply(a, b)},
       {"put_a", a.put},
       {"put_b", b.put},
       {"hand_over", hand_over()},
       {"area", number(shape_.m * shape_.n)},
       {"threads", number(shape_.threads())},
       {"n", number(shape_.n)},
       {"inside", inside},
       {"stage_pitch", number(stage_pitch())},
       {"store", store}}));
}

bool has_fragments(const Traits& traits, Dtype dtype) {
  if (traits.language == Language::metal) return is_half(dtype) || dtype == Dtype::float32;
  // Units for bfloat16 and tf32 came with sm_80.
  const size_t digits = traits.architecture.find_first_of("0123456789");
  return (is_half(dtype) || dtype == Dtype::float32) && digits != std::string::npos &&
         std::atoi(&traits.architecture[digits]) >= 80;
}

std::vector<TileShape> tile_shapes(const Traits& traits, Dtype dtype) {
  const size_t item = item_size(dtype);
  if (has_fragments(traits, dtype)) {
    const int k = item == 2 ? 32 : 16;
    std::vector<TileShape> out;
    // Split in two, float32 takes twice the registers.
    const bool split = traits.language == Language::cuda && item == 4;
    if (traits.shared_bytes >= 48 << 10 && !split)
      out.push_back({.m = 128, .n = 64, .k = k, .warps_m = 2, .warps_n = 2});
    out.push_back({.m = 64, .n = 64, .k = k, .warps_m = 2, .warps_n = 2});
    out.push_back({.m = 32, .n = 32, .k = k, .warps_m = 2, .warps_n = 2});
    return out;
  }
  if (item == 8) return {{.m = 32, .n = 64, .k = 16, .each_m = 4, .each_n = 4}};
  return {{.m = 64, .n = 64, .k = 16, .each_m = 8, .each_n = 4}, {.m = 32, .n = 32, .k = 16, .each_m = 4, .each_n = 2}};
}

TileShape choose_tiles(const Traits& traits, Dtype dtype, int64_t m, int64_t n, int64_t products) {
  TileShape best{};
  double least = 0;
  for (const TileShape& s : tile_shapes(traits, dtype)) {
    const int64_t groups = products * groups_for(m, s.m) * groups_for(n, s.n), cores = traits.cores;
    // Rounds of what the cores take at once; small tiles load more for what they multiply.
    const double rounds =
        groups < 2 * cores ? std::max(1.0, double(groups) / double(cores)) : double((groups + cores - 1) / cores);
    const double cost = rounds * (double(s.m * s.n) + 32.0 * double(s.m + s.n));
    if (best.m == 0 || cost < 0.98 * least) {
      best = s;
      least = cost;
    }
  }
  return best;
}

int64_t choose_parts(const Traits& traits, int64_t groups, int64_t k, int64_t step) {
  const int64_t most = std::min<int64_t>(32, k / std::max<int64_t>(256, 4 * step));
  if (groups >= traits.cores || most < 2) return 1;
  return std::min<int64_t>(most, (2 * int64_t(traits.cores) + groups - 1) / groups);
}

std::string tile_place(const TileShape& s) {
  return filled_in(R"text(  const u32 band = tile / (8 * p.tiles_n), high = min(8u, p.tiles_m - band * 8);
  const u32 in_band = tile % (8 * p.tiles_n);
  const u32 row0 = (band * 8 + in_band % high) * #{m}, column0 = in_band / high * #{n};
)text",
                   {{"m", number(s.m)}, {"n", number(s.n)}});
}

}  // namespace funcnn::gpu
