// Fourier transforms by passes over device memory, in each of which a group transforms columns of up to some thousand
// elements in shared memory (T. G. Stockham, "High-speed convolution and correlation", 1966; D. H. Bailey, "FFTs in
// external or hierarchical memory", 1990). Lengths with prime factors beyond 13 go through a convolution of a power of
// two (L. I. Bluestein, 1970).
#include "ops/fft.h"

#include <algorithm>
#include <bit>

#include "backends/gpu/fft_pass.h"
#include "backends/gpu/fft_text.h"
#include "backends/gpu/lines.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

enum class From : uint8_t { operand, chirped, chirp, buffer, product };
enum class To : uint8_t { buffer, output, chirped };

class FftMaker {
 public:
  FftMaker(Machine& machine, const Fft& op, const Layout& in, const Layout& out)
      : machine_(machine),
        op_(op),
        in_(in),
        lines_(in, size_t(op.axis())),
        length_(op.length()),
        give_(out.shape[size_t(op.axis())]) {
    for (size_t d = size_t(op.axis()) + 1; d < out.shape.size(); ++d) inner_ *= out.shape[d];
    empty_ = element_count(out.shape) == 0;
  }

  std::unique_ptr<Kernel> make() {
    if (empty_) return nothing(machine_);
    size_ = length_;
    pair_up();
    if (auto passes = fft_passes(machine_.traits(), size_); !passes.empty()) {
      choose_index();
      add_passes(passes, op_.inverse(), From::operand, To::output);
    } else {
      chirp_ = true;
      size_ = int64_t(std::bit_ceil(uint64_t(2 * length_ - 1)));
      choose_index();
      passes = fft_passes(machine_.traits(), size_);
      add_passes(passes, false, From::chirp, To::buffer);
      add_passes(passes, false, From::chirped, To::buffer);
      add_passes(passes, true, From::product, To::chirped);
    }
    return std::make_unique<StagedLaunches>(machine_, std::move(stages_), scratch_);
  }

 private:
  // Real lines of even length are half as long in pairs. Where it takes several passes, another one over memory, from
  // the spectrum of pairs to that of the line, would cost what that saves; the other way it comes with the first.
  void pair_up() {
    if (op_.fft_kind() == FftKind::complex || length_ % 2 != 0) return;
    const size_t passes = fft_passes(machine_.traits(), length_ / 2).size();
    pairs_ = passes == 1 || (passes > 1 && op_.fft_kind() == FftKind::half_to_real);
    if (pairs_) size_ = length_ / 2;
  }

  void choose_index() { wide_ = needs_wide(in_) || lines_.count * std::max(size_, give_) >= int64_t(1) << 30; }

  void add_passes(const std::vector<std::vector<int>>& passes, bool inverse, From from, To to) {
    // The transform of the chirp has buffers of its own.
    const int64_t lines = from == From::chirp ? 1 : lines_.count, inner = from == From::chirp ? 1 : inner_;
    const int64_t buffers = from == From::chirp ? 2 * lines_.count * size_ * 8 : 0;
    int64_t done = 1;
    for (size_t i = 0; i < passes.size(); ++i) {
      const From source = i == 0 ? from : From::buffer;
      const To target = i + 1 == passes.size() ? to : To::buffer;
      int64_t radix = 1;
      for (int r : passes[i]) radix *= r;
      const int64_t beside = size_ / radix;  // columns of a line
      const bool operand = source == From::operand || source == From::chirped;
      const bool load_across = !operand ? inner * beside >= 4 : inner == 1 ? beside > 1 : lines_.step != 1;
      const FftPass pass(machine_.traits(), passes[i], size_, done, lines * beside, inverse, load_across,
                         inner * done >= 4, pairs_ && op_.fft_kind() == FftKind::real_to_half);
      add_pass(pass, beside, inner, lines * beside, buffers, lines * size_ * 8, source, target);
      done *= radix;
    }
    if (from == From::chirp) spectrum_ = current_;
  }

