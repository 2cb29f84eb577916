#include "backends/cpu/jit/hot.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>

#include "backends/cpu/arena.h"
#include "backends/cpu/caches.h"
#include "backends/cpu/jit/code_report.h"
#include "backends/cpu/jit/fold.h"
#include "backends/cpu/jit/options.h"
#include "base/error.h"

namespace funcnn::cpu::jit {
namespace {

// Compiling pays where so many elements went through steps in so many runs, and more where steps are many: each of
// them takes time to compile.
constexpr int64_t kWorth = 1 << 20, kWorthOfStep = 1 << 15, kLeastRuns = 2;

int64_t item_of(const Stream& s) { return int64_t(item_size(s.memory)); }

// As perf and files of dumps call a function: by its operations.
std::string name_of(const Code& code, const Segment& segment) {
  std::string name = "funcnn";
  for (size_t i = segment.first; i < segment.first + segment.count && name.size() < 60; ++i) {
    const Step& s = code.steps[i];
    constexpr std::string_view fused[] = {"fms",     "fnma", "divide", "exp",  "subtract_multiply", "exp",
                                          "sigmoid", "tanh", "erf",    "gelu", "gelu_derivative"};
    static_assert(simd::kOpCount == kOpcodeCount + std::size(fused));
    if (s.kind == Step::compute && s.op >= 0)
      name += cat("_", s.op < kOpcodeCount ? opcode_info(Opcode(s.op)).name : fused[s.op - kOpcodeCount]);
    else if (s.kind == Step::reduce_row || s.kind == Step::sum_squares)
      name += cat("_", reduce_name(s.reduce));
  }
  return name;
}
std::string text_of(const Segment& segment) {
  std::string text;
  for (size_t s = 0; s < segment.loop.streams.size(); ++s) {
    const Stream& stream = segment.loop.streams[s];
    text += cat("stream ", s, ": ", stream.memory, " by ", walk_name(stream.walk), stream.anywhere ? ", anywhere" : "",
                segment.places[s].written ? ", written\n" : "\n");
  }
  for (const Stage& stage : segment.loop.stages) {
    text += "stage\n";
    for (size_t v = 0; v < stage.line.nodes.size(); ++v) {
      const Node& n = stage.line.nodes[v];
      text += cat(v, ": ", do_name(n.what));
      for (int a : {n.a, n.b, n.c})
        if (a >= 0) text += cat(" ", a);
      if (n.stream >= 0) text += cat(", stream ", n.stream);
      if (n.bits) text += cat(", bits ", n.bits);
      text += "\n";
    }
  }
  return text;
}

// What blocks of a row have given, in the order of simd/reduce_rows.cpp.
template <class Op, class T>
void combine_as(std::byte* out, const std::byte* results, int64_t whole, bool rest) {
  T block[kMostBlocks];
  std::memcpy(block, results, size_t(whole + rest) * sizeof(T));
  const T r = simd::pairwise<Op>(whole, [&](int64_t b) { return block[b]; }, rest ? block[whole] : Op::identity());
  std::memcpy(out, &r, sizeof(T));
}
void meet_blocks(Frame* frame, const Fold* folds, int64_t count) {
  const int64_t whole = frame->cols / kFoldBlock, rest = frame->cols % kFoldBlock;
  for (int64_t f = 0; f < count; ++f)
    visit_fold(folds[f], [&]<class Op, class T>(Op, T) {
      combine_as<Op, T>(frame->stream[folds[f].stream], frame->partial[f], whole, rest != 0);
    });
}

// The number of the first element of each row.
std::byte* first_of_rows(const TileView& tile, Dtype dtype) {
  static thread_local std::vector<int64_t> numbers;
  if (numbers.size() < size_t(tile.rows)) numbers.resize(size_t(tile.rows));
  auto* at = reinterpret_cast<std::byte*>(numbers.data());
  const size_t item = item_size(dtype);  // the low bytes first
  for (int64_t r = 0; r < tile.rows; ++r) {
    const int64_t n = tile.begin + r * tile.cols;
    std::memcpy(at + size_t(r) * item, &n, item);
  }
  return at;
}

}  // namespace

CompiledSegment::CompiledSegment(Segment segment, const Target& target, CodeMemory::Function function)
    : segment_(std::move(segment)),
      function_(std::move(function)),
      code_(function_.as<void(Frame*)>()),
      by_rows_(segment_.loop.by_rows()),
      folds_(segment_.loop.folds()),
      whole_only_(target.whole_vectors_only(segment_.loop)),
      vector_bytes_(target.vector_bytes),
      lanes_(target.vector_bytes / (segment_.loop.wide ? 8 : 4)) {
  for (const Stream& s : segment_.loop.streams) {
    tables_ += s.anywhere;
    if (s.operand && s.walk == Walk::element) in_memory_ += item_of(s);
  }
  for (const Stage& stage : segment_.loop.stages)
    for (const Node& n : stage.line.nodes)
      reads_results_ = reads_results_ || (n.stream >= 0 && !is_result(n.what) && past_caches(size_t(n.stream)));
}

std::byte* CompiledSegment::begin_of(size_t stream, const TileView& tile) const {
  const Place& place = segment_.places[stream];
  const Stream& s = segment_.loop.streams[stream];
  switch (place.kind) {
    case Place::slot:
      return tile.slots[place.number];
    case Place::path: {
      const AccessPath& path = tile.paths[place.number];
      const int64_t first = place.row ? tile.row : s.walk == Walk::column ? tile.col : tile.begin;
      return tile.operands[size_t(path.operand())] + path.offset_bytes() + first * item_of(s);
    }
    case Place::flag: {
      static thread_local std::byte flag;
      return &flag;
    }
    case Place::partial:
      return tile.partial[place.number] + tile.partial_number * item_of(s);
    case Place::index:
      return first_of_rows(tile, s.memory);
    case Place::column:
      break;
  }
  return nullptr;
}

// Where the rows of a stream that is anywhere begin.
void CompiledSegment::rows_of(size_t stream, const TileView& tile, std::span<std::byte*> out) const {
  const Place& place = segment_.places[stream];
  const AccessPath& path = tile.paths[place.number];
  path.places(tile.operands[size_t(path.operand())], place.row ? tile.row : tile.begin, place.row ? 1 : tile.cols, out);
}

bool CompiledSegment::runs(int64_t cols) const {
  const bool rest = whole_only_ && cols % lanes_ != 0;
  if (rest && segment_.loop.stages.size() > 1) return false;
  return !folds_ || (cols >= kLeastFold && cols <= kMostBlocks * kFoldBlock && !rest);
}

bool CompiledSegment::run(const TileView& tile) const {
  if (!runs(tile.cols)) return false;
  if (segment_.numbers_floats && tile.begin + tile.rows * tile.cols > std::numeric_limits<int32_t>::max()) return false;
  Frame frame;
  static thread_local std::vector<std::byte*> tables;
  const size_t entries = size_t(tile.rows) + 1;
  if (tables.size() < tables_ * entries) tables.resize(tables_ * entries);
  std::byte** table = tables.data();
  for (size_t s = 0; s < segment_.places.size(); ++s) {
    if (segment_.loop.streams[s].anywhere) {
      rows_of(s, tile, {table, entries});
      frame.table[s] = table;
      frame.stream[s] = *table;
      table += entries;
    } else if (segment_.places[s].kind != Place::column) {
      frame.stream[s] = begin_of(s, tile);
    }
  }
  static thread_local Arena arena;
  const size_t each = (size_t(tile.rows * tile.cols) * 8 + 63) / 64 * 64 + 192;  // not all at one place of the cache
  std::byte* const columns = segment_.columns.empty() ? nullptr : arena.get(segment_.columns.size() * each);
  for (size_t c = 0; c < segment_.columns.size(); ++c) frame.stream[segment_.columns[c].stream] = columns + c * each;
  if (in_memory_ * tile.elements > last_cache_bytes()) frame.past_caches = passes_caches(frame, tile.cols);
  run_frame(frame, tile.rows, tile.cols);
  if (frame.past_caches) finish_past_caches();
  reduce_columns(columns, each, tile);
  return true;
}

int CompiledSegment::past_caches(size_t stream) const {
  return segment_.places[stream].written ? bytes_past_caches(segment_.loop.streams[stream], int(lanes_)) : 0;
}
// Whether results lie at multiples of vectors, row by row, where nothing is read.
bool CompiledSegment::passes_caches(const Frame& frame, int64_t cols) const {
  for (size_t s = 0; s < segment_.places.size(); ++s) {
    const int bytes = past_caches(s);
    if (!bytes) continue;
    const bool rows_fit = !by_rows_ || cols * item_of(segment_.loop.streams[s]) % bytes == 0;
    if (!rows_fit || reinterpret_cast<uintptr_t>(frame.stream[s]) % uintptr_t(bytes)) return false;
    for (size_t other = 0; other < segment_.places.size(); ++other)
      if (other != s && frame.stream[other] == frame.stream[s]) return false;
  }
  return !reads_results_;
}

// Of a tile.
void CompiledSegment::run_frame(Frame& frame, int64_t rows, int64_t cols) const {
  if (segment_.of_rows) cols = rows;
  if (!by_rows_ && !segment_.of_rows) cols *= rows;
  if (!by_rows_) rows = 1;
  if (whole_only_ && cols % lanes_ != 0)
    run_rows(frame, rows, cols);
  else
    call(frame, rows, cols);
}

std::optional<CompiledSegment::Fixed> CompiledSegment::fix(std::span<const AccessPath> paths,
                                                           std::span<const Slot> slots, int64_t rows,
                                                           int64_t cols) const {
  if (!runs(cols) || slow(rows * cols) || !segment_.columns.empty() || !segment_.before.empty()) return std::nullopt;
  Fixed tile{{}, rows, cols};
  for (size_t s = 0; s < segment_.places.size(); ++s) {
    const Place& place = segment_.places[s];
    if (segment_.loop.streams[s].anywhere) return std::nullopt;
    if (place.kind == Place::path) {
      const AccessPath& path = paths[size_t(place.number)];
      tile.streams.push_back({path.operand(), path.offset_bytes()});
    } else if (place.kind == Place::slot && slots[size_t(place.number)].in_operand()) {
      tile.streams.push_back({slots[size_t(place.number)].operand, slots[size_t(place.number)].offset});
    } else {
      return std::nullopt;
    }
  }
  return tile;
}

void CompiledSegment::run(const Fixed& tile, std::span<std::byte* const> operands, size_t each) const {
  Frame frame;
  const std::span<const Fixed::Start> streams = tile.streams;
  auto start = [&] {
    for (size_t s = 0; s < streams.size(); ++s)
      frame.stream[s] = operands[size_t(streams[s].operand)] + streams[s].offset;
    operands = operands.subspan(each);
  };
  const int64_t cols = segment_.of_rows ? tile.rows : tile.rows * tile.cols;
  if (by_rows_ || (whole_only_ && cols % lanes_ != 0)) {
    while (!operands.empty()) {
      start();
      run_frame(frame, tile.rows, tile.cols);
    }
    return;
  }
  // One row: the code leaves its lengths as they are.
  set_lengths(frame, 1, cols);
  while (!operands.empty()) {
    start();
    code_(&frame);
  }
}

std::optional<FixedWork> CompiledSegment::bind(const Fixed& tile, std::span<std::byte* const> operands) const {
  // What code of rows changes on its way is set again for each call.
  struct Bound {
    Frame frame;
    Generated code;
    int64_t rows;
    size_t count;
    std::byte* streams[kMostStreams];
  };
  const int64_t rows = by_rows_ ? tile.rows : 1;
  const int64_t cols = segment_.of_rows ? tile.rows : by_rows_ ? tile.cols : tile.rows * tile.cols;
  if (whole_only_ && cols % lanes_ != 0) return std::nullopt;
  auto bound = std::make_shared<Bound>();
  bound->code = code_;
  bound->rows = rows;
  bound->count = tile.streams.size();
  set_lengths(bound->frame, rows, cols);
  FixedWork work;
  for (size_t s = 0; s < tile.streams.size(); ++s) {
    const auto operand = size_t(tile.streams[s].operand);
    std::byte*& at = by_rows_ ? bound->streams[s] : bound->frame.stream[s];
    at = operands[operand] + tile.streams[s].offset;
    work.starts.push_back({&at, operand, tile.streams[s].offset});
  }
  if (by_rows_)
    work.call = [](void* with) {
      Bound& bound = *static_cast<Bound*>(with);
      bound.frame.rows = bound.rows;
      std::copy_n(bound.streams, bound.count, bound.frame.stream);
      bound.code(&bound.frame);
    };
  else
    work.call = reinterpret_cast<void (*)(void*)>(code_);
  work.with = std::move(bound);
  return work;
}

// Of elements that lie at `from` and, of further reductions, `each` bytes behind each other.
void CompiledSegment::reduce_columns(const std::byte* from, size_t each, const TileView& tile) const {
  for (const Column& c : segment_.columns) {
    std::byte* acc = tile.partial[c.reduction] + (tile.col - tile.partial_col) * int64_t(c.item);
    const std::byte* in = from;
    from += each;
    int64_t rows = tile.rows;
    if (tile.first) {
      std::memcpy(acc, in, size_t(tile.cols) * c.item);
      in += tile.cols * int64_t(c.item);
      --rows;
    }
    if (rows > 0) c.reduce(acc, in, rows, tile.cols, tile.cols);
  }
}

void CompiledSegment::call(Frame& frame, int64_t rows, int64_t cols) const {
  set_lengths(frame, rows, cols);
  code_(&frame);
}

void CompiledSegment::set_lengths(Frame& frame, int64_t rows, int64_t cols) const {
  frame.rows = rows;
  frame.cols = cols;
  frame.whole = cols / lanes_ * lanes_;
  const int64_t rest = cols - frame.whole;
  frame.tail_mask = (int64_t(1) << rest) - 1;
  if (vector_bytes_ == 32) {  // AVX2 has masks in vectors
    int32_t lanes[8];
    for (int64_t i = 0; i < 8; ++i) lanes[i] = i * lanes_ / 8 < rest ? -1 : 0;
    std::memcpy(frame.tail_lanes, lanes, sizeof lanes);
  }
  frame.meet = meet_blocks;
}

// Row by row, whole vectors before the rest.
void CompiledSegment::run_rows(Frame& frame, int64_t rows, int64_t cols) const {
  const int64_t whole = cols / lanes_ * lanes_;
  for (int64_t r = 0; r < rows; ++r) {
    Frame row = frame;
    for (size_t s = 0; s < segment_.places.size(); ++s) {
      const Stream& stream = segment_.loop.streams[s];
      if (stream.anywhere) {
        row.table[s] += r;
        row.stream[s] = *row.table[s];
        continue;
      }
      if (stream.walk == Walk::element) row.stream[s] += r * cols * item_of(stream);
      if (stream.walk == Walk::row) row.stream[s] += r * item_of(stream);
    }
    Frame main = row;
    if (whole) call(main, 1, whole);
    run_tail(row, whole, cols - whole);
  }
}

// The last elements of a row, fewer than a vector, by way of memory that has room for one.
void CompiledSegment::run_tail(const Frame& frame, int64_t done, int64_t n) const {
  std::byte room[kMostStreams][32];
  Frame at = frame;
  auto walks = [&](size_t s) { return segment_.loop.streams[s].walk <= Walk::column; };
  for (size_t s = 0; s < segment_.places.size(); ++s) {
    if (segment_.places[s].kind == Place::index) {
      int64_t first = 0;
      std::memcpy(&first, frame.stream[s], size_t(item_of(segment_.loop.streams[s])));
      first += done;
      std::memcpy(room[s], &first, sizeof first);
      at.stream[s] = room[s];
    }
    if (!walks(s)) continue;
    const int64_t item = item_of(segment_.loop.streams[s]);
    std::memset(room[s], 0, 32);
    std::memcpy(room[s], frame.stream[s] + done * item, size_t(n * item));
    at.stream[s] = room[s];
  }
  call(at, 1, lanes_);
  for (size_t s = 0; s < segment_.places.size(); ++s)
    if (walks(s) && segment_.places[s].written) {
      const int64_t item = item_of(segment_.loop.streams[s]);
      std::memcpy(frame.stream[s] + done * item, room[s], size_t(n * item));
    }
}

std::vector<CompiledSegment::Written> CompiledSegment::written(const TileView& tile) const {
  std::vector<Written> out;
  const int64_t elements = segment_.of_rows ? tile.rows : tile.rows * tile.cols;
  for (size_t s = 0; s < segment_.places.size(); ++s) {
    if (!segment_.places[s].written || segment_.places[s].kind == Place::column) continue;
    const Stream& stream = segment_.loop.streams[s];
    const int64_t n = stream.walk == Walk::element ? elements : stream.walk == Walk::column ? tile.cols : tile.rows;
    const std::vector<int>& results = segment_.results;
    const bool result = std::find(results.begin(), results.end(), int(s)) != results.end();
    if (stream.anywhere) {
      std::vector<std::byte*> rows(size_t(tile.rows));
      rows_of(s, tile, rows);
      const size_t row = size_t((stream.walk == Walk::row ? 1 : tile.cols) * item_of(stream));
      for (std::byte* at : rows) out.push_back({at, row, stream.memory, result});
      continue;
    }
    out.push_back({begin_of(s, tile), size_t(n * item_of(stream)), stream.memory, result});
  }
  for (const Column& c : segment_.columns) {
    std::byte* at = tile.partial[c.reduction] + (tile.col - tile.partial_col) * int64_t(c.item);
    out.push_back({at, size_t(tile.cols) * c.item, segment_.loop.streams[size_t(c.stream)].memory, true});
  }
  return out;
}

bool same_values(const std::byte* a, const std::byte* b, size_t bytes, Dtype dtype) {
  if (std::memcmp(a, b, bytes) == 0) return true;
  auto equal = [&]<class T>(T, T infinity) {  // by bits, or both beyond infinity
    for (size_t i = 0; i < bytes; i += sizeof(T)) {
      T x, y;
      std::memcpy(&x, a + i, sizeof(T));
      std::memcpy(&y, b + i, sizeof(T));
      const T magnitude = T(T(~T(0)) >> 1);
      if (x != y && !(T(x & magnitude) > infinity && T(y & magnitude) > infinity)) return false;
    }
    return true;
  };
  switch (dtype) {
    case Dtype::float16:
      return equal(uint16_t(), uint16_t(0x7c00));
    case Dtype::bfloat16:
      return equal(uint16_t(), uint16_t(0x7f80));
    case Dtype::float32:
      return equal(uint32_t(), uint32_t(0x7f800000));
    case Dtype::float64:
      return equal(uint64_t(), uint64_t(0x7ff0000000000000));
    default:
      return false;
  }
}

std::string describe_difference(const CompiledSegment& segment, size_t result, const CompiledSegment::Written& written,
                                const std::byte* compiled) {
  const size_t item = item_size(written.dtype);
  size_t at = 0;
  while (at + item < written.bytes && same_values(written.at + at, compiled + at, item, written.dtype)) at += item;
  auto bits = [&](const std::byte* p) {
    uint64_t x = 0;
    std::memcpy(&x, p, item);
    char text[20];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(x));
    return std::string(text);
  };
  return cat("FUNCNN_JIT=verify: compiled steps ", segment.first(), " to ", segment.first() + segment.count() - 1,
             " give ", bits(compiled + at), " where interpreted ones give ", bits(written.at + at), ", as element ",
             at / item, " of result ", result, " (", written.dtype, ")");
}

