// Programs that reduce rows: a part of a warp, a warp or a group takes a row.
#include <algorithm>
#include <bit>

#include "backends/gpu/program_printers.h"
#include "backends/gpu/program_text.h"

namespace funcnn::gpu {
namespace {

constexpr size_t kManyInstructions = 96;

// Of the elements of a row that groups share, so many are a group's; parts begin at whole packs.
int64_t chunk_of(const KernelProgram& p, int64_t splits) { return ((p.cols + splits - 1) / splits + 63) / 64 * 64; }

// A row is gone through once for each level of reductions: what is of level n needs the results of n reductions that
// follow from each other. Where a row fits in registers, memory is read in the first pass that needs it, and what is
// costly to compute is kept from pass to pass; otherwise every pass reads and computes all it needs.
class Rows : ProgramText {
 public:
  // `splits`: so many groups share a row, and each stores results of its own.
  Rows(const Traits& traits, const KernelProgram& program, std::span<const Place> places, bool packs, int64_t splits)
      : ProgramText(traits, program, places, packs, true), splits_(splits) {
    find_levels();
    width_ = pack_width();
    parts_ = width_ == 1 && packs && program.rows == 1 && part_width() > 1 && program.cols >= 4096;
    if (parts_) width_ = part_width();
    lay_out();
    frugal_ =
        !looped_ && repeats_ > 1 && std::any_of(program.code.begin(), program.code.end(), [&](const Instruction& i) {
          return i.kind == InstructionKind::load && in_pack(i) && is_half(access_of(i).dtype);
        });
  }

  Printed print() {
    TextLines out;
    if (parts_) use_parts();
    cols_name_ = count_value("cols", p_.cols);
    scalars(out);
    place_row(out);
    row_values(out, 0);
    if (!looped_) declare_loads(out, [&](int n) { return !passing(n); });
    declare_kept(out);
    for (int phase = 0; phase <= last_level_; ++phase) {
      pass(out, phase);
      reduce_across(out, phase);
      row_values(out, phase + 1);
    }
    const int64_t per_group = lanes_ <= 32 ? threads_ / lanes_ : 1;
    const int64_t groups = (p_.rows + per_group - 1) / per_group * splits_;
    return finish("rows", uint32_t(threads_), shared_, out, {uint32_t(groups)}, {uint32_t(threads_)});
  }

 private:
  static constexpr int kMostKept = 32;

  void find_levels() {
    levels_.assign(p_.code.size(), 0);
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      for (int a : i.args)
        if (a >= 0) levels_[n] = std::max(levels_[n], levels_[size_t(a)]);
      bool reduces = i.kind == InstructionKind::reduce_row;
      if (reduces || (i.kind == InstructionKind::store && i.space == Space::element))
        last_level_ = std::max(last_level_, levels_[n]);
      levels_[n] += reduces;
    }
    // What each pass computes, and in which pass each value is first needed.
    first_.assign(p_.code.size(), -1);
    last_.assign(p_.code.size(), -1);
    for (int phase = 0; phase <= last_level_; ++phase)
      for (size_t n : needed(phase, {})) {
        if (first_[n] < 0) first_[n] = phase;
        last_[n] = phase;
      }
    kept_.assign(p_.code.size(), 0);
  }
  bool is_target(int n, int phase) const {
    const Instruction& i = at(n);
    if (i.kind == InstructionKind::reduce_row) return levels_[size_t(n)] == phase + 1;
    return i.kind == InstructionKind::store && i.space == Space::element && store_phase(n) == phase;
  }
  // A store may lie over what a later pass would read again.
  int store_phase(int n) const { return looped_ ? last_level_ : levels_[size_t(n)]; }
  // The instructions over elements of a pass, given those that are at hand from earlier ones.
  std::vector<size_t> needed(int phase, const std::vector<char>& at_hand) const {
    std::vector<char> wanted(p_.code.size(), 0);
    std::vector<size_t> out;
    for (size_t n = p_.code.size(); n-- > 0;) {
      if (is_target(int(n), phase)) wanted[n] = 1;
      if (!wanted[n]) continue;
      out.push_back(n);
      if (!at_hand.empty() && at_hand[n] && !is_target(int(n), phase)) continue;
      for (int a : at(int(n)).args)
        if (a >= 0 && at(a).space == Space::element) wanted[size_t(a)] = 1;
    }
    std::reverse(out.begin(), out.end());
    return out;
  }

