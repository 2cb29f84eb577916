// sort, argsort and topk. Words of a key and the element's position, no two of which are equal, are sorted in blocks by
// one group each, and runs of blocks are merged; so the order is stable. Of topk each block keeps its k largest. Long
// lines are sorted by digits instead: radix_sort.h.
#include <algorithm>

#include "backends/gpu/keys.h"
#include "backends/gpu/lines.h"
#include "backends/gpu/radix_sort.h"
#include "base/error.h"
#include "ops/sort_primitives.h"

namespace funcnn::gpu {
namespace {

constexpr uint32_t kThreads = 256;
constexpr int64_t kTile = 1024;  // words of a merge that one group writes

constexpr std::string_view kNarrowWord = R"text(typedef u64 Word;
FUNCTION Word word_from(u32 key, u32 place) { return (u64)key << 32 | place; }
FUNCTION Word last_word() { return ~(u64)0; }
FUNCTION u32 place_of(Word w) { return (u32)w; }
FUNCTION bool before(Word a, Word b) { return a < b; }
)text";
constexpr std::string_view kWideWord = R"text(struct alignas(16) Word {
  u64 key;
  u32 place, unused;
};
FUNCTION Word word_from(u64 key, u32 place) { return {key, place, 0}; }
FUNCTION Word last_word() { return {~(u64)0, ~(u32)0, 0}; }
FUNCTION u32 place_of(Word w) { return w.place; }
FUNCTION bool before(Word a, Word b) { return a.key < b.key || (a.key == b.key && a.place < b.place); }
)text";

// A bitonic network over shared memory, on several lines of a power of two side by side.
constexpr std::string_view kNetwork = R"text(  BARRIER();
  for (u32 size = 2; size <= p.width; size *= 2) {
    for (u32 apart = size / 2; apart > 0; apart /= 2) {
      for (u32 k = item.x; k < p.total / 2; k += 256) {
        const u32 i = (k & ~(apart - 1)) * 2 + (k & (apart - 1)), j = i + apart;
        const Word a = block[i], b = block[j];
        if (before(b, a) == ((i & size & (p.width - 1)) == 0)) {
          block[i] = b;
          block[j] = a;
        }
      }
      BARRIER();
    }
  }
)text";

// A group writes a tile of the merged run: it finds which words go there, and each looks for its place among the
// others.
constexpr std::string_view kMerge = R"text(  SHARED Word words[1024];
  const i64 line = group.x / p.tiles, begin = (i64)(group.x % p.tiles) * 1024;
  DEVICE const Word* x = from + line * p.length;
  const i64 pair = begin / (2 * p.run) * (2 * p.run);
  const i64 middle = pair + p.run < p.length ? pair + p.run : p.length;
  const i64 end = middle + p.run < p.length ? middle + p.run : p.length;
  i64 split[2];
  for (u32 side = 0; side < 2; ++side) {
    const i64 start = begin - pair + side * 1024, rank = start < end - pair ? start : end - pair;
    i64 low = rank > end - middle ? rank - (end - middle) : 0, high = rank < middle - pair ? rank : middle - pair;
    while (low < high) {
      const i64 half_way = (low + high) / 2;
      if (before(x[pair + half_way], x[middle + rank - 1 - half_way])) {
        low = half_way + 1;
      } else {
        high = half_way;
      }
    }
    split[side] = low;
  }
  const u32 count = (u32)(end - begin < 1024 ? end - begin : 1024), left = (u32)(split[1] - split[0]);
  const i64 second = middle + (begin - pair - split[0]);
  for (u32 i = item.x; i < count; i += 256) words[i] = i < left ? x[pair + split[0] + i] : x[second + (i - left)];
  BARRIER();
  for (u32 i = item.x; i < count; i += 256) {
    const Word word = words[i];
    const u32 first = i < left ? left : 0;
    u32 low = first, high = i < left ? count : left;
    while (low < high) {
      const u32 half_way = (low + high) / 2;
      if (before(words[half_way], word)) {
        low = half_way + 1;
      } else {
        high = half_way;
      }
    }
    to[line * p.length + begin + (i < left ? i : i - left) + (low - first)] = word;
  }
)text";

class SortMaker {
 public:
  SortMaker(Machine& machine, const Layout& in, const Layout& out, size_t axis, bool places)
      : machine_(machine), in_(in), out_(out), lines_(in, axis), places_(places) {
    wide_word_ = has_long_key(in.dtype);
    word_bytes_ = wide_word_ ? 16 : 8;
    block_ = wide_word_ ? 1024 : 2048;
    give_ = out.shape[axis];
    for (size_t d = axis + 1; d < out.shape.size(); ++d) inner_ *= out.shape[d];
  }

