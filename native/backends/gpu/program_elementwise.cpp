// Programs without reductions: every thread computes a few packs of elements.
#include <algorithm>
#include <bit>

#include "backends/gpu/program_length.h"
#include "backends/gpu/program_printers.h"
#include "backends/gpu/program_text.h"

namespace funcnn::gpu {
namespace {

constexpr int kThreads = 256;
constexpr size_t kManyInstructions = 96, kTooManyToRepeat = 512;
// As long as four sines, of which two packs of four elements make 32.
constexpr size_t kManyFunctions = 64;
// A tile of a transposition: so many elements each way, of which threads take every kTileStep-th.
constexpr int kTile = 32, kTileStep = 8;
constexpr size_t kMostTiles = 4;

class Elementwise : ProgramText {
 public:
  Elementwise(const Traits& traits, const KernelProgram& program, std::span<const Place> places, bool packs)
      : ProgramText(traits, program, places, packs, false), total_(program.rows * program.cols) {
    width_ = pack_width();
    const size_t functions = length_of_functions(program);
    if (program.code.size() > kTooManyToRepeat || functions > 2 * kManyFunctions) width_ = 1;
    if (functions > kManyFunctions) width_ = std::min<int>(width_, 2);
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
    const bool many = program.code.size() > kManyInstructions || functions > kManyFunctions / 2;
    int64_t most = many ? 1 : loads <= 1 || width_ == 1 ? 4 : loads <= 3 ? 2 : 1;
    while (repeats_ < most && packs_in_all >= 2 * repeats_ * int64_t(traits.cores) * 2048) repeats_ *= 2;
    threads_ = int(std::min<int64_t>(kThreads, (packs_in_all + 31) / 32 * 32));
  }

  Printed print() {
    TextLines out;
    if (parts_) use_parts();
    total_name_ = count_value("n", total_);
    return print_body(out, "map");
  }

  // Whether loads go along another axis than the stores do, so that a tile of them is turned in the memory of the
  // group.
  bool turns() {
    for (const Instruction& i : p_.code)
      if (i.kind == InstructionKind::index || (i.access >= 0 && walk_.odd[size_t(i.access)])) return false;
    const size_t inner = walk_.axes.size() - 1;
    std::vector<size_t> loads(walk_.axes.size(), 0);
    for (const Instruction& i : p_.code)
      for (size_t axis = 0; axis < inner; ++axis) loads[axis] += turned_along(i, axis);
    turned_ = size_t(std::max_element(loads.begin(), loads.end()) - loads.begin());
    return loads[turned_] > 0 && loads[turned_] <= kMostTiles && walk_.axes[inner] >= kTile &&
           walk_.axes[turned_] >= kTile && p_.code.size() <= kManyInstructions;
  }

  Printed print_turned() {
    width_ = 1;
    repeats_ = kTile / kTileStep;
    tiled_ = true;
    const size_t inner = walk_.axes.size() - 1;
    const int64_t across = (walk_.axes[inner] + kTile - 1) / kTile, down = (walk_.axes[turned_] + kTile - 1) / kTile;
    int64_t groups = across * down;
    std::string shared;
    for (size_t n = 0; n < p_.code.size(); ++n)
      if (turned_along(at(int(n)), turned_))
        shared +=
            cat("  SHARED ", type_name(access_of(at(int(n))).dtype), " tile", n, "[", kTile, "][", kTile + 1, "];\n");
    TextLines out;
    scalars(out);
    out("u32 number = group.x;");
    out("const ", offset_type(), " first", inner, " = number % ", u32_value("across", uint32_t(across)), " * ", kTile,
        ";");
    out("number /= p.across;");
    out("const ", offset_type(), " first", turned_, " = number % ", u32_value("down", uint32_t(down)), " * ", kTile,
        ";");
    out("number /= p.down;");
    for (size_t axis = inner; axis-- > 0;) {
      if (axis == turned_) continue;
      std::string n = count_value(cat("n", axis), walk_.axes[axis]);
      out("const ", offset_type(), " i", axis, " = number % u32(", n, ");");
      out("number /= u32(", n, ");");
      groups *= walk_.axes[axis];
    }
    // Lanes read along the axis on which what is read lies densely, and go on along the other.
    over_tile(out, turned_, inner, [&] {
      for (size_t n = 0; n < p_.code.size(); ++n)
        if (const Instruction& i = at(int(n)); turned_along(i, turned_))
          out("tile", n, "[item.y + k * ", kTileStep, "][item.x] = ", pointer(i.access), "[", offset(i.access), "];");
    });
    out("BARRIER();");
    declare_loads(out);
    over_tile(out, inner, turned_, [&] { loads(out); });
    over_tile(out, inner, turned_, [&] { compute(out); });
    return finish("map_turned", kTile * kTileStep, shared, out, {uint32_t(groups)}, {kTile, kTileStep});
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
    TextLines out;
    out("u32 member = 0;");
    out.open("for (u32 step = ", std::bit_ceil(unsigned(capacity)) / 2, "; step; step /= 2)");
    out("if (member + step < p.members && p.first[member + step] <= group.x) member += step;");
    out.close();
    out("const u32 n = p.count[member];");
    for (size_t place = 0; place < each; ++place) {
      const int k = made.by_address[place];
      found_by_address(k);
      std::string pointer = cat("DEVICE ", is_written(k) ? "" : "const ", operand_type(k), "*");
      out(pointer, " ", is_written(k) ? "y" : "x", k, " = (", pointer, ")(u64)p.address[member * ", each, " + ", place,
          "];");
      made.is_written.push_back(is_written(k));
    }
    total_name_ = "n";
    group_ = "(group.x - p.first[member])";
    made.printed = print_body(out, "maps");
    made.elements = int64_t(threads_) * width_ * repeats_;
    return made;
  }

