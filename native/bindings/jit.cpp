// Tests reach the generator of machine code: its assemblers write what Python lists, and its memory holds what they
// wrote.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "backends/cpu/jit/code_memory.h"
#include "backends/cpu/jit/code_report.h"
#include "backends/cpu/jit/options.h"
#include "backends/cpu/jit/x86_assembler.h"
#include "base/error.h"
#include "bindings/jit.h"

namespace funcnn {
namespace {

namespace x86 = cpu::jit::x86;

// An int, or a tuple of a kind and numbers; ("under", operand, mask, zeroed) is one of which elements are masked out.
x86::Operand parse_operand(nb::handle h) {
  if (nb::isinstance<nb::int_>(h)) return nb::cast<int64_t>(h);
  const nb::tuple t = nb::cast<nb::tuple>(h);
  const std::string kind = nb::cast<std::string>(t[0]);
  const auto number = [&](size_t i) { return nb::cast<int>(t[i]); };
  if (kind == "under") {
    const x86::Operand x = parse_operand(t[1]);
    return nb::cast<bool>(t[3]) ? x86::zeroed(x, x86::k(number(2))) : x86::under(x, x86::k(number(2)));
  }
  if (kind == "general") return x86::Gpr{uint8_t(number(1)), uint8_t(number(2))};
  if (kind == "vector") return x86::Vector{uint8_t(number(1)), uint16_t(number(2))};
  if (kind == "mask") return x86::k(number(1));
  if (kind == "memory") {  // base, index, scale, displacement, bytes repeated, bits
    x86::Memory m;
    if (number(1) >= 0) m.base = x86::Gpr{uint8_t(number(1))};
    if (number(2) >= 0) m.index = x86::Gpr{uint8_t(number(2))};
    m.scale = uint8_t(number(3));
    m.displacement = number(4);
    m.repeated = uint8_t(number(5));
    m.bits = uint8_t(number(6));
    return m;
  }
  if (kind == "label") return x86::Label{number(1)};
  throw ValueError(cat("unknown kind of operand ", kind));
}

// Besides instructions, ("label",) binds labels in the order of their numbers, ("align", n) aligns, and operands
// ("constant", bytes, bytes repeated) stand for constants.
nb::tuple assemble_x86(bool evex, const std::vector<nb::tuple>& lines, int labels) {
  x86::Assembler as(evex);
  for (int i = 0; i < labels; ++i) as.label();
  int bound = 0;
  nb::list texts, offsets;
  for (const nb::tuple& line : lines) {
    const std::string name = nb::cast<std::string>(line[0]);
    offsets.append(as.size());
    if (name == "label") {
      as.bind({bound++});
    } else if (name == "align") {
      as.align(nb::cast<size_t>(line[1]));
    } else {
      const std::optional<x86::Name> found = x86::Name::find(name);
      if (!found) throw ValueError(cat("unknown instruction ", name));
      std::vector<x86::Operand> operands;
      for (size_t i = 1; i < line.size(); ++i) {
        const nb::handle h = line[i];
        if (nb::isinstance<nb::tuple>(h) && nb::cast<std::string>(nb::cast<nb::tuple>(h)[0]) == "constant") {
          const nb::tuple t = nb::cast<nb::tuple>(h);
          const nb::bytes b = nb::cast<nb::bytes>(t[1]);
          const x86::Memory m = as.constant({static_cast<const uint8_t*>(b.data()), b.size()});
          operands.emplace_back(m.broadcast(nb::cast<int>(t[2])));
        } else {
          operands.push_back(parse_operand(h));
        }
      }
      const x86::Encoding& e = as.emit(*found, operands);
      texts.append(x86::text(e, operands));
    }
  }
  const std::vector<uint8_t> code = as.finish();
  return nb::make_tuple(nb::bytes(code.data(), code.size()), texts, offsets);
}

// The pages of the system, which may be refused.
class RefusingPages final : public cpu::jit::PageSource {
 public:
  size_t page() const override { return system().page(); }
  std::byte* map(size_t size) override { return refuses_map ? nullptr : system().map(size); }
  void write(std::byte* to, std::span<const uint8_t> bytes) override { system().write(to, bytes); }
  bool seal(std::byte* at, size_t size) override {
    ++seals;
    return !refuses_seal && system().seal(at, size);
  }
  void unmap(std::byte* at, size_t size) override { system().unmap(at, size); }

  bool refuses_map = false, refuses_seal = false;
  int seals = 0;
};

// A memory of its own, never freed: functions may outlive what Python holds.
struct TestMemory {
  RefusingPages& pages = *new RefusingPages;
  cpu::jit::CodeMemory memory;
  explicit TestMemory(bool perf) : memory(pages, perf ? &cpu::jit::tell_perf : nullptr) {}
};

void bind_memory(nb::module_& m) {
  using Function = cpu::jit::CodeMemory::Function;
  nb::class_<Function>(m, "_CodeFunction")
      .def("entry", [](const Function& f) { return reinterpret_cast<uintptr_t>(f.entry()); })
      .def_prop_ro("size", &Function::size);
  nb::class_<TestMemory>(m, "_CodeMemory")
      .def(nb::init<bool>(), nb::arg("perf") = false)
      .def("add",
           [](TestMemory& t, nb::bytes code, const std::string& name) {
             return t.memory.add({static_cast<const uint8_t*>(code.data()), code.size()}, name);
           })
      .def("refuse", [](TestMemory& t, bool map, bool seal) { t.pages.refuses_map = map, t.pages.refuses_seal = seal; })
      .def_prop_ro("seals", [](const TestMemory& t) { return t.pages.seals; })
      .def_prop_ro("page", [](const TestMemory& t) { return t.pages.page(); })
      .def_prop_ro("mapped_bytes", [](const TestMemory& t) { return t.memory.mapped_bytes(); });
  m.def("_jit_options", [](const std::string& text) {
    const cpu::jit::Options o = cpu::jit::parse_options(text);
    return nb::make_tuple(o.on, o.always, o.verify, o.perf, o.dump);
  });
  m.def("_jit_dump", [](const std::string& folder, const std::string& name, nb::bytes code, const std::string& text) {
    cpu::jit::dump_code(folder, name, {static_cast<const uint8_t*>(code.data()), code.size()}, text);
  });
}

}  // namespace

void bind_jit(nb::module_& m) {
  m.def("_x86_instructions", [] {
    nb::list out;
    for (size_t i = 0; i < x86::kTable.count; ++i) {
      const x86::Encoding& e = x86::kTable.rows[i];
      const bool evex = e.scheme == x86::Scheme::evex || e.scheme == x86::Scheme::either;
      out.append(nb::make_tuple(std::string(e.text()), std::string(e.operands), e.scheme != x86::Scheme::evex, evex,
                                evex && e.masks, int(e.broadcast)));
    }
    return out;
  });
  bind_memory(m);
  bind_jit_arm(m);
  bind_jit_loop(m);
  m.def("_x86_assemble", &assemble_x86, nb::arg("evex"), nb::arg("lines"), nb::arg("labels") = 0);
}

}  // namespace funcnn
