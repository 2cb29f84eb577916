#include "backends/cpu/interpreter.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "backends/cpu/arena.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/program_code.h"
#include "base/error.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

// Work worth handing to another thread, in additions.
constexpr double kGrain = 65536;
// Column reductions: so many elements at least make a chunk with accumulators of its own.
constexpr int64_t kChunkElements = 65536, kMostChunks = 32;

// Memory of this thread for registers.
thread_local Arena arena;

// Memory of one run: on the stack where it is little.
template <class T, size_t kInside>
class Temporary {
 public:
  explicit Temporary(size_t count) {
    if (count > kInside) {
      heap_.reset(new T[count + 64 / sizeof(T)]);
      uintptr_t at = reinterpret_cast<uintptr_t>(heap_.get());
      data_ = reinterpret_cast<T*>((at + 63) / 64 * 64);
    }
  }
  T* data() { return data_; }

 private:
  alignas(64) T inside_[kInside];
  std::unique_ptr<T[]> heap_;
  T* data_ = inside_;
};

using Pointers = std::byte**;

// Whole rows [row, row + rows), or columns [col, col + cols) of one row.
struct Tile {
  int64_t begin = 0;  // first element
  int64_t row = 0, rows = 1, col = 0, cols = 1;
  int64_t elements() const { return rows * cols; }
};

// Where reductions put partial results: for reduction r at base[r].
struct Partial {
  std::byte* const* base = nullptr;
  bool first = false;  // columns: accumulators are not yet set
  int64_t col = 0;     // columns: of the first accumulator
};

}  // namespace

struct PreparedProgram::Impl {
  Translation t;
  const Routine& routine;
  size_t element_bytes = 0, row_bytes = 0, register_bytes = 0;
  int64_t row_tiles = 1, col_tiles = 1, grain = 1;
  int64_t band_rows = 1;                // row_tiles are of a band
  int64_t chunk_tiles = 1, chunks = 1;  // column reductions: rows of tiles in a chunk, chunks in a band

  explicit Impl(const KernelProgram& program) : t(translate(program, active_table())), routine(*t.routine) {
    // A little more than the tile keeps equal places of different registers apart in the cache.
    element_bytes = (size_t(t.tile_rows * t.tile_cols) * routine.element_item + 63) / 64 * 64 + 192;
    row_bytes = (size_t(t.tile_rows) * 8 + 63) / 64 * 64;
    for (const Code& c : routine.code)
      register_bytes =
          std::max(register_bytes, size_t(c.element_registers) * element_bytes + size_t(c.row_registers) * row_bytes);
    band_rows = t.rows / t.bands;
    row_tiles = (band_rows + t.tile_rows - 1) / t.tile_rows;
    col_tiles = t.cols ? (t.cols + t.tile_cols - 1) / t.tile_cols : 1;
    grain = std::max<int64_t>(1, int64_t(kGrain / (routine.cost * double(t.tile_rows * t.tile_cols))));
    if (routine.col_reductions) {
      chunks = std::clamp<int64_t>(band_rows * t.cols / kChunkElements, 1, kMostChunks);
      if (t.bands >= 16 || (!routine.row_reductions && t.bands * col_tiles >= 16)) chunks = 1;
      chunk_tiles = std::max<int64_t>(1, (row_tiles + chunks - 1) / chunks);
      chunks = row_tiles ? (row_tiles + chunk_tiles - 1) / chunk_tiles : 1;
    }
  }

  Tile tile_at(int64_t number) const { return tile_at(0, number / col_tiles, number % col_tiles); }
  Tile tile_at(int64_t band, int64_t i, int64_t j) const {
    Tile tile;
    tile.row = band * band_rows + i * t.tile_rows;
    tile.rows = std::min(t.tile_rows, band_rows - i * t.tile_rows);
    tile.col = j * t.tile_cols;
    tile.cols = std::min(t.tile_cols, t.cols - tile.col);
    tile.begin = tile.row * t.cols + tile.col;
    return tile;
  }

  void bind(const Code& code, Pointers p, std::span<std::byte* const> operands, const std::byte* run,
            std::byte* registers, const Tile& tile) const {
    for (int number : code.slots) {
      const Slot& s = t.slots[size_t(number)];
      int64_t item = int64_t(item_size(s.dtype));
      std::byte*& at = p[number];
      switch (s.kind) {
        case Slot::element_register:
          at = registers + size_t(s.offset) * element_bytes;
          break;
        case Slot::row_register:
          at = registers + size_t(code.element_registers) * element_bytes + size_t(s.offset) * row_bytes;
          break;
        case Slot::run_value:
          break;
        case Slot::run_row:
          at = const_cast<std::byte*>(run) + s.offset + tile.row * item;
          break;
        case Slot::element_memory:
          at = operands[size_t(s.operand)] + s.offset + tile.begin * item;
          break;
        case Slot::row_memory:
          at = operands[size_t(s.operand)] + s.offset + tile.row * item;
          break;
        case Slot::column_memory:
          at = operands[size_t(s.operand)] + s.offset + tile.col * item;
          break;
        case Slot::scalar_memory:
          at = operands[size_t(s.operand)] + s.offset;
          break;
      }
    }
  }

