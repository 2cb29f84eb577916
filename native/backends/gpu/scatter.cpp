#include <algorithm>
#include <numeric>

#include "backends/gpu/ordered.h"
#include "backends/gpu/positions.h"
#include "backends/gpu/program.h"
#include "base/error.h"
#include "ops/gather.h"

namespace funcnn::gpu {
namespace {

// Updates that may meet at one place and are few look for each other; more are ordered by place first.
constexpr int64_t kFew = 64;

// `into` with `value` combined into it.
std::string_view combined_text(ScatterMode mode) {
  switch (mode) {
    case ScatterMode::set:
      return "value";
    case ScatterMode::add:
      return "plus(into, value)";
    case ScatterMode::multiply:
      return "times(into, value)";
    case ScatterMode::maximum:
      return "larger(into, value)";
    case ScatterMode::minimum:
      break;
  }
  return "smaller(into, value)";
}

// One thread combines all updates of one element, in their order: no result depends on chance.
class ScatterMaker {
 public:
  ScatterMaker(Machine& machine, const Scatter& op, Layouts inputs, const Layout& out)
      : machine_(machine),
        mode_(op.mode()),
        inputs_(inputs),
        out_(out),
        whole_(op.axes().whole(out.shape.size())),
        common_(inputs[1].shape.begin(), inputs[1].shape.end() - ptrdiff_t(whole_.size())),
        along_(inputs[1].strides.begin(), inputs[1].strides.begin() + ptrdiff_t(common_.size())),
        wide_(std::any_of(inputs.begin(), inputs.end(), needs_wide) || needs_wide(out)),
        positions_(out, inputs.subspan(2), op.axes(), common_, &along_, wide_) {
    for (size_t k = 0; k < whole_.size(); ++k) {
      rest_.push_back(out.shape[size_t(whole_[k])]);
      to_.push_back(out.strides[size_t(whole_[k])]);
      from_.push_back(inputs[1].strides[common_.size() + k]);
    }
    merge_axes(rest_, {&to_, &from_});
    for (const Axes& axes : {op.axes().indexed, op.axes().x_batch})
      for (int axis : axes) apart_ = std::gcd(apart_, out.shape[size_t(axis)] > 1 ? out.strides[size_t(axis)] : 0);
    apart_ = std::max<int64_t>(apart_, 1);
    // Leading axes that go along with axes of the output keep their updates apart.
    meeting_ = positions_.count();
    for (size_t d = 0; d < common_.size(); ++d) {
      const Axes& batch = op.axes().index_batch;
      auto it = std::find(batch.begin(), batch.end(), int(d));
      if (it == batch.end() || out.shape[size_t(op.axes().x_batch[size_t(it - batch.begin())])] != common_[d]) break;
      meeting_ /= std::max<int64_t>(common_[d], 1);
    }
    // Setting only moves bits.
    type_ = mode_ == ScatterMode::set ? unit_type(item_size(out.dtype)) : type_name(out.dtype);
    register_ = mode_ == ScatterMode::set ? type_ : register_type(out.dtype);
    index_ = wide_ ? "i64" : "i32";
  }

  // Whether words of a place and an update's number hold all of either.
  bool possible() const {
    return meeting_ <= kFew ||
           (positions_.count() < UINT32_MAX && element_count(out_.shape) / apart_ < int64_t(UINT32_MAX));
  }

  std::unique_ptr<StagedLaunches> make() {
    if (meeting_ <= kFew) {
      few();
    } else {
      order();
      mode_ == ScatterMode::set ? set_last() : combine_chunks();
    }
    return std::make_unique<StagedLaunches>(machine_, std::move(stages_), size_t(scratch_));
  }

 private:
  int updates_operand() const { return 1; }
  int out_operand() const { return int(inputs_.size()); }
  int scratch_operand() const { return int(inputs_.size()) + 1; }

