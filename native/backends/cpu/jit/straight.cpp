#include "backends/cpu/jit/straight.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "backends/cpu/gemm.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/jit/code_memory.h"
#include "backends/cpu/jit/functions.h"
#include "backends/cpu/jit/options.h"
#include "backends/cpu/jit/target.h"
#include "backends/cpu/program_rewrite.h"
#include "graph/primitive.h"
#include "ops/gather.h"
#include "ops/join.h"

namespace funcnn::cpu::jit {
namespace {

using Work = JointCompiler::Work;
using Piece = JointCompiler::Piece;
using Steps = std::span<const JointCompiler::Step>;

// Beyond that vectors win, and code grows long: elements of an operand, nodes, and of those what a program of more than
// few elements has.
constexpr int64_t kMostElements = 64, kFewElements = 2;
constexpr size_t kMostNodes = 1200, kMostOfProgram = 64;
// Of several steps together: those of more have little to gain.
constexpr size_t kMostOfSteps = 900;
constexpr int64_t kMostProducts = 256;
// Rows of fewer elements are summed up one by one (simd/reduce_rows.cpp).
constexpr int64_t kLeastFolded = 16;

// What there is no code for.
struct Unknown {};

class Writer {
 public:
  Writer(std::span<const char> kept, const Target& target, bool wide) : kept_(kept), wide_(wide) {
    loop_.wide = line_.wide = wide;
    loop_.straight = line_.single = true;
    line_.halves = target.halves;
  }

  void add(const Work& work) {
    if (work.primitive) {
      if (work.primitive->name() == "dot")
        dot(work);
      else if (work.primitive->name() == "concatenate")
        concatenate(work);
      else if (work.primitive->name() == "gather")
        gather(work);
      else if (work.primitive->name() == "scatter")
        scatter(work);
      else
        throw Unknown();
      // An epilogue reads the first result as its first operand, and has the others behind it.
      if (work.program) program(*work.program, std::span(work.operands).subspan(work.inputs.size()));
    } else if (work.program) {
      program(*work.program, work.operands);
    } else {
      copy(work.inputs[0], work.operands[0], work.outputs[0], work.operands[1]);
    }
    if (line_.nodes.size() > kMostNodes) throw Unknown();
  }
  // What has been computed so far goes to memory, once everything that it may lie over has been read.
  void put() {
    for (auto& [key, known] : memory_)
      if (known.written && line_.nodes[size_t(known.node)].what == Do::uniform)
        known.node = line_.make({.what = Do::bit_or, .a = known.node, .b = known.node});
    for (auto& [key, known] : memory_) {
      if (!std::exchange(known.waits, false) || !kept_[key.place]) continue;
      // What nobody sees in between is overwritten.
      auto [last, first] = stored_.try_emplace(key);
      if (!first) line_.nodes[size_t(last->second)] = {.what = Do::constant};
      last->second = line_.make({.what = known.dtype == Dtype::bool_ ? Do::mask_store : Do::store,
                                 .a = known.node,
                                 .stream = stream(key.place, known.dtype),
                                 .bits = uint64_t(key.at)});
      stores_ = true;
    }
    if (line_.nodes.size() > kMostNodes) throw Unknown();
  }
  // The step of that number is done: another follows only if this is true.
  void end_step(size_t number, const std::optional<Piece>& go_on) {
    put();
    if (line_.nodes.size() > kMostOfSteps) throw Unknown();
    if (!go_on) {
      line_.make({.what = Do::leave});
      return;
    }
    const Known* known = find({go_on->place, go_on->offset}, Dtype::bool_);
    if (!known || !known->written || !makes_mask(line_.nodes[size_t(known->node)].what)) throw Unknown();
    line_.make({.what = Do::leave, .a = known->node, .bits = number});
    stored_.clear();
  }
  Loop finish() {
    put();
    if (!stores_) throw Unknown();
    loop_.stages.emplace_back();
    loop_.stages.back().line = std::move(line_);
    return std::move(loop_);
  }
  const std::vector<size_t>& places() const { return places_; }  // of streams

 private:
  struct Key {
    size_t place;
    int64_t at;
    auto operator<=>(const Key&) const = default;
  };
  struct Known {
    Dtype dtype;
    int node;
    bool written, waits;  // waits: to be put there
  };

  // ---- memory

