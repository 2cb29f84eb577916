// Programs that reduce columns: threads side by side take packs of columns, threads one behind the other take rows.
#include <algorithm>

#include "backends/gpu/program_printers.h"
#include "backends/gpu/program_text.h"

namespace funcnn::gpu {
namespace {

constexpr size_t kManyInstructions = 96;
constexpr int kThreads = 256;

class Columns : ProgramText {
 public:
  // `splits`: the rows of a band are shared by so many groups, and as many results take the place of each.
  Columns(const Traits& traits, const KernelProgram& program, std::span<const Place> places, bool packs, int64_t splits)
      : ProgramText(traits, program, places, packs, true), splits_(splits) {
    width_ = p_.rows ? std::min(pack_width(), 8) : 1;
    while (width_ > 1 && totals_bytes() * size_t(kThreads * width_) > traits.shared_bytes) width_ /= 2;
    band_rows_ = p_.rows / p_.bands;
    const int64_t across = std::max<int64_t>(1, (p_.cols + width_ - 1) / width_);
    const int64_t rows = std::max<int64_t>(1, (band_rows_ + splits - 1) / splits);
    x_ = int(std::min<int64_t>(across, 32));
    // Few groups: narrower ones, as long as what they read side by side fills 32 bytes.
    const int64_t others = p_.bands * splits;
    while ((across + x_ - 1) / x_ * others * 2 <= int64_t(traits.cores) && x_ / 2 * width_ * widest_item() >= 32 &&
           rows > kThreads / x_)
      x_ /= 2;
    y_ = int(std::min<int64_t>(kThreads / x_, rows));
    // Few rows: no thread goes without.
    x_ = int(std::min<int64_t>(across, kThreads / y_));
    blocks_ = (across + x_ - 1) / x_;
    chunk_ = rows;
    const bool many = p_.code.size() > kManyInstructions;
    while (!many && repeats_ < 4 && y_ * repeats_ * 2 <= rows) repeats_ *= 2;
  }

  Printed print() {
    TextLines out;
    rows_name_ = count_value("band_rows", band_rows_);
    cols_name_ = count_value("cols", p_.cols);
    scalars(out);
    place(out);
    for (size_t n = 0; n < p_.code.size(); ++n)
      if (reduces(int(n))) {
        Reducing r = reducing(at(int(n)));
        out(register_type(r.dtype), " s", n, of_pack(), ";");
        each(out, cat("s", n), r.identity);
      }
    if (p_.rows) rows(out);
    for (size_t n = 0; n < p_.code.size(); ++n)
      if (reduces(int(n))) finish_column(out, int(n));
    return finish("columns", kThreads, shared_, out, {uint32_t(blocks_ * splits_ * p_.bands)},
                  {uint32_t(x_), uint32_t(y_)});
  }

 private:
  // What a thread leaves in the memory of the group for each column: a place for each dtype.
  size_t totals_bytes() const {
    std::vector<Dtype> seen;
    size_t bytes = 0;
    for (const Instruction& i : p_.code) {
      if (i.kind != InstructionKind::reduce_col) continue;
      const Dtype dtype = reducing(i).dtype;
      if (std::find(seen.begin(), seen.end(), dtype) != seen.end()) continue;
      seen.push_back(dtype);
      bytes += item_size(dtype);
    }
    return bytes;
  }
  int64_t widest_item() const {
    size_t widest = 1;
    for (const Instruction& i : p_.code)
      if (i.kind == InstructionKind::load && i.space == Space::element)
        widest = std::max(widest, item_size(access_of(i).dtype));
    return int64_t(widest);
  }
  bool reduces(int n) const { return at(n).kind == InstructionKind::reduce_col; }
  bool loads(int n) const { return at(n).kind == InstructionKind::load && at(n).space != Space::scalar; }
  std::string of_pack() const { return width_ > 1 ? cat("[", width_, "]") : ""; }
  std::string_view e() const { return width_ > 1 ? "[e]" : ""; }
  std::string_view over_pack() const {
    static const std::string head[9] = {
        "", "", "UNROLL for (u32 e = 0; e < 2; ++e) ", "", "UNROLL for (u32 e = 0; e < 4; ++e) ", "",
        "", "", "UNROLL for (u32 e = 0; e < 8; ++e) "};
    return head[width_];
  }
  void each(TextLines& out, std::string_view to, std::string_view value) {
    out(over_pack(), to, e(), " = ", value, ";");
  }

