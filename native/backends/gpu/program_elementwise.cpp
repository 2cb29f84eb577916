// Programs without reductions: every thread computes a few packs of elements.
#include <algorithm>
#include <bit>

#include "backends/gpu/program_printers.h"
#include "backends/gpu/program_text.h"

namespace funcnn::gpu {
namespace {

constexpr int kThreads = 256;
constexpr size_t kManyInstructions = 96, kTooManyToRepeat = 512;

class Elementwise : ProgramText {
 public:
  Elementwise(const Traits& traits, const KernelProgram& program, std::span<const Place> places, bool packs)
      : ProgramText(traits, program, places, packs, false), total_(program.rows * program.cols) {
    width_ = pack_width();
    if (program.code.size() > kTooManyToRepeat) width_ = 1;
    // Elements beyond the last whole pack: not worth text of their own where there are few packs.
    if (walk_.axes.size() == 1 && total_ % width_ != 0) {
      if (total_ < int64_t(traits.cores) * 2048)
        width_ = 1;
      else
        parts_ = true;
    }
    int64_t packs_in_all = (total_ + width_ - 1) / width_;
    size_t loads = 0;
    for (const Instruction& i : program.code) loads += i.kind == InstructionKind::load && i.space != Space::scalar;
    int64_t most = program.code.size() > kManyInstructions ? 1 : loads <= 1 || width_ == 1 ? 4 : loads <= 3 ? 2 : 1;
    while (repeats_ < most && packs_in_all >= 2 * repeats_ * int64_t(traits.cores) * 2048) repeats_ *= 2;
    threads_ = int(std::min<int64_t>(kThreads, (packs_in_all + 31) / 32 * 32));
  }

  Printed print() {
    Lines out;
    if (parts_) use_parts();
    total_name_ = count_value("n", total_);
    return print_body(out, "map");
  }

  // One kernel for up to `capacity` programs that differ in their numbers of elements. Group after group is given to
  // them in turn.
  PrintedJoint print_joint(int capacity) {
    PrintedJoint made;
    made.capacity = capacity;
    for (int k = 0; k < p_.operand_count; ++k)
      if (!is_one(k)) made.by_address.push_back(k);
    const size_t each = made.by_address.size();
    open_value("i64", cat("address[", size_t(capacity) * each, "]"));
    open_value("u32", cat("count[", capacity, "]"));
    open_value("u32", cat("first[", capacity, "]"));
    open_value("u32", "members");
    parts_ = width_ > 1;
    if (parts_) use_parts();
    repeats_ = p_.code.size() > kManyInstructions ? 1 : 2;
    threads_ = kThreads;
    Lines out;
    out("u32 member = 0;");
    out.open("for (u32 step = ", std::bit_ceil(unsigned(capacity)) / 2, "; step; step /= 2)");
    out("if (member + step < p.members && p.first[member + step] <= group.x) member += step;");
    out.close();
    out("const u32 n = p.count[member];");
    for (size_t place = 0; place < each; ++place) {
      const int k = made.by_address[place];
      found_by_address(k);
      std::string pointer = cat("DEVICE ", is_written(k) ? "" : "const ", operand_type(k), "*");
      out(pointer, " ", is_written(k) ? "y" : "x", k, " = (", pointer, ")p.address[member * ", each, " + ", place,
          "];");
    }
    total_name_ = "n";
    group_ = "(group.x - p.first[member])";
    made.printed = print_body(out, "maps");
    made.elements = int64_t(threads_) * width_ * repeats_;
    return made;
  }

 private:
  Printed print_body(Lines& out, std::string_view form) {
    scalars(out);
    if (repeats_ == 1) {
      position(out, "0");
      out("if (i >= ", total_name_, ") return;");
      along_axes(out);
      loads(out);
      compute(out);
    } else {
      declare_loads(out);
      out.open("UNROLL for (u32 k = 0; k < ", repeats_, "; ++k)");
      position(out, "k");
      out.open("if (i < ", total_name_, ")");
      along_axes(out);
      loads(out);
      out.close().close();
      out.open("UNROLL for (u32 k = 0; k < ", repeats_, "; ++k)");
      position(out, "k");
      out.open("if (i < ", total_name_, ")");
      if (stores_need_axes()) along_axes(out);
      compute(out);
      out.close().close();
    }
    int64_t groups = (total_ + int64_t(threads_) * width_ * repeats_ - 1) / (int64_t(threads_) * width_ * repeats_);
    return finish(form, kThreads, {}, out, {uint32_t(groups)}, {uint32_t(threads_)});
  }

  bool walks(const Instruction& i) const { return i.access >= 0 && i.space != Space::scalar; }

  void position(Lines& out, std::string_view k) {
    std::string group = !group_.empty() ? group_ : walk_.wide ? "i64(group.x)" : "group.x";
    std::string block = repeats_ == 1 ? group : cat("(", group, " * ", repeats_, " + ", k, ")");
    std::string number = cat(block, " * items.x + item.x");
    out("const ", count_type(), " i = ", width_ > 1 ? cat("(", number, ") * ", width_) : number, ";");
  }

