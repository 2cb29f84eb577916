#include "backends/cpu/interpreter.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "backends/cpu/arena.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/jit/hot.h"
#include "backends/cpu/jit/options.h"
#include "backends/cpu/program_code.h"
#include "backends/cpu/tile_steps.h"
#include "base/error.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

// Work worth handing to another thread, in additions.
constexpr double kGrain = 65536;
// Column reductions: so many elements and rows at least make a chunk with accumulators of its own, where there are not
// as many tasks without. Accumulators of more than a few chunks should stay in the cache.
constexpr int64_t kChunkElements = 32768, kChunkRows = 64, kEnoughTasks = 64, kFewChunks = 16, kAccumulators = 32768;
// Sums of chunks that a thread combines at a time.
constexpr int64_t kCombined = 4096;

// What starting a step costs, in elements: programs over few of them become machine code as well, if they run often.
constexpr int64_t kStepWork = 64;

// Tiles of compiled programs are run together up to so many rows.
constexpr int64_t kMergedRows = 512;

// Threads keep at most so much for what runs of many programs keep.
constexpr size_t kMostKept = 1 << 22;

// Memory of this thread for registers, and for what runs of many programs keep.
thread_local Arena arena, run_arena;

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

}  // namespace

struct PreparedProgram::Impl {
  Translation t;
  const Routine& routine;
  const size_t operand_count;
  size_t element_bytes = 0, row_bytes = 0, register_bytes = 0;
  int64_t row_tiles = 1, col_tiles = 1, grain = 1;
  int64_t band_rows = 1;                // row_tiles are of a band
  int64_t chunk_tiles = 1, chunks = 1;  // column reductions: rows of tiles in a chunk, chunks in a band
  std::vector<size_t> accumulator_at;   // and where accumulators lie in those of a chunk; last, their bytes
  size_t steps = 0;                     // of all code
  // Of a program of one tile: where each slot lies from the start of an operand, of the run's values or of the
  // registers.
  struct Binding {
    int slot, operand;
    int64_t offset;
  };
  bool one_tile = false;
  std::vector<Binding> in_memory, in_run, in_registers;
  // Once there is machine code.
  enum class State : uint8_t { unknown, known, none };
  mutable std::atomic<State> fixed_state{State::unknown};
  mutable std::once_flag fixed_once;
  mutable std::optional<jit::CompiledSegment::Fixed> fixed_tile;
  // The memory of a run: kept values, pointers, and what reductions leave for the end of a round.
  size_t pointers_at = 0, bases_at = 0, partials_at = 0, memory_bytes = 0;

  explicit Impl(const KernelProgram& program)
      : t(translate(program, active_table())), routine(*t.routine), operand_count(size_t(program.operand_count)) {
    // A little more than the tile keeps equal places of different registers apart in the cache.
    element_bytes = (size_t(t.tile_rows * t.tile_cols) * routine.element_item + 63) / 64 * 64 + 192;
    row_bytes = (size_t(routine.hot ? std::max(t.tile_rows, kMergedRows) : t.tile_rows) * 8 + 63) / 64 * 64;
    for (const Code& c : routine.code) {
      register_bytes =
          std::max(register_bytes, size_t(c.element_registers) * element_bytes + size_t(c.row_registers) * row_bytes);
      steps += c.steps.size();
    }
    band_rows = t.rows / t.bands;
    row_tiles = (band_rows + t.tile_rows - 1) / t.tile_rows;
    col_tiles = t.cols ? (t.cols + t.tile_cols - 1) / t.tile_cols : 1;
    grain = std::max<int64_t>(1, int64_t(kGrain / (routine.cost * double(t.tile_rows * t.tile_cols))));
    if (routine.col_reductions) {
      const int64_t tasks = std::max<int64_t>(1, t.bands * (routine.row_reductions ? 1 : col_tiles));
      chunks = std::min({band_rows * t.cols / kChunkElements, band_rows / kChunkRows, kEnoughTasks / tasks,
                         std::max(kFewChunks, kAccumulators / std::max<int64_t>(t.cols, 1))});
      chunks = std::max<int64_t>(chunks, 1);
      chunk_tiles = std::max<int64_t>(1, (row_tiles + chunks - 1) / chunks);
      chunks = row_tiles ? (row_tiles + chunk_tiles - 1) / chunk_tiles : 1;
      accumulator_at.push_back(0);
      for (const Reduction& r : routine.reductions)
        accumulator_at.push_back(accumulator_at.back() +
                                 aligned(size_t(whole_bands() ? t.tile_cols : t.cols) * item_size(r.dtype)));
    }
    one_tile = !by_phases() && !routine.col_reductions && row_tiles == 1 && col_tiles == 1 && t.rows > 0 && t.cols > 0;
    if (one_tile) bind_once();
    pointers_at = aligned(size_t(routine.run_bytes));
    bases_at = pointers_at + aligned(t.slots.size() * sizeof(std::byte*));
    partials_at = bases_at + aligned(routine.reductions.size() * sizeof(std::byte*));
    size_t partials = 0;
    if (by_phases())
      for (const auto& reductions : routine.phase_reductions)
        partials = std::max(partials, reductions.size() * size_t(t.rows * col_tiles) * 8);
    else if (routine.col_reductions && !whole_bands())
      partials = accumulator_at.back() * size_t(chunks * t.bands);
    memory_bytes = partials_at + aligned(partials);
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
               Partial partial = {}, bool anew = true, const jit::CompiledCode* compiled = nullptr) const {
    TileSteps{t, col_tiles, p, operands, tile, partial}.execute(code, anew, compiled);
  }

