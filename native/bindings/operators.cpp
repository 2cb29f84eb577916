// The operators of the class `array` as raw type slots: building `x + y` is the hot path of every program.
#include "bindings/array.h"
#include "bindings/interchange.h"
#include "graph/trace.h"
#include "ops/dot.h"
#include "ops/elementwise.h"

namespace funcnn {
namespace {

// The operands of a binary operator, of which at least one is an array. False: the other is nothing of ours.
class Operands {
 public:
  bool read(PyObject* a, PyObject* b) {
    bool first = is_array(a), second = is_array(b);
    if (first && second) {
      x = &array_of(a);
      y = &array_of(b);
      bool left = x->node()->weak, right = y->node()->weak;
      weak = left && right;
      if (weak) return both_numbers();
      if (left != right) {
        const Array*& number = left ? x : y;
        made_ = beside(*number, (left ? y : x)->dtype());
        number = &made_;
      }
      return true;
    }
    if (first) {
      x = &array_of(a);
      y = &made_;
      return convert_other(b, *x);
    }
    x = &made_;
    y = &array_of(b);
    return convert_other(a, *y);
  }
  // Of numbers, uint64 holds those that int64 does not; what becomes of others there is compared where it matters.
  bool both_numbers() {
    const bool first = x->dtype() == Dtype::uint64, second = y->dtype() == Dtype::uint64;
    const Array*& other = first ? y : x;
    if (first != second && is_integer(other->dtype())) {
      made_ = astype(*other, Dtype::uint64);
      other = &made_;
    }
    return true;
  }
  // Python adds bools as ints.
  void count_bools() {
    if (!weak || x->dtype() != Dtype::bool_ || y->dtype() != Dtype::bool_) return;
    other_ = astype(*y, Dtype::int32);
    made_ = astype(*x, Dtype::int32);
    x = &made_;
    y = &other_;
  }
  const Array* x = nullptr;
  const Array* y = nullptr;
  bool weak = false;  // both stand for Python numbers, and so does the result

 private:
  bool convert_other(PyObject* other, const Array& array) {
    if ((!array.node()->rebindable || is_number(other)) && convert_scalar(other, array.dtype(), made_)) {
      weak = array.node()->weak;
      return true;
    }
    if (PyBytes_Check(other) || PyByteArray_Check(other) || !is_foreign(other)) return false;
    made_ = beside_array(other, array, "array");
    return true;
  }
  Array made_, other_;
};

PyObject* not_implemented() { return nb::handle(Py_NotImplemented).inc_ref().ptr(); }

using Binary = Array (*)(const Array&, const Array&);

template <Opcode op>
Array apply(const Array& a, const Array& b) {
  return binary(op, a, b);
}

// `counts`: of two Python bools that were traced, the operator makes numbers, as Python's does.
template <Binary function, bool counts = true>
PyObject* binary_slot(PyObject* a, PyObject* b) {
  return guarded([&] {
    if (is_array(a) && is_array(b)) {
      const Array &x = array_of(a), &y = array_of(b);
      if (!x.node()->weak && !y.node()->weak) return wrap(function(x, y));
    }
    Operands operands;
    if (!operands.read(a, b)) return not_implemented();
    if constexpr (counts) operands.count_bools();
    Array made = function(*operands.x, *operands.y);
    return wrap(operands.weak ? with_weakness(std::move(made), true) : std::move(made));
  });
}

// Python binds the name to what this returns: a new array, unless the handle may be pointed elsewhere.
template <Binary function>
PyObject* in_place_slot(PyObject* a, PyObject* b) {
  return guarded([&] {
    Operands operands;
    if (!operands.read(a, b)) return not_implemented();
    Array result = function(*operands.x, *operands.y);
    if (!is_mutable(a)) return wrap(std::move(result));
    point(a, std::move(result));
    return nb::handle(a).inc_ref().ptr();
  });
}

template <Array (*function)(const Array&)>
PyObject* unary_slot(PyObject* a) {
  return guarded([&] {
    const Array& x = array_of(a);
    if (!x.node()->weak) return wrap(function(x));
    return wrap(with_weakness(function(x.dtype() == Dtype::bool_ ? astype(x, Dtype::int32) : x), true));
  });
}

template <Opcode op>
Array apply_unary(const Array& a) {
  return unary(op, a);
}
Array positive(const Array& a) { return a; }

PyObject* power_slot(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None || !(is_array(a) || is_array(b))) return not_implemented();
  return binary_slot<power>(a, b);
}
PyObject* in_place_power_slot(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) return not_implemented();
  return in_place_slot<power>(a, b);
}