  int stream(size_t place, Dtype dtype) {
    for (size_t s = 0; s < places_.size(); ++s)
      if (places_[s] == place && loop_.streams[s].memory == dtype) return int(s);
    if (places_.size() == size_t(kMostStreams)) throw Unknown();
    places_.push_back(place);
    loop_.streams.push_back({Walk::scalar, dtype, false, false});
    return int(places_.size()) - 1;
  }
  bool fits(Dtype d) const {
    return d == Dtype::bool_ || (d != Dtype::complex64 && int64_t(item_size(d)) == (wide_ ? 8 : 4));
  }
  // What is known of this memory. Nothing is known by parts.
  Known* find(Key key, Dtype dtype) {
    if (!fits(dtype)) throw Unknown();
    const auto bytes = int64_t(item_size(dtype));
    auto it = memory_.lower_bound({key.place, key.at - 7});
    for (; it != memory_.end() && it->first.place == key.place && it->first.at < key.at + bytes; ++it) {
      if (it->first.at + int64_t(item_size(it->second.dtype)) <= key.at) continue;
      if (it->first.at != key.at || it->second.dtype != dtype) throw Unknown();
      return &it->second;
    }
    return nullptr;
  }
  int load(const Piece& piece, int64_t element, Dtype dtype) {
    const Key key{piece.place, piece.offset + element * int64_t(item_size(dtype))};
    if (const Known* known = find(key, dtype)) return known->node;
    if (!kept_[piece.place] || key.at != int32_t(key.at)) throw Unknown();
    const Do what = dtype == Dtype::bool_ ? Do::mask_of_load : Do::uniform;
    const int node = line_.make({.what = what, .stream = stream(piece.place, dtype), .bits = uint64_t(key.at)});
    memory_[key] = {dtype, node, false, false};
    return node;
  }
  void store(const Piece& piece, int64_t element, Dtype dtype, int node) {
    const Key key{piece.place, piece.offset + element * int64_t(item_size(dtype))};
    if (node < 0 || key.at != int32_t(key.at)) throw Unknown();
    find(key, dtype);
    memory_[key] = {dtype, node, true, true};
  }

  // ---- kernels

  static int64_t count(const Shape& shape) {
    const int64_t n = element_count(shape);
    if (n > kMostElements) throw Unknown();
    return n;
  }
  // Where element `i` of all, in row-major order, lies.
  static int64_t place_of(const Shape& shape, const Strides& strides, int64_t i) {
    int64_t at = 0;
    for (size_t d = shape.size(); d-- > 0; i /= shape[d]) at += i % shape[d] * strides[d];
    return at;
  }

  void copy(const Layout& from, const Piece& source, const Layout& to, const Piece& target) {
    std::vector<int> nodes;
    for (int64_t i = 0, n = count(from.shape); i < n; ++i)
      nodes.push_back(load(source, place_of(from.shape, from.strides, i), from.dtype));
    for (size_t i = 0; i < nodes.size(); ++i)
      store(target, place_of(to.shape, to.strides, int64_t(i)), to.dtype, nodes[i]);
  }

  void concatenate(const Work& work) {
    const Layout& out = work.outputs[0];
    count(out.shape);
    const auto axis = size_t(static_cast<const Concatenate&>(*work.primitive).axis());
    Piece to = work.operands.back();
    for (size_t k = 0; k < work.inputs.size(); ++k) {
      const Layout& in = work.inputs[k];
      copy(in, work.operands[k], {in.shape, in.dtype, out.strides}, to);
      to.offset += in.shape[axis] * out.strides[axis] * int64_t(item_size(out.dtype));
    }
  }