  // What a thread needs to execute tiles of a run: its copy of the pointers and its registers.
  struct Worker {
    Temporary<std::byte*, 96> pointers;
    std::byte* registers = nullptr;
    explicit Worker(size_t slots) : pointers(slots) {}
    void begin(const Impl& impl, Pointers shared) {
      std::copy(shared, shared + impl.t.slots.size(), pointers.data());
      registers = arena.get(impl.register_bytes);
    }
  };

  void heat(int64_t elements) const {
    if (routine.hot) routine.hot->count(routine, t.paths, double(elements + kStepWork) * double(steps));
  }
  // Whether tiles behind each other can be run as one: by a single function that keeps no elements in registers.
  bool merges(size_t number, const jit::CompiledCode& code) const {
    return code.size() == 1 && code[0].count() == routine.code[number].steps.size() && !code[0].segment().fills_tile &&
           code[0].runs(t.tile_cols) && !code[0].slow(t.tile_rows * t.tile_cols) && !jit::options().verify &&
           !(by_phases() && code[0].segment().loop.folds() && !code[0].segment().parts_are_rows);
  }
  // Adds to tile i those before `end` that make one with it; gives how many they are.
  int64_t merge(const jit::Segment& segment, Tile& tile, int64_t i, int64_t end) const {
    if (by_phases() && segment.loop.folds()) {  // whole parts of a row, as if they were rows
      const int64_t first = i % col_tiles, whole = t.cols / t.tile_cols - first;
      if (whole > 0) tile.rows = std::min({end - i, whole, kMergedRows});
      return tile.rows;
    }
    if (col_tiles == 1) {
      const int64_t count = std::min(end - i, std::max<int64_t>(1, kMergedRows / t.tile_rows));
      tile.rows = std::min(count * t.tile_rows, band_rows - i * t.tile_rows);
      return count;
    }
    if (t.tile_rows > 1 || segment.loop.stages.size() > 1) return 1;  // a register holds as much as a tile
    const int64_t count = std::min(end - i, col_tiles - i % col_tiles);
    tile.cols = std::min(count * t.tile_cols, t.cols - tile.col);
    return count;
  }
  const jit::CompiledCode* compiled(size_t number) const { return routine.hot ? routine.hot->find(number) : nullptr; }

  void start(Pointers p, std::span<std::byte* const> operands, std::byte* run) const {
    for (size_t i = 0; i < t.slots.size(); ++i) {
      const Slot& s = t.slots[i];
      p[i] = s.kind == Slot::run_value || s.kind == Slot::run_row ? run + s.offset : nullptr;
    }
    if (routine.scalars.slots.empty() && routine.scalars.steps.empty()) return;
    bind(routine.scalars, p, operands, run, nullptr, Tile{});
    execute(routine.scalars, p, operands, Tile{});
  }