  bool along(const Instruction& i) const { return walks(i) && !walk_.odd[size_t(i.access)] && !walk_.flat(i.access); }
  bool needs_axes() const {
    return std::any_of(p_.code.begin(), p_.code.end(), [&](const Instruction& i) { return along(i); });
  }
  bool stores_need_axes() const {
    return std::any_of(p_.code.begin(), p_.code.end(),
                       [&](const Instruction& i) { return i.kind == InstructionKind::store && along(i); });
  }
  void along_axes(Lines& out) {
    if (needs_axes()) take_apart(out, "i", 0, walk_.axes.size());
  }
  std::string offset(int access) {
    if (walk_.odd[size_t(access)]) return odd_offset(access, "i");
    return walk_.flat(access) ? "i" : offset_along(access, 0, walk_.axes.size());
  }

  std::string slot(int n) const { return repeats_ > 1 ? cat("a", n, "[k]") : cat("a", n); }
  void declare_loads(Lines& out) {
    for (size_t n = 0; n < p_.code.size(); ++n)
      if (at(int(n)).kind == InstructionKind::load && walks(at(int(n))))
        out(slot_type(at(int(n))), " a", n, "[", repeats_, "];");
  }

  void loads(Lines& out) {
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      if (i.kind != InstructionKind::load || !walks(i)) continue;
      std::string target =
          repeats_ > 1 ? slot(int(n))
                       : cat(in_pack(i) && step(i.access) == Step::apart ? "" : "const ", slot_type(i), " a", n);
      if (!in_pack(i)) {
        out(target, " = ", pointer(i.access), "[", offset(i.access), "];");
      } else if (step(i.access) == Step::run) {
        std::string from = cat(pack_pointer(i.access, width_), " + ", offset(i.access));
        out(target, " = ",
            parts_ ? cat("load_part<", width_, ">(", from, ", ", total_name_, " - i);")
                   : cat("load_pack<", width_, ">(", from, ");"));
      } else {
        if (repeats_ == 1) out(target, ";");
        std::string guard = parts_ ? cat("if (i + e < ", total_name_, ") ") : "";
        out("UNROLL for (u32 e = 0; e < ", width_, "; ++e) ", guard, slot(int(n)), ".v[e] = ", pointer(i.access), "[",
            apart(i.access), "];");
      }
    }
  }
  // The offset of element e of a pack whose elements lie apart.
  std::string apart(int access) {
    if (walk_.odd[size_t(access)]) return odd_offset(access, "i + e");
    const size_t inner = walk_.axes.size() - 1;
    return offset_along(access, 0, walk_.axes.size(), cat("(i", inner, " + ", offset_type(), "(e))"));
  }

  void compute(Lines& out) {
    for (size_t n = 0; n < p_.code.size(); ++n)
      if (at(int(n)).kind == InstructionKind::store && width_ > 1)
        out("Pack<", type_name(access_of(at(int(n))).dtype), ", ", width_, "> b", n, ";");
    if (width_ > 1) out.open("UNROLL for (u32 e = 0; e < ", width_, "; ++e)");
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      if (i.space == Space::scalar) continue;
      std::string head = cat("const ", type(int(n)), " v", n, " = ");
      std::string element = width_ > 1 ? ".v[e]" : "";
      switch (i.kind) {
        case InstructionKind::load:
          out(head, "load(", slot(int(n)), in_pack(i) ? ".v[e]" : "", ");");
          break;
        case InstructionKind::index:
          out(head, index_of(i, width_ > 1 ? "i + e" : "i"), ";");
          break;
        case InstructionKind::compute:
          out(head, expression(int(n)), ";");
          break;
        case InstructionKind::store:
          if (width_ > 1)
            out("b", n, ".v[e] = ", stored_value(i), ";");
          else
            out("store(", pointer(i.access), ", ", offset(i.access), ", ", name(i.args[0]), ");");
          break;
        default:
          throw Error("gpu: a reduction among elements");
      }
    }
    if (width_ == 1) return;
    out.close();
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      if (i.kind != InstructionKind::store) continue;
      if (step(i.access) == Step::run) {
        std::string to = cat(pack_pointer(i.access, width_), " + ", offset(i.access));
        out(parts_ ? cat("store_part(", to, ", b", n, ", ", total_name_, " - i);")
                   : cat("store_pack(", to, ", b", n, ");"));
      } else {
        std::string guard = parts_ ? cat("if (i + e < ", total_name_, ") ") : "";
        out("UNROLL for (u32 e = 0; e < ", width_, "; ++e) ", guard, pointer(i.access), "[", apart(i.access), "] = b",
            n, ".v[e];");
      }
    }
  }

  int64_t total_;
  int repeats_ = 1, threads_ = kThreads;
  bool parts_ = false;
  std::string total_name_, group_;
};

}  // namespace

Printed print_elementwise(const Traits& traits, const KernelProgram& program, std::span<const Place> places,
                          bool packs) {
  return Elementwise(traits, program, places, packs).print();
}

PrintedJoint print_joint(const Traits& traits, const KernelProgram& program, int capacity) {
  return Elementwise(traits, program, {}, true).print_joint(capacity);
}

}  // namespace funcnn::gpu
