// Fourier transforms by passes over device memory (T. G. Stockham, "High-speed convolution and correlation", 1966),
// each of which gives every thread one short transform of a radix up to 13. Lengths with larger prime factors go
// through a convolution of a power of two (L. I. Bluestein, 1970).
#include "ops/fft.h"

#include <cmath>

#include "backends/gpu/fft_text.h"
#include "backends/gpu/lines.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

enum class From : uint8_t { operand, chirped, buffer, product };
enum class To : uint8_t { buffer, output, chirped };

// The radices of a transform; empty where there are other prime factors.
std::vector<int> radices_of(int64_t n) {
  std::vector<int> radices;
  for (int radix : {8, 4, 2, 3, 5, 7, 11, 13})
    for (; n % radix == 0; n /= radix) radices.push_back(radix);
  if (radices.empty()) radices.push_back(1);
  return n == 1 ? radices : std::vector<int>{};
}

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
    if (empty_) return std::make_unique<StagedLaunches>(machine_, std::move(stages_));
    if (std::vector<int> radices = radices_of(length_); !radices.empty()) {
      size_ = length_;
      rows_ = lines_.count;
      add_passes(radices, op_.inverse(), From::operand, To::output);
    } else {
      // One more row holds the chirp that all are convolved with.
      chirp_ = true;
      size_ = 1;
      while (size_ < 2 * length_ - 1) size_ *= 2;
      rows_ = lines_.count + 1;
      radices = radices_of(size_);
      add_passes(radices, false, From::chirped, To::buffer);
      add_passes(radices, true, From::product, To::chirped);
    }
    // At most two buffers take turns.
    const auto buffer = size_t(rows_ * size_) * 8;
    return std::make_unique<StagedLaunches>(machine_, std::move(stages_), buffer * (most_buffer_ + 1));
  }

 private:
  void add_passes(const std::vector<int>& radices, bool inverse, From from, To to) {
    int64_t done = 1;
    for (size_t i = 0; i < radices.size(); ++i) {
      const From source = i == 0 ? from : From::buffer;
      const To target = i + 1 == radices.size() ? to : To::buffer;
      const bool all_rows = from != From::product;
      add_pass(radices[i], done, inverse, source, target, all_rows ? rows_ : lines_.count);
      done *= radices[i];
    }
  }

  Place buffer(int which) {
    most_buffer_ = std::max(most_buffer_, which);
    return {2, int64_t(which) * rows_ * size_ * 8};
  }

  // The element k of line i0, by the statements that give `value`.
  std::string load_text(From from) const {
    const std::string chirped = "times_c64(value, chirp(k, p.length, " + sign_text(op_.inverse()) + "))";
    switch (from) {
      case From::operand:
        return operand_text();
      case From::chirped:
        return cat(
            "      c64 value = {0.0f, 0.0f};\n"
            "      if (i0 == p.lines) {\n"
            "        const i64 near = k < p.length ? k : p.size - k;\n"
            "        if (near < p.length) value = chirp(near, p.length, ",
            sign_text(!op_.inverse()), ");\n      } else if (k < p.length) {\n", operand_text("        value = "),
            "        value = ", chirped, ";\n      }\n");
      case From::buffer:
        return "      const c64 value = from[i0 * p.size + k];\n";
      case From::product:
        break;
    }
    return "      const c64 value = times_c64(from[i0 * p.size + k], from[p.lines * p.size + k]);\n";
  }
  std::string operand_text(std::string_view assign = {}) const {
    std::string given = "x[at + k * p.x_step]", out;
    if (op_.fft_kind() == FftKind::real_to_half)
      out = cat("k < p.have ? c64{", given, ", 0.0f} : c64{0.0f, 0.0f}");
    else if (op_.fft_kind() == FftKind::complex)
      out = cat("k < p.have ? ", given, " : c64{0.0f, 0.0f}");
    else
      out = cat("mirrored(k < p.have ? ", given,
                " : conj(x[at + (p.length - k) * p.x_step]), k == 0 || 2 * k == p.length)");
    return assign.empty() ? cat("      const c64 value = ", out, ";\n") : cat(assign, out, ";\n");
  }
  // What becomes of `value`, element k of line i0.
  std::string store_text(To to) const {
    if (to == To::buffer) return "      to[i0 * p.size + k] = value;\n";
    std::string value =
        to == To::chirped ? "times_c64(value, chirp(k, p.length, " + sign_text(op_.inverse()) + "))" : "value";
    std::string place = inner_ == 1 ? "i0 * p.give + k" : "(i0 / p.inner * p.give + k) * p.inner + i0 % p.inner";
    return cat(
        "      if (k < p.give) out[", place, "] = ",
        op_.fft_kind() == FftKind::half_to_real ? cat(value, ".re * p.scale") : cat("scaled(", value, ", p.scale)"),
        ";\n");
  }

  void add_pass(int radix, int64_t done, bool inverse, From from, To to, int64_t rows) {
    KernelText text(machine_.traits(), "fft", Nest::kThreads);
    text.use(Section::complex);
    std::vector<Place> places;
    const bool operand = from == From::operand || from == From::chirped;
    if (operand) {
      declare_read(text, in_, type_name(in_.dtype), "x");
      places.push_back({0, 0});
    } else {
      text.read("c64", "from");
      places.push_back(buffer(current_));
    }
    if (to == To::buffer) {
      if (!operand) current_ = 1 - current_;
      text.write("c64", "to");
      places.push_back(buffer(current_));
    } else {
      text.write(op_.fft_kind() == FftKind::half_to_real ? "f32" : "c64", "out");
      places.push_back({1, 0});
    }
    Nest nest({rows, size_ / radix}, true);
    Numbers numbers(true);
    numbers.add(text, nest);
    numbers.add(text, "size", size_);
    numbers.add(text, "length", length_);
    numbers.add(text, "lines", lines_.count);
    numbers.add(text, "done", done);
    if (operand) {
      numbers.add(text, "have", in_.shape[size_t(op_.axis())]);
      lines_.declare(text, numbers, "x");
    }
    std::vector<std::byte> values = numbers.bytes();
    if (to != To::buffer) {
      numbers.add(text, "give", give_);
      if (inner_ != 1) numbers.add(text, "inner", inner_);
      text.value("f32", "scale");
      // The inverse of the convolution's transform is scaled here as well.
      const auto scale = float(chirp_ ? op_.scale() / double(size_) : op_.scale());
      values = numbers.bytes();
      const auto* bytes = reinterpret_cast<const std::byte*>(&scale);
      values.insert(values.end(), bytes, bytes + sizeof(scale));
    }
    text.before(fft_functions());
    std::string body;
    if (operand) {
      // The extra row has no place in the operand.
      body += "    const i64 line = i0 < p.lines ? i0 : 0;\n" + lines_.offset_text("i64", "at", "line", "x");
    }
    body +=
        cat("    const i64 q = i1 % p.done, block = i1 / p.done;\n    c64 v[", radix,
            "];\n    UNROLL for (u32 j = 0; j < ", radix, "; ++j) {\n      const i64 k = i1 + j * (p.size / ", radix,
            ");\n", load_text(from), "      v[j] = value;\n    }\n", dft_text(radix, inverse),
            "    UNROLL for (u32 j = 0; j < ", radix, "; ++j) {\n      const i64 k = q + p.done * (", radix,
            " * block + j);\n      const c64 value = times_c64(v[j], root((u64)(block * j), (u64)(p.size / p.done), ",
            sign_text(inverse), "));\n", store_text(to), "    }\n");
    text.body(nest.around(body));
    const size_t read_only = places.size() - 1;
    stages_.push_back(stage_of(machine_, text, nest.groups(), nest.threads(), std::move(places), read_only, values));
  }
  static std::string sign_text(bool inverse) { return inverse ? "1.0f" : "-1.0f"; }

  Machine& machine_;
  const Fft& op_;
  Layout in_;
  Lines lines_;
  int64_t length_, give_, inner_ = 1, size_ = 0, rows_ = 0;
  int current_ = 0, most_buffer_ = -1;
  bool empty_ = false, chirp_ = false;
  std::vector<Stage> stages_;
};

std::unique_ptr<Kernel> make_fft(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                 const KernelProgram*) {
  return FftMaker(machine, static_cast<const Fft&>(primitive), in[0], out[0]).make();
}

const RegisterKernel registered("fft", make_fft);

}  // namespace
}  // namespace funcnn::gpu