  KernelText text_of(std::string_view name) const {
    KernelText text(machine_.traits(), name, Nest::kThreads);
    if (out_.dtype == Dtype::complex64 && mode_ != ScatterMode::set) text.use(Section::complex);
    return text;
  }
  std::vector<Place> index_places(std::vector<Place> before) const {
    for (size_t k = 2; k < inputs_.size(); ++k) before.push_back({int(k), 0});
    return before;
  }
  Nest nest_over(int64_t count) const {
    Shape lengths{count};
    for (int64_t length : rest_) lengths.push_back(length);
    return Nest(lengths, wide_);
  }
  void declare_rest(KernelText& text, Numbers& numbers) const {
    for (size_t d = 0; d < rest_.size(); ++d) numbers.add(text, cat("to", d), to_[d]);
    for (size_t d = 0; d < rest_.size(); ++d) numbers.add(text, cat("from", d), from_[d]);
  }
  std::string to_rest() const { return offset_text("to", 1, rest_.size()); }
  std::string from_rest() const { return offset_text("from", 1, rest_.size()); }
  std::string function_text() const {
    return cat("FUNCTION ", register_, " combined(", register_, " into, ", register_, " value) {\n  return ",
               combined_text(mode_), ";\n}\n");
  }

  // Each update looks through those that may meet it: of one place the last is set, or the first combines all.
  void few() {
    const bool set = mode_ == ScatterMode::set;
    Nest nest = nest_over(positions_.count());
    KernelText text = text_of("scatter_few");
    declare_read(text, inputs_[1], type_, "updates");
    positions_.declare_indices(text);
    text.write(type_, "out");
    Numbers numbers(wide_);
    numbers.add(text, nest);
    positions_.declare(text, numbers);
    positions_.declare_lengths(text, numbers);
    declare_rest(text, numbers);
    numbers.add(text, "meeting", meeting_);
    if (!set) text.before(function_text());
    std::string body = positions_.unravel_text("i0", "a") + positions_.place_text("place", "a");
    body += cat("    bool mine = place_inside;\n    const ", index_, " begin = i0 / p.meeting * p.meeting;\n");
    body += set ? cat("    for (", index_, " other = i0 + 1; mine && other < begin + p.meeting; ++other) {\n")
                : cat("    for (", index_, " other = begin; mine && other < i0; ++other) {\n");
    body += positions_.unravel_text("other", "b") + positions_.place_text("met", "b");
    body += "      mine = !(met_inside && met == place);\n    }\n";
    body += cat("    const ", index_, " at = place + ", to_rest(), ", read = ", from_rest(), ";\n");
    if (set) {
      body += cat("    if (mine) out[at] = updates[", positions_.along_text("a"), " + read];\n");
    } else {
      body += cat("    if (mine) {\n      ", register_, " total = combined(load(out[at]), load(updates[",
                  positions_.along_text("a"), " + read]));\n");
      body += cat("      for (", index_, " other = i0 + 1; other < begin + p.meeting; ++other) {\n");
      body += positions_.unravel_text("other", "b") + positions_.place_text("met", "b");
      body += cat("        if (met_inside && met == place) total = combined(total, load(updates[",
                  positions_.along_text("b"), " + read]));\n      }\n      store(out, at, total);\n    }\n");
    }
    text.body(nest.around(body));
    std::vector<Place> places = index_places({{updates_operand(), 0}});
    places.push_back({out_operand(), 0});
    stages_.push_back(
        stage_of(machine_, text, nest.groups(), nest.threads(), places, places.size() - 1, numbers.bytes()));
  }

  // Words of place and number of all updates, in order; those out of range come last.
  void order() {
    const int64_t count = positions_.count();
    Nest nest({count}, wide_);
    KernelText text = text_of("scatter_places");
    positions_.declare_indices(text);
    text.write("u64", "words");
    Numbers numbers(wide_);
    numbers.add(text, nest);
    positions_.declare(text, numbers);
    positions_.declare_lengths(text, numbers);
    numbers.add(text, "apart", apart_);
    std::string body = positions_.unravel_text("i0", "a") + positions_.place_text("place", "a");
    body += "    words[i0] = (place_inside ? (u64)(place / p.apart) : (u64)0xffffffffu) << 32 | (u64)i0;\n";
    text.body(nest.around(body));
    std::vector<Place> places = index_places({});
    places.push_back({scratch_operand(), 0});
    stages_.push_back(
        stage_of(machine_, text, nest.groups(), nest.threads(), places, places.size() - 1, numbers.bytes()));
    scratch_ = 2 * count * 8;
    ordered_at_ = add_ordering(machine_, stages_, scratch_operand(), 0, count);
  }

