// Random words and numbers, bit by bit those of the CPU: word j of the first half and its partner of the second come
// from one hash; of an odd number of words the one in the middle comes from a hash with 0.
#include "backends/gpu/nest.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// Draws words for each key; thread (key, j) hashes pair j. `emit` is the body of a function that stores `word`, number
// k (i64) of key number `key` (i64).
class Draw {
 public:
  Draw(Machine& machine, std::string_view name, const Layout& keys, int64_t words)
      : machine_(machine), keys_(keys), text_(machine.traits(), name, Nest::kThreads), words_(words) {
    lengths_ = Shape(keys.shape.begin(), keys.shape.end() - 1);
    strides_ = Strides(keys.strides.begin(), keys.strides.end() - 1);
    merge_axes(lengths_, {&strides_});
    text_.use(Section::threefry);
    declare_read(text_, keys, "u32", "keys");
  }
  KernelText& text() { return text_; }

  std::unique_ptr<Kernel> make(std::vector<Place> places, size_t read_only, int64_t each, std::string_view emit) {
    std::vector<Stage> stages;
    if (words_ > 0 && element_count(lengths_) > 0) {
      const size_t batch = lengths_.size();
      Shape lengths = lengths_;
      lengths.push_back((words_ + 1) / 2);
      Nest nest(lengths, true);
      Numbers numbers(true);
      numbers.add(text_, nest);
      numbers.add(text_, "words", words_);
      numbers.add(text_, "each", each);
      numbers.add(text_, "key_step", keys_.strides.back());
      for (size_t d = 0; d < batch; ++d) numbers.add(text_, cat("keys", d), strides_[d]);
      std::string key = batch ? "i0" : "0";
      for (size_t d = 1; d < batch; ++d) key = cat("(", key, ") * p.n", d, " + i", d);
      text_.body(
          nest.around(cat("    const i64 key = ", key, ", at = ", offset_text("keys", 0, batch), ", j = i", batch,
                          ", half_of = (p.words + 1) / 2;\n"
                          "    const bool alone = p.words % 2 != 0 && j == half_of - 1;\n"
                          "    const uint2 pair = threefry(keys[at], keys[at + p.key_step], (u32)j,\n"
                          "                                alone ? 0u : (u32)(j + half_of));\n"
                          "    for (u32 side = 0; side < (alone ? 1u : 2u); ++side) {\n"
                          "      const u32 word = side ? pair.y : pair.x;\n"
                          "      const i64 k = side ? j + half_of : j;\n",
                          emit, "    }\n")));
      stages.push_back(
          stage_of(machine_, text_, nest.groups(), nest.threads(), std::move(places), read_only, numbers.bytes()));
    }
    return std::make_unique<StagedLaunches>(machine_, std::move(stages));
  }

 private:
  Machine& machine_;
  Layout keys_;
  KernelText text_;
  Shape lengths_;
  Strides strides_;
  int64_t words_;
};

int64_t drawn_of_each(const Layout& keys, const Layout& out) {
  int64_t count = 1;
  for (size_t d = 0; d + 1 < keys.shape.size(); ++d) count *= keys.shape[d];
  return count ? element_count(out.shape) / count : 0;
}

std::unique_ptr<Kernel> make_bits(Machine& machine, const Primitive&, Layouts in, Layouts out, const KernelProgram*) {
  const auto width = int64_t(item_size(out[0].dtype));
  const int64_t each = drawn_of_each(in[0], out[0]), words = (each * width + 3) / 4;
  Draw draw(machine, "random_bits", in[0], words);
  draw.text().write(unit_type(size_t(width)), "out");
  std::string emit = width == 4
                         ? std::string("      out[key * p.each + k] = word;\n")
                         : cat("      for (u32 part = 0; part < ", 4 / width, "; ++part) {\n        const i64 i = k * ",
                               4 / width, " + part;\n        if (i < p.each) out[key * p.each + i] = (",
                               unit_type(size_t(width)), ")(word >> (part * ", 8 * width, "));\n      }\n");
  return draw.make({{0, 0}, {1, 0}}, 1, each, emit);
}

// The fraction of a word rounded to the dtype, below 1, scaled with the roundings of the CPU.
std::unique_ptr<Kernel> make_uniform(Machine& machine, const Primitive&, Layouts in, Layouts out,
                                     const KernelProgram*) {
  const int64_t each = drawn_of_each(in[0], out[0]);
  const Dtype dtype = out[0].dtype;
  const std::string type(type_name(dtype));
  const bool bounded = in.size() == 3;
  Draw draw(machine, "random_uniform", in[0], each);
  std::vector<Place> places{{0, 0}};
  if (bounded) {
    draw.text().read_one(type, "low").read_one(type, "range");
    places.push_back({1, 0});
    places.push_back({2, 0});
  }
  draw.text().write(type, "out");
  places.push_back({int(in.size()), 0});
  auto rounded = [&](const std::string& x) { return dtype == Dtype::float32 ? x : cat("load(", type, "(", x, "))"); };
  const std::string_view below = dtype == Dtype::float32   ? "0.999999940395355224609375f"
                                 : dtype == Dtype::float16 ? "0.99951171875f"
                                                           : "0.99609375f";
  std::string emit = cat("      f32 u = ", rounded("(f32)word * 2.3283064365386962890625e-10f"), ";\n      u = u < ",
                         below, " ? u : ", below, ";\n");
  if (bounded) emit += cat("      u = ", rounded("load(range[0]) * u"), " + load(low[0]);\n");
  emit += "      store(out, key * p.each + k, u);\n";
  return draw.make(places, places.size() - 1, each, emit);
}

std::unique_ptr<Kernel> make_fold_in(Machine& machine, const Primitive&, Layouts in, Layouts out,
                                     const KernelProgram*) {
  std::vector<Stage> stages;
  if (element_count(out[0].shape) > 0) {
    Shape lengths = in[1].shape;
    Strides keys(in[0].strides.begin(), in[0].strides.end() - 1), data = in[1].strides;
    merge_axes(lengths, {&keys, &data});
    Nest nest(lengths, true);
    KernelText text(machine.traits(), "random_fold_in", Nest::kThreads);
    declare_read(text, in[0], "u32", "keys");
    declare_read(text, in[1], "u32", "data");
    text.write("u32", "out").use(Section::threefry);
    Numbers numbers(true);
    numbers.add(text, nest);
    numbers.add(text, "key_step", in[0].strides.back());
    for (size_t d = 0; d < lengths.size(); ++d) {
      numbers.add(text, cat("keys", d), keys[d]);
      numbers.add(text, cat("data", d), data[d]);
    }
    // Draws count from 0 below 2^31 in the first half of the counter.
    text.body(nest.around(cat("    const i64 at = ", offset_text("keys", 0, lengths.size()), ", to = ", nest.flat(),
                              ";\n    const uint2 pair = threefry(keys[at], keys[at + p.key_step], 0xffffffffu, data[",
                              offset_text("data", 0, lengths.size()),
                              "]);\n    out[to * 2] = pair.x;\n    out[to * 2 + 1] = pair.y;\n")));
    stages.push_back(
        stage_of(machine, text, nest.groups(), nest.threads(), {{0, 0}, {1, 0}, {2, 0}}, 2, numbers.bytes()));
  }
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

const RegisterKernel bits_registered("random_bits", make_bits);
const RegisterKernel uniform_registered("random_uniform", make_uniform);
const RegisterKernel fold_in_registered("random_fold_in", make_fold_in);

}  // namespace
}  // namespace funcnn::gpu