  // Rows are reduced within a tile, by phases, or not at all; or columns are.
  bool by_phases() const { return routine.form == Form::phases; }
  size_t rounds() const { return by_phases() ? routine.code.size() : 1; }
  // A band of rows that is one chunk is finished where it is computed.
  bool whole_bands() const { return chunks == 1 && t.rows > 0; }
  static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

  // A run: rounds of tasks that are independent, with work of the calling thread before and after each round.
  class Run {
   public:
    Run(const Impl& impl, std::span<std::byte* const> operands, std::byte* memory)
        : impl_(&impl), operands_(operands), memory_(memory) {
      impl.heat(impl.t.rows * impl.t.cols);
      impl.start(shared(), operands, memory);
    }

    const Impl& impl() const { return *impl_; }
    Pointers shared() const { return reinterpret_cast<Pointers>(memory_ + impl_->pointers_at); }

    // The number of tasks of the round.
    int64_t begin_round(size_t round) {
      const Routine& routine = impl_->routine;
      if (impl_->by_phases()) {
        whole_domain(routine.rows_of[round]);
        const std::vector<int>& reductions = routine.phase_reductions[round];
        for (size_t i = 0; i < reductions.size(); ++i)
          bases()[size_t(reductions[i])] = partials() + i * size_t(impl_->t.rows * impl_->col_tiles) * 8;
      } else if (routine.col_reductions) {
        if (impl_->t.rows == 0)
          for (size_t r = 0; r < routine.reductions.size(); ++r)
            routine.reductions[r].row_fn(accumulator(0, r), accumulator(0, r), impl_->t.cols, 0, 0);
        return impl_->t.rows ? impl_->t.bands * impl_->chunks * impl_->col_tiles : 0;
      }
      return routine.code[round].steps.empty() ? 0 : impl_->row_tiles * impl_->col_tiles;
    }
    // So many tasks are worth handing to another thread.
    int64_t task_grain() const {
      return impl_->routine.col_reductions ? std::max<int64_t>(1, impl_->grain / impl_->chunk_tiles) : impl_->grain;
    }
    void work(size_t round, int64_t begin, int64_t end, Worker& w) const {
      w.begin(*impl_, shared());
      if (impl_->routine.col_reductions) return columns(begin, end, w);
      const jit::CompiledCode* compiled = impl_->compiled(round);
      const bool merges = compiled && impl_->merges(round, *compiled);
      for (int64_t i = begin; i < end;) {
        Tile at = impl_->tile_at(i);
        const int64_t count = merges ? impl_->merge((*compiled)[0].segment(), at, i, end) : 1;
        tile(round, at, w, {bases(), false}, i == begin, compiled);
        i += count;
      }
    }
    void end_round(size_t round) const {
      const Routine& routine = impl_->routine;
      if (impl_->by_phases()) {
        if (routine.code[round].steps.empty()) return;
        for (int r : routine.phase_reductions[round]) {
          const Reduction& red = routine.reductions[size_t(r)];
          red.row_fn(memory_ + impl_->t.slots[size_t(red.slot)].offset, bases()[r], impl_->t.rows, impl_->col_tiles,
                     impl_->col_tiles);
        }
      } else if (routine.col_reductions && !impl_->whole_bands()) {
        combine_chunks();
      }
    }

   private:
    std::byte** bases() const { return reinterpret_cast<std::byte**>(memory_ + impl_->bases_at); }
    std::byte* partials() const { return memory_ + impl_->partials_at; }
    std::byte* accumulator(int64_t chunk, size_t r) const {
      return partials() + size_t(chunk) * impl_->accumulator_at.back() + impl_->accumulator_at[r];
    }

