#include "backends/gpu/program_text.h"

#include <algorithm>

#include "backends/gpu/scalar.h"
#include "plan/precision.h"

namespace funcnn::gpu {
namespace {

// Whether there is one element to find, at the operand's beginning: that may be a scalar of the host.
bool is_one_place(const Access& access) {
  for (size_t axis = 0; axis < access.shape.size(); ++axis)
    if (access.shape[axis] != 1 && access.strides[axis] != 0) return false;
  return access.offset == 0;
}

constexpr std::string_view kDivided =
    "// n / d for n below 2^31, where factor = floor(2^shift / d) + 1 and shift = 31 + ceil(log2(d))\n"
    "FUNCTION u32 divided(u32 n, u32 factor, u32 shift) { return u32((u64(n) * factor) >> shift); }\n";

constexpr std::string_view kParts =
    "template <int N, class T> FUNCTION Pack<T, N> load_part(DEVICE const T* x, i64 count) {\n"
    "  if (count >= N) return load_pack<N>(x);\n"
    "  Pack<T, N> y = {};\n"
    "  UNROLL for (u32 e = 0; e < N; ++e)\n"
    "    if (e < count) y.v[e] = x[e];\n"
    "  return y;\n"
    "}\n"
    "template <class T, int N> FUNCTION void store_part(DEVICE T* y, Pack<T, N> x, i64 count) {\n"
    "  if (count >= N) return store_pack(y, x);\n"
    "  UNROLL for (u32 e = 0; e < N; ++e)\n"
    "    if (e < count) y[e] = x.v[e];\n"
    "}\n";

std::string least(Dtype dtype) {
  if (is_float(dtype)) return "-INFINITY";
  int bits = int(item_size(dtype)) * 8;
  if (!is_signed(dtype)) return cat(register_type(dtype), "(0)");
  return bits == 64 ? "i64(0x8000000000000000)" : cat(register_type(dtype), "(", -(int64_t(1) << (bits - 1)), "LL)");
}
std::string most(Dtype dtype) {
  if (is_float(dtype)) return "INFINITY";
  int bits = int(item_size(dtype)) * 8 - (is_signed(dtype) ? 1 : 0);
  return cat(register_type(dtype), "(", bits == 64 ? ~uint64_t(0) : (uint64_t(1) << bits) - 1, "ULL)");
}

}  // namespace

Reducing reducing(const Instruction& reduction) {
  Reducing out{reduction.reduce, reduction.dtype, Opcode::add, {}};
  const bool truth = reduction.dtype == Dtype::bool_;
  switch (reduction.reduce) {
    case ReduceOp::sum:
      out.combine = truth ? Opcode::logical_or : Opcode::add;
      break;
    case ReduceOp::prod:
      out.combine = truth ? Opcode::logical_and : Opcode::multiply;
      break;
    case ReduceOp::max:
      out.combine = truth ? Opcode::logical_or : Opcode::maximum;
      break;
    case ReduceOp::min:
      out.combine = truth ? Opcode::logical_and : Opcode::minimum;
      break;
    case ReduceOp::all:
      out.combine = Opcode::logical_and;
      out.dtype = Dtype::bool_;
      break;
    case ReduceOp::any:
      out.combine = Opcode::logical_or;
      out.dtype = Dtype::bool_;
      break;
  }
  if (out.combine == Opcode::maximum)
    out.identity = least(out.dtype);
  else if (out.combine == Opcode::minimum)
    out.identity = most(out.dtype);
  else if (out.dtype == Dtype::bool_)
    out.identity = out.combine == Opcode::logical_and ? "true" : "false";
  else if (is_complex(out.dtype))
    out.identity = out.combine == Opcode::multiply ? "c64{1, 0}" : "c64{0, 0}";
  else
    out.identity = cat(register_type(out.dtype), out.combine == Opcode::multiply ? "(1)" : "(0)");
  return out;
}

ProgramText::ProgramText(const Traits& traits, const KernelProgram& program, std::span<const Place> places, bool packs,
                         bool divided)
    : traits_(traits),
      p_(program),
      packs_(packs),
      walk_(walk_of(program, divided)),
      spaces_(access_spaces(program)),
      half_(half_suffices(program)),
      places_(places.begin(), places.end()),
      uses_(size_t(program.operand_count)),
      names_(program.code.size()) {
  if (places_.empty())
    for (int k = 0; k < program.operand_count; ++k) places_.push_back({k, 0});
  for (size_t n = 0; n < names_.size(); ++n) names_[n] = cat("v", n);
  for (const Instruction& i : program.code) {
    if (i.access < 0) continue;
    const Access& access = access_of(i);
    Use& use = uses_[size_t(access.operand)];
    (i.kind == InstructionKind::load ? use.read : use.written) = true;
    use.one &= i.kind == InstructionKind::load && is_one_place(access);
    use.same_offset &= use.offset.value_or(access.offset) == access.offset;
    use.offset = access.offset;
    use.dtype = access.dtype;
  }
  for (Use& use : uses_) {
    use.one &= !use.written;
    if (!use.same_offset) use.offset.reset();
  }
}

int ProgramText::pack_width() const {
  if (!packs_) return 1;
  size_t widest = 1;
  for (const Instruction& i : p_.code)
    if (i.access >= 0 && i.space == Space::element && i.kind != InstructionKind::reduce_col)
      widest = std::max(widest, item_size(access_of(i).dtype));
  int width = int(16 / widest);
  auto fits = [&](int64_t step) { return step % width == 0; };
  auto all_fit = [&] {
    if (walk_.axes.size() > 1 && !fits(walk_.inner())) return false;
    for (size_t a = 0; a < p_.accesses.size(); ++a) {
      if (spaces_[a] != Space::element || walk_.strides[a].empty() || walk_.inner_stride(int(a)) != 1) continue;
      for (size_t axis = 0; axis + 1 < walk_.axes.size(); ++axis)
        if (!fits(walk_.strides[a][axis])) return false;
      // A launch brings an offset that all accesses of an operand share, and then sees whether it fits.
      if (!uses_[size_t(p_.accesses[a].operand)].offset && !fits(p_.accesses[a].offset)) return false;
    }
    return true;
  };
  while (width > 1 && !all_fit()) width /= 2;
  return width;
}

ProgramText::Step ProgramText::step(int access) const {
  if (walk_.odd[size_t(access)]) return Step::apart;
  int64_t s = walk_.inner_stride(access);
  return s == 1 ? Step::run : s == 0 && walk_.inner() > 1 ? Step::same : Step::apart;
}

void ProgramText::add_value(std::string_view type, std::string_view name, int64_t value) {
  declared_.emplace_back(type, name);
  if (type == "i64")
    values_.add(value);
  else if (type == "u32")
    values_.add(uint32_t(value));
  else
    values_.add(int32_t(value));
}
std::string ProgramText::count_value(std::string_view name, int64_t value) {
  std::string field = cat("p.", name);
  if (std::none_of(declared_.begin(), declared_.end(), [&](auto& d) { return d.second == name; }))
    add_value(count_type(), name, value);
  return field;
}
std::string ProgramText::offset_value(std::string_view name, int64_t value) {
  std::string field = cat("p.", name);
  if (std::none_of(declared_.begin(), declared_.end(), [&](auto& d) { return d.second == name; }))
    add_value(offset_type(), name, value);
  return field;
}
std::string ProgramText::u32_value(std::string_view name, uint32_t value) {
  std::string field = cat("p.", name);
  if (std::none_of(declared_.begin(), declared_.end(), [&](auto& d) { return d.second == name; }))
    add_value("u32", name, value);
  return field;
}

void ProgramText::take_apart(TextLines& out, std::string_view from, size_t begin, size_t end) {
  std::string rest(from);
  for (size_t axis = end; axis-- > begin + 1;) {
    const int64_t length = walk_.axes[axis];
    std::string n = count_value(cat("n", axis), length), quotient = cat("q", axis);
    if (walk_.wide) {
      out("const i64 ", quotient, " = ", rest, " / ", n, ";");
    } else {
      if (before_.find("u32 divided(") == std::string::npos) before_ += kDivided;
      uint32_t log = 0;
      while ((uint64_t(1) << log) < uint64_t(length)) ++log;
      std::string factor = u32_value(cat("f", axis), uint32_t((uint64_t(1) << (31 + log)) / uint64_t(length) + 1));
      std::string shift = u32_value(cat("h", axis), 31 + log);
      out("const u32 ", quotient, " = divided(", rest, ", ", factor, ", ", shift, ");");
    }
    out("const ", offset_type(), " i", axis, " = ", rest, " - ", quotient, " * ", n, ";");
    rest = quotient;
  }
  out("const ", offset_type(), " i", begin, " = ", rest, ";");
}

std::string ProgramText::offset_along(int access, size_t begin, size_t end, std::string_view last) {
  std::string sum;
  // Accesses that walk alike share their strides.
  size_t alike = 0;
  while (walk_.strides[alike] != walk_.strides[size_t(access)]) ++alike;
  for (size_t axis = begin; axis < end; ++axis) {
    const int64_t stride = walk_.strides[size_t(access)][axis];
    if (walk_.axes[axis] == 1) continue;
    bool inner = axis + 1 == walk_.axes.size();
    if (inner && stride == 0) continue;
    std::string counter = axis + 1 == end && !last.empty() ? std::string(last) : cat("i", axis);
    std::string term =
        inner && stride == 1 ? counter : cat(counter, " * ", offset_value(cat("s", alike, "_", axis), stride));
    sum += sum.empty() ? term : " + " + term;
  }
  return sum.empty() ? "0" : sum;
}

std::string ProgramText::odd_offset(int access, std::string_view from) {
  const Access& a = p_.accesses[size_t(access)];
  std::string sum, rest(from);
  for (size_t axis = a.shape.size(); axis-- > 0;) {
    std::string n = count_value(cat("d", access, "_", axis), a.shape[axis]);
    std::string s = offset_value(cat("t", access, "_", axis), a.strides[axis]);
    std::string counter = axis ? cat("(", rest, ") % ", n) : rest;
    sum += cat(sum.empty() ? "" : " + ", offset_type(), "(", counter, ") * ", s);
    rest = cat("(", rest, ") / ", n);
  }
  return sum.empty() ? "0" : sum;
}

std::string ProgramText::pointer(int access) {
  const Access& a = p_.accesses[size_t(access)];
  const Use& use = uses_[size_t(a.operand)];
  std::string x = cat(use.written ? "y" : "x", a.operand);
  if (use.offset || a.offset == 0) return x;
  return cat("(", x, " + ", offset_value(cat("o", access), a.offset), ")");
}

std::string ProgramText::pack_pointer(int access, int width) {
  const Access& a = p_.accesses[size_t(access)];
  int64_t& bytes = uses_[size_t(a.operand)].pack_bytes;
  bytes = std::max(bytes, width * int64_t(item_size(a.dtype)));
  return pointer(access);
}

void ProgramText::use_parts() { before_ += kParts; }

std::string ProgramText::slot_type(const Instruction& i) const {
  std::string_view item = type_name(access_of(i).dtype);
  return in_pack(i) ? cat("Pack<", item, ", ", width_, ">") : std::string(item);
}

Dtype ProgramText::operand_dtype(const Instruction& i) const {
  return at(i.args[i.op == Opcode::select ? 1 : 0]).dtype;
}

std::string ProgramText::expression(int n) {
  const Instruction& i = at(n);
  std::string_view args[3];
  for (int k = 0; k < 3; ++k)
    if (i.args[k] >= 0) args[k] = name(i.args[k]);
  Dtype operands = operand_dtype(i);
  for (Section s : scalar_sections(i.op, operands, i.dtype)) sections_.push_back(s);
  if (half_[size_t(n)])
    if (std::string cheaper = half_expression(i.op, args[0]); !cheaper.empty()) return cheaper;
  return scalar_expression(i.op, operands, i.dtype, args[0], args[1], args[2]);
}

std::string ProgramText::convert(std::string_view value, Dtype from, Dtype to) {
  if (from == to) return std::string(value);
  for (Section s : scalar_sections(Opcode::copy, from, to)) sections_.push_back(s);
  return scalar_expression(Opcode::copy, from, to, value);
}

void ProgramText::reduce_into(TextLines& out, int n, std::string_view total) {
  const Instruction& i = at(n);
  const Reducing r = reducing(i);
  std::string value = name(i.args[0]);
  if (r.dtype != at(i.args[0]).dtype) {
    out("const ", register_type(r.dtype), " w", n, " = ", convert(value, at(i.args[0]).dtype, r.dtype), ";");
    value = cat("w", n);
  }
  out(total, " = ", combined(r, total, value), ";");
}

std::string ProgramText::combined(const Reducing& r, std::string_view a, std::string_view b) {
  if (r.dtype == Dtype::float32 && r.combine == Opcode::maximum) return cat("largest(", a, ", ", b, ")");
  if (r.dtype == Dtype::float32 && r.combine == Opcode::minimum) return cat("smallest(", a, ", ", b, ")");
  for (Section s : scalar_sections(r.combine, r.dtype, r.dtype)) sections_.push_back(s);
  return scalar_expression(r.combine, r.dtype, r.dtype, a, b);
}

std::string ProgramText::index_of(const Instruction& i, std::string_view number) {
  return convert(cat("(", number, ")"), walk_.wide ? Dtype::int64 : Dtype::uint32, i.dtype);
}

std::string ProgramText::stored_value(const Instruction& store) {
  const Dtype memory = access_of(store).dtype;
  return is_half(memory) ? cat(type_name(memory), "(", packed_value(store), ")") : packed_value(store);
}

std::string ProgramText::pack_of_results(const Instruction& store) const {
  const Dtype memory = access_of(store).dtype;
  return cat("Pack<", is_half(memory) ? "f32" : type_name(memory), ", ", width_, ">");
}
std::string ProgramText::packed_value(const Instruction& store) {
  const Dtype memory = access_of(store).dtype;
  const Instruction& value = at(store.args[0]);
  // Storing rounds.
  if (value.kind == InstructionKind::compute &&
      value.op == (memory == Dtype::float16 ? Opcode::round_float16 : Opcode::round_bfloat16) && is_half(memory))
    return name(value.args[0]);
  return convert(name(store.args[0]), at(store.args[0]).dtype, is_half(memory) ? Dtype::float32 : memory);
}
std::string ProgramText::packed(int n) const {
  const Dtype memory = access_of(at(n)).dtype;
  return is_half(memory) ? cat("narrowed<", type_name(memory), ">(b", n, ")") : cat("b", n);
}

void ProgramText::scalars(TextLines& out) {
  for (size_t n = 0; n < p_.code.size(); ++n) {
    const Instruction& i = p_.code[n];
    if (i.space != Space::scalar) continue;
    if (i.kind == InstructionKind::load)
      out("const ", type(int(n)), " v", n, " = element(", pointer(i.access), "[0]);");
    else if (i.kind == InstructionKind::compute)
      out("const ", type(int(n)), " v", n, " = ", expression(int(n)), ";");
    else
      throw Error("gpu: a scalar is stored by itself");
  }
}

std::string ProgramText::title(std::string_view form) const {
  std::vector<std::string_view> names;
  for (const Instruction& i : p_.code) {
    std::string_view name;
    if (i.kind == InstructionKind::compute && i.space != Space::scalar) name = opcode_info(i.op).name;
    if (i.kind == InstructionKind::reduce_row || i.kind == InstructionKind::reduce_col) name = reduce_name(i.reduce);
    if (!name.empty() && names.size() < 4 && std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(name);
  }
  std::string out(form);
  for (std::string_view name : names) out += cat("_", name);
  return out;
}

Printed ProgramText::finish(std::string_view form, uint32_t threads, std::string_view shared, const TextLines& body,
                            Size3 groups, Size3 thread_counts) {
  Printed out;
  KernelText text(traits_, title(form), threads);
  for (bool written : {false, true})
    for (size_t k = 0; k < uses_.size(); ++k) {
      const Use& use = uses_[k];
      if (use.written != written || !(use.read || use.written)) continue;
      Place place = places_[k];
      if (use.offset) place.offset += *use.offset * int64_t(item_size(use.dtype));
      if (use.pack_bytes > 1) out.aligned.push_back({place, use.pack_bytes});
      if (use.by_address) continue;
      std::string name = cat(written ? "y" : "x", k);
      if (written)
        text.write(type_name(use.dtype), name);
      else if (use.one)
        text.read_one(type_name(use.dtype), name);
      else
        text.read(type_name(use.dtype), name);
      out.operands.push_back(place);
      out.read_only += !written;
    }
  for (const auto& [type, name] : declared_) text.value(type, name);
  for (const Instruction& i : p_.code)
    if (is_complex(i.dtype)) text.use(Section::complex);
  for (Section section : sections_) text.use(section);
  text.before(before_).body(shared).body(body.text());
  out.source = text.finish();
  out.groups = groups;
  out.threads = thread_counts;
  out.values = values_.bytes();
  return out;
}

}  // namespace funcnn::gpu
