// The body of a vectorised loop as a straight line of operations on vectors: what functions are written into and what
// the generators of machine code read. Every operation is exact or rounded once, as the same expression in simd/ is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace funcnn::cpu::jit {

enum class Do : uint8_t {
  // values that are read
  constant,  // `bits`
  uniform,   // stream `stream`: one value for each row, or for all
  load,      // stream `stream`, widened from what memory holds
  pick,      // stream `stream`: one value, so many of them after the first as a, a 32-bit integer from 0 on, says
  index,     // number of the element, as a 32-bit or 64-bit integer
  // floating point
  add,
  subtract,
  multiply,
  divide,
  fma,   // a * b + c, rounded once
  fms,   // a * b - c
  fnma,  // c - a * b
  square_root,
  least,     // a < b ? a : b
  greatest,  // a > b ? a : b
  floor,
  ceil,
  truncate,
  nearest,  // ties to even
  half,     // the nearest float16, ties to even
  brain,    // the nearest bfloat16: what generators make of its operations
  // integers, which wrap; floating-point values are theirs by their bits
  int_add,
  int_subtract,
  int_multiply,
  int_least,  // signed
  int_greatest,
  uint_least,
  uint_greatest,
  bit_and,
  bit_or,
  bit_xor,
  shift_left,  // by `bits`, a constant below the width
  shift_right,
  shift_right_signed,
  shift_left_by,  // by b, unsigned: the width or more move every bit out
  shift_right_by,
  shift_right_signed_by,
  // conversions
  from_int,  // signed integer of the same width to floating point, to nearest
  to_int,    // towards zero; of what fits
  // between 4-byte lanes and halves of them in 8-byte lanes, a the first and b the second
  widen_first,  // float32 to float64
  widen_second,
  narrow,           // rounded
  widen_int_first,  // signed integer to float64
  widen_int_second,
  narrow_to_int,  // towards zero; of what fits
  // masks: ordered comparisons of floating point (not_equal: also true of NaN), signed ones of integers
  less,
  less_equal,
  equal,
  not_equal,
  int_less,
  int_equal,
  mask_and,
  mask_or,
  mask_xor,
  mask_not,
  mask_first,  // for 8-byte lanes
  mask_second,
  mask_of_load,  // stream of booleans
  select,        // a (a mask) ? b : c
  choose,        // as select, where the mask is that of a whole row: only the one wanted has to be computed
  seldom,        // as select: b does not have to be computed for vectors of which no element has the mask
  // results
  store,       // a into stream `stream`, narrowed to what memory holds
  mask_store,  // a, a mask, into a stream of booleans
  leave,       // where a, a mask, is false: what follows is not done, and the frame says `bits`; without a: nothing
  reduce,      // a into reduction `stream`
};

inline constexpr int kDoCount = int(Do::reduce) + 1;
std::string_view do_name(Do what);

constexpr bool is_result(Do what) { return what >= Do::store; }
constexpr bool makes_mask(Do what) { return what >= Do::less && what <= Do::mask_of_load; }
// Values that are read where they are needed.
constexpr bool is_lazy(Do what) { return what == Do::constant || what == Do::uniform; }

struct Node {
  Do what;
  bool eight = false;          // one half of the elements in 8-byte lanes, where the line has 4-byte ones
  int a = -1, b = -1, c = -1;  // earlier nodes
  int stream = -1;
  uint64_t bits = 0;
  bool operator==(const Node&) const = default;
};
struct NodeHash {
  size_t operator()(const Node& node) const;
};

// Nodes that no result reads are of no account: what made them found something better.
struct Line {
  bool wide = false;    // values are 8 bytes, else 4
  bool halves = false;  // the generator knows nodes that are `eight`
  bool single = false;  // all elements of a vector are alike: its halves are the same value
  std::vector<Node> nodes;

  // The number of an equal node, which is made where there is none: no value is computed twice.
  int make(const Node& node);
  // By node: whether a result depends on it, or it is one.
  std::vector<char> needed() const;

 private:
  std::unordered_map<Node, int, NodeHash> numbers_;
};

}  // namespace funcnn::cpu::jit