  // Groups are numbered by band, then by the part of its rows, then by block of columns.
  void place(TextLines& out) {
    std::string_view count = count_type();
    out("u32 number = group.x;");
    out("const u32 block = number % ", u32_value("blocks", uint32_t(blocks_)), ";");
    out("number /= p.blocks;");
    out("const ", count, " c = (", count, "(block) * items.x + item.x) * ", width_, ";");
    out("const bool live = c < ", cols_name_, ";");
    if (splits_ > 1) {
      out("const u32 split = number % ", u32_value("splits", uint32_t(splits_)), ";");
      out("const u32 band = number / p.splits;");
      std::string chunk = count_value("chunk", chunk_);
      out("const ", count, " begin = split * ", chunk, ";");
      out("const ", count, " end = begin + ", chunk, " < ", rows_name_, " ? begin + ", chunk, " : ", rows_name_, ";");
    } else {
      out("const u32 band = number;");
      out("const ", count, " begin = 0, end = ", rows_name_, ";");
    }
  }

  std::string slot(int n) const { return repeats_ > 1 ? cat("a", n, "[k]") : cat("a", n); }
  std::string number(bool packed) const {
    return cat("row * ", cols_name_, " + c", packed && width_ > 1 ? " + e" : "");
  }

  void rows(TextLines& out) {
    out.open("if (live)");
    take_apart(out, "c", walk_.row_axes, walk_.axes.size());
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      if (i.access < 0 || i.space != Space::element || reduces(int(n)) || walk_.odd[size_t(i.access)]) continue;
      std::string offset = offset_along(i.access, walk_.row_axes, walk_.axes.size());
      std::string from = pack_pointer(i.access, step(i.access) == Step::run ? width_ : 1);
      out("DEVICE ", i.kind == InstructionKind::load ? "const " : "", type_name(access_of(i).dtype), "* r", n, " = ",
          from, offset == "0" ? "" : " + (" + offset + ")", ";");
    }
    std::string step = repeats_ > 1 ? cat("items.y * ", repeats_) : "items.y";
    out.open("for (", count_type(), " base = begin + item.y; base < end; base += ", step, ")");
    for (size_t n = 0; n < p_.code.size(); ++n)
      if (loads(int(n))) out(slot_type(at(int(n))), " a", n, repeats_ > 1 ? cat("[", repeats_, "]") : "", ";");
    // Sums of a turn first, so that errors stay small in long columns.
    if (repeats_ > 1)
      for (size_t n = 0; n < p_.code.size(); ++n)
        if (reduces(int(n))) {
          Reducing r = reducing(at(int(n)));
          out(register_type(r.dtype), " t", n, of_pack(), ";");
          each(out, cat("t", n), r.identity);
        }
    over_rows(out, [&] {
      take_apart(out, "row", 0, walk_.row_axes);
      for (size_t n = 0; n < p_.code.size(); ++n)
        if (loads(int(n))) load(out, int(n));
    });
    over_rows(out, [&] { compute(out); });
    if (repeats_ > 1)
      for (size_t n = 0; n < p_.code.size(); ++n)
        if (reduces(int(n))) {
          std::string s = cat("s", n, e()), t = cat("t", n, e());
          out(over_pack(), s, " = ", combined(reducing(at(int(n))), s, t), ";");
        }
    out.close().close();
  }
  template <class F>
  void over_rows(TextLines& out, F&& body) {
    if (repeats_ > 1) {
      out.open("UNROLL for (u32 k = 0; k < ", repeats_, "; ++k)");
      out("const ", count_type(), " of_band = base + k * items.y;");
      out.open("if (of_band < end)");
      out("const ", count_type(), " row = band * ", rows_name_, " + of_band;");
      body();
      out.close().close();
    } else {
      out.block();
      out("const ", count_type(), " row = band * ", rows_name_, " + base;");
      body();
      out.close();
    }
  }