  void execute(const Code& code, Pointers p, std::span<std::byte* const> operands, const Tile& tile,
               Partial partial = {}) const {
    const int64_t elements = tile.elements();
    for (const Step& s : code.steps) {
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
          w.load(operands[size_t(w.operand())], p[s.out], first(s.space, tile), n);
          break;
        }
        case Step::store: {
          const AccessPath& w = t.paths[size_t(s.path)];
          w.store(operands[size_t(w.operand())], p[s.a], first(s.space, tile), n);
          break;
        }
        case Step::index:
          s.index_fn(p[s.out], first(s.space, tile), n);
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
            int64_t at = tile.row * col_tiles + tile.col / t.tile_cols;
            s.row_fn(partial.base[s.reduction] + at * s.item, p[s.a], 1, tile.cols, tile.cols);
          }
          break;
        case Step::sum_squares: {
          const std::byte* shift = s.arity == 2 ? p[s.b] : nullptr;
          if (s.reduction < 0) {
            s.squares_fn(p[s.out], p[s.a], shift, tile.rows, tile.cols, tile.cols);
          } else {
            int64_t at = tile.row * col_tiles + tile.col / t.tile_cols;
            s.squares_fn(partial.base[s.reduction] + at * s.item, p[s.a], shift, 1, tile.cols, tile.cols);
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
  static int64_t first(Space space, const Tile& tile) {
    return space == Space::element ? tile.begin : space == Space::row ? tile.row : 0;
  }

  // What a thread needs to execute tiles: its copy of the pointers and its registers.
  struct Worker {
    Temporary<std::byte*, 96> pointers;
    std::byte* registers;
    Worker(const Impl& impl, Pointers shared) : pointers(impl.t.slots.size()), registers(nullptr) {
      std::copy(shared, shared + impl.t.slots.size(), pointers.data());
      registers = arena.get(impl.register_bytes);
    }
  };

  void start(Pointers p, std::span<std::byte* const> operands, std::byte* run) const {
    for (size_t i = 0; i < t.slots.size(); ++i) {
      const Slot& s = t.slots[i];
      p[i] = s.kind == Slot::run_value || s.kind == Slot::run_row ? run + s.offset : nullptr;
    }
    if (routine.scalars.slots.empty() && routine.scalars.steps.empty()) return;
    bind(routine.scalars, p, operands, run, nullptr, Tile{});
    execute(routine.scalars, p, operands, Tile{});
  }

  void run(std::span<std::byte* const> operands) const {
    Temporary<std::byte, 1024> run(static_cast<size_t>(routine.run_bytes));
    Temporary<std::byte*, 96> shared(t.slots.size());
    start(shared.data(), operands, run.data());
    if (routine.form == Form::phases)
      run_phases(operands, shared.data(), run.data());
    else if (routine.col_reductions)
      run_columns(operands, shared.data(), run.data());
    else if (!routine.code[0].steps.empty())
      run_code(routine.code[0], operands, shared.data(), run.data(), {});
  }

  void run_code(const Code& code, std::span<std::byte* const> operands, Pointers shared, const std::byte* run,
                Partial partial) const {
    parallel_for(row_tiles * col_tiles, grain, [&](int64_t begin, int64_t end) {
      Worker w(*this, shared);
      for (int64_t i = begin; i < end; ++i) {
        Tile tile = tile_at(i);
        bind(code, w.pointers.data(), operands, run, w.registers, tile);
        execute(code, w.pointers.data(), operands, tile, partial);
      }
    });
  }

  void run_phases(std::span<std::byte* const> operands, Pointers shared, std::byte* run) const {
    Tile all;
    all.rows = t.rows;
    for (size_t phase = 0; phase < routine.code.size(); ++phase) {
      bind(routine.rows_of[phase], shared, operands, run, nullptr, all);
      execute(routine.rows_of[phase], shared, operands, all);
      if (routine.code[phase].steps.empty()) continue;
      const std::vector<int>& reductions = routine.phase_reductions[phase];
      std::vector<std::byte*> base(routine.reductions.size());
      int64_t count = t.rows * col_tiles;
      Temporary<std::byte, 1024> partials(reductions.size() * size_t(count) * 8);
      for (size_t i = 0; i < reductions.size(); ++i)
        base[size_t(reductions[i])] = partials.data() + i * size_t(count) * 8;
      run_code(routine.code[phase], operands, shared, run, {base.data(), false});
      for (int r : reductions) {
        const Reduction& red = routine.reductions[size_t(r)];
        red.row_fn(run + t.slots[size_t(red.slot)].offset, base[size_t(r)], t.rows, col_tiles, col_tiles);
      }
    }
  }

  // Chunks of the rows of a band have accumulators of their own, combined pairwise at the end; a band that is one chunk
  // is finished where it is computed. With row reductions a chunk spans all columns; without, columns are cut too.
  void run_columns(std::span<std::byte* const> operands, Pointers shared, std::byte* run) const {
    const Code& code = routine.code[0];
    const bool whole = chunks == 1 && t.rows > 0;
    const size_t count = routine.reductions.size();
    std::vector<int64_t> place(count);
    int64_t total = 0;
    for (size_t r = 0; r < count; ++r) {
      place[r] = total;
      total += ((whole ? t.tile_cols : t.cols) * int64_t(item_size(routine.reductions[r].dtype)) + 63) / 64 * 64;
    }
    Temporary<std::byte, 4096> accumulators(whole ? 0 : size_t(total * chunks * t.bands));
    auto accumulator = [&](int64_t chunk, size_t r) { return accumulators.data() + chunk * total + place[r]; };
    auto store = [&](size_t r, const std::byte* from, int64_t begin, int64_t n) {
      const AccessPath& w = t.paths[size_t(routine.reductions[r].path)];
      w.store(operands[size_t(w.operand())], from, begin, n);
    };
    if (t.rows == 0)
      for (size_t r = 0; r < count; ++r)
        routine.reductions[r].row_fn(accumulator(0, r), accumulator(0, r), t.cols, 0, 0);
    int64_t tasks = t.rows ? t.bands * chunks * col_tiles : 0;
    int64_t task_grain = std::max<int64_t>(1, grain / chunk_tiles);
    parallel_for(tasks, task_grain, [&](int64_t begin, int64_t end) {
      Worker w(*this, shared);
      Temporary<std::byte, 4096> own(whole ? size_t(total) : 0);
      SmallVector<std::byte*, 8> base(count);
      for (int64_t task = begin; task < end; ++task) {
        int64_t j = task % col_tiles, numbered = task / col_tiles, band = numbered / chunks, chunk = numbered % chunks;
        for (size_t r = 0; r < count; ++r) base[r] = whole ? own.data() + place[r] : accumulator(numbered, r);
        const int64_t first = chunk * chunk_tiles, last = std::min(row_tiles, first + chunk_tiles);
        for (int64_t i = first; i < last; ++i) {
          Tile tile = tile_at(band, i, j);
          bind(code, w.pointers.data(), operands, run, w.registers, tile);
          execute(code, w.pointers.data(), operands, tile, {base.data(), i == first, whole ? tile.col : 0});
        }
        if (!whole) continue;
        int64_t col = j * t.tile_cols;
        for (size_t r = 0; r < count; ++r) store(r, base[r], band * t.cols + col, std::min(t.tile_cols, t.cols - col));
      }
    });
    if (whole) return;
    for (int64_t band = 0; band < t.bands; ++band)
      for (size_t r = 0; r < count; ++r) {
        auto of = [&](int64_t chunk) { return accumulator(band * chunks + chunk, r); };
        for (int64_t step = 1; step < chunks; step *= 2)
          for (int64_t i = 0; i + step < chunks; i += 2 * step)
            routine.reductions[r].col_fn(of(i), of(i + step), 1, t.cols, t.cols);
        store(r, of(0), band * t.cols, t.cols);
      }
  }

  void run_range(std::span<std::byte* const> operands, int64_t begin, int64_t end) const {
    if (routine.row_reductions || routine.col_reductions) throw Error("run_range: the program has reductions");
    Temporary<std::byte, 1024> run(static_cast<size_t>(routine.run_bytes));
    Temporary<std::byte*, 96> pointers(t.slots.size());
    start(pointers.data(), operands, run.data());
    std::byte* registers = arena.get(register_bytes);
    const Code& code = routine.code[0];
    while (begin < end) {
      Tile tile;
      tile.begin = begin;
      tile.row = begin / t.cols;
      tile.col = begin % t.cols;
      if (tile.col == 0 && t.tile_cols == t.cols && end - begin >= t.cols) {
        tile.rows = std::min(t.tile_rows, (end - begin) / t.cols);
        tile.cols = t.cols;
      } else {
        tile.cols = std::min({t.tile_cols, t.cols - tile.col, end - begin});
      }
      bind(code, pointers.data(), operands, run.data(), registers, tile);
      execute(code, pointers.data(), operands, tile);
      begin += tile.elements();
    }
  }
};

PreparedProgram::PreparedProgram(const KernelProgram& program) : impl_(new Impl(program)) {}
PreparedProgram::~PreparedProgram() = default;
PreparedProgram::PreparedProgram(PreparedProgram&&) noexcept = default;

void PreparedProgram::run(std::span<std::byte* const> operands) const { impl_->run(operands); }
void PreparedProgram::run_range(std::span<std::byte* const> operands, int64_t begin, int64_t end) const {
  impl_->run_range(operands, begin, end);
}

}  // namespace funcnn::cpu