  bool is_load(int n) const { return at(n).kind == InstructionKind::load && at(n).space == Space::element; }
  // May lie where a result is written: read before anything is.
  bool early(int n) const { return walk_.odd[size_t(at(n).access)] || walk_.flat(at(n).access); }
  int load_phase(int n) const { return early(n) ? 0 : first_[size_t(n)]; }
  // Where registers are scarce, what all rows read is not held: it is loaded in the turn that needs it.
  bool passing(int n) const {
    if (!frugal_ || early(n)) return false;
    const Strides& s = walk_.strides[size_t(at(n).access)];
    return std::all_of(s.begin(), s.begin() + ptrdiff_t(walk_.row_axes), [](int64_t step) { return step == 0; });
  }

  int part_width() const {
    size_t widest = 1;
    for (size_t a = 0; a < p_.accesses.size(); ++a) {
      if (spaces_[a] != Space::element) continue;
      if (!walk_.flat(int(a)) || walk_.axes.size() != 2) return 1;
      widest = std::max(widest, item_size(p_.accesses[a].dtype));
    }
    return int(16 / widest);
  }

  // Registers that an element takes for the time of the kernel, in 4 bytes.
  double held() const {
    double out = 0;
    for (size_t n = 0; n < p_.code.size(); ++n) {
      if (is_load(int(n)) && (early(int(n)) || first_[n] != last_[n]))
        out += double(item_size(access_of(at(int(n))).dtype)) / 4;
      if (kept_[n]) out += double(std::max<size_t>(4, item_size(at(int(n)).dtype))) / 4;
    }
    return std::max(out, 1.0);
  }
  // Elements of a row lie apart, beside those of its neighbours: threads side by side had better take rows.
  bool elements_apart() const {
    for (size_t a = 0; a < p_.accesses.size(); ++a)
      if (spaces_[a] == Space::element && (walk_.strides[a].empty() || walk_.inner_stride(int(a)) == 1)) return false;
    return true;
  }
  void lay_out() {
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      kept_[n] = i.kind == InstructionKind::compute && i.space == Space::element && first_[n] < last_[n] &&
                 opcode_info(i.op).cost != OpcodeCost::basic;
    }
    const int64_t packs = std::max<int64_t>(1, (p_.cols + width_ - 1) / width_);
    const bool many = p_.code.size() > kManyInstructions;
    const double each = held() * width_;
    if (splits_ > 1) {
      lanes_ = threads_ = 256;
      looped_ = true;
      repeats_ = many ? 1 : each <= 4 ? 4 : 2;
      return;
    }
    auto lanes_for = [](int64_t n) { return int(std::bit_ceil(uint64_t(n))); };
    // Too few rows for all cores: a group takes one, so that it is done sooner.
    const bool few = packs > 32 && p_.rows <= int64_t(traits_.cores);
    if (p_.cols <= 1024 && !many && !few) {
      const bool alone = packs <= 8 && p_.rows >= 1024 * int64_t(traits_.cores) && elements_apart();
      lanes_ = alone ? 1 : packs <= 8 ? lanes_for(packs) : std::clamp(lanes_for((packs + 3) / 4), 8, 32);
      threads_ = 256;
      repeats_ = int((packs + lanes_ - 1) / lanes_);
      if (repeats_ * each <= 96) return;
    }
    auto packs_each = [&] { return many || (few && threads_ < 256) ? 1 : std::max(1, 16 / width_); };
    for (threads_ = 64; threads_ < 1024 && packs > threads_ * packs_each(); threads_ *= 2) {
    }
    threads_ = std::min(threads_, int(traits_.most_threads));
    lanes_ = threads_;
    repeats_ = int(std::min<int64_t>(1 << 16, (packs + lanes_ - 1) / lanes_));
    if (repeats_ * each <= (threads_ > 512 ? 32 : 64) && repeats_ * width_ <= (many ? 4 : kMostKept)) return;
    looped_ = true;
    kept_.assign(p_.code.size(), 0);
    repeats_ = many ? 1 : std::max<int>(1, std::min<int64_t>(repeats_, each <= 4 ? 4 : 2));
  }