    void whole_domain(const Code& code) const {
      Tile all;
      all.rows = impl_->t.rows;
      impl_->bind(code, shared(), operands_, memory_, nullptr, all);
      impl_->execute(code, shared(), operands_, all);
    }
    void tile(size_t number, const Tile& tile, Worker& w, Partial partial, bool anew,
              const jit::CompiledCode* compiled) const {
      const Code& code = impl_->routine.code[number];
      impl_->bind(code, w.pointers.data(), operands_, memory_, w.registers, tile);
      impl_->execute(code, w.pointers.data(), operands_, tile, partial, anew, compiled);
    }
    void store(size_t r, const std::byte* from, int64_t begin, int64_t n) const {
      const AccessPath& path = impl_->t.paths[size_t(impl_->routine.reductions[r].path)];
      path.store(operands_[size_t(path.operand())], from, begin, n);
    }

    // Chunks of the rows of a band have accumulators of their own, combined pairwise at the end. With row reductions a
    // chunk spans all columns; without, columns are cut too.
    void columns(int64_t begin, int64_t end, Worker& w) const {
      const Translation& t = impl_->t;
      const bool whole = impl_->whole_bands();
      const jit::CompiledCode* compiled = impl_->compiled(0);
      const size_t count = impl_->routine.reductions.size();
      const int64_t chunks = impl_->chunks, col_tiles = impl_->col_tiles;
      Temporary<std::byte, 4096> own(whole ? impl_->accumulator_at.back() : 0);
      SmallVector<std::byte*, 8> base(count);
      bool anew = true;
      for (int64_t task = begin; task < end; ++task) {
        int64_t j = task % col_tiles, numbered = task / col_tiles, band = numbered / chunks, chunk = numbered % chunks;
        for (size_t r = 0; r < count; ++r)
          base[r] = whole ? own.data() + impl_->accumulator_at[r] : accumulator(numbered, r);
        const int64_t first = chunk * impl_->chunk_tiles, last = std::min(impl_->row_tiles, first + impl_->chunk_tiles);
        for (int64_t i = first; i < last; ++i) {
          Tile at = impl_->tile_at(band, i, j);
          tile(0, at, w, {base.data(), i == first, whole ? at.col : 0}, anew, compiled);
          anew = false;
        }
        if (!whole) continue;
        int64_t col = j * t.tile_cols;
        for (size_t r = 0; r < count; ++r) store(r, base[r], band * t.cols + col, std::min(t.tile_cols, t.cols - col));
      }
    }

    // Pairwise, whoever does it.
    void combine_chunks() const {
      const int64_t chunks = impl_->chunks, cols = impl_->t.cols;
      const int64_t width = std::max<int64_t>(kCombined / chunks / 64 * 64, 64), blocks = (cols + width - 1) / width;
      parallel_for(impl_->t.bands * blocks, 4, [&](int64_t begin, int64_t end) {
        for (; begin < end; ++begin) {
          const int64_t band = begin / blocks, col = begin % blocks * width, count = std::min(width, cols - col);
          for (size_t r = 0; r < impl_->routine.reductions.size(); ++r) {
            const Reduction& red = impl_->routine.reductions[r];
            auto of = [&](int64_t chunk) {
              return accumulator(band * chunks + chunk, r) + size_t(col) * item_size(red.dtype);
            };
            for (int64_t step = 1; step < chunks; step *= 2)
              for (int64_t i = 0; i + step < chunks; i += 2 * step) red.col_fn(of(i), of(i + step), 1, count, cols);
            store(r, of(0), band * cols + col, count);
          }
        }
      });
    }

    const Impl* impl_;
    std::span<std::byte* const> operands_;
    std::byte* memory_;
  };

