// Walsh-Hadamard transforms: stretches of a power of two in shared memory, what is longer by passes over device memory
// in which each thread transforms up to 16 numbers, and the matrices of order 12, 20 and 28 likewise.
#include "ops/hadamard.h"

#include <algorithm>

#include "backends/gpu/lines.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr uint32_t kThreads = 256;
constexpr int64_t kBlock = 2048;  // numbers in shared memory

class HadamardMaker {
 public:
  HadamardMaker(Machine& machine, const Hadamard& op, const Layout& in, const Layout& out)
      : machine_(machine),
        op_(op),
        in_(in),
        lines_(in, in.shape.size() - 1),
        count_(element_count(out.shape)),
        type_(register_type(in.dtype)) {}

  std::unique_ptr<Kernel> make() {
    if (count_ == 0) return std::make_unique<StagedLaunches>(machine_, std::move(stages_));
    const int64_t power = lines_.length / op_.odd(), stretch = std::min(power, kBlock);
    std::vector<std::pair<int, int64_t>> passes;  // how many numbers, how far apart
    for (int64_t apart = stretch; apart < power;) {
      const auto radix = int(std::min<int64_t>(16, power / apart));
      passes.emplace_back(radix, apart);
      apart *= radix;
    }
    if (op_.odd() > 1) passes.emplace_back(op_.odd(), power);
    // A line of a few numbers alone needs no shared memory.
    const bool blocks = stretch > 1 || passes.empty();
    if (blocks) add_blocks(stretch, passes.empty());
    for (size_t i = 0; i < passes.size(); ++i)
      add_pass(passes[i].first, passes[i].second, i == 0 && !blocks, i + 1 == passes.size());
    const bool scratch = stages_.size() > 1;
    return std::make_unique<StagedLaunches>(machine_, std::move(stages_),
                                            scratch ? size_t(count_) * (type_ == "f64" ? 8 : 4) : 0);
  }

 private:
  // The operands of a stage: from the input or the scratch memory, to the output or the scratch memory in place.
  void declare(KernelText& text, Numbers& numbers, bool first, bool last) {
    places_.clear();
    if (first) {
      declare_read(text, in_, type_name(in_.dtype), "x");
      places_.push_back({0, 0});
    } else if (last) {
      text.read(type_, "data");
      places_.push_back({2, 0});
    }
    read_only_ = places_.size();
    if (last) {
      text.write(type_name(in_.dtype), "out");
      places_.push_back({1, 0});
    } else {
      text.write(type_, "data");
      places_.push_back({2, 0});
    }
    numbers.add(text, "count", count_);
    numbers.add(text, "length", lines_.length);
    if (first) lines_.declare(text, numbers, "x");
  }
  // Statements that declare `value`, element number `i`; and that put `value` there.
  std::string load_text(bool first) const {
    if (!first) return cat("    const ", type_, " value = data[i];\n");
    return cat("    const i64 line = i / p.length, k = i % p.length;\n", lines_.offset_text("i64", "at", "line", "x"),
               "    const ", type_, " value = load(x[at + k * p.x_step]);\n");
  }
  std::string store_text(bool last) const {
    return last ? (type_ == "f64" ? "    store(out, i, value * bits<f64>(p.scale));\n"
                                  : "    store(out, i, value * p.scale);\n")
                : "    data[i] = value;\n";
  }
  void finish(KernelText& text, const Numbers& numbers, std::string body, uint32_t groups, bool last) {
    std::vector<std::byte> values = numbers.bytes();
    if (last) {
      // Values are of float32 at most: a wider scale comes as its bits.
      const bool wide = type_ == "f64";
      const auto narrow = float(op_.scale());
      const double scale = op_.scale();
      text.value(wide ? "i64" : "f32", "scale");
      const auto* bytes =
          wide ? reinterpret_cast<const std::byte*>(&scale) : reinterpret_cast<const std::byte*>(&narrow);
      values.insert(values.end(), bytes, bytes + (wide ? sizeof(scale) : sizeof(narrow)));
    }
    text.body(body);
    stages_.push_back(stage_of(machine_, text, {groups}, {kThreads}, places_, read_only_, values));
  }

