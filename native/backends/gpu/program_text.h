// What the kernels of programs have in common while their text is put together.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backends/gpu/kernel.h"
#include "backends/gpu/program_walk.h"
#include "base/error.h"

namespace funcnn::gpu {

// A launch as printed, before it is compiled.
struct Printed {
  Source source;
  Size3 groups, threads;
  std::vector<Place> operands;  // among the kernel's
  size_t read_only = 0;
  std::vector<std::byte> values;
  // What has to lie at a multiple of so many bytes.
  struct Aligned {
    Place place;
    int64_t bytes;
  };
  std::vector<Aligned> aligned;
};

// Lines of a body, indented by their depth.
class TextLines {
 public:
  explicit TextLines(int depth = 1) : depth_(depth) {}
  template <class... Args>
  TextLines& operator()(const Args&... args) {
    text_ += std::string(size_t(2 * depth_), ' ') + cat(args...) + '\n';
    return *this;
  }
  // `head {` and what follows up to close() one deeper.
  template <class... Args>
  TextLines& open(const Args&... args) {
    (*this)(args..., " {");
    ++depth_;
    return *this;
  }
  TextLines& block() {
    (*this)("{");
    ++depth_;
    return *this;
  }
  TextLines& close() {
    --depth_;
    return (*this)("}");
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  int depth_;
};

// How a reduction goes: of which dtype its total is, and by which operation two of them become one.
struct Reducing {
  ReduceOp op;
  Dtype dtype;  // of the total; bool for `all` and `any`
  Opcode combine;
  std::string identity;
};
Reducing reducing(const Instruction& reduction);

// Prints one kernel of a program. Derived printers lay out the loops.
class ProgramText {
 protected:
  // `places`: where the program's operands are among those of the launch's kernel; empty: the same. `packs`: packs of
  // elements may be read and written at once, for the operands lie at multiples of 16 bytes.
  ProgramText(const Traits& traits, const KernelProgram& program, std::span<const Place> places, bool packs,
              bool divided);

  // The most elements whose packs of all accesses fit 16 bytes, along an axis of so many elements of which every part
  // begins at a multiple of the pack.
  int pack_width() const;
  // Whether pack accesses of this one are a run in memory, one value, or neither.
  enum class Step : uint8_t { run, same, apart };
  Step step(int access) const;

  // Whether a pack of this load or store has elements of its own: then its slot is a Pack, otherwise one element.
  bool in_pack(const Instruction& i) const {
    return width_ > 1 && i.space == Space::element && step(i.access) != Step::same;
  }
  std::string slot_type(const Instruction& i) const;
  // Bring load_part and store_part: packs whose first `count` elements are there.
  void use_parts();

  // Declare a value of `p` and say what it is; the type is that of indices (u32, or i64 where the walk is wide) or of
  // offsets (i32 or i64).
  std::string count_value(std::string_view name, int64_t value);
  std::string offset_value(std::string_view name, int64_t value);
  std::string u32_value(std::string_view name, uint32_t value);
  std::string_view count_type() const { return walk_.wide ? "i64" : "u32"; }
  std::string_view offset_type() const { return walk_.wide ? "i64" : "i32"; }

  // Lines that take the flat number `from` of axes [begin, end) apart into i{axis}.
  void take_apart(TextLines& out, std::string_view from, size_t begin, size_t end);
  // The sum of i{axis} * stride over axes [begin, end); "0" where that is nothing. The last axis is counted by `last`
  // instead, if given.
  std::string offset_along(int access, size_t begin, size_t end, std::string_view last = {});
  // The offset of an element of an odd access, whose number is `from`.
  std::string odd_offset(int access, std::string_view from);

  // The operand of an access, from its first element on.
  std::string pointer(int access);
  // The same where packs of so many elements are read or written.
  std::string pack_pointer(int access, int width);
  const Instruction& at(int n) const { return p_.code[size_t(n)]; }
  const Access& access_of(const Instruction& i) const { return p_.accesses[size_t(i.access)]; }
  Dtype operand_dtype(const Instruction& compute) const;
  // What instruction n computes, of the names of its arguments.
  std::string expression(int n);
  std::string convert(std::string_view value, Dtype from, Dtype to);
  std::string combined(const Reducing& r, std::string_view a, std::string_view b);
  // Lines that let instruction n, a reduction, take one more element into `total`.
  void reduce_into(TextLines& out, int n, std::string_view total);
  // The element or row numbered `number`, as the value of an index instruction.
  std::string index_of(const Instruction& i, std::string_view number);
  // Operands that the kernel finds by an address it computes are no parameters.
  void found_by_address(int operand) { uses_[size_t(operand)].by_address = true; }
  bool is_one(int operand) const { return uses_[size_t(operand)].one; }
  bool is_written(int operand) const { return uses_[size_t(operand)].written; }
  std::string_view operand_type(int operand) const { return type_name(uses_[size_t(operand)].dtype); }
  // A field of `p` whose value is filled in when the kernel is launched.
  void open_value(std::string_view type, std::string name) { declared_.emplace_back(type, std::move(name)); }
  void name(int n, std::string name) { names_[size_t(n)] = std::move(name); }
  const std::string& name(int n) const { return names_[size_t(n)]; }
  // The value of a store, as memory holds it.
  std::string stored_value(const Instruction& store);
  // Packs of results: what gathers the elements, float32 where they are of half precision; an element of it; the whole,
  // as memory holds it.
  std::string pack_of_results(const Instruction& store) const;
  std::string packed_value(const Instruction& store);
  std::string packed(int n) const;
  std::string_view type(int n) const { return register_type(at(n).dtype); }

  // Loads and computations of the scalar space.
  void scalars(TextLines& out);
  // The kernel's name tells what it computes.
  std::string title(std::string_view form) const;
  Printed finish(std::string_view form, uint32_t threads, std::string_view shared, const TextLines& body, Size3 groups,
                 Size3 thread_counts);

  const Traits& traits_;
  const KernelProgram& p_;
  bool packs_;
  Walk walk_;
  std::vector<Space> spaces_;  // of accesses
  std::vector<char> half_;     // `half_suffices`
  int width_ = 1;              // elements of a pack
  std::string before_;

 private:
  struct Use {
    bool read = false, written = false, one = true, by_address = false;
    std::optional<int64_t> offset;  // of all accesses: then the launch brings it
    bool same_offset = true;
    int64_t pack_bytes = 1;
    Dtype dtype = Dtype::float32;
  };
  void add_value(std::string_view type, std::string_view name, int64_t value);

  std::vector<Place> places_;
  std::vector<Use> uses_;
  std::vector<std::string> names_;
  std::vector<Section> sections_;
  std::vector<std::pair<std::string, std::string>> declared_;
  Values values_;
};

}  // namespace funcnn::gpu
