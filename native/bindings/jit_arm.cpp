// Tests reach the generator of machine code for AArch64, on whatever machine they run.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "backends/cpu/jit/arm_assembler.h"
#include "bindings/jit.h"

namespace funcnn {
namespace {

namespace arm = cpu::jit::arm;

// An int, or a tuple of a kind and numbers.
arm::Operand parse_operand(nb::handle h) {
  if (nb::isinstance<nb::int_>(h)) return nb::cast<int64_t>(h);
  const nb::tuple t = nb::cast<nb::tuple>(h);
  const std::string kind = nb::cast<std::string>(t[0]);
  const auto number = [&](size_t i) { return nb::cast<int>(t[i]); };
  const auto general = [&](size_t i) {  // "x3", "w3", "sp"
    const std::string name = nb::cast<std::string>(t[i]);
    if (name == "sp") return arm::sp;
    if (name == "xzr") return arm::xzr;
    if (name == "wzr") return arm::wzr;
    const int n = std::stoi(name.substr(1));
    return name[0] == 'x' ? arm::x(n) : arm::w(n);
  };
  if (kind == "vector") return arm::Vector{uint8_t(number(1)), uint8_t(number(2)), uint8_t(number(3))};
  if (kind == "lane") return arm::Lane{uint8_t(number(1)), uint8_t(number(2)), uint8_t(number(3))};
  if (kind == "scalar") return arm::Scalar{uint8_t(number(1)), uint8_t(number(2))};
  if (kind == "general") return general(1);
  if (kind == "address") {
    if (t.size() == 2) return arm::at(general(1));
    if (nb::isinstance<nb::int_>(t[2])) return arm::at(general(1), number(2));
    return arm::at(general(1), general(2));
  }
  if (kind == "label") return arm::Label{number(1)};
  if (kind == "condition") return arm::Condition(number(1));
  throw ValueError(cat("unknown kind of operand ", kind));
}

// Besides instructions, ("label",) binds labels in the order of their numbers, and operands ("constant", bytes) stand
// for constants. Gives the code, and the text of each line or nothing where it has no encoding.
nb::tuple assemble(const std::vector<nb::tuple>& lines, int labels) {
  arm::Assembler as;
  for (int i = 0; i < labels; ++i) as.label();
  int bound = 0;
  nb::list texts;
  for (const nb::tuple& line : lines) {
    const std::string name = nb::cast<std::string>(line[0]);
    if (name == "label") {
      as.bind({bound++});
      continue;
    }
    const std::optional<arm::Name> found = arm::Name::find(name);
    if (!found) throw ValueError(cat("unknown instruction ", name));
    std::vector<arm::Operand> operands;
    for (size_t i = 1; i < line.size(); ++i) {
      const nb::handle h = line[i];
      if (nb::isinstance<nb::tuple>(h) && nb::cast<std::string>(nb::cast<nb::tuple>(h)[0]) == "constant") {
        const nb::bytes b = nb::cast<nb::bytes>(nb::cast<nb::tuple>(h)[1]);
        operands.emplace_back(as.constant({static_cast<const uint8_t*>(b.data()), b.size()}));
      } else {
        operands.push_back(parse_operand(h));
      }
    }
    try {
      as.emit(*found, operands);
      texts.append(arm::text(*found, operands));
    } catch (const arm::EncodingError&) {
      texts.append(nb::none());
    }
  }
  const std::vector<uint8_t> code = as.finish();
  return nb::make_tuple(nb::bytes(code.data(), code.size()), texts);
}

}  // namespace

void bind_jit_arm(nb::module_& m) {
  m.def("_arm_instructions", [] {
    nb::list out;
    for (const arm::Encoding& e : arm::kTable) out.append(nb::make_tuple(std::string(e.name), int(e.form)));
    return out;
  });
  m.def("_arm_assemble", &assemble, nb::arg("lines"), nb::arg("labels") = 0);
}

}  // namespace funcnn