 private:
  Printed print_body(TextLines& out, std::string_view form) {
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

  void position(TextLines& out, std::string_view k) {
    std::string group = !group_.empty() ? group_ : walk_.wide ? "i64(group.x)" : "group.x";
    std::string block = repeats_ == 1 ? group : cat("(", group, " * ", repeats_, " + ", k, ")");
    std::string number = cat(block, " * items.x + item.x");
    out("const ", count_type(), " i = ", width_ > 1 ? cat("(", number, ") * ", width_) : number, ";");
  }

  bool turned_along(const Instruction& i, size_t axis) const {
    if (i.kind != InstructionKind::load || i.space == Space::scalar) return false;
    const Strides& strides = walk_.strides[size_t(i.access)];
    const int64_t along_stores = strides.back();
    return axis + 1 < walk_.axes.size() && strides[axis] == 1 && along_stores != 0 && along_stores != 1;
  }
  template <class F>
  void over_tile(TextLines& out, size_t fast, size_t slow, F&& body) {
    out.open("UNROLL for (u32 k = 0; k < ", repeats_, "; ++k)");
    out("const ", offset_type(), " i", fast, " = first", fast, " + item.x;");
    out("const ", offset_type(), " i", slow, " = first", slow, " + item.y + k * ", kTileStep, ";");
    std::string n = count_value(cat("n", fast), walk_.axes[fast]), m = count_value(cat("n", slow), walk_.axes[slow]);
    out.open("if (", count_type(), "(i", fast, ") < ", n, " && ", count_type(), "(i", slow, ") < ", m, ")");
    body();
    out.close().close();
  }

  bool along(const Instruction& i) const { return walks(i) && !walk_.odd[size_t(i.access)] && !walk_.flat(i.access); }
  bool needs_axes() const {
    return std::any_of(p_.code.begin(), p_.code.end(), [&](const Instruction& i) { return along(i); });
  }
  bool stores_need_axes() const {
    return std::any_of(p_.code.begin(), p_.code.end(),
                       [&](const Instruction& i) { return i.kind == InstructionKind::store && along(i); });
  }
  void along_axes(TextLines& out) {
    if (needs_axes()) take_apart(out, "i", 0, walk_.axes.size());
  }
  std::string offset(int access) {
    if (walk_.odd[size_t(access)]) return odd_offset(access, "i");
    return walk_.flat(access) && !tiled_ ? "i" : offset_along(access, 0, walk_.axes.size());
  }

  std::string slot(int n) const { return repeats_ > 1 ? cat("a", n, "[k]") : cat("a", n); }
  void declare_loads(TextLines& out) {
    for (size_t n = 0; n < p_.code.size(); ++n)
      if (at(int(n)).kind == InstructionKind::load && walks(at(int(n))))
        out(slot_type(at(int(n))), " a", n, "[", repeats_, "];");
  }

  void loads(TextLines& out) {
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      if (i.kind != InstructionKind::load || !walks(i)) continue;
      if (tiled_ && turned_along(i, turned_)) {
        out(slot(int(n)), " = tile", n, "[item.x][item.y + k * ", kTileStep, "];");
        continue;
      }
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

  void compute(TextLines& out) {
    for (size_t n = 0; n < p_.code.size(); ++n)
      if (at(int(n)).kind == InstructionKind::store && width_ > 1) out(pack_of_results(at(int(n))), " b", n, ";");
    if (width_ > 1) out.open("UNROLL for (u32 e = 0; e < ", width_, "; ++e)");
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      if (i.space == Space::scalar) continue;
      std::string head = cat("const ", type(int(n)), " v", n, " = ");
      std::string element = width_ > 1 ? ".v[e]" : "";
      switch (i.kind) {
        case InstructionKind::load:
          out(head, in_pack(i) ? "element_of(" : "element(", slot(int(n)), in_pack(i) ? ", e);" : ");");
          break;
        case InstructionKind::index:
          out(head, index_of(i, width_ > 1 ? "i + e" : "i"), ";");
          break;
        case InstructionKind::compute:
          out(head, expression(int(n)), ";");
          break;
        case InstructionKind::store:
          if (width_ > 1)
            out("b", n, ".v[e] = ", packed_value(i), ";");
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
        out(parts_ ? cat("store_part(", to, ", ", packed(int(n)), ", ", total_name_, " - i);")
                   : cat("store_pack(", to, ", ", packed(int(n)), ");"));
      } else {
        std::string guard = parts_ ? cat("if (i + e < ", total_name_, ") ") : "";
        const Dtype memory = access_of(i).dtype;
        std::string element = cat("b", n, ".v[e]");
        out("UNROLL for (u32 e = 0; e < ", width_, "; ++e) ", guard, pointer(i.access), "[", apart(i.access),
            "] = ", is_half(memory) ? cat(type_name(memory), "(", element, ")") : element, ";");
      }
    }
  }

  int64_t total_;
  int repeats_ = 1, threads_ = kThreads;
  bool parts_ = false, tiled_ = false;
  size_t turned_ = 0;  // the axis along which turned loads lie densely
  std::string total_name_, group_;
};

}  // namespace

Printed print_elementwise(const Traits& traits, const KernelProgram& program, std::span<const Place> places,
                          bool packs) {
  Elementwise text(traits, program, places, packs);
  return text.turns() ? text.print_turned() : text.print();
}

PrintedJoint print_joint(const Traits& traits, const KernelProgram& program, int capacity) {
  return Elementwise(traits, program, {}, true).print_joint(capacity);
}

}  // namespace funcnn::gpu