  void place_row(TextLines& out) {
    std::string_view count = count_type();
    if (lanes_ > 32) {
      if (splits_ > 1) {
        std::string splits = u32_value("splits", uint32_t(splits_)),
                    chunk = count_value("chunk", chunk_of(p_, splits_));
        out("const u32 split = group.x % ", splits, ";");
        out("const ", count, " row = group.x / ", splits, ";");
        out("const ", count, " begin = split * ", chunk, ";");
        out("const ", count, " end = begin + ", chunk, " < ", cols_name_, " ? begin + ", chunk, " : ", cols_name_, ";");
        cols_end_ = "end";
      } else {
        out("const ", count, " row = group.x;");
      }
      out("const u32 part = item.x;");
    } else {
      std::string rows = count_value("rows", p_.rows);
      int per_group = threads_ / lanes_;
      out("const ", count, " wanted = ", count, "(group.x) * ", per_group, " + item.x / ", lanes_, ";");
      out("const u32 part = item.x % ", lanes_, ";");
      out("const bool live = wanted < ", rows, ";");
      out("const ", count, " row = live ? wanted : 0;");
    }
    bool along = false;
    for (size_t a = 0; a < p_.accesses.size(); ++a) along |= !walk_.strides[a].empty();
    if (along) take_apart(out, "row", 0, walk_.row_axes);
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      if (i.access < 0 || i.space != Space::element || walk_.odd[size_t(i.access)] ||
          walk_.strides[size_t(i.access)].empty())
        continue;
      std::string offset = offset_along(i.access, 0, walk_.row_axes);
      std::string from = pack_pointer(i.access, step(i.access) == Step::run ? width_ : 1);
      out("DEVICE ", i.kind == InstructionKind::load ? "const " : "", type_name(access_of(i).dtype), "* r", n, " = ",
          from, offset == "0" ? "" : " + (" + offset + ")", ";");
    }
  }

  void row_values(TextLines& out, int level) {
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      if (i.space != Space::row || levels_[n] != level) continue;
      switch (i.kind) {
        case InstructionKind::load:
          out("const ", type(int(n)), " v", n, " = element(", pointer(i.access), "[", row_offset(i.access), "]);");
          break;
        case InstructionKind::compute:
          out("const ", type(int(n)), " v", n, " = ", expression(int(n)), ";");
          break;
        case InstructionKind::store:
          if (splits_ > 1)
            out("if (part == 0) ", pointer(i.access), "[row * p.splits + split] = ", name(i.args[0]), ";");
          else
            out("if (", lanes_ <= 32 ? "live && " : "", "part == 0) store(", pointer(i.access), ", ",
                row_offset(i.access), ", ",
                convert(name(i.args[0]), at(i.args[0]).dtype, held_dtype(access_of(i).dtype)), ");");
          break;
        default:
          break;
      }
    }
  }
  static Dtype held_dtype(Dtype memory) { return is_half(memory) ? Dtype::float32 : memory; }
  std::string row_offset(int access) {
    return walk_.odd[size_t(access)] ? odd_offset(access, "row") : offset_along(access, 0, walk_.row_axes);
  }

  std::string slot(std::string_view prefix, int n) const {
    return repeats_ > 1 ? cat(prefix, n, "[j]") : cat(prefix, n);
  }
  std::string extent() const { return repeats_ > 1 ? cat("[", repeats_, "]") : ""; }
  template <class F>
  void declare_loads(TextLines& out, F&& wanted) {
    if (p_.cols == 0) return;
    for (size_t n = 0; n < p_.code.size(); ++n)
      if (is_load(int(n)) && wanted(int(n))) out(slot_type(at(int(n))), " a", n, extent(), ";");
  }
  void declare_kept(TextLines& out) {
    for (size_t n = 0; n < p_.code.size(); ++n)
      if (kept_[n]) out(type(int(n)), " k", n, extent(), width_ > 1 ? cat("[", width_, "]") : "", ";");
  }
  std::string kept(size_t n) const { return slot("k", int(n)) + (width_ > 1 ? "[e]" : ""); }

  // One turn over the packs that a thread has at once.
  template <class F>
  void over_packs(TextLines& out, F&& body) {
    if (repeats_ > 1)
      out.open("UNROLL for (u32 j = 0; j < ", repeats_, "; ++j)");
    else
      out.block();
    std::string number = repeats_ > 1 ? cat("j * ", lanes_, " + part") : "part";
    if (width_ > 1) number = cat("(", number, ") * ", width_);
    out("const ", count_type(), " c = ", looped_ ? "base + " : "", number, ";");
    const bool full = !looped_ && int64_t(lanes_) * repeats_ * width_ == p_.cols;
    std::string guard = full ? "" : cat("c < ", cols_end_.empty() ? cols_name_ : cols_end_);
    if (lanes_ <= 32) guard += full ? "live" : " && live";
    if (!guard.empty()) out.open("if (", guard, ")");
    body();
    if (!guard.empty()) out.close();
    out.close();
  }
  void along_columns(TextLines& out) { take_apart(out, "c", walk_.row_axes, walk_.axes.size()); }
  std::string column_offset(int access) { return offset_along(access, walk_.row_axes, walk_.axes.size()); }
  std::string number() const { return cat("row * ", cols_name_, " + c"); }

  void load_packs(TextLines& out, const std::vector<int>& loads) {
    if (loads.empty()) return;
    over_packs(out, [&] { load_pack(out, loads); });
  }
  void load_pack(TextLines& out, const std::vector<int>& loads) {
    along_columns(out);
    for (int n : loads) {
      const Instruction& i = at(n);
      std::string target = load_slot(n);
      if (!in_pack(i)) {
        if (walk_.odd[size_t(i.access)])
          out(target, " = ", pointer(i.access), "[", odd_offset(i.access, number()), "];");
        else
          out(target, " = r", n, "[", column_offset(i.access), "];");
      } else if (step(i.access) == Step::run) {
        std::string from = cat("r", n, " + ", column_offset(i.access));
        out(target, " = ",
            parts_ ? cat("load_part<", width_, ">(", from, ", ", cols_name_, " - c);")
                   : cat("load_pack<", width_, ">(", from, ");"));
      } else {
        std::string inner = cat("(i", walk_.axes.size() - 1, " + ", offset_type(), "(e))");
        std::string from =
            walk_.odd[size_t(i.access)]
                ? cat(pointer(i.access), "[", odd_offset(i.access, number() + " + e"), "]")
                : cat("r", n, "[", offset_along(i.access, walk_.row_axes, walk_.axes.size(), inner), "]");
        out("UNROLL for (u32 e = 0; e < ", width_, "; ++e) ", target, ".v[e] = ", from, ";");
      }
    }
  }
  std::string load_slot(int n) const { return passing(n) ? cat("a", n) : slot("a", n); }

  void pass(TextLines& out, int phase) {
    std::vector<char> at_hand(p_.code.size(), 0);
    for (size_t n = 0; n < p_.code.size(); ++n) at_hand[n] = kept_[n] && first_[n] < phase;
    std::vector<size_t> work = needed(phase, at_hand);
    for (size_t n : work)
      if (at(int(n)).kind == InstructionKind::reduce_row) {
        Reducing r = reducing(at(int(n)));
        out(register_type(r.dtype), " s", n, " = ", r.identity, ";");
      }
    if (p_.cols == 0) return;
    std::vector<int> loads;
    if (looped_) {
      for (size_t n : work)
        if (is_load(int(n))) loads.push_back(int(n));
    } else {
      for (size_t n = 0; n < p_.code.size(); ++n)
        if (is_load(int(n)) && !passing(int(n)) && load_phase(int(n)) == phase) loads.push_back(int(n));
      // Elements in half precision take half the registers of what becomes of them.
      if (frugal_ && phase > 0)
        for (size_t n : work)
          if (is_load(int(n)) && early(int(n)) && in_pack(at(int(n))) && is_half(access_of(at(int(n))).dtype))
            out("UNROLL for (u32 j = 0; j < ", repeats_, "; ++j) a", n, "[j] = again(a", n, "[j]);");
    }
    if (looped_ && !work.empty()) {
      out.open("for (", count_type(), " base = ", cols_end_.empty() ? "0" : "begin", "; base < ",
               cols_end_.empty() ? cols_name_ : cols_end_, "; base += ", lanes_ * repeats_ * width_, ")");
      for (int n : loads) out(slot_type(at(n)), " a", n, extent(), ";");
      // Sums of a turn first, so that errors stay small in long rows.
      for (size_t n : work)
        if (at(int(n)).kind == InstructionKind::reduce_row) {
          Reducing r = reducing(at(int(n)));
          out(register_type(r.dtype), " t", n, " = ", r.identity, ";");
        }
    }
    load_packs(out, loads);
    if (!work.empty()) over_packs(out, [&] { compute(out, work, at_hand); });
    if (looped_ && !work.empty()) {
      for (size_t n : work)
        if (at(int(n)).kind == InstructionKind::reduce_row)
          out("s", n, " = ", combined(reducing(at(int(n))), cat("s", n), cat("t", n)), ";");
      out.close();
    }
  }

  void compute(TextLines& out, const std::vector<size_t>& work, const std::vector<char>& at_hand) {
    bool stores = false;
    std::vector<int> passed;
    for (size_t n : work)
      if (is_load(int(n)) && passing(int(n))) passed.push_back(int(n));
    for (int n : passed) out(slot_type(at(n)), " a", n, ";");
    if (!passed.empty()) load_pack(out, passed);
    for (size_t n : work)
      if (at(int(n)).kind == InstructionKind::store) {
        stores = true;
        if (width_ > 1) out(pack_of_results(at(int(n))), " b", n, ";");
      }
    if (width_ > 1) out.open("UNROLL for (u32 e = 0; e < ", width_, "; ++e)");
    if (parts_) out.open("if (c + e < ", cols_name_, ")");
    for (size_t n : work) {
      const Instruction& i = at(int(n));
      std::string head = cat("const ", type(int(n)), " v", n, " = ");
      switch (i.kind) {
        case InstructionKind::load:
          out(head, in_pack(i) ? "element_of(" : "element(", load_slot(int(n)), in_pack(i) ? ", e);" : ");");
          break;
        case InstructionKind::index:
          out(head, index_of(i, width_ > 1 ? number() + " + e" : number()), ";");
          break;
        case InstructionKind::compute:
          if (at_hand[n]) {
            out(head, kept(n), ";");
          } else {
            out(head, expression(int(n)), ";");
            if (kept_[n]) out(kept(n), " = v", n, ";");
          }
          break;
        case InstructionKind::reduce_row:
          reduce_into(out, int(n), cat(looped_ ? "t" : "s", n));
          break;
        case InstructionKind::store:
          if (width_ > 1)
            out("b", n, ".v[e] = ", packed_value(i), ";");
          else
            out("r", n, "[", i_column(i.access), "] = ", stored_value(i), ";");
          break;
        default:
          throw Error("gpu: columns are reduced among rows");
      }
    }
    if (parts_) out.close();
    if (width_ > 1) out.close();
    if (!stores || width_ == 1) return;
    for (size_t n : work) {
      const Instruction& i = at(int(n));
      if (i.kind != InstructionKind::store) continue;
      std::string to = cat("r", n, " + ", i_column(i.access));
      out(parts_ ? cat("store_part(", to, ", ", packed(int(n)), ", ", cols_name_, " - c);")
                 : cat("store_pack(", to, ", ", packed(int(n)), ");"));
    }
  }
  // Results lie densely.
  std::string i_column(int access) const {
    if (!walk_.flat(access)) throw Error("gpu: a result of rows does not lie densely");
    return "c";
  }

  void reduce_across(TextLines& out, int phase) {
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      if (i.kind != InstructionKind::reduce_row || levels_[n] != phase + 1) continue;
      Reducing r = reducing(i);
      std::string s = cat("s", n);
      auto butterfly = [&](int lanes) {
        if (lanes < 2) return;
        out.open("UNROLL for (u32 m = ", lanes / 2, "; m; m /= 2)");
        out("const ", register_type(r.dtype), " other = warp_shuffle_xor(", s, ", m);");
        out(s, " = ", combined(r, s, "other"), ";");
        out.close();
      };
      butterfly(std::min(lanes_, 32));
      if (lanes_ > 32) {
        const int warps = threads_ / 32;
        shared_ += cat("  SHARED ", register_type(r.dtype), " of_warps", n, "[", warps, "];\n");
        out("if (lane == 0) of_warps", n, "[warp] = ", s, ";");
        out("BARRIER();");
        out(s, " = of_warps", n, "[lane % ", warps, "];");
        butterfly(warps);
      }
      out("const ", type(int(n)), " v", n, " = ", convert(s, r.dtype, i.dtype), ";");
    }
  }

  std::vector<int> levels_, first_, last_;  // last two: of the passes that need a value
  std::vector<char> kept_;
  int last_level_ = 0;
  int lanes_ = 1, threads_ = 256, repeats_ = 1;
  bool looped_ = false;
  bool frugal_ = false;  // elements of half precision, many of them a thread's
  bool parts_ = false;   // the last pack of the only row may be in part beyond its end
  int64_t splits_;
  std::string cols_name_, shared_;
  std::string cols_end_;  // of the part of a row
};

