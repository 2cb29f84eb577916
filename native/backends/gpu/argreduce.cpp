#include "ops/argreduce.h"

#include <algorithm>

#include "backends/gpu/keys.h"
#include "backends/gpu/lines.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// A group has items.x lines side by side and items.y threads along each; pieces of long lines go to groups of their
// own and are compared by a second launch. What comes first wins among equals.
class ArgReduceMaker {
 public:
  ArgReduceMaker(Machine& machine, const ArgReduce& op, const Layout& in)
      : machine_(machine), op_(op), in_(in), lines_(in, size_t(op.axis())) {
    wide_ = needs_wide(in);
    key_ = has_long_key(in.dtype) ? "u64" : "u32";
  }

  std::unique_ptr<Kernel> make() {
    auto power = [](int64_t n) {
      uint32_t p = 1;
      while (p < 256 && p < n) p *= 2;
      return p;
    };
    const uint32_t along = power(lines_.length);
    const uint32_t together =
        lines_.step == 1 && lines_.length >= 64 ? 1 : std::min(power(lines_.count), std::max(32u, 256 / along));
    threads_ = {together, std::min(256 / together, along), 1};
    const int64_t groups = groups_for(lines_.count, together), most = 8 * int64_t(machine_.traits().cores);
    int64_t pieces = 1;
    if (lines_.length >= 64 * int64_t(threads_.y) && groups < most)
      pieces = std::min({lines_.length / (16 * int64_t(threads_.y)), (most + groups - 1) / groups, int64_t(1024)});
    const int64_t piece = (lines_.length + pieces - 1) / pieces;
    pieces = (lines_.length + piece - 1) / piece;
    add("arg_reduce", pieces, piece);
    if (pieces > 1) {
      threads_ = {1, power(pieces), 1};
      add_second(pieces);
    }
    const int64_t word = has_long_key(in_.dtype) ? 12 : 8;
    return std::make_unique<StagedLaunches>(machine_, std::move(stages_),
                                            pieces > 1 ? size_t(pieces * lines_.count * word) : 0);
  }

 private:
  // Declares `best` and `found`, and lets the threads along a line agree on them; thread 0 of each line goes on.
  std::string shared_text() const { return cat("  SHARED ", key_, " keys[256];\n  SHARED u32 places[256];\n"); }
  std::string agreed_text() const {
    return "  const u32 mine = item.y * items.x + item.x;\n"
           "  keys[mine] = best;\n  places[mine] = found;\n  BARRIER();\n"
           "  for (u32 half_of = items.y / 2; half_of > 0; half_of /= 2) {\n"
           "    if (item.y < half_of) {\n"
           "      const u32 other = mine + half_of * items.x;\n"
           "      if (keys[other] > keys[mine] || (keys[other] == keys[mine] && places[other] < places[mine])) {\n"
           "        keys[mine] = keys[other];\n        places[mine] = places[other];\n      }\n    }\n"
           "    BARRIER();\n  }\n";
  }

  void add(std::string_view name, int64_t pieces, int64_t piece) {
    const std::string index = wide_ ? "i64" : "i32";
    KernelText text(machine_.traits(), name, 256);
    declare_read(text, in_, type_name(in_.dtype), "x");
    if (pieces > 1)
      text.write(key_, "best_of").write("u32", "found_in");
    else
      text.write("u32", "out");
    Numbers numbers(wide_);
    numbers.add(text, "lines", lines_.count);
    numbers.add(text, "length", lines_.length);
    lines_.declare(text, numbers, "x");
    if (pieces > 1) {
      numbers.add(text, "pieces", pieces);
      numbers.add(text, "piece", piece);
    }
    text.before(key_text(in_.dtype, op_.largest()));
    std::string body = shared_text();
    const std::string together = cat(" * (", index, ")items.x + (", index, ")item.x;\n");
    if (pieces > 1) {
      body += cat("  const ", index, " line = (", index, ")group.x / p.pieces", together);
      body += cat("  const ", index, " begin = (", index, ")group.x % p.pieces * p.piece;\n  const ", index,
                  " end = begin + p.piece < p.length ? begin + p.piece : p.length;\n");
    } else {
      body += cat("  const ", index, " line = (", index, ")group.x", together, "  const ", index,
                  " begin = 0, end = p.length;\n");
    }
    body += cat("  ", key_, " best = 0;\n  u32 found = ~(u32)0;\n  if (line < p.lines) {\n");
    body += lines_.offset_text(index, "at", "line", "x");
    body += cat("    for (", index, " i = begin + (", index, ")item.y; i < end; i += (", index,
                ")items.y) {\n      const ", key_,
                " key = key_of(x[at + i * p.x_step]);\n      if (key > best || found == ~(u32)0) {\n"
                "        best = key;\n        found = (u32)i;\n      }\n    }\n  }\n");
    body += agreed_text();
    body += "  if (item.y == 0 && line < p.lines) {\n";
    if (pieces > 1)
      body += cat("    const ", index, " to = line * p.pieces + (", index,
                  ")group.x % p.pieces;\n    best_of[to] = keys[mine];\n    found_in[to] = places[mine];\n");
    else
      body += "    out[line] = places[mine];\n";
    text.body(body + "  }\n");
    std::vector<Place> places{{0, 0}};
    if (pieces > 1) {
      places.push_back({2, 0});
      places.push_back({2, found_at(pieces)});
    } else {
      places.push_back({1, 0});
    }
    stages_.push_back(stage_of(machine_, text, {uint32_t(groups_for(lines_.count, threads_.x) * pieces)}, threads_,
                               places, 1, numbers.bytes()));
  }

  int64_t found_at(int64_t pieces) const { return pieces * lines_.count * (has_long_key(in_.dtype) ? 8 : 4); }

  void add_second(int64_t pieces) {
    KernelText text(machine_.traits(), "arg_reduce_pieces", 256);
    text.read(key_, "best_of").read("u32", "found_in").write("u32", "out").value("u32", "pieces");
    std::string body = shared_text();
    body += cat(
        "  ", key_,
        " best = 0;\n  u32 found = ~(u32)0;\n"
        "  for (u32 i = item.y; i < p.pieces; i += items.y) {\n"
        "    const u64 from = (u64)group.x * p.pieces + i;\n    const ",
        key_,
        " key = best_of[from];\n"
        "    if (key > best || found == ~(u32)0) {\n      best = key;\n      found = found_in[from];\n    }\n  }\n");
    body += agreed_text();
    text.body(body + "  if (item.y == 0) out[group.x] = places[mine];\n");
    stages_.push_back(stage_of(machine_, text, {uint32_t(lines_.count)}, threads_,
                               {{2, 0}, {2, found_at(pieces)}, {1, 0}}, 2, Values().add(uint32_t(pieces)).bytes()));
  }

  Machine& machine_;
  const ArgReduce& op_;
  Layout in_;
  Lines lines_;
  bool wide_ = false;
  std::string_view key_;
  Size3 threads_;
  std::vector<Stage> stages_;
};

std::unique_ptr<Kernel> make_arg_reduce(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts,
                                        const KernelProgram*) {
  return ArgReduceMaker(machine, static_cast<const ArgReduce&>(primitive), inputs[0]).make();
}

const RegisterKernel argmax_registered("argmax", make_arg_reduce);
const RegisterKernel argmin_registered("argmin", make_arg_reduce);

}  // namespace
}  // namespace funcnn::gpu