  // Runs of several programs, round by round: the tasks of a round are one loop.
  static void run(std::span<Run> runs) {
    size_t rounds = 0, slots = 0;
    for (const Run& run : runs) {
      rounds = std::max(rounds, run.impl().rounds());
      slots = std::max(slots, run.impl().t.slots.size());
    }
    SmallVector<int64_t, 4> ends(runs.size());
    for (size_t round = 0; round < rounds; ++round) {
      int64_t total = 0;
      double grains = 0;
      for (size_t i = 0; i < runs.size(); ++i) {
        if (round < runs[i].impl().rounds()) {
          int64_t tasks = runs[i].begin_round(round);
          grains += double(tasks) / double(runs[i].task_grain());
          total += tasks;
        }
        ends[i] = total;
      }
      if (total)
        parallel_for(total, std::max<int64_t>(1, int64_t(double(total) / grains)), [&](int64_t begin, int64_t end) {
          Worker w(slots);
          size_t i = size_t(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
          for (; begin < end; ++i) {
            int64_t first = i ? ends[i - 1] : 0, last = std::min(end, ends[i]);
            if (begin < last) runs[i].work(round, begin - first, last - first, w);
            begin = std::max(begin, last);
          }
        });
      for (Run& run : runs)
        if (round < run.impl().rounds()) run.end_round(round);
    }
  }

  // Little programs are one task of one tile, whose slots lie at the same places in every run.
  void bind_once() {
    const auto rows_at = int64_t(size_t(routine.code[0].element_registers) * element_bytes);
    for (size_t i = 0; i < t.slots.size(); ++i) {
      const Slot& s = t.slots[i];
      const int number = int(i);
      switch (s.kind) {
        case Slot::element_register:
          in_registers.push_back({number, -1, s.offset * int64_t(element_bytes)});
          break;
        case Slot::row_register:
          in_registers.push_back({number, -1, rows_at + s.offset * int64_t(row_bytes)});
          break;
        case Slot::run_value:
        case Slot::run_row:
          in_run.push_back({number, -1, s.offset});
          break;
        default:
          in_memory.push_back({number, s.operand, s.offset});
      }
    }
  }
  // A program that is one function, from operands that lie densely to others.
  using Fixed = jit::CompiledSegment::Fixed;
  const Fixed* fixed() const {
    const State state = fixed_state.load(std::memory_order_acquire);
    if (state != State::unknown) return state == State::known ? &*fixed_tile : nullptr;
    const jit::CompiledCode* code = compiled(0);
    if (!code) return nullptr;
    std::call_once(fixed_once, [&] {
      const bool whole = code->size() == 1 && (*code)[0].count() == routine.code[0].steps.size();
      if (whole && routine.scalars.steps.empty() && !jit::options().verify)
        fixed_tile = (*code)[0].fix(t.paths, t.slots, t.rows, t.cols);
      fixed_state.store(fixed_tile ? State::known : State::none, std::memory_order_release);
    });
    return fixed();
  }
  void run_tiles(std::span<std::byte* const> operands) const {
    // Machine code may come with the first.
    for (; !operands.empty() && !fixed(); operands = operands.subspan(operand_count))
      run_tile(operands.first(operand_count));
    if (!operands.empty()) (*compiled(0))[0].run(*fixed(), operands, operand_count);
  }
  void run_tile(std::span<std::byte* const> operands) const {
    heat(t.rows * t.cols);
    Temporary<std::byte, 1024> run(static_cast<size_t>(routine.run_bytes));
    Temporary<std::byte*, 96> pointers(t.slots.size());
    Pointers p = pointers.data();
    for (const Binding& b : in_memory) p[b.slot] = operands[size_t(b.operand)] + b.offset;
    for (const Binding& b : in_run) p[b.slot] = run.data() + b.offset;
    if (!in_registers.empty()) {
      std::byte* registers = arena.get(register_bytes);
      for (const Binding& b : in_registers) p[b.slot] = registers + b.offset;
    }
    Tile whole;
    if (!routine.scalars.steps.empty()) execute(routine.scalars, p, operands, whole);
    whole.rows = t.rows;
    whole.cols = t.cols;
    execute(routine.code[0], p, operands, whole, {}, true, compiled(0));
  }
  // A tile whose slots lie at the same places in every call.
  struct Bound {
    const Impl* impl;
    std::vector<std::byte*> operands, slots;
    Temporary<std::byte, 64> run, registers;
    const jit::CompiledCode* compiled;
    Bound(const Impl& impl, std::span<std::byte* const> at)
        : impl(&impl),
          operands(at.begin(), at.end()),
          slots(impl.t.slots.size()),
          run(size_t(impl.routine.run_bytes)),
          registers(impl.register_bytes),
          compiled(impl.compiled(0)) {}
    void call() {
      Tile whole;
      if (!impl->routine.scalars.steps.empty()) impl->execute(impl->routine.scalars, slots.data(), operands, whole);
      whole.rows = impl->t.rows;
      whole.cols = impl->t.cols;
      impl->execute(impl->routine.code[0], slots.data(), operands, whole, {}, true, compiled);
    }
  };
  std::optional<bool> fix(std::span<std::byte* const> operands, std::vector<FixedWork>& out) const {
    // Memory that is more than a thread would have anyway is not kept.
    constexpr size_t kMostBytes = 1 << 14;
    if (!one_tile || register_bytes > kMostBytes) return std::nullopt;
    if (const Fixed* tile = fixed()) {
      if (std::optional<FixedWork> work = (*compiled(0))[0].bind(*tile, operands)) {
        out.push_back(std::move(*work));
        return true;
      }
    } else if (routine.hot && !compiled(0)) {
      return false;
    }
    auto bound = std::make_shared<Bound>(*this, operands);
    FixedWork work{[](void* with) { static_cast<Bound*>(with)->call(); }, bound, {}};
    work.start_at(bound->operands);
    for (const Binding& b : in_memory) {
      bound->slots[size_t(b.slot)] = operands[size_t(b.operand)] + b.offset;
      work.starts.push_back({&bound->slots[size_t(b.slot)], size_t(b.operand), b.offset});
    }
    for (const Binding& b : in_run) bound->slots[size_t(b.slot)] = bound->run.data() + b.offset;
    for (const Binding& b : in_registers) bound->slots[size_t(b.slot)] = bound->registers.data() + b.offset;
    out.push_back(std::move(work));
    return true;
  }
  // What other threads have no part in.
  double task_cost() const { return routine.cost * double(t.rows * t.cols); }

  void run_range(std::span<std::byte* const> operands, int64_t begin, int64_t end) const {
    if (routine.row_reductions || routine.col_reductions) throw Error("run_range: the program has reductions");
    Temporary<std::byte, 1024> run(static_cast<size_t>(routine.run_bytes));
    Temporary<std::byte*, 96> pointers(t.slots.size());
    start(pointers.data(), operands, run.data());
    std::byte* registers = arena.get(register_bytes);
    const Code& code = routine.code[0];
    heat(end - begin);
    const jit::CompiledCode* fast = compiled(0);
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
      execute(code, pointers.data(), operands, tile, {}, true, fast);
      begin += tile.elements();
    }
  }
};