  // What the kernels over ordered updates share: their operands begin with the words and the updates.
  void declare_ordered(KernelText& text, Numbers& numbers, bool updates) const {
    text.read("u64", "words");
    if (updates) declare_read(text, inputs_[1], type_, "updates");
    text.before("FUNCTION u32 place_in(u64 word) { return (u32)(word >> 32); }\n");
    numbers.add(text, "count", positions_.count());
    numbers.add(text, "apart", apart_);
    declare_rest(text, numbers);
    if (!updates) return;
    // Of the positions only how the updates lie; the index arrays have been read.
    for (size_t d = 0; d < positions_.lengths().size(); ++d) numbers.add(text, cat("along", d), positions_.along()[d]);
    positions_.declare_lengths(text, numbers);
  }

  void set_last() {
    Nest nest = nest_over(positions_.count());
    KernelText text = text_of("scatter_set");
    Numbers numbers(wide_);
    numbers.add(text, nest);
    declare_ordered(text, numbers, true);
    text.write(type_, "out");
    std::string body = cat("    const u32 place = place_in(words[i0]);\n    if (place == 0xffffffffu) ",
                           rest_.empty() ? "return" : "continue", ";\n");
    body += cat("    if (i0 + 1 < p.count && place_in(words[i0 + 1]) == place) ", rest_.empty() ? "return" : "continue",
                ";\n    const ", index_, " number = (", index_, ")(words[i0] & 0xffffffffu);\n");
    body += positions_.unravel_text("number", "a");
    body += cat("    out[(", index_, ")place * p.apart + ", to_rest(), "] = updates[", positions_.along_text("a"),
                " + ", from_rest(), "];\n");
    text.body(nest.around(body));
    stages_.push_back(stage_of(machine_, text, nest.groups(), nest.threads(),
                               {{scratch_operand(), ordered_at_}, {updates_operand(), 0}, {out_operand(), 0}}, 2,
                               numbers.bytes()));
  }

  // Threads go over chunks of the ordered updates. Those of a place that began in an earlier chunk are combined apart
  // (`carried`); a second launch adds them to the place, chunk by chunk.
  void combine_chunks() {
    const int64_t count = positions_.count(), row = element_count(rest_);
    // Long enough that few are carried, and so short that there are enough threads.
    int64_t chunk = 16;
    while (chunk < 1024 && (chunk * 2 <= count * row / 131072 || chunk * chunk * 16 < count)) chunk *= 2;
    const int64_t chunks = (count + chunk - 1) / chunk;
    const int64_t carried_at = scratch_;
    scratch_ += chunks * row * int64_t(item_size(is_half(out_.dtype) ? Dtype::float32 : out_.dtype));

    Nest nest = nest_over(chunks);
    KernelText text = text_of("scatter_chunks");
    Numbers numbers(wide_);
    numbers.add(text, nest);
    declare_ordered(text, numbers, true);
    text.write(type_, "out").write(register_, "carried");
    numbers.add(text, "chunk", chunk);
    text.before(function_text());
    std::string body = cat("    ", index_, " s = i0 * p.chunk;\n    const ", index_,
                           " end = s + p.chunk < p.count ? s + p.chunk : p.count;\n");
    body += "    bool entered = s > 0 && place_in(words[s - 1]) == place_in(words[s]);\n";
    body +=
        "    while (s < end) {\n      const u32 place = place_in(words[s]);\n      if (place == 0xffffffffu) break;\n";
    body += cat("      const ", index_, " at = (", index_, ")place * p.apart + ", to_rest(), ";\n");
    body += cat("      ", register_, " total = ", register_zero(), ";\n      bool fresh = entered;\n");
    body += "      if (!entered) total = load(out[at]);\n      do {\n";
    body += cat("        const ", index_, " number = (", index_, ")(words[s] & 0xffffffffu);\n");
    body += positions_.unravel_text("number", "a");
    body += cat("        const ", register_, " value = load(updates[", positions_.along_text("a"), " + ", from_rest(),
                "]);\n        total = fresh ? value : combined(total, value);\n        fresh = false;\n        ++s;\n");
    body += "      } while (s < end && place_in(words[s]) == place);\n      if (entered) {\n";
    body +=
        cat("        carried[", nest.flat(), "] = total;\n      } else {\n        store(out, at, total);\n      }\n");
    body += "      entered = false;\n    }\n";
    text.body(nest.around(body));
    const std::vector<Place> places{
        {scratch_operand(), ordered_at_}, {updates_operand(), 0}, {out_operand(), 0}, {scratch_operand(), carried_at}};
    stages_.push_back(stage_of(machine_, text, nest.groups(), nest.threads(), places, 2, numbers.bytes()));
    carry(nest, chunk, carried_at);
  }