  // The axis that the one index is about.
  static size_t indexed_axis(const IndexedAxes& axes) {
    if (axes.indexed.size() != 1 || !axes.x_batch.empty()) throw Unknown();
    return size_t(axes.indexed[0]);
  }
  // The number of a row that one index of one axis means, from 0 on where there is such a row.
  int row_number(const Work& work, size_t input, int64_t rows) {
    const Layout& index = work.inputs[input];
    if (element_count(index.shape) != 1 || index.dtype != Dtype::int32 || rows != int32_t(rows)) throw Unknown();
    const int i = load(work.operands[input], 0, Dtype::int32);
    const int from_end = line_.make({.what = Do::int_add, .a = i, .b = number(rows, Dtype::int32)});
    const int negative = line_.make({.what = Do::int_less, .a = i, .b = number(0, Dtype::int32)});
    return line_.make({.what = Do::select, .a = negative, .b = from_end, .c = i});
  }
  void gather(const Work& work) {
    const Layout &x = work.inputs[0], &out = work.outputs[0];
    const Dtype dtype = x.dtype;
    const int64_t n = count(out.shape);
    if (wide_ || dtype == Dtype::bool_ || !fits(dtype) || element_count(x.shape) == 0 || n == 0) throw Unknown();
    const size_t axis = indexed_axis(static_cast<const Gather&>(*work.primitive).axes());
    const int64_t rows = x.shape[axis], step = x.strides[axis];
    const int row = row_number(work, 1, rows);
    if (step < 0 || rows * step != int32_t(rows * step)) throw Unknown();
    const int zero = number(0, Dtype::int32);
    const int below = line_.make({.what = Do::int_less, .a = row, .b = zero});
    const int within = line_.make({.what = Do::int_less, .a = row, .b = number(rows, Dtype::int32)});
    const int not_below = line_.make({.what = Do::mask_not, .a = below});
    const int inside = line_.make({.what = Do::mask_and, .a = within, .b = not_below});
    const int safe = line_.make({.what = Do::select, .a = inside, .b = row, .c = zero});
    const int first = line_.make({.what = Do::int_multiply, .a = safe, .b = number(step, Dtype::int32)});
    Shape shape = x.shape;
    Strides strides = x.strides;
    shape.erase(shape.begin() + ptrdiff_t(axis));
    strides.erase(strides.begin() + ptrdiff_t(axis));
    std::vector<int> nodes;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = place_of(shape, strides, i);
      const int value = pick(work.operands[0], at, rows, step, dtype, first);
      nodes.push_back(line_.make({.what = Do::select, .a = inside, .b = value, .c = zero}));
    }
    for (int64_t i = 0; i < n; ++i) store(work.operands.back(), i, dtype, nodes[size_t(i)]);
  }
  // Element number `first` after that one, of memory that has not been written.
  int pick(const Piece& piece, int64_t element, int64_t rows, int64_t step, Dtype dtype, int first) {
    const auto bytes = int64_t(item_size(dtype));
    const Key key{piece.place, piece.offset + element * bytes};
    for (int64_t r = 0; r < rows; ++r)
      if (const Known* known = find({key.place, key.at + r * step * bytes}, dtype); known && known->written)
        throw Unknown();
    if (!kept_[piece.place] || key.at != int32_t(key.at)) throw Unknown();
    return line_.make({.what = Do::pick, .a = first, .stream = stream(piece.place, dtype), .bits = uint64_t(key.at)});
  }
  // Of few rows each is asked whether it is the one.
  void scatter(const Work& work) {
    const auto& op = static_cast<const Scatter&>(*work.primitive);
    const Layout &x = work.inputs[0], &updates = work.inputs[1], &out = work.outputs[0];
    const Dtype dtype = x.dtype;
    const int64_t n = count(out.shape);
    if (wide_ || op.mode() != ScatterMode::set || dtype == Dtype::bool_ || !fits(dtype) || updates.dtype != dtype ||
        indexed_axis(op.axes()) != 0 || n == 0)
      throw Unknown();
    const int64_t rows = x.shape[0], length = n / rows;
    if (element_count(updates.shape) != length) throw Unknown();
    const int row = row_number(work, 2, rows);
    std::vector<int> update, nodes;
    for (int64_t i = 0; i < length; ++i)
      update.push_back(load(work.operands[1], place_of(updates.shape, updates.strides, i), dtype));
    for (int64_t i = 0; i < n; ++i) {
      const int it = line_.make({.what = Do::int_equal, .a = row, .b = number(i / length, Dtype::int32)});
      const int old = load(work.operands[0], place_of(x.shape, x.strides, i), dtype);
      nodes.push_back(line_.make({.what = Do::select, .a = it, .b = update[size_t(i % length)], .c = old}));
    }
    for (int64_t i = 0; i < n; ++i) store(work.operands.back(), i, dtype, nodes[size_t(i)]);
  }

  // Sums in the order of K, which is that of the tile kernel.
  void dot(const Work& work) {
    const Layout &a = work.inputs[0], &b = work.inputs[1];
    const Dtype dtype = a.dtype;
    const bool is_float32 = dtype == Dtype::float32;
    if ((!is_float32 && dtype != Dtype::float64) || a.shape.size() != 2) throw Unknown();
    const int64_t m = a.shape[0], k = a.shape[1], n = b.shape[1];
    const int64_t panel = is_float32 ? panel_of<float>() : panel_of<double>();
    if (m * n > kMostElements || m * n * k > kMostProducts || k >= panel || k == 0) throw Unknown();
    // What is used again and again stays in a register.
    auto used = [&](int node, int64_t times) {
      const bool lazy = times > 1 && is_lazy(line_.nodes[size_t(node)].what);
      return lazy ? line_.make({.what = Do::bit_or, .a = node, .b = node}) : node;
    };
    std::vector<int> sums;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        int sum = line_.make({.what = Do::constant});
        for (int64_t t = 0; t < k; ++t) {
          const int left = used(load(work.operands[0], i * a.strides[0] + t * a.strides[1], dtype), n);
          const int right = used(load(work.operands[1], t * b.strides[0] + j * b.strides[1], dtype), m);
          sum = line_.make({.what = Do::fma, .a = left, .b = right, .c = sum});
        }
        sums.push_back(sum);
      }
    for (size_t i = 0; i < sums.size(); ++i) store(work.operands[2], int64_t(i), dtype, sums[i]);
  }
  template <class T>
  static int64_t panel_of() {
    const GemmOf<T>* products = products_of<T>();
    return products ? products->packing.panel : 0;
  }