PreparedProgram::PreparedProgram(const KernelProgram& program) : impl_(new Impl(program)) {}
PreparedProgram::~PreparedProgram() = default;
PreparedProgram::PreparedProgram(PreparedProgram&&) noexcept = default;

void PreparedProgram::run(std::span<std::byte* const> operands) const {
  if (impl_->one_tile) return impl_->run_tiles(operands);
  Temporary<std::byte, 4096> memory(impl_->memory_bytes);
  Impl::Run run(*impl_, operands, memory.data());
  Impl::run({&run, 1});
}

std::optional<bool> PreparedProgram::fix(std::span<std::byte* const> operands, std::vector<FixedWork>& out) const {
  return impl_->fix(operands, out);
}

bool PreparedProgram::are_tiles(std::span<const PreparedProgram* const> programs) {
  double cost = 0;
  for (const PreparedProgram* program : programs) {
    if (!program->impl_->one_tile) return false;
    cost += program->impl_->task_cost();
  }
  return cost <= kGrain;
}

void PreparedProgram::run_all(std::span<const PreparedProgram* const> programs,
                              std::span<const std::span<std::byte* const>> operands) {
  size_t bytes = 0;
  for (const PreparedProgram* program : programs) bytes += program->impl_->memory_bytes;
  Temporary<std::byte, 64> once(bytes > kMostKept ? bytes : 0);
  std::byte* at = bytes > kMostKept ? once.data() : run_arena.get(bytes);
  std::vector<Impl::Run> runs;
  runs.reserve(programs.size());
  for (size_t i = 0; i < programs.size(); ++i) {
    runs.emplace_back(*programs[i]->impl_, operands[i], at);
    at += programs[i]->impl_->memory_bytes;
  }
  Impl::run(runs);
}

void PreparedProgram::run_range(std::span<std::byte* const> operands, int64_t begin, int64_t end) const {
  impl_->run_range(operands, begin, end);
}

}  // namespace funcnn::cpu
