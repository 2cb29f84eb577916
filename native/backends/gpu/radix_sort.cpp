// A line of one tile is sorted by one group. Of longer ones each digit takes three launches: every tile counts its
// digits; the counts are summed up along the tiles; every tile orders its elements in the memory of the group and
// writes them where those with its digits start. Nobody waits for another group, and ranks within a tile follow from
// votes of warps, so the order is stable and the same in every run.
#include "backends/gpu/radix_sort.h"

#include <algorithm>

#include "backends/gpu/keys.h"
#include "backends/gpu/operand.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr uint32_t kDigits = 256;

// Counters of one lane in eight, so that many elements of one digit seldom wait for each other.
constexpr std::string_view kCounts = R"text(  SHARED u32 counts[256 * 8];
  const i64 line = group.x / p.tiles;
  const u32 tile = group.x % p.tiles, length = (u32)p.length, begin = tile * #{tile};
  for (u32 i = item.x; i < 256 * 8; i += #{threads}) counts[i] = 0;
#{source}  BARRIER();
  UNROLL for (u32 e = 0; e < #{items}; ++e) {
    const u32 k = begin + e * #{threads} + item.x;
    if (k < length) atomic_add(&counts[digit_of((Word)#{element}, p.shift) * 8 + lane % 8], 1u);
  }
  BARRIER();
  for (u32 d = item.x; d < 256; d += #{threads}) {
    u32 sum = 0;
    UNROLL for (u32 i = 0; i < 8; ++i) sum += counts[d * 8 + i];
    found[(line * 256 + d) * p.tiles + tile] = sum;
  }
)text";

// What the tiles before one hold of a digit, in place of what it holds itself; and what all hold.
constexpr std::string_view kStarts =
    R"text(  const u32 row = group.x * #{rows} + item.x / #{threads}, part = item.x % #{threads};
  DEVICE u32* counts = found + (i64)row * p.tiles;
  u32 carry = 0;
  for (u32 base = 0; base < p.tiles; base += #{threads} * 4) {
    u32 count[4], mine = 0;
    UNROLL for (u32 e = 0; e < 4; ++e) {
      const u32 k = base + part * 4 + e;
      count[e] = k < p.tiles ? counts[k] : 0;
      mine += count[e];
    }
    u32 sum = mine;
    for (u32 by = 1; by < 32; by *= 2) {
      const u32 other = warp_shuffle_up(sum, by);
      if (lane >= by) sum += other;
    }
    u32 before = carry + sum - mine;
#{rest}
    UNROLL for (u32 e = 0; e < 4; ++e) {
      const u32 k = base + part * 4 + e;
      if (k < p.tiles) counts[k] = before;
      before += count[e];
    }
  }
  if (part == 0) totals[row] = carry;
)text";
constexpr std::string_view kRestOfGroup = R"text(    if (lane == 31) sums[warp] = sum;
    BARRIER();
    for (u32 w = 0; w < 8; ++w) {
      if (w < warp) before += sums[w];
      carry += sums[w];
    }
    BARRIER();)text";

// The place of each element in its tile, by digit; elements of a warp lie side by side.
constexpr std::string_view kRank = R"text(    for (u32 i = item.x; i < #{warps} * 256; i += #{threads}) held[i] = 0;
    BARRIER();
    UNROLL for (u32 e = 0; e < #{items}; ++e) {
      // What is missing comes last, where it does no harm.
      const u32 digit = mine + e * 32 < count ? digit_of(key[e], shift) : 255;
      u32 same = ~(u32)0;
      UNROLL for (u32 b = 0; b < 8; ++b) {
        const bool set = (digit >> b & 1) != 0;
        const u32 votes = warp_ballot(set);
        same &= set ? votes : ~votes;
      }
      const u32 before = same & (((u32)1 << lane) - 1), at = warp * 256 + digit, found = held[at];
      WARP_BARRIER();
      if (before == 0) held[at] = found + COUNT_BITS(same);
      WARP_BARRIER();
      place[e] = found + COUNT_BITS(before);
    }
    BARRIER();
    u32 digits = 0;
    if (item.x < 256) {
      UNROLL for (u32 w = 0; w < #{warps}; ++w) {
        const u32 found = held[w * 256 + item.x];
        held[w * 256 + item.x] = digits;
        digits += found;
      }
    }
    u32 start = digits;
    for (u32 by = 1; by < 32; by *= 2) {
      const u32 other = warp_shuffle_up(start, by);
      if (lane >= by) start += other;
    }
    if (lane == 31) sums[warp] = start;
#{sum_all}    BARRIER();
    start -= digits;
    for (u32 w = 0; w < 8; ++w) {
      if (w < warp) start += sums[w];
    }
    if (item.x < 256) {
      UNROLL for (u32 w = 0; w < #{warps}; ++w) held[w * 256 + item.x] += start;
#{aim}    }
    BARRIER();
    UNROLL for (u32 e = 0; e < #{items}; ++e)
      place[e] += held[warp * 256 + (mine + e * 32 < count ? digit_of(key[e], shift) : 255)];
    BARRIER();
)text";

// Where a digit of the line starts: `all` of smaller digits come before it.
constexpr std::string_view kSumAll = R"text(    const u32 total = item.x < 256 ? totals[line * 256 + item.x] : 0;
    u32 all = total;
    for (u32 by = 1; by < 32; by *= 2) {
      const u32 other = warp_shuffle_up(all, by);
      if (lane >= by) all += other;
    }
    if (lane == 31) all_sums[warp] = all;
)text";
constexpr std::string_view kAim = R"text(      all -= total;
      for (u32 w = 0; w < 8; ++w) {
        if (w < warp) all += all_sums[w];
      }
      aims[item.x] = all + found[(line * 256 + item.x) * p.tiles + tile] - start;
)text";

constexpr std::string_view kScatter = R"text(  SHARED u32 held[#{held}], sums[#{warps}], all_sums[#{warps}], aims[256];
  const i64 line = group.x / p.tiles;
  const u32 tile = group.x % p.tiles, length = (u32)p.length, begin = tile * #{tile}, shift = p.shift;
  const u32 count = length - begin < #{tile} ? length - begin : #{tile};
  const u32 mine = warp * #{run} + lane;
#{source}  Word key[#{items}];
  u32 place[#{items}];
  UNROLL for (u32 e = 0; e < #{items}; ++e) {
    const u32 k = begin + mine + e * 32;
    key[e] = mine + e * 32 < count ? (Word)#{element} : 0;
  }
  {
#{rank}  }
#{carry}#{hold}  BARRIER();
  u32 to[#{items}];
  UNROLL for (u32 t = 0; t < #{items}; ++t) {
    const u32 i = t * #{threads} + item.x;
    if (i < count) {
      const Word word = #{word};
      to[t] = aims[digit_of(word, shift)] + i;
#{write}    }
  }
#{places})text";
constexpr std::string_view kScatterPlaces = R"text(  BARRIER();
  UNROLL for (u32 e = 0; e < #{items}; ++e) held[place[e]] = carried[e];
  BARRIER();
  UNROLL for (u32 t = 0; t < #{items}; ++t) {
    const u32 i = t * #{threads} + item.x;
    if (i < count) {
      const u32 word = held[i];
#{write}    }
  }
)text";

// A whole line, digit after digit.
constexpr std::string_view kLine = R"text(  SHARED u32 held[#{held}], sums[#{warps}];
  const i64 line = group.x;
  const u32 count = (u32)p.length, mine = warp * #{run} + lane;
#{source}  Word key[#{items}];
  u32 place[#{items}]#{carried};
  UNROLL for (u32 e = 0; e < #{items}; ++e) {
    const u32 k = mine + e * 32;
    key[e] = k < count ? (Word)#{element} : 0;
#{number}  }
  for (u32 shift = 0; shift < #{bits}; shift += 8) {
#{rank}#{exchange}  }
)text";
constexpr std::string_view kExchange = R"text(  #{hold}    BARRIER();
    UNROLL for (u32 e = 0; e < #{items}; ++e) {
      const u32 i = mine + e * 32;
      key[e] = #{word};
    }
    BARRIER();
)text";
constexpr std::string_view kExchangePlaces =
    R"text(    UNROLL for (u32 e = 0; e < #{items}; ++e) held[place[e]] = carried[e];
    BARRIER();
    UNROLL for (u32 e = 0; e < #{items}; ++e) carried[e] = held[mine + e * 32];
    BARRIER();
)text";

std::string number(int64_t n) { return std::to_string(n); }

struct Tile {
  uint32_t threads, items;
  int64_t size() const { return int64_t(threads) * items; }
  uint32_t warps() const { return threads / 32; }
};

// What the memory of a group has room for: so many words of 4 bytes a tile.
Tile largest_tile(const Traits& traits, int64_t bytes) {
  const uint32_t items = bytes == 8 ? 8 : 16;
  return {traits.language == Language::cuda ? 512u : 256u, items};
}

class RadixSort {
 public:
  RadixSort(Machine& machine, const SortProblem& problem)
      : machine_(machine),
        p_(problem),
        bytes_(int64_t(item_size(problem.in.dtype))),
        raw_(unit_type(size_t(bytes_))),
        tile_(largest_tile(machine.traits(), bytes_)) {}

  std::unique_ptr<Kernel> make() {
    const int64_t n = p_.lines.length, most = tile_.size();
    if (n <= most) {
      while (tile_.items > 4 && tile_.size() >= 2 * n) tile_.items /= 2;
      if (tile_.threads > 256 && tile_.size() >= 2 * n) tile_.threads /= 2;
      add_lines();
      return std::make_unique<StagedLaunches>(machine_, std::move(stages_));
    }
    // Few tiles: smaller ones, for all cores.
    if (tile_.items > 8 && p_.lines.count * n < most * 2 * machine_.traits().cores) tile_.items /= 2;
    tiles_ = (n + tile_.size() - 1) / tile_.size();
    arrange();
    for (int64_t pass = 0; pass < bytes_; ++pass) {
      add_counts(pass);
      add_starts();
      add_scatter(pass);
    }
    return std::make_unique<StagedLaunches>(machine_, std::move(stages_), size_t(scratch_bytes_));
  }

 private:
  bool last(int64_t pass) const { return pass == bytes_ - 1; }

  // Keys and places lie in turns in two buffers, one of which may be the result.
  void arrange() {
    const int64_t all = p_.lines.count * p_.lines.length;
    auto reserve = [&](int64_t bytes) {
      const int64_t at = scratch_bytes_;
      scratch_bytes_ += (bytes + 15) / 16 * 16;
      return Place{2, at};
    };
    const bool fits = p_.inner == 1 && p_.give == p_.lines.length;
    auto turns = [&](Place(&buffers)[2], int64_t width, bool to_output) {
      buffers[0] = {1, 0};
      if (bytes_ > 1) buffers[1] = reserve(all * width);
      if (bytes_ > 2 && !(to_output && fits)) buffers[0] = reserve(all * width);
    };
    turns(keys_, bytes_, !p_.places);
    if (p_.places) turns(numbers_, 4, true);
    counts_ = reserve(p_.lines.count * kDigits * tiles_ * 4);
    totals_ = reserve(p_.lines.count * kDigits * 4);
  }
  // Where a pass that is not the last writes.
  size_t turn(int64_t pass) const { return size_t(bytes_ - 1 - pass) % 2; }

  void start(KernelText& text) const {
    const bool metal = machine_.traits().language == Language::metal;
    text.before(metal ? "#define COUNT_BITS(x) popcount(x)\n" : "#define COUNT_BITS(x) u32(__popc(x))\n");
    text.before(cat("typedef ", bytes_ == 8 ? "u64" : "u32", " Word;\n", raw_key_text(p_.in.dtype),
                    "FUNCTION u32 digit_of(Word word, u32 shift) { return (u32)(raw_key(word) >> shift) & 255; }\n"));
  }
  // The elements that a pass reads, as `x[...]`: those of the operand, or of the pass before.
  void declare_source(KernelText& text, std::vector<Place>& places, bool first, size_t from) const {
    if (first) {
      declare_read(text, p_.in, raw_, "x");
      places.push_back({0, 0});
    } else {
      text.read(raw_, "keys");
      places.push_back(keys_[from]);
    }
  }
  void add_source_values(KernelText& text, Numbers& numbers, bool first) const {
    numbers.add(text, "length", p_.lines.length);
    if (first) p_.lines.declare(text, numbers, "x");
  }
  std::string source_text(bool first) const {
    return first ? cat(p_.lines.offset_text("i64", "at", "line", "x"), "    DEVICE const ", raw_, "* from = x + at;\n")
                 : cat("  DEVICE const ", raw_, "* from = keys + line * p.length;\n");
  }
  std::string element_text(bool first) const {
    return first && p_.lines.step != 1 ? "from[(i64)k * p.x_step]" : "from[k]";
  }

  // Statements that write `word` to place `to` of the line of the result.
  std::string output_text(std::string_view to) const {
    const std::string type = p_.places ? std::string("u32") : std::string(raw_);
    const std::string at = p_.give == p_.lines.length ? std::string(to) : cat("(", to, " - skipped)");
    const std::string store =
        cat("out[",
            p_.inner == 1 ? cat("line * p.give + ", at)
                          : cat("(line / p.inner * p.give + ", at, ") * p.inner + line % p.inner"),
            "] = (", type, ")word;\n");
    return p_.give == p_.lines.length
               ? cat("      ", store)
               : cat("      const u32 skipped = (u32)(p.length - p.give);\n      if (", to, " >= skipped) ", store);
  }
  void declare_output(KernelText& text, Numbers& numbers) const {
    numbers.add(text, "give", p_.give);
    if (p_.inner != 1) numbers.add(text, "inner", p_.inner);
  }

  std::string hold_text() const {
    return bytes_ == 8
               ? cat("  UNROLL for (u32 e = 0; e < ", tile_.items, "; ++e) {\n    held[place[e]] = (u32)key[e];\n",
                     "    held[", tile_.size(), " + place[e]] = (u32)(key[e] >> 32);\n  }\n")
               : cat("  UNROLL for (u32 e = 0; e < ", tile_.items, "; ++e) held[place[e]] = key[e];\n");
  }
  std::string held_word() const {
    return bytes_ == 8 ? cat("(Word)held[i] | (Word)held[", tile_.size(), " + i] << 32") : std::string("held[i]");
  }
  std::string held_count() const {
    return number(std::max<int64_t>(tile_.size() * (bytes_ == 8 ? 2 : 1), tile_.warps() * kDigits));
  }
  std::string rank_text(bool aims) const {
    return filled_in(kRank, {{"warps", number(tile_.warps())},
                             {"threads", number(tile_.threads)},
                             {"items", number(tile_.items)},
                             {"sum_all", aims ? kSumAll : ""},
                             {"aim", aims ? kAim : ""}});
  }

  uint32_t groups() const { return uint32_t(p_.lines.count * tiles_); }
  void add(const KernelText& text, uint32_t groups, uint32_t threads, std::vector<Place> places, size_t read_only,
           std::vector<std::byte> values) {
    stages_.push_back(stage_of(machine_, text, {groups}, {threads}, std::move(places), read_only, values));
  }

  void add_counts(int64_t pass) {
    const bool first = pass == 0;
    KernelText text(machine_.traits(), "radix_counts", tile_.threads);
    text.use(Section::atomics);
    start(text);
    std::vector<Place> places;
    declare_source(text, places, first, first ? 0 : turn(pass - 1));
    text.write("u32", "found").value("u32", "shift").value("u32", "tiles");
    places.push_back(counts_);
    Numbers numbers(true);
    add_source_values(text, numbers, first);
    text.body(filled_in(kCounts, {{"tile", number(tile_.size())},
                                  {"threads", number(tile_.threads)},
                                  {"items", number(tile_.items)},
                                  {"source", source_text(first)},
                                  {"element", element_text(first)}}));
    add(text, groups(), tile_.threads, std::move(places), 1,
        Values().add(uint32_t(pass * 8)).add(uint32_t(tiles_)).append(numbers.bytes()).bytes());
  }

  void add_starts() {
    const bool whole_group = tiles_ > 32;
    KernelText text(machine_.traits(), "radix_starts", 256);
    text.write("u32", "found").write("u32", "totals").value("u32", "tiles");
    text.body(cat(whole_group ? "  SHARED u32 sums[8];\n" : "",
                  filled_in(kStarts, {{"rows", whole_group ? "1" : "8"},
                                      {"threads", whole_group ? "256" : "32"},
                                      {"rest", whole_group ? kRestOfGroup : "    carry += warp_shuffle(sum, 31);"}})));
    const int64_t rows = p_.lines.count * kDigits;
    add(text, uint32_t(whole_group ? rows : rows / 8), 256, {counts_, totals_}, 0,
        Values().add(uint32_t(tiles_)).bytes());
  }

  void add_scatter(int64_t pass) {
    const bool first = pass == 0;
    KernelText text(machine_.traits(), "radix_scatter", tile_.threads);
    text.beside(1024 / tile_.threads);
    start(text);
    std::vector<Place> places;
    declare_source(text, places, first, first ? 0 : turn(pass - 1));
    if (p_.places && !first) {
      text.read("u32", "numbers");
      places.push_back(numbers_[turn(pass - 1)]);
    }
    text.read("u32", "found").read("u32", "totals");
    places.push_back(counts_);
    places.push_back(totals_);
    const size_t read_only = places.size();
    std::string write, write_number;
    if (!last(pass)) {
      text.write(raw_, "to_keys");
      places.push_back(keys_[turn(pass)]);
      write = cat("      to_keys[line * p.length + to[t]] = (", raw_, ")word;\n");
      if (p_.places) {
        text.write("u32", "to_numbers");
        places.push_back(numbers_[turn(pass)]);
        write_number = "      to_numbers[line * p.length + to[t]] = word;\n";
      }
    } else {
      text.write(p_.places ? "u32" : raw_, "out");
      places.push_back({1, 0});
      (p_.places ? write_number : write) = output_text("to[t]");
    }
    text.value("u32", "shift").value("u32", "tiles");
    Numbers numbers(true);
    add_source_values(text, numbers, first);
    if (last(pass)) declare_output(text, numbers);
    const std::string items = number(tile_.items), threads = number(tile_.threads);
    std::string carry, exchange;
    if (p_.places) {
      carry = cat("  u32 carried[", items, "];\n  UNROLL for (u32 e = 0; e < ", items, "; ++e)\n    carried[e] = ",
                  first ? "begin + mine + e * 32"
                        : "mine + e * 32 < count ? numbers[line * p.length + (begin + mine + e * 32)] : 0",
                  ";\n");
      exchange = filled_in(kScatterPlaces, {{"items", items}, {"threads", threads}, {"write", write_number}});
    }
    text.body(filled_in(kScatter, {{"held", held_count()},
                                   {"warps", number(tile_.warps())},
                                   {"threads", threads},
                                   {"items", items},
                                   {"tile", number(tile_.size())},
                                   {"run", number(tile_.items * 32)},
                                   {"source", source_text(first)},
                                   {"element", element_text(first)},
                                   {"rank", rank_text(true)},
                                   {"carry", carry},
                                   {"hold", hold_text()},
                                   {"word", held_word()},
                                   {"write", write},
                                   {"places", exchange}}));
    add(text, groups(), tile_.threads, std::move(places), read_only,
        Values().add(uint32_t(pass * 8)).add(uint32_t(tiles_)).append(numbers.bytes()).bytes());
  }

  void add_lines() {
    KernelText text(machine_.traits(), "radix_lines", tile_.threads);
    start(text);
    declare_read(text, p_.in, raw_, "x");
    text.write(p_.places ? "u32" : raw_, "out");
    Numbers numbers(true);
    add_source_values(text, numbers, true);
    declare_output(text, numbers);
    const std::string items = number(tile_.items);
    std::string exchange = filled_in(kExchange, {{"items", items}, {"hold", hold_text()}, {"word", held_word()}});
    if (p_.places) exchange += filled_in(kExchangePlaces, {{"items", items}});
    std::string body = filled_in(kLine, {{"held", held_count()},
                                         {"warps", number(tile_.warps())},
                                         {"items", items},
                                         {"run", number(tile_.items * 32)},
                                         {"source", source_text(true)},
                                         {"element", element_text(true)},
                                         {"carried", p_.places ? cat(", carried[", items, "]") : std::string()},
                                         {"number", p_.places ? "    carried[e] = k;\n" : ""},
                                         {"bits", number(bytes_ * 8)},
                                         {"rank", rank_text(false)},
                                         {"exchange", exchange}});
    body += cat("  UNROLL for (u32 e = 0; e < ", items, "; ++e) {\n    const u32 k = mine + e * 32;\n",
                "    if (k < count) {\n      const ", p_.places ? "u32" : "Word",
                " word = ", p_.places ? "carried" : "key", "[e];\n", output_text("k"), "    }\n  }\n");
    text.body(body);
    add(text, uint32_t(p_.lines.count), tile_.threads, {{0, 0}, {1, 0}}, 1, numbers.bytes());
  }

  Machine& machine_;
  const SortProblem& p_;
  int64_t bytes_;
  std::string_view raw_;
  Tile tile_;
  int64_t tiles_ = 1, scratch_bytes_ = 0;
  Place keys_[2], numbers_[2], counts_, totals_;
  std::vector<Stage> stages_;
};

}  // namespace

bool radix_pays(const Machine& machine, const SortProblem& p, int64_t block) {
  const int64_t n = p.lines.length, digits = int64_t(item_size(p.in.dtype));
  if (n <= block) return false;
  if (n <= largest_tile(machine.traits(), digits).size()) return true;
  int64_t merges = 0;
  for (int64_t run = block; run < n; run *= 2) ++merges;
  // Few elements take what launches take; of many, digits move less.
  return merges >= digits || (p.lines.count * n >= (1 << 20) && merges * 4 >= digits);
}

std::unique_ptr<Kernel> make_radix_sort(Machine& machine, const SortProblem& problem) {
  return RadixSort(machine, problem).make();
}

}  // namespace funcnn::gpu
