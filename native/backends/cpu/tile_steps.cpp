#include "backends/cpu/tile_steps.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backends/cpu/jit/options.h"
#include "base/error.h"

namespace funcnn::cpu {

void TileSteps::execute(const Code& code, bool anew, const jit::CompiledCode* compiled) const {
  const std::span<const Step> steps = code.steps;
  size_t at = anew ? 0 : size_t(code.kept);
  if (compiled && tile.elements() > 0) {
    const jit::TileView view{p,           operands,      t.paths.data(), tile.begin,   tile.row,
                             tile.rows,   tile.col,      tile.cols,      partial.base, number(),
                             partial.col, partial.first, t.rows * t.cols};
    for (const jit::CompiledSegment& segment : *compiled) {
      interpret(steps.subspan(at, segment.first() - at));
      at = segment.first() + segment.count();
      const std::span<const Step> replaced = steps.subspan(segment.first(), segment.count());
      for (size_t before : segment.segment().before) interpret(steps.subspan(before, 1));
      if (jit::options().verify)
        verify(segment, view, replaced);
      else if (segment.slow(t.tile_rows * t.tile_cols) || !segment.run(view))
        interpret(replaced);
    }
  }
  interpret(steps.subspan(at));
}

// Both ways from the same memory.
void TileSteps::verify(const jit::CompiledSegment& segment, const jit::TileView& view,
                       std::span<const Step> steps) const {
  const auto written = segment.written(view);
  std::vector<std::vector<std::byte>> before, after;
  for (const auto& w : written) before.emplace_back(w.at, w.at + w.bytes);
  const bool ran = segment.run(view);
  for (const auto& w : written) after.emplace_back(w.at, w.at + w.bytes);
  for (size_t i = 0; i < written.size(); ++i) std::memcpy(written[i].at, before[i].data(), written[i].bytes);
  interpret(steps);
  for (size_t i = 0; ran && i < written.size(); ++i)
    if (written[i].result && !jit::same_values(written[i].at, after[i].data(), written[i].bytes, written[i].dtype))
      throw Error(jit::describe_difference(segment, i, written[i], after[i].data()));
  if (ran) spoil_registers(steps, written);
}
// What machine code has not stored is not there for later steps. Loads may have been interpreted before it ran.
void TileSteps::spoil_registers(std::span<const Step> steps,
                                std::span<const jit::CompiledSegment::Written> written) const {
  for (const Step& s : steps) {
    if (s.kind == Step::load || s.kind == Step::store || s.kind == Step::reduce_col || s.reduction >= 0) continue;
    const Slot& out = t.slots[size_t(s.out)];
    if (out.kind != Slot::element_register && out.kind != Slot::row_register) continue;
    // Also where another value of that register is there.
    auto kept = [&](const jit::CompiledSegment::Written& w) { return w.at == p[s.out]; };
    auto loaded = [&](const Step& other) { return other.kind == Step::load && p[other.out] == p[s.out]; };
    if (std::any_of(written.begin(), written.end(), kept) || std::any_of(steps.begin(), steps.end(), loaded)) continue;
    const int64_t n = out.kind == Slot::element_register ? tile.elements() : tile.rows;
    std::memset(p[s.out], 0xA5, size_t(n) * item_size(out.dtype));
  }
}

void TileSteps::interpret(std::span<const Step> steps) const {
  const int64_t elements = tile.elements();
  for (const Step& s : steps) {
    const int64_t n = s.space == Space::element ? elements : s.space == Space::row ? tile.rows : 1;
    if (n == 0 && s.kind != Step::reduce_row && s.kind != Step::sum_squares) continue;
    switch (s.kind) {
      case Step::compute:
        if (s.by_row) {
          int64_t step[4];
          for (int k = 0; k < 4; ++k) step[k] = s.row_step[k] < 0 ? -s.row_step[k] * tile.cols : s.row_step[k];
          for (int64_t r = 0; r < tile.rows; ++r)
            s.fn(p[s.out] + r * step[0], p[s.a] + r * step[1], p[s.b] + r * step[2], p[s.c] + r * step[3], tile.cols);
        } else if (s.arity == 0) {
          reinterpret_cast<simd::CastFn>(reinterpret_cast<void (*)()>(s.fn))(p[s.out], p[s.a], n);
        } else {
          s.fn(p[s.out], p[s.a], p[s.b], p[s.c], n);
        }
        break;
      case Step::load: {
        const AccessPath& w = t.paths[size_t(s.path)];
        w.load(operands[size_t(w.operand())], p[s.out], first(s.space), n);
        break;
      }
      case Step::store: {
        const AccessPath& w = t.paths[size_t(s.path)];
        w.store(operands[size_t(w.operand())], p[s.a], first(s.space), n);
        break;
      }
      case Step::index:
        s.index_fn(p[s.out], first(s.space), n);
        break;
      case Step::expand:
        if (s.arity || s.space != Space::element)
          s.expand_fn(p[s.out], p[s.a], 1, n);
        else
          s.expand_fn(p[s.out], p[s.a], tile.rows, tile.cols);
        break;
      case Step::reduce_row:
        if (s.reduction < 0) {
          s.row_fn(p[s.out], p[s.a], tile.rows, tile.cols, tile.cols);
        } else {
          s.row_fn(partial.base[s.reduction] + number() * s.item, p[s.a], 1, tile.cols, tile.cols);
        }
        break;
      case Step::sum_squares: {
        const std::byte* shift = s.arity == 2 ? p[s.b] : nullptr;
        if (s.reduction < 0) {
          s.squares_fn(p[s.out], p[s.a], shift, tile.rows, tile.cols, tile.cols);
        } else {
          s.squares_fn(partial.base[s.reduction] + number() * s.item, p[s.a], shift, 1, tile.cols, tile.cols);
        }
        break;
      }
      case Step::reduce_col: {
        std::byte* acc = partial.base[s.reduction] + (tile.col - partial.col) * s.item;
        const std::byte* in = p[s.a];
        int64_t rows = tile.rows;
        if (partial.first) {
          std::memcpy(acc, in, size_t(tile.cols) * s.item);
          in += tile.cols * s.item;
          --rows;
        }
        if (rows > 0) s.col_fn(acc, in, rows, tile.cols, tile.cols);
        break;
      }
    }
  }
}

}  // namespace funcnn::cpu
