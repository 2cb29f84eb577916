// The operators of arrays that may be pointed elsewhere: those of funcnn.array, but what is no operand is refused at
// once, as MLX does, and not handed to the other object's operators.
#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include "bindings/interchange.h"
#include "bindings/mutable.h"
#include "bindings/sequence.h"
#include "graph/trace.h"
#include "ops/elementwise.h"

namespace funcnn {
namespace {

void* operator_slot(int id) {
  const PyType_Slot* end = operator_slots + operator_slot_count;
  return std::find_if(operator_slots, end, [&](const PyType_Slot& slot) { return slot.slot == id; })->pfunc;
}

[[noreturn]] void refuse(PyObject* a, PyObject* b, const char* what) {
  PyObject* other = is_mutable(a) ? b : a;
  std::string message = cat(what, ": expected an array or a number beside an array, got ", python_type(other));
  if (other == Py_None) throw TypeError(message);
  throw ValueError(message);
}

// What depends on no elements (x ** 0) is as mutable as the rest.
PyObject* checked(PyObject* result, PyObject* a, PyObject* b, const char* what) {
  if (result != Py_NotImplemented) return opened(result);
  Py_DECREF(result);
  return guarded([&]() -> PyObject* { refuse(a, b, what); });
}

struct Named {
  int slot;
  const char* what;
};
constexpr Named kBinary[] = {{Py_nb_add, "x + y"},
                             {Py_nb_subtract, "x - y"},
                             {Py_nb_multiply, "x * y"},
                             {Py_nb_true_divide, "x / y"},
                             {Py_nb_floor_divide, "x // y"},
                             {Py_nb_remainder, "x % y"},
                             {Py_nb_and, "x & y"},
                             {Py_nb_or, "x | y"},
                             {Py_nb_xor, "x ^ y"},
                             {Py_nb_lshift, "x << y"},
                             {Py_nb_rshift, "x >> y"},
                             {Py_nb_inplace_add, "x += y"},
                             {Py_nb_inplace_subtract, "x -= y"},
                             {Py_nb_inplace_multiply, "x *= y"},
                             {Py_nb_inplace_true_divide, "x /= y"},
                             {Py_nb_inplace_floor_divide, "x //= y"},
                             {Py_nb_inplace_remainder, "x %= y"},
                             {Py_nb_inplace_and, "x &= y"},
                             {Py_nb_inplace_or, "x |= y"},
                             {Py_nb_inplace_xor, "x ^= y"},
                             {Py_nb_inplace_lshift, "x <<= y"},
                             {Py_nb_inplace_rshift, "x >>= y"}};
constexpr size_t kBinaryCount = std::size(kBinary);

binaryfunc base_binary[kBinaryCount], base_matmul, base_in_place_matmul;
ternaryfunc base_power, base_in_place_power;
richcmpfunc base_compare;

bool is_bool(PyObject* o) { return is_array(o) ? array_of(o).dtype() == Dtype::bool_ : PyBool_Check(o); }
bool holds_complex(PyObject* o) { return is_array(o) ? is_complex(array_of(o).dtype()) : PyComplex_Check(o); }

// The operation that this one does in place; itself if it does none.
int out_of_place(int slot) {
  switch (slot) {
    case Py_nb_inplace_lshift:
      return Py_nb_lshift;
    case Py_nb_inplace_rshift:
      return Py_nb_rshift;
    case Py_nb_inplace_floor_divide:
      return Py_nb_floor_divide;
    case Py_nb_inplace_remainder:
      return Py_nb_remainder;
    case Py_nb_inplace_power:
      return Py_nb_power;
    default:
      return slot;
  }
}

// What MLX makes of two bools where the operation is defined for numbers alone; nothing for other operations.
std::optional<Array> of_bools(int operation, const Array& x, const Array& y) {
  auto shifted = [&](Opcode shift) { return binary(shift, astype(x, Dtype::uint8), astype(y, Dtype::uint8)); };
  switch (operation) {
    case Py_nb_lshift:
      return shifted(Opcode::left_shift);
    case Py_nb_rshift:
      return shifted(Opcode::right_shift);
    case Py_nb_floor_divide:
      return binary(Opcode::logical_and, x, y);
    case Py_nb_remainder:
      return binary(Opcode::logical_and, x, unary(Opcode::logical_not, y));
    case Py_nb_power:
      return binary(Opcode::logical_or, x, unary(Opcode::logical_not, y));
    default:
      return std::nullopt;
  }
}

// In place of an operation that refused its operands with a ValueError: what MLX does with them; null, and that error,
// where it refuses them, too.
PyObject* otherwise(int slot, PyObject* a, PyObject* b) {
  const int operation = out_of_place(slot);
  const bool quotient = operation == Py_nb_floor_divide && (holds_complex(a) || holds_complex(b));
  if (!(is_bool(a) || is_bool(b) || quotient) || !PyErr_ExceptionMatches(PyExc_ValueError)) return nullptr;
  nb::python_error error;  // takes it
  bool refused = false;
  PyObject* result = guarded([&]() -> PyObject* {
    auto [x, y] = as_operands(a, b, "operator");
    const bool bools = x.dtype() == Dtype::bool_ && y.dtype() == Dtype::bool_;
    std::optional<Array> made;
    if (quotient) made = binary(Opcode::divide, x, y);
    if (bools) made = of_bools(operation, x, y);
    refused = !made;
    if (refused) return nullptr;
    if (operation == slot) return wrap(std::move(*made));
    point(a, std::move(*made));
    return nb::handle(a).inc_ref().ptr();
  });
  if (refused) error.restore();
  return result;
}

template <size_t i>
PyObject* checked_binary(PyObject* a, PyObject* b) {
  if constexpr (kBinary[i].slot == Py_nb_inplace_true_divide)
    if (!is_inexact(array_of(a).dtype()))
      return guarded([&]() -> PyObject* {
        throw ValueError(cat("x /= y: the result is not of dtype ", array_of(a).dtype(), "; use x = x / y"));
      });
  PyObject* made = base_binary[i](a, b);
  return checked(made ? made : otherwise(kBinary[i].slot, a, b), a, b, kBinary[i].what);
}

PyObject* checked_power(PyObject* a, PyObject* b, PyObject* modulus) {
  PyObject* made = base_power(a, b, modulus);
  if (!made) made = otherwise(Py_nb_power, a, b);
  return modulus == Py_None ? checked(made, a, b, "x ** y") : made;
}
PyObject* in_place_power(PyObject* a, PyObject* b, PyObject* modulus) {
  PyObject* made = base_in_place_power(a, b, modulus);
  if (!made) made = otherwise(Py_nb_inplace_power, a, b);
  return modulus == Py_None ? checked(made, a, b, "x **= y") : made;
}

// Complex numbers by their real parts, and by their imaginary parts where those are equal.
Array is_less(const Array& x, const Array& y) {
  Array below = binary(Opcode::less, real(x), real(y)), level = binary(Opcode::equal, real(x), real(y)),
        later = binary(Opcode::less, imag(x), imag(y));
  return binary(Opcode::logical_or, below, binary(Opcode::logical_and, level, later));
}

PyObject* compare_complex(PyObject* a, PyObject* b, int comparison) {
  return guarded([&] {
    auto [x, y] = as_operands(a, b, "comparison");
    bool swapped = comparison == Py_GT || comparison == Py_GE;
    Array less = swapped ? is_less(y, x) : is_less(x, y), equal = binary(Opcode::equal, x, y);
    return wrap(comparison == Py_LT || comparison == Py_GT ? less : binary(Opcode::logical_or, less, equal));
  });
}

// A number is no operand, as nothing but an array is one of MLX's.
template <binaryfunc& base>
PyObject* opened_matmul(PyObject* a, PyObject* b) {
  if (is_number(a) || is_number(b)) Py_RETURN_NOTIMPLEMENTED;
  return opened(base(a, b));
}

// What is no operand is not equal to an array, but it has no order beside one.
PyObject* compare(PyObject* a, PyObject* b, int comparison) {
  bool ordered = comparison != Py_EQ && comparison != Py_NE;
  if (ordered && (holds_complex(a) || holds_complex(b)) && (is_array(b) || is_number(b) || is_foreign(b)))
    return compare_complex(a, b, comparison);
  PyObject* made = base_compare(a, b, comparison);
  if (made != Py_NotImplemented || b == Py_None || ordered) return checked(made, a, b, "comparison");
  Py_DECREF(made);
  return PyBool_FromLong(comparison == Py_NE);
}

template <size_t... i>
void add_binary(std::vector<PyType_Slot>& slots, std::index_sequence<i...>) {
  ((base_binary[i] = reinterpret_cast<binaryfunc>(operator_slot(kBinary[i].slot)),
    slots.push_back(slot(kBinary[i].slot, checked_binary<i>))),
   ...);
}

}  // namespace

std::vector<PyType_Slot> mutable_operator_slots() {
  std::vector<PyType_Slot> slots;
  add_binary(slots, std::make_index_sequence<kBinaryCount>());
  base_power = reinterpret_cast<ternaryfunc>(operator_slot(Py_nb_power));
  base_in_place_power = reinterpret_cast<ternaryfunc>(operator_slot(Py_nb_inplace_power));
  base_compare = reinterpret_cast<richcmpfunc>(operator_slot(Py_tp_richcompare));
  base_matmul = reinterpret_cast<binaryfunc>(operator_slot(Py_nb_matrix_multiply));
  base_in_place_matmul = reinterpret_cast<binaryfunc>(operator_slot(Py_nb_inplace_matrix_multiply));
  slots.insert(slots.end(), {slot(Py_nb_matrix_multiply, opened_matmul<base_matmul>),
                             slot(Py_nb_inplace_matrix_multiply, opened_matmul<base_in_place_matmul>),
                             slot(Py_nb_power, checked_power), slot(Py_nb_inplace_power, in_place_power),
                             slot(Py_tp_richcompare, compare), PyType_Slot{Py_tp_hash, operator_slot(Py_tp_hash)}});
  return slots;
}

}  // namespace funcnn