  std::unique_ptr<Kernel> make() {
    const int64_t n = lines_.length;
    if (n > int64_t(~uint32_t(0))) throw Error(cat("sort: lines of ", n, " elements are too long"));
    if (n <= block_) {
      add_blocks(n, n, false, true);
      return finished();
    }
    if (give_ <= block_ / 4) {
      // What cannot be among the largest is dropped, until one block holds the rest.
      int64_t length = n;
      bool words = false;
      while (length > block_) {
        const int64_t blocks = (length + block_ - 1) / block_, rest = length - (blocks - 1) * block_;
        const int64_t next = (blocks - 1) * give_ + std::min(give_, rest);
        add_blocks(length, next, words, false);
        length = next;
        words = true;
      }
      add_blocks(length, length, true, true);
      return finished();
    }
    if (const SortProblem problem{in_, lines_, places_, give_, inner_}; radix_pays(machine_, problem, block_))
      return make_radix_sort(machine_, problem);
    add_blocks(n, n, false, false);
    for (int64_t run = block_; run < n; run *= 2) add_merge(run);
    add_output();
    return finished();
  }

 private:
  std::unique_ptr<Kernel> finished() {
    return std::make_unique<StagedLaunches>(machine_, std::move(stages_), size_t(2 * buffer_bytes_));
  }
  std::string_view word_text() const { return wide_word_ ? kWideWord : kNarrowWord; }
  // Words lie in one of two halves of the scratch memory, which is the operand behind input and output.
  Place words_place(bool other) const { return {2, (other != second_half_) ? buffer_bytes_ : 0}; }

  // The statement that puts the word `w` at position `k` of `line`.
  std::string output_text() const {
    std::string to = inner_ == 1 ? std::string("out[line * p.give + k]")
                                 : "out[(line / p.inner * p.give + k) * p.inner + line % p.inner]";
    if (places_) return cat("    ", to, " = place_of(w);\n");
    return cat(lines_.offset_text("i64", "at", "line", "x"), "    ", to, " = x[at + (i64)place_of(w) * p.x_step];\n");
  }
  void declare_output(KernelText& text, Numbers& numbers) const {
    numbers.add(text, "give", give_);
    if (inner_ != 1) numbers.add(text, "inner", inner_);
  }
  std::string_view out_type() const { return type_name(out_.dtype); }
  void declare_x(KernelText& text) const { declare_read(text, in_, type_name(in_.dtype), "x"); }

  // Sorts blocks of lines of `length` and keeps the last of each, so that `next` are left of a line. `words`: of words,
  // not of x. `last`: to the output.
  void add_blocks(int64_t length, int64_t next, bool words, bool last) {
    const int64_t blocks = (length + block_ - 1) / block_;
    uint32_t width = 2;
    while (width < block_ && width < length) width *= 2;
    int64_t beside = 1;  // lines of a group
    while (blocks == 1 && beside * 2 * width <= block_ && beside < lines_.count) beside *= 2;
    uint32_t shift = 0;
    while ((1u << shift) < width) ++shift;

    const bool needs_x = !words || (last && !places_);
    if (!words) buffer_bytes_ = last ? 0 : (lines_.count * next * word_bytes_ + 15) / 16 * 16;
    KernelText text(machine_.traits(), "sort_blocks", kThreads);
    std::vector<Place> places;
    if (needs_x) {
      declare_x(text);
      places.push_back({0, 0});
    }
    if (words) {
      text.read("Word", "from");
      places.push_back(words_place(false));
    }
    const size_t read_only = places.size();
    if (last)
      text.write(out_type(), "out");
    else
      text.write("Word", "to");
    places.push_back(last ? Place{1, 0} : words_place(words));
    if (words && !last) second_half_ = !second_half_;

    text.value("u32", "width").value("u32", "total").value("u32", "shift").value("u32", "blocks");
    Numbers numbers(true);
    numbers.add(text, "lines", lines_.count);
    numbers.add(text, "length", length);
    // Of a line that is sorted as a whole every block stays as it is.
    numbers.add(text, "keep", last || next != length ? give_ : block_);
    if (!last) numbers.add(text, "next", next);
    if (needs_x) lines_.declare(text, numbers, "x");
    if (last) declare_output(text, numbers);

    text.before(word_text());
    if (!words) text.before(key_text(in_.dtype));
    std::string body = cat("  SHARED Word block[", block_, "];\n");
    body += cat("  const i64 first = group.x / p.blocks, begin = (i64)(group.x % p.blocks) * ", block_, ";\n");
    body +=
        cat("  for (u32 i = item.x; i < p.total; i += 256) {\n"
            "    const i64 line = first * (p.total >> p.shift) + (i >> p.shift), k = begin + (i & (p.width - 1));\n"
            "    Word w = last_word();\n"
            "    if (line < p.lines && k < p.length) {\n");
    if (words)
      body += "      w = from[line * p.length + k];\n";
    else
      body += cat(lines_.offset_text("i64", "at", "line", "x"),
                  "      w = word_from(key_of(x[at + k * p.x_step]), (u32)k);\n");
    body += "    }\n    block[i] = w;\n  }\n";
    body += kNetwork;
    body +=
        "  const i64 count = p.length - begin < p.width ? p.length - begin : p.width;\n"
        "  const i64 skipped = count > p.keep ? count - p.keep : 0;\n"
        "  for (u32 i = item.x; i < p.total; i += 256) {\n"
        "    const i64 line = first * (p.total >> p.shift) + (i >> p.shift), k = (i64)(i & (p.width - 1)) - skipped;\n"
        "    if (line >= p.lines || k < 0 || k >= count - skipped) continue;\n"
        "    const Word w = block[i];\n";
    if (last)
      body += output_text();
    else
      body += cat("    to[line * p.next + (i64)(group.x % p.blocks) * (p.keep < ", block_, " ? p.keep : ", block_,
                  ") + k] = w;\n");
    text.body(body + "  }\n");

    Values values;
    values.add(width).add(uint32_t(beside * width)).add(shift).add(uint32_t(blocks));
    stages_.push_back(stage_of(machine_, text, {uint32_t(groups_for(lines_.count, beside) * blocks)}, {kThreads},
                               std::move(places), read_only, values.append(numbers.bytes()).bytes()));
  }