// So many groups share a row. Does not depend on whether packs are read, as results between two steps have their place
// before that is known.
int64_t splits_of(const Traits& traits, const KernelProgram& p) {
  constexpr int64_t least = 8192;  // elements of a group
  const int64_t wanted = int64_t(traits.cores) * 8;
  if (p.rows == 0 || p.rows * 2 > wanted || p.cols < 2 * least) return 1;
  return std::min(wanted / p.rows, p.cols / least);
}

// Instructions copied from one program to another, under the names that they get there.
class Copied {
 public:
  Copied(const KernelProgram& from, KernelProgram& to) : from_(from), to_(to), names_(from.code.size(), -1) {}
  int add(int n) {
    Instruction i = from_.code[size_t(n)];
    for (int& a : i.args)
      if (a >= 0) a = names_[size_t(a)];
    if (i.access >= 0) i.access = access(from_.accesses[size_t(i.access)]);
    return names_[size_t(n)] = push(i);
  }
  int push(const Instruction& i) {
    to_.code.push_back(i);
    return int(to_.code.size()) - 1;
  }
  int access(const Access& access) {
    to_.accesses.push_back(access);
    return int(to_.accesses.size()) - 1;
  }
  int& name(int n) { return names_[size_t(n)]; }

 private:
  const KernelProgram& from_;
  KernelProgram& to_;
  std::vector<int> names_;
};

}  // namespace