  void program(const KernelProgram& program, std::span<const Piece> operands) {
    const Domain domain = lay_out(program, active_table());
    const int64_t rows = domain.rows, cols = domain.cols;
    if (!domain.row_loads.empty() || domain.col_reductions || rows * cols > kMostElements || rows * cols == 0 ||
        cols >= kShortRow || (domain.row_reductions && cols >= kLeastFolded))
      throw Unknown();
    const std::vector<Op> ops = rewrite(program, domain);
    std::vector<std::vector<int>> values(ops.size());
    auto space = [&](int v) { return ops[size_t(v)].in.space; };
    auto size = [&](Space s) { return s == Space::element ? rows * cols : s == Space::row ? rows : 1; };
    // The value that element `i` of a larger space sees.
    auto value = [&](int v, Space of, int64_t i) {
      const Space s = space(v);
      const int64_t at = s == of ? i : s == Space::scalar ? 0 : s == Space::row ? i / cols : -1;
      if (at < 0) throw Unknown();
      return values[size_t(v)][size_t(at)];
    };
    const size_t before = line_.nodes.size();
    for (size_t v = 0; v < ops.size(); ++v) {
      const Op& o = ops[v];
      const Instruction& in = o.in;
      if (rows * cols > kFewElements && line_.nodes.size() - before > kMostOfProgram) throw Unknown();
      if (o.dead) continue;
      const int64_t n = size(in.space);
      switch (in.kind) {
        case InstructionKind::load: {
          const Access& access = program.accesses[size_t(in.access)];
          if (access.dtype != in.dtype) throw Unknown();
          for (int64_t i = 0; i < n; ++i)
            values[v].push_back(load(operands[size_t(access.operand)],
                                     access.offset + place_of(access.shape, access.strides, i), access.dtype));
          break;
        }
        case InstructionKind::index:
          for (int64_t i = 0; i < n; ++i) values[v].push_back(number(i, in.dtype));
          break;
        case InstructionKind::compute: {
          const Dtype dtype = dtype_of_operands(program, o);
          const bool cast = in.op == Opcode::copy && o.op == int(Opcode::copy);
          const int arity = cast ? 1 : arity_of(o.op);
          if (!fits(dtype) || !fits(in.dtype) || o.op == simd::kDivideRow) throw Unknown();
          for (int64_t i = 0; i < n; ++i) {
            int args[3] = {-1, -1, -1};
            for (int k = 0; k < arity; ++k) args[k] = value(in.args[k], in.space, i);
            const int node = cast ? record_cast(line_, in.dtype, dtype, args[0])
                                  : record(line_, o.op, dtype, std::span(args, size_t(arity)));
            if (node < 0 || line_.nodes.size() > kMostNodes) throw Unknown();
            values[v].push_back(node);
          }
          break;
        }
        case InstructionKind::reduce_row:
          for (int64_t r = 0; r < rows; ++r) values[v].push_back(sum(program, o, values, r, cols));
          break;
        case InstructionKind::reduce_col:
          throw Unknown();
        case InstructionKind::store: {
          const Access& access = program.accesses[size_t(in.access)];
          if (access.dtype != program.code[size_t(in.args[0])].dtype) throw Unknown();
          for (int64_t i = 0; i < n; ++i)
            store(operands[size_t(access.operand)], access.offset + place_of(access.shape, access.strides, i),
                  access.dtype, value(in.args[0], in.space, i));
          break;
        }
      }
    }
  }
  int number(int64_t i, Dtype dtype) {
    uint64_t bits = uint64_t(i);
    if (dtype == Dtype::float32) {
      const float x = float(i);
      uint32_t word;
      std::memcpy(&word, &x, 4);
      bits = word;
    } else if (dtype == Dtype::float64) {
      const double x = double(i);
      std::memcpy(&bits, &x, 8);
    } else if (dtype == Dtype::bool_ || !fits(dtype)) {
      throw Unknown();
    }
    return line_.make({.what = Do::constant, .bits = bits});
  }
  // As simd/reduce_rows.cpp sums short rows.
  int sum(const KernelProgram& program, const Op& o, const std::vector<std::vector<int>>& values, int64_t row,
          int64_t cols) {
    const Dtype dtype = program.code[size_t(o.in.args[0])].dtype;
    if (o.in.reduce != ReduceOp::sum || !fits(dtype) || dtype == Dtype::bool_) throw Unknown();
    const std::vector<int>& x = values[size_t(o.in.args[0])];
    if (int64_t(x.size()) < (row + 1) * cols) throw Unknown();
    const bool floating = is_float(dtype);
    int acc = line_.make({.what = Do::constant});
    if (o.squares) {
      if (!floating || o.in.args[1] >= 0 || (wide_ && cols > 8)) throw Unknown();
      for (int64_t c = 0; c < cols; ++c) {
        const int d = x[size_t(row * cols + c)];
        acc = line_.make({.what = Do::fma, .a = d, .b = d, .c = acc});
      }
      return acc;
    }
    const bool from_first = cols == 2 || cols == 3 || cols == 4 || cols == 8;
    for (int64_t c = 0; c < cols; ++c) {
      const int element = x[size_t(row * cols + c)];
      acc = c == 0 && from_first ? element
                                 : line_.make({.what = floating ? Do::add : Do::int_add, .a = acc, .b = element});
    }
    return acc;
  }