  void add_blocks(int64_t stretch, bool last) {
    KernelText text(machine_.traits(), "hadamard_blocks", kThreads);
    Numbers numbers(true);
    declare(text, numbers, true, last);
    numbers.add(text, "stretch", stretch);
    std::string body =
        cat("  SHARED ", type_, " block[", kBlock, "];\n  const i64 begin = (i64)group.x * ", kBlock, ";\n");
    body += cat("  for (u32 e = item.x; e < ", kBlock,
                "; e += 256) {\n    const i64 i = begin + e;\n    if (i >= p.count) break;\n", load_text(true),
                "    block[e] = value;\n  }\n  BARRIER();\n");
    body +=
        cat("  for (u32 apart = 1; apart < (u32)p.stretch; apart *= 2) {\n    for (u32 t = item.x; t < ", kBlock / 2,
            "; t += 256) {\n      const u32 i = (t & ~(apart - 1)) * 2 + (t & (apart - 1));\n"
            "      if (begin + i >= p.count) break;\n      const ",
            type_,
            " a = block[i], b = block[i + apart];\n      block[i] = a + b;\n      block[i + apart] = a - b;\n    }\n"
            "    BARRIER();\n  }\n");
    body += cat("  for (u32 e = item.x; e < ", kBlock,
                "; e += 256) {\n    const i64 i = begin + e;\n    if (i >= p.count) break;\n    const ", type_,
                " value = block[e];\n", store_text(last), "  }\n");
    finish(text, numbers, std::move(body), groups_for(count_, kBlock), last);
  }

  void add_pass(int radix, int64_t apart, bool first, bool last) {
    KernelText text(machine_.traits(), "hadamard_pass", kThreads);
    Numbers numbers(true);
    declare(text, numbers, first, last);
    numbers.add(text, "apart", apart);
    const std::string loop =
        cat("  UNROLL for (u32 j = 0; j < ", radix, "; ++j) {\n    const i64 i = base + j * p.apart;\n");
    std::string body = cat("  const i64 t = (i64)group.x * 256 + item.x;\n  if (t >= p.count / ", radix,
                           ") return;\n  const i64 base = t / p.apart * p.apart * ", radix, " + t % p.apart;\n  ",
                           type_, " v[", radix, "];\n", loop, load_text(first), "    v[j] = value;\n  }\n");
    if (radix == op_.odd()) {
      // Bit j of a row is set where the matrix has -1 in its place.
      text.before(signs_text());
      body += cat(loop, "    ", type_, " value = 0;\n    UNROLL for (u32 k = 0; k < ", radix,
                  "; ++k) value += signs[j] >> k & 1u ? -v[k] : v[k];\n", store_text(last), "  }\n");
    } else {
      body +=
          cat("  UNROLL for (u32 half_of = 1; half_of < ", radix, "; half_of *= 2) {\n    UNROLL for (u32 j = 0; j < ",
              radix, "; ++j) {\n      if (j & half_of) continue;\n      const ", type_,
              " a = v[j], b = v[j + half_of];\n      v[j] = a + b;\n      v[j + half_of] = a - b;\n    }\n  }\n", loop,
              "    const ", type_, " value = v[j];\n", store_text(last), "  }\n");
    }
    finish(text, numbers, std::move(body), groups_for(count_ / radix, kThreads), last);
  }

  std::string signs_text() const {
    const int m = op_.odd();
    std::string out = cat("CONSTANT u32 signs[", m, "] = {");
    for (int i = 0; i < m; ++i) {
      uint32_t row = 0;
      for (int j = 0; j < m; ++j)
        row |= (hadamard_signs(m, op_.transposed() ? j : i) >> (op_.transposed() ? i : j) & 1) << j;
      out += cat(i ? ", " : "", row, "u");
    }
    return out + "};\n";
  }

  Machine& machine_;
  const Hadamard& op_;
  Layout in_;
  Lines lines_;
  int64_t count_;
  std::string type_;
  std::vector<Stage> stages_;
  std::vector<Place> places_;
  size_t read_only_ = 0;
};

std::unique_ptr<Kernel> make_hadamard(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                      const KernelProgram*) {
  return HadamardMaker(machine, static_cast<const Hadamard&>(primitive), in[0], out[0]).make();
}

const RegisterKernel registered("hadamard_transform", make_hadamard);

}  // namespace
}  // namespace funcnn::gpu