PrintedProgram print_rows(const Traits& traits, const KernelProgram& program, bool packs) {
  PrintedProgram out;
  const int64_t splits = splits_of(traits, program);
  // What waits for no reduction.
  std::vector<char> free(program.code.size(), 1);
  bool one_pass = true;
  for (size_t n = 0; n < program.code.size(); ++n) {
    const Instruction& i = program.code[n];
    for (int a : i.args)
      if (a >= 0) free[n] &= free[size_t(a)] && program.code[size_t(a)].kind != InstructionKind::reduce_row;
    if (i.space == Space::element || i.kind == InstructionKind::reduce_row) one_pass &= free[n] != 0;
  }
  if (splits == 1 || !one_pass || !binds_partials(traits, program) || !program.has_row_reduction()) {
    out.launches.push_back(Rows(traits, program, {}, packs, 1).print());
    return out;
  }
  KernelProgram first, second;
  first.rows = second.rows = program.rows;
  first.cols = program.cols;
  second.cols = splits;
  std::vector<Place> places;
  for (int k = 0; k < program.operand_count; ++k) places.push_back({k, 0});
  Copied to_first(program, first), to_second(program, second);
  for (int n = 0; n < int(program.code.size()); ++n) {
    const Instruction& i = program.code[size_t(n)];
    if (i.kind == InstructionKind::reduce_row) {
      Access partial;
      partial.operand = int(places.size());
      partial.dtype = i.dtype;
      partial.shape = {program.rows * splits};
      partial.strides = {1};
      places.push_back({program.operand_count, int64_t(out.scratch_bytes)});
      out.scratch_bytes += (size_t(program.rows * splits) * item_size(i.dtype) + 255) / 256 * 256;
      Instruction store, load, reduction = i;
      store.kind = InstructionKind::store;
      store.space = Space::row;
      store.dtype = load.dtype = i.dtype;
      store.args[0] = to_first.add(n);
      store.access = to_first.access(partial);
      to_first.push(store);
      load.kind = InstructionKind::load;
      load.access = to_second.access(partial);
      reduction.args[0] = to_second.push(load);
      to_second.name(n) = to_second.push(reduction);
      continue;
    }
    const bool stores_row = i.kind == InstructionKind::store && i.space == Space::row;
    if (free[size_t(n)] && !stores_row) to_first.add(n);
    if (i.space != Space::element) to_second.add(n);
  }
  first.operand_count = second.operand_count = int(places.size());
  out.launches.push_back(Rows(traits, first, places, packs, splits).print());
  out.launches.push_back(Rows(traits, second, places, packs, 1).print());
  return out;
}

}  // namespace funcnn::gpu