  void load(TextLines& out, int n) {
    const Instruction& i = at(n);
    const bool odd = walk_.odd[size_t(i.access)];
    std::string along = odd ? "" : offset_along(i.access, 0, walk_.row_axes);
    if (i.space == Space::row) {
      out(slot(n), " = ", pointer(i.access), "[", odd ? odd_offset(i.access, "row") : along, "];");
    } else if (!in_pack(i)) {
      if (odd)
        out(slot(n), " = ", pointer(i.access), "[", odd_offset(i.access, number(false)), "];");
      else
        out(slot(n), " = r", n, "[", along, "];");
    } else if (step(i.access) == Step::run) {
      out(slot(n), " = load_pack<", width_, ">(r", n, " + (", along, "));");
    } else {
      // What is odd has no stride along the columns.
      std::string from = odd ? cat(pointer(i.access), "[", odd_offset(i.access, number(true)), "]")
                             : cat("r", n, "[", along, " + ", offset_type(), "(e) * ", column_stride(i.access), "]");
      out(over_pack(), slot(n), ".v[e] = ", from, ";");
    }
  }
  std::string column_stride(int access) { return offset_value(cat("column", access), walk_.inner_stride(access)); }

  void compute(TextLines& out) {
    bool strided = std::any_of(p_.code.begin(), p_.code.end(),
                               [](const Instruction& i) { return i.kind == InstructionKind::store; });
    if (strided) take_apart(out, "row", 0, walk_.row_axes);
    for (size_t n = 0; n < p_.code.size(); ++n)
      if (at(int(n)).kind == InstructionKind::store && in_pack(at(int(n))))
        out(pack_of_results(at(int(n))), " b", n, ";");
    if (width_ > 1) out.open("UNROLL for (u32 e = 0; e < ", width_, "; ++e)");
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      if (i.space == Space::scalar) continue;
      std::string head = cat("const ", type(int(n)), " v", n, " = ");
      switch (i.kind) {
        case InstructionKind::load:
          out(head, in_pack(i) ? "element_of(" : "element(", slot(int(n)), in_pack(i) ? ", e);" : ");");
          break;
        case InstructionKind::index:
          out(head, index_of(i, number(true)), ";");
          break;
        case InstructionKind::compute:
          out(head, expression(int(n)), ";");
          break;
        case InstructionKind::reduce_col:
          reduce_into(out, int(n), cat(repeats_ > 1 ? "t" : "s", n, e()));
          break;
        case InstructionKind::store:
          if (i.space == Space::row)
            out("if (c == 0", width_ > 1 ? " && e == 0" : "", ") ", pointer(i.access), "[",
                offset_along(i.access, 0, walk_.row_axes), "] = ", stored_value(i), ";");
          else if (in_pack(i))
            out("b", n, ".v[e] = ", packed_value(i), ";");
          else
            out("r", n, "[", offset_along(i.access, 0, walk_.row_axes), "] = ", stored_value(i), ";");
          break;
        case InstructionKind::reduce_row:
          throw Error("gpu: rows are reduced among columns");
      }
    }
    if (width_ > 1) out.close();
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = at(int(n));
      if (i.kind != InstructionKind::store || !in_pack(i)) continue;
      if (step(i.access) != Step::run) throw Error("gpu: a result among columns does not lie densely");
      out("store_pack(r", n, " + (", offset_along(i.access, 0, walk_.row_axes), "), ", packed(int(n)), ");");
    }
  }

  void finish_column(TextLines& out, int n) {
    const Instruction& i = at(n);
    const Reducing r = reducing(i);
    std::string s = cat("s", n, e());
    if (y_ > 1) {
      std::string shared = cat("of_rows_", register_type(r.dtype));
      if (shared_.find(shared) == std::string::npos)
        shared_ += cat("  SHARED ", register_type(r.dtype), " ", shared, "[", kThreads * width_, "];\n");
      else
        out("BARRIER();");
      std::string_view e_term = width_ > 1 ? "e * items.y + " : "";
      out(over_pack(), shared, "[(", e_term, "item.y) * items.x + item.x] = ", s, ";");
      out.open("for (u32 left = items.y; left > 1;)");
      out("const u32 half_of = (left + 1) / 2;");
      out("BARRIER();");
      out.open("if (item.y < left / 2)");
      if (width_ > 1) out.open("UNROLL for (u32 e = 0; e < ", width_, "; ++e)");
      out("const ", register_type(r.dtype), " other = ", shared, "[(", e_term,
          "item.y + half_of) * items.x + item.x];");
      out(s, " = ", combined(r, s, "other"), ";");
      out(shared, "[(", e_term, "item.y) * items.x + item.x] = ", s, ";");
      if (width_ > 1) out.close();
      out.close();
      out("left = half_of;");
      out.close();
    }
    out.open("if (live", y_ > 1 ? " && item.y == 0" : "", ")");
    std::string band = splits_ > 1 ? "(band * p.splits + split)" : "band";
    std::string place = cat(band, " * ", cols_name_, " + c", width_ > 1 ? " + e" : "");
    const Access& access = access_of(i);
    if (access.shape.size() > 1 || (access.shape.size() == 1 && access.strides[0] != 1))
      place = odd_offset(i.access, place);
    out(over_pack(), "store(", pointer(i.access), ", ", place, ", ", convert(s, r.dtype, held_dtype(access.dtype)),
        ");");
    out.close();
  }
  static Dtype held_dtype(Dtype memory) { return is_half(memory) ? Dtype::float32 : memory; }

  int64_t splits_;
  int64_t band_rows_ = 1, blocks_ = 1, chunk_ = 1;
  int x_ = 1, y_ = 1, repeats_ = 1;
  std::string rows_name_, cols_name_, shared_;
};