  void carry(const Nest& nest, int64_t chunk, int64_t carried_at) {
    KernelText text = text_of("scatter_carried");
    Numbers numbers(wide_);
    numbers.add(text, nest);
    declare_ordered(text, numbers, false);
    text.read(register_, "carried").write(type_, "out");
    numbers.add(text, "chunk", chunk);
    numbers.add(text, "row", element_count(rest_));
    text.before(function_text());
    const std::string leave = rest_.empty() ? "return" : "continue";
    std::string body = cat("    const ", index_, " begin = i0 * p.chunk;\n    ", index_, " next = begin + p.chunk;\n");
    body += cat("    if (next >= p.count) ", leave, ";\n    const u32 place = place_in(words[next - 1]);\n");
    body +=
        cat("    // Another chunk's, or nobody's to add.\n    if (place == 0xffffffffu || place_in(words[next]) != "
            "place) ",
            leave, ";\n");
    body += cat("    if (begin > 0 && place_in(words[begin - 1]) == place) ", leave, ";\n");
    body += cat("    const ", index_, " at = (", index_, ")place * p.apart + ", to_rest(), ";\n");
    body += cat("    ", index_, " from = ", nest.flat(), ";\n    ", register_, " total = load(out[at]);\n");
    body += "    for (; next < p.count && place_in(words[next]) == place; next += p.chunk) {\n";
    body += "      from += p.row;\n      total = combined(total, carried[from]);\n";
    body += "      const ";
    body += cat(index_, " last = (next + p.chunk < p.count ? next + p.chunk : p.count) - 1;\n");
    body += "      if (place_in(words[last]) != place) break;\n    }\n    store(out, at, total);\n";
    text.body(nest.around(body));
    stages_.push_back(stage_of(machine_, text, nest.groups(), nest.threads(),
                               {{scratch_operand(), ordered_at_}, {scratch_operand(), carried_at}, {out_operand(), 0}},
                               2, numbers.bytes()));
  }

  std::string register_zero() const { return out_.dtype == Dtype::complex64 ? "{0, 0}" : "0"; }

  Machine& machine_;
  ScatterMode mode_;
  Layouts inputs_;
  Layout out_;
  Axes whole_;
  Shape common_;
  Strides along_;
  bool wide_;
  Positions positions_;
  Shape rest_;
  Strides to_, from_;
  int64_t apart_ = 0;    // places are multiples of it
  int64_t meeting_ = 1;  // so many positions in a row may meet, and no others
  std::string_view type_, register_;
  const char* index_ = "";
  std::vector<Stage> stages_;
  int64_t scratch_ = 0, ordered_at_ = 0;
};

class ScatterKernel final : public Kernel {
 public:
  ScatterKernel(size_t inputs, std::unique_ptr<Kernel> copy, std::unique_ptr<Kernel> updates)
      : inputs_(inputs), copy_(std::move(copy)), updates_(std::move(updates)) {}
  void encode(Queue& queue, std::span<const Operand> operands) override {
    const Operand &x = operands[0], &out = operands[inputs_];
    if (x.buffer != out.buffer || x.offset != out.offset) {
      const Operand both[] = {x, out};
      copy_->encode(queue, both);
    }
    if (updates_) updates_->encode(queue, operands);
  }
  size_t scratch_bytes() const override { return updates_ ? updates_->scratch_bytes() : 0; }
  void describe(std::ostream& out, const std::string& indent) const override {
    copy_->describe(out, indent);
    if (updates_) updates_->describe(out, indent);
  }

 private:
  size_t inputs_;
  std::unique_ptr<Kernel> copy_, updates_;  // no updates: null
};

std::unique_ptr<Kernel> make_scatter(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts outputs,
                                     const KernelProgram*) {
  std::unique_ptr<Kernel> updates;
  if (element_count(inputs[1].shape) > 0 && element_count(outputs[0].shape) > 0) {
    ScatterMaker maker(machine, static_cast<const Scatter&>(primitive), inputs, outputs[0]);
    if (!maker.possible()) return nullptr;
    updates = maker.make();
  }
  return std::make_unique<ScatterKernel>(inputs.size(), make_copy_kernel(machine, inputs[0], outputs[0]),
                                         std::move(updates));
}

const RegisterKernel registered("scatter", make_scatter);

}  // namespace
}  // namespace funcnn::gpu