  std::span<const char> kept_;
  const bool wide_;
  Loop loop_;
  Line line_;
  std::vector<size_t> places_;
  std::map<Key, Known> memory_;
  bool stores_ = false;
  std::map<Key, int> stored_;  // the node that has, since the code may have been left
};

class StraightCode final : public JointCode {
 public:
  StraightCode(CodeMemory::Function function, std::vector<size_t> places, size_t steps)
      : function_(std::move(function)), places_(std::move(places)), steps_(steps) {}
  Call fix(std::span<std::byte* const> places) const override {
    struct Bound {
      Frame frame;
      CodeMemory::Function function;
    };
    auto bound = std::make_shared<Bound>(Bound{{}, function_});
    bound->frame.rows = int64_t(steps_);
    Call work;
    work.steps = &bound->frame.rows;
    for (size_t s = 0; s < places_.size(); ++s) {
      bound->frame.stream[s] = places[places_[s]];
      work.starts.push_back({&bound->frame.stream[s], places_[s]});
    }
    work.call = function_.as<void(void*)>();
    work.with = std::move(bound);
    return work;
  }

 private:
  CodeMemory::Function function_;
  std::vector<size_t> places_;  // of streams
  size_t steps_;
};

const Target* straight_target() {
  const Target* target = target_of(active_level());
  return target && target->straight && options().on && !options().verify ? target : nullptr;
}

// The loop, and the places of its streams.
std::optional<std::pair<Loop, std::vector<size_t>>> written(std::span<const Work> works, std::span<const char> kept,
                                                            Steps steps, const Target& target) {
  for (bool wide : {false, true}) {
    try {
      Writer writer(kept, target, wide);
      size_t w = 0;
      for (size_t s = 0; s < steps.size(); ++s) {
        while (w < steps[s].end) writer.add(works[w++]);
        writer.end_step(s + 1, steps[s].go_on);
      }
      while (w < works.size()) writer.add(works[w++]);
      Loop loop = writer.finish();
      return std::pair(std::move(loop), writer.places());
    } catch (const Unknown&) {
    }
  }
  return std::nullopt;
}

}  // namespace

bool can_straighten(const Work& work) {
  const Target* target = straight_target();
  const std::vector<char> kept(work.operands.size(), 1);
  Work alone = work;
  for (size_t i = 0; i < alone.operands.size(); ++i) alone.operands[i] = {i, 0};
  return target && written({&alone, 1}, kept, {}, *target);
}

std::shared_ptr<const JointCode> straighten(std::span<const Work> works, std::span<const char> kept, Steps steps) {
  const Target* target = straight_target();
  if (!target) return nullptr;
  auto made = written(works, kept, steps, *target);
  if (!made) return nullptr;
  const std::vector<uint8_t> code = target->emit(made->first, nullptr);
  if (code.empty()) return nullptr;
  std::optional<CodeMemory::Function> function = CodeMemory::instance().add(code, "funcnn_straight");
  if (!function || !function->entry()) return nullptr;
  return std::make_shared<StraightCode>(*std::move(function), std::move(made->second), steps.size());
}

}  // namespace funcnn::cpu::jit