// So many groups share the rows of a band. Does not depend on whether packs are read, as results between two steps have
// their place before that is known.
int64_t splits_of(const Traits& traits, const KernelProgram& p) {
  if (p.rows == 0) return 1;
  const int64_t rows = p.rows / p.bands, across = (p.cols + 3) / 4, x = std::min<int64_t>(across, 32);
  const int64_t groups = (across + x - 1) / x * p.bands, wanted = int64_t(traits.cores) * 4;
  const int64_t most = rows / (kThreads / x * 8);  // so many rows at least are a thread's
  return std::clamp<int64_t>(groups ? wanted / groups : 1, 1, std::max<int64_t>(1, most));
}

}  // namespace

PrintedProgram print_columns(const Traits& traits, const KernelProgram& program, bool packs) {
  PrintedProgram out;
  const int64_t splits = splits_of(traits, program);
  if (splits == 1 || !binds_partials(traits, program)) {
    out.launches.push_back(Columns(traits, program, {}, packs, 1).print());
    return out;
  }
  KernelProgram first = program, second;
  std::vector<Place> first_places, second_places;
  for (int k = 0; k < program.operand_count; ++k) first_places.push_back({k, 0});
  second_places = first_places;
  second.rows = program.bands * splits;
  second.cols = program.cols;
  second.bands = program.bands;
  for (Instruction& i : first.code) {
    if (i.kind != InstructionKind::reduce_col) continue;
    const Dtype dtype = reducing(i).dtype;
    Access partial;
    partial.operand = int(first_places.size());
    partial.dtype = dtype;
    partial.shape = {second.rows * second.cols};
    partial.strides = {1};
    first_places.push_back({program.operand_count, int64_t(out.scratch_bytes)});
    second_places.push_back(first_places.back());
    out.scratch_bytes += (size_t(second.rows * second.cols) * item_size(dtype) + 255) / 256 * 256;

    Instruction load, reduction = i;
    load.kind = InstructionKind::load;
    load.dtype = dtype;
    load.access = int(second.accesses.size());
    second.accesses.push_back(partial);
    reduction.args[0] = int(second.code.size());
    reduction.access = int(second.accesses.size());
    second.accesses.push_back(program.accesses[size_t(i.access)]);
    second.code.push_back(load);
    second.code.push_back(reduction);
    i.access = int(first.accesses.size());
    first.accesses.push_back(partial);
  }
  first.operand_count = second.operand_count = int(first_places.size());
  out.launches.push_back(Columns(traits, first, first_places, packs, splits).print());
  out.launches.push_back(Columns(traits, second, second_places, packs, 1).print());
  return out;
}

}  // namespace funcnn::gpu