PyObject* divmod_slot(PyObject* a, PyObject* b) {
  return guarded([&] {
    Operands operands;
    if (!operands.read(a, b)) return not_implemented();
    operands.count_bools();
    auto number = [&](Opcode op) {
      return wrap_object(with_weakness(binary(op, *operands.x, *operands.y), operands.weak));
    };
    return nb::make_tuple(number(Opcode::floor_divide), number(Opcode::remainder)).release().ptr();
  });
}

PyObject* compare_slot(PyObject* a, PyObject* b, int comparison) {
  constexpr Opcode opcodes[] = {Opcode::less,      Opcode::less_equal, Opcode::equal,
                                Opcode::not_equal, Opcode::greater,    Opcode::greater_equal};
  return guarded([&] {
    Operands operands;
    if (!operands.read(a, b)) return not_implemented();
    return wrap(with_weakness(binary(opcodes[comparison], *operands.x, *operands.y), operands.weak));
  });
}

Py_hash_t hash_slot(PyObject* self) {
  // Comparing gives arrays, so identity is all there is to hash.
  auto bits = reinterpret_cast<uintptr_t>(self);
  auto hash = Py_hash_t(bits >> 4 | bits << (8 * sizeof(bits) - 4));
  return hash == -1 ? -2 : hash;
}

}  // namespace

const PyType_Slot operator_slots[] = {
    slot(Py_nb_add, binary_slot<apply<Opcode::add>>),
    slot(Py_nb_subtract, binary_slot<apply<Opcode::subtract>>),
    slot(Py_nb_multiply, binary_slot<apply<Opcode::multiply>>),
    slot(Py_nb_true_divide, binary_slot<apply<Opcode::divide>>),
    slot(Py_nb_floor_divide, binary_slot<apply<Opcode::floor_divide>>),
    slot(Py_nb_remainder, binary_slot<apply<Opcode::remainder>>),
    slot(Py_nb_divmod, divmod_slot),
    slot(Py_nb_power, power_slot),
    slot(Py_nb_matrix_multiply, binary_slot<matmul>),
    slot(Py_nb_and, binary_slot<apply<Opcode::bitwise_and>, false>),
    slot(Py_nb_or, binary_slot<apply<Opcode::bitwise_or>, false>),
    slot(Py_nb_xor, binary_slot<apply<Opcode::bitwise_xor>, false>),
    slot(Py_nb_lshift, binary_slot<apply<Opcode::left_shift>>),
    slot(Py_nb_rshift, binary_slot<apply<Opcode::right_shift>>),
    slot(Py_nb_inplace_add, in_place_slot<apply<Opcode::add>>),
    slot(Py_nb_inplace_subtract, in_place_slot<apply<Opcode::subtract>>),
    slot(Py_nb_inplace_multiply, in_place_slot<apply<Opcode::multiply>>),
    slot(Py_nb_inplace_true_divide, in_place_slot<apply<Opcode::divide>>),
    slot(Py_nb_inplace_floor_divide, in_place_slot<apply<Opcode::floor_divide>>),
    slot(Py_nb_inplace_remainder, in_place_slot<apply<Opcode::remainder>>),
    slot(Py_nb_inplace_power, in_place_power_slot),
    slot(Py_nb_inplace_matrix_multiply, in_place_slot<matmul>),
    slot(Py_nb_inplace_and, in_place_slot<apply<Opcode::bitwise_and>>),
    slot(Py_nb_inplace_or, in_place_slot<apply<Opcode::bitwise_or>>),
    slot(Py_nb_inplace_xor, in_place_slot<apply<Opcode::bitwise_xor>>),
    slot(Py_nb_inplace_lshift, in_place_slot<apply<Opcode::left_shift>>),
    slot(Py_nb_inplace_rshift, in_place_slot<apply<Opcode::right_shift>>),
    slot(Py_nb_negative, unary_slot<apply_unary<Opcode::negative>>),
    slot(Py_nb_positive, unary_slot<positive>),
    slot(Py_nb_absolute, unary_slot<apply_unary<Opcode::abs>>),
    slot(Py_nb_invert, unary_slot<apply_unary<Opcode::bitwise_invert>>),
    slot(Py_tp_richcompare, compare_slot),
    slot(Py_tp_hash, hash_slot),
};
const size_t operator_slot_count = std::size(operator_slots);

}  // namespace funcnn
