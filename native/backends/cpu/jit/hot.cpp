#include "backends/cpu/jit/hot.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>

#include "backends/cpu/jit/emit_x86.h"
#include "backends/cpu/jit/settings.h"
#include "base/error.h"

#include <sys/mman.h>

namespace funcnn::cpu::jit {
namespace {

// Compiling pays where so many elements went through steps in so many runs.
constexpr int64_t kWorth = 1 << 20, kLeastRuns = 2;

// Blocks of a row; longer rows are reduced by phases.
constexpr int64_t kMostBlocks = 32;

int64_t item_of(const Stream& s) { return int64_t(item_size(s.memory)); }

// simd/reduce_rows.cpp: a binary counter of the results of whole blocks; what is left meets them last.
template <class T, class Apply>
T combine_blocks(const T* block, int64_t whole, bool rest, T identity, Apply&& apply) {
  T level[56];
  int64_t blocks = 0;
  for (int64_t b = 0; b < whole; ++b) {
    T r = block[b];
    int k = 0;
    for (int64_t bit = blocks; bit & 1; bit >>= 1) r = apply(level[k++], r);
    level[k] = r;
    ++blocks;
  }
  T r = rest ? block[whole] : identity;
  int k = 0;
  for (int64_t bit = blocks; bit; bit >>= 1, ++k)
    if (bit & 1) r = apply(level[k], r);
  return r;
}
template <class T>
void combine_as(std::byte* out, ReduceOp op, const std::byte* results, int64_t whole, bool rest) {
  using Limits = std::numeric_limits<T>;
  constexpr bool floating = std::is_floating_point_v<T>;
  using Wrapping = typename std::conditional_t<floating, std::type_identity<T>, std::make_unsigned<T>>::type;
  T block[kMostBlocks];
  std::memcpy(block, results, size_t(whole + rest) * sizeof(T));
  auto combine = [&](T identity, auto&& apply) { return combine_blocks(block, whole, rest, identity, apply); };
  T r;
  switch (op) {
    case ReduceOp::sum:
      r = combine(T(0), [](T a, T b) { return T(Wrapping(a) + Wrapping(b)); });
      break;
    case ReduceOp::prod:
      r = combine(T(1), [](T a, T b) { return T(Wrapping(a) * Wrapping(b)); });
      break;
    case ReduceOp::max:
      r = combine(floating ? -Limits::infinity() : Limits::lowest(), [](T a, T b) {
        T m = a > b ? a : b;
        return a != a ? a : m;
      });
      break;
    default:
      r = combine(floating ? Limits::infinity() : Limits::max(), [](T a, T b) {
        T m = a < b ? a : b;
        return a != a ? a : m;
      });
  }
  std::memcpy(out, &r, sizeof(T));
}
void combine_to(std::byte* out, const Fold& fold, const std::byte* results, int64_t whole, bool rest) {
  visit_dtype(fold.dtype, [&]<class T>(TypeTag<T>) {
    if constexpr (std::is_arithmetic_v<T> && sizeof(T) >= 4) combine_as<T>(out, fold.op, results, whole, rest);
  });
}

}  // namespace

CompiledSegment::CompiledSegment(Segment segment, bool wide)
    : segment_(std::move(segment)),
      wide_(wide),
      by_rows_(segment_.loop.by_rows()),
      whole_only_(whole_vectors_only(segment_.loop, wide)),
      lanes_((wide ? 64 : 32) / (segment_.loop.line.wide ? 8 : 4)) {}

std::byte* CompiledSegment::begin_of(size_t stream, const TileView& tile) const {
  const Place& place = segment_.places[stream];
  const Stream& s = segment_.loop.streams[stream];
  switch (place.kind) {
    case Place::slot:
      return tile.slots[place.number];
    case Place::path: {
      const AccessPath& path = tile.paths[place.number];
      const int64_t first = segment_.space == Space::row ? tile.row : tile.begin;
      return tile.operands[size_t(path.operand())] + path.offset_bytes() + first * item_of(s);
    }
    case Place::partial:
      return tile.partial[place.number] + tile.partial_number * item_of(s);
  }
  return nullptr;
}

bool CompiledSegment::divisors_in_range(const TileView& tile) const {
  auto in_range = [&]<class T>(const std::byte* at, T d) {
    for (int64_t r = 0; r < tile.rows; ++r) {
      std::memcpy(&d, at + r * int64_t(sizeof d), sizeof d);
      if (!((d > T(1e-30) && d < T(1e30)) || (d < T(-1e-30) && d > T(-1e30)))) return false;
    }
    return true;
  };
  for (int slot : segment_.divisors) {
    const std::byte* at = tile.slots[slot];
    if (!(segment_.loop.line.wide ? in_range(at, 0.0) : in_range(at, 0.0f))) return false;
  }
  return true;
}

bool CompiledSegment::run(const TileView& tile) const {
  const std::vector<Fold>& folds = segment_.loop.folds;
  const bool rows = segment_.space == Space::row;
  if (!folds.empty() && (tile.cols < 64 || tile.cols > kMostBlocks * kFoldBlock)) return false;
  if (whole_only_ && !folds.empty() && tile.cols % lanes_ != 0) return false;
  if (!divisors_in_range(tile)) return false;
  Frame frame;
  for (size_t s = 0; s < segment_.places.size(); ++s) frame.stream[s] = begin_of(s, tile);
  if (rows)
    run_flat(frame, tile.rows);
  else if (!by_rows_)
    run_flat(frame, tile.rows * tile.cols);
  else if (!folds.empty() && tile.cols > kFoldBlock)
    run_blocks(frame, tile.rows, tile.cols);
  else
    run_rows(frame, tile.rows, tile.cols);
  return true;
}

void CompiledSegment::call(Frame& frame, int64_t rows, int64_t cols) const {
  const int64_t group = kFoldBytes / (segment_.loop.line.wide ? 8 : 4);
  frame.rows = rows;
  frame.cols = cols;
  frame.grouped = segment_.loop.folds.empty() ? 0 : cols / group * group;
  frame.whole = frame.grouped + (cols - frame.grouped) / lanes_ * lanes_;
  const int64_t rest = cols - frame.whole;
  frame.tail_mask = (int64_t(1) << rest) - 1;
  if (!wide_)
    for (int64_t i = 0; i < 8; ++i) frame.tail_lanes[i] = i * lanes_ / 8 < rest ? -1 : 0;
  code_(&frame);
}

void CompiledSegment::run_flat(Frame& frame, int64_t n) const {
  const int64_t whole = whole_only_ ? n / lanes_ * lanes_ : n;
  if (whole) {
    Frame main = frame;
    call(main, 1, whole);
  }
  if (whole < n) run_tail(frame, whole, n - whole);
}

void CompiledSegment::run_rows(Frame& frame, int64_t rows, int64_t cols) const {
  if (!whole_only_ || cols % lanes_ == 0) return call(frame, rows, cols);
  for (int64_t r = 0; r < rows; ++r) {
    Frame row = frame;
    for (size_t s = 0; s < segment_.places.size(); ++s) {
      const Stream& stream = segment_.loop.streams[s];
      if (stream.walk == Walk::element) row.stream[s] += r * cols * item_of(stream);
      if (stream.walk == Walk::row) row.stream[s] += r * item_of(stream);
    }
    run_flat(row, cols);
  }
}

// The last elements of a row, fewer than a vector, by way of memory that has room for one.
void CompiledSegment::run_tail(const Frame& frame, int64_t done, int64_t n) const {
  std::byte room[kMostStreams][32];
  Frame at = frame;
  auto walks = [&](size_t s) { return segment_.loop.streams[s].walk <= Walk::column; };
  for (size_t s = 0; s < segment_.places.size(); ++s) {
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

// Rows of several blocks: a call for each.
void CompiledSegment::run_blocks(const Frame& frame, int64_t rows, int64_t cols) const {
  const std::vector<Fold>& folds = segment_.loop.folds;
  std::byte results[4][kMostBlocks * 8];
  const int64_t item = segment_.loop.line.wide ? 8 : 4;
  const int64_t whole = cols / kFoldBlock, blocks = (cols + kFoldBlock - 1) / kFoldBlock;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t b = 0; b < blocks; ++b) {
      Frame block = frame;
      const int64_t col = b * kFoldBlock;
      for (size_t s = 0; s < segment_.places.size(); ++s) {
        const Stream& stream = segment_.loop.streams[s];
        if (stream.walk == Walk::element) block.stream[s] += (r * cols + col) * item_of(stream);
        if (stream.walk == Walk::column) block.stream[s] += col * item_of(stream);
        if (stream.walk == Walk::row) block.stream[s] += r * item_of(stream);
      }
      for (size_t f = 0; f < folds.size(); ++f)
        block.stream[folds[f].stream] = results[f] + b * item;
      call(block, 1, std::min(kFoldBlock, cols - col));
    }
    for (size_t f = 0; f < folds.size(); ++f)
      combine_to(frame.stream[folds[f].stream] + r * item, folds[f], results[f], whole, whole < blocks);
  }
}

std::vector<CompiledSegment::Written> CompiledSegment::written(const TileView& tile) const {
  std::vector<Written> out;
  const int64_t elements = segment_.space == Space::row ? tile.rows : tile.rows * tile.cols;
  for (size_t s = 0; s < segment_.places.size(); ++s) {
    if (!segment_.places[s].written) continue;
    const Stream& stream = segment_.loop.streams[s];
    const int64_t n = stream.walk == Walk::element ? elements : tile.rows;
    out.push_back({begin_of(s, tile), size_t(n * item_of(stream)), stream.memory});
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

Hot::~Hot() {
  if (memory_) munmap(memory_, memory_bytes_);
}

void Hot::heat(const Routine& routine, const std::vector<AccessPath>& paths, double work) {
  const int64_t runs = runs_.fetch_add(1, std::memory_order_relaxed) + 1;
  const int64_t total = work_.fetch_add(int64_t(work), std::memory_order_relaxed) + int64_t(work);
  if (!settings().always && (runs < kLeastRuns || total < kWorth)) return;
  State expected = State::cold;
  if (!state_.compare_exchange_strong(expected, State::compiling)) return;
  codes_.resize(routine.code.size());
  try {
    compile(routine, paths);
  } catch (...) {
    for (CompiledCode& code : codes_) code.clear();
  }
  state_.store(State::compiled, std::memory_order_release);
}

void Hot::compile(const Routine& routine, const std::vector<AccessPath>& paths) {
  std::vector<uint8_t> all;
  std::vector<std::pair<CompiledSegment*, size_t>> at;
  for (size_t i = 0; i < routine.code.size(); ++i) {
    for (Segment& segment : find_segments(routine, routine.code[i], paths, wide_, wide_ ? 3 : 1)) {
      std::string why;
      std::vector<uint8_t> code = emit_x86(segment.loop, wide_, &why);
      if (code.empty()) continue;
      codes_[i].emplace_back(std::move(segment), wide_);
      all.resize((all.size() + 63) / 64 * 64);
      at.emplace_back(nullptr, all.size());
      all.insert(all.end(), code.begin(), code.end());
    }
  }
  if (all.empty()) return;
  memory_bytes_ = (all.size() + 4095) / 4096 * 4096;
  void* memory = mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::byte*>(memory);
  std::memcpy(memory_, all.data(), all.size());
  mprotect(memory_, memory_bytes_, PROT_READ | PROT_EXEC);
  size_t n = 0;
  for (CompiledCode& code : codes_)
    for (CompiledSegment& segment : code) segment.code_ = reinterpret_cast<Generated>(memory_ + at[n++].second);
}

std::shared_ptr<Hot> make_hot(InstructionLevel level) {
  if (level < InstructionLevel::avx2 || !settings().enabled) return nullptr;
  return std::make_shared<Hot>(level);
}

}  // namespace funcnn::cpu::jit