  void add_merge(int64_t run) {
    KernelText text(machine_.traits(), "merge_runs", kThreads);
    text.read("Word", "from").write("Word", "to").value("i64", "length").value("i64", "run").value("u32", "tiles");
    text.before(word_text()).body(kMerge);
    const uint32_t tiles = groups_for(lines_.length, kTile);
    stages_.push_back(stage_of(machine_, text, {uint32_t(tiles * lines_.count)}, {kThreads},
                               {words_place(false), words_place(true)}, 1,
                               Values().add(lines_.length).add(run).add(tiles).bytes()));
    second_half_ = !second_half_;
  }

  void add_output() {
    KernelText text(machine_.traits(), "sorted_output", Nest::kThreads);
    std::vector<Place> places;
    Nest nest({lines_.count, give_}, true);
    Numbers numbers(true);
    if (!places_) {
      declare_x(text);
      places.push_back({0, 0});
    }
    text.read("Word", "from").write(out_type(), "out");
    places.push_back(words_place(false));
    places.push_back({1, 0});
    numbers.add(text, nest);
    numbers.add(text, "length", lines_.length);
    if (!places_) lines_.declare(text, numbers, "x");
    declare_output(text, numbers);
    text.before(word_text());
    text.body(
        nest.around(cat("    const i64 line = i0, k = i1;\n"
                        "    const Word w = from[line * p.length + (p.length - p.give) + k];\n",
                        output_text())));
    stages_.push_back(
        stage_of(machine_, text, nest.groups(), nest.threads(), places, places.size() - 1, numbers.bytes()));
  }

  Machine& machine_;
  Layout in_, out_;
  Lines lines_;
  bool places_, wide_word_ = false, second_half_ = false;
  int64_t word_bytes_ = 8, block_ = 2048, give_ = 0, inner_ = 1, buffer_bytes_ = 0;
  std::vector<Stage> stages_;
};

size_t axis_of(const Primitive& primitive) { return size_t(static_cast<const AlongAxis&>(primitive).axis()); }

std::unique_ptr<Kernel> make_sort(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                  const KernelProgram*) {
  return SortMaker(machine, in[0], out[0], axis_of(primitive), false).make();
}
std::unique_ptr<Kernel> make_argsort(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                     const KernelProgram*) {
  return SortMaker(machine, in[0], out[0], axis_of(primitive), true).make();
}

const RegisterKernel sort_registered("sort", make_sort);
const RegisterKernel topk_registered("topk", make_sort);
const RegisterKernel partition_registered("partition", make_sort);
const RegisterKernel argsort_registered("argsort", make_argsort);
const RegisterKernel argpartition_registered("argpartition", make_argsort);

}  // namespace
}  // namespace funcnn::gpu