void Hot::heat(const Routine& routine, const std::vector<AccessPath>& paths, double work) {
  const int64_t runs = runs_.fetch_add(1, std::memory_order_relaxed) + 1;
  const int64_t total = work_.fetch_add(int64_t(work), std::memory_order_relaxed) + int64_t(work);
  if (!options().always) {
    int64_t steps = 0;
    if (runs < kLeastRuns || total < kWorth) return;
    for (const Code& code : routine.code) steps += int64_t(code.steps.size());
    if (total < kWorthOfStep * steps) return;
  }
  State expected = State::cold;
  if (!state_.compare_exchange_strong(expected, State::compiling)) return;
  codes_.resize(routine.code.size());
  try {
    compile(routine, paths);
  } catch (...) {  // for want of memory, or a folder that cannot be written
    for (CompiledCode& code : codes_) code.clear();
    state_.store(State::compiled, std::memory_order_release);
    throw;
  }
  state_.store(State::compiled, std::memory_order_release);
}

void Hot::compile(const Routine& routine, const std::vector<AccessPath>& paths) {
  for (size_t i = 0; i < routine.code.size(); ++i)
    for (Segment& segment : find_segments(routine, routine.code[i], paths, target_)) {
      std::string why;
      const std::vector<uint8_t> code = target_.emit(segment.loop, &why);
      if (code.empty()) continue;
      const std::string name = name_of(routine.code[i], segment);
      if (!options().dump.empty()) dump_code(options().dump, name, code, text_of(segment));
      std::optional<CodeMemory::Function> function = CodeMemory::instance().add(code, name);
      if (function && function->entry()) codes_[i].emplace_back(std::move(segment), target_, *std::move(function));
    }
}

std::shared_ptr<Hot> make_hot(InstructionLevel level) {
  const Target* target = target_of(level);
  return target && options().on ? std::make_shared<Hot>(*target) : nullptr;
}

}  // namespace funcnn::cpu::jit