  std::string chirp_text(std::string_view at, bool inverse) const {
    return cat("chirp(", at, ", ", length_, ", ", sign_text(inverse), ")");
  }
  // Statements that declare `value`, element `k` of the column.
  std::string load_text(From from, int64_t inner) const {
    const std::string buffered =
        inner == 1 ? cat("from[line * ", size_, " + k]") : cat("from[(outer * ", size_, " + k) * p.inner + within]");
    switch (from) {
      case From::operand:
        return cat("      const c64 value = ", operand_text(), ";\n");
      case From::chirped:
        return cat("      c64 value = {0.0f, 0.0f};\n      if (k < ", length_, ") {\n        value = ", operand_text(),
                   ";\n        value = times_c64(value, ", chirp_text("k", op_.inverse()), ");\n      }\n");
      case From::chirp:
        return cat("      const ", index(), " near = k < ", length_, " ? k : ", size_,
                   " - k;\n      const c64 value = near < ", length_, " ? ", chirp_text("near", !op_.inverse()),
                   " : c64{0.0f, 0.0f};\n");
      case From::buffer:
        return cat("      const c64 value = ", buffered, ";\n");
      case From::product:
        break;
    }
    return cat("      const c64 value = times_c64(", buffered, ", spectrum[k]);\n");
  }
  std::string operand_text() const {
    const std::string given = "x[at + k * p.x_step]";
    if (pairs_ && op_.fft_kind() == FftKind::real_to_half)
      return "c64{x[at + 2 * k * p.x_step], x[at + (2 * k + 1) * p.x_step]}";
    if (pairs_)
      return cat("to_pairs(mirrored(", given, ", k == 0), mirrored(x[at + (", size_, " - k) * p.x_step], k == 0), ",
                 root_text("(u32)k", length_, true), ")");
    if (op_.fft_kind() == FftKind::real_to_half) return cat("k < p.have ? c64{", given, ", 0.0f} : c64{0.0f, 0.0f}");
    if (op_.fft_kind() == FftKind::complex) return cat("k < p.have ? ", given, " : c64{0.0f, 0.0f}");
    return cat("mirrored(k < p.have ? ", given, " : conj(x[at + (", length_,
               " - k) * p.x_step]), k == 0 || 2 * k == ", length_, ")");
  }
  // What becomes of `value`, element `k` of the column.
  std::string store_text(To to, int64_t inner) const {
    const auto place = [&](std::string_view length, std::string_view k = "k") {
      return inner == 1 ? cat("line * ", length, " + ", k) : cat("(outer * ", length, " + ", k, ") * p.inner + within");
    };
    if (to == To::buffer) return cat("      to[", place(std::to_string(size_)), "] = value;\n");
    if (pairs_ && op_.fft_kind() == FftKind::half_to_real)
      return cat("      out[", place("p.give", "2 * k"), "] = value.re * p.scale;\n      out[",
                 place("p.give", "(2 * k + 1)"), "] = value.im * p.scale;\n");
    const std::string value =
        to == To::chirped ? cat("times_c64(value, ", chirp_text("k", op_.inverse()), ")") : "value";
    return cat(
        "      if (k < p.give) out[", place("p.give"), "] = ",
        op_.fft_kind() == FftKind::half_to_real ? cat(value, ".re * p.scale") : cat("scaled(", value, ", p.scale)"),
        ";\n");
  }
  const char* index() const { return wide_ ? "i64" : "i32"; }
  // Statements that declare where a column is: i1 in its line, and the line. Columns are in the order of memory.
  std::string column_text(int64_t beside, int64_t inner) const {
    const std::string type = cat("      const ", index(), " ");
    if (inner == 1 && beside == 1) return cat(type, "i1 = 0, line = column;\n");
    if (inner == 1) return cat(type, "i1 = column % ", beside, ", line = column / ", beside, ";\n");
    return cat(type, "within = column % p.inner, rest = column / p.inner, i1 = rest % ", beside, ", outer = rest / ",
               beside, ";\n");
  }

  void add_pass(const FftPass& pass, int64_t beside, int64_t inner, int64_t columns, int64_t buffers,
                int64_t buffer_bytes, From from, To to) {
    KernelText text(machine_.traits(), "fft", pass.threads());
    text.use(Section::complex);
    std::vector<Place> places;
    const bool operand = from == From::operand || from == From::chirped;
    if (operand) {
      declare_read(text, in_, type_name(in_.dtype), "x");
      places.push_back({0, 0});
    } else if (from != From::chirp) {
      text.read("c64", "from");
      places.push_back({2, buffers + current_ * buffer_bytes});
    }
    if (from == From::product) {
      text.read("c64", "spectrum");
      places.push_back({2, 2 * lines_.count * size_ * 8 + spectrum_ * size_ * 8});
    }
    const size_t read_only = places.size();
    if (to == To::buffer) {
      current_ = operand || from == From::chirp ? 0 : 1 - current_;
      text.write("c64", "to");
      places.push_back({2, buffers + current_ * buffer_bytes});
      scratch_ = std::max(scratch_, size_t(buffers + (current_ + 1) * buffer_bytes));
    } else {
      text.write(op_.fft_kind() == FftKind::half_to_real ? "f32" : "c64", "out");
      places.push_back({1, 0});
    }
    Numbers numbers(wide_);
    numbers.add(text, "columns", columns);
    if (operand) {
      numbers.add(text, "have", in_.shape[size_t(op_.axis())]);
      lines_.declare(text, numbers, "x");
    }
    if (inner != 1) numbers.add(text, "inner", inner);
    std::vector<std::byte> values = numbers.bytes();
    if (to != To::buffer) {
      numbers.add(text, "give", give_);
      text.value("f32", "scale");
      // The inverse of the convolution's transform is scaled here as well.
      const auto scale = float(chirp_ ? op_.scale() / double(size_) : op_.scale());
      values = numbers.bytes();
      const auto* bytes = reinterpret_cast<const std::byte*>(&scale);
      values.insert(values.end(), bytes, bytes + sizeof(scale));
    }
    text.before(fft_functions());
    const std::string column = column_text(beside, inner);
    const std::string line = inner == 1 ? "line" : "outer * p.inner + within";
    const FftPass::End source{
        operand ? cat(column, lines_.offset_text(index(), "at", cat("(", line, ")"), "x")) : column,
        load_text(from, inner)};
    text.body(pass.body(index(), source, {column, store_text(to, inner)}));
    stages_.push_back(
        stage_of(machine_, text, {pass.groups()}, {pass.threads()}, std::move(places), read_only, values));
  }

  Machine& machine_;
  const Fft& op_;
  Layout in_;
  Lines lines_;
  int64_t length_, give_, inner_ = 1, size_ = 0;
  int64_t current_ = 0, spectrum_ = 0;  // of two buffers that take turns, the one written last
  size_t scratch_ = 0;
  bool empty_ = false, chirp_ = false, wide_ = false, pairs_ = false;
  std::vector<Stage> stages_;
};

std::unique_ptr<Kernel> make_fft(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                 const KernelProgram*) {
  return FftMaker(machine, static_cast<const Fft&>(primitive), in[0], out[0]).make();
}

const RegisterKernel registered("fft", make_fft);

}  // namespace
}  // namespace funcnn::gpu
