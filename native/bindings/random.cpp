// The functions behind funcnn.random, which documents them.
#include "ops/random.h"

#include "bindings/array.h"
#include "bindings/number_ranges.h"
#include "graph/trace.h"
#include "ops/elementwise.h"

namespace funcnn {
namespace {

Shape drawn_shape(nb::handle object, const char* name) {
  if (is_array(object.ptr()) && array_of(object.ptr()).dtype() == Dtype::uint32 && array_of(object.ptr()).ndim() > 0)
    throw TypeError(
        cat(name, ": expected a shape, got what may be a key; the key comes first, as in ", name, "(key, ...)"));
  return shape_of(object, name);
}

random::MaybeShape maybe_shape(nb::handle object, const char* name) {
  if (object.is_none()) return std::nullopt;
  return drawn_shape(object, name);
}

// A parameter of a distribution; null for None. Numbers become arrays of `like`.
Array parameter(nb::handle object, Dtype like, const char* name) {
  Array made;
  if (object.is_none() || convert_scalar(object.ptr(), like, made)) return made;
  return as_operand(object, like, name);
}

// A bound of random.randint, which must fit the dtype if it is known.
Array integer_bound(nb::handle object, Dtype dtype, int64_t last) {
  if (is_array(object.ptr())) {
    const Array& x = array_of(object.ptr());
    check_number(x.node()->weak && last ? with_weakness(subtract(x, constant(last, x.dtype())), true) : x, dtype);
  }
  if (!is_index(object)) return as_array(object, "random.randint");
  int overflow = 0;
  if (PyLong_Check(object.ptr())) PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
  if (overflow > 0 && dtype == Dtype::uint64) return convert(object, dtype, "random.randint");
  int64_t value = integer_of(object, "random.randint");
  bool fits = visit_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_integral_v<T>)
      return true;
    else if constexpr (std::is_same_v<T, uint64_t>)
      return value >= 0;
    else
      return value >= int64_t(std::numeric_limits<T>::min()) && value - last <= int64_t(std::numeric_limits<T>::max());
  });
  if (!fits) throw ValueError(cat("random.randint: the bound ", value, " does not fit ", dtype_name(dtype)));
  return constant(value, Dtype::int64);
}

}  // namespace

void bind_random(nb::module_& m) {
  m.def("random_key", [](uint64_t seed) { return wrap_object(random::key(seed)); }, nb::arg("seed"));
  m.def(
      "random_split",
      [](nb::handle key, int64_t count) { return wrap_object(random::split(as_array(key, "random.split"), count)); },
      nb::arg("key"), nb::arg("num"));
  m.def(
      "random_fold_in",
      [](nb::handle key, nb::handle data) {
        return wrap_object(
            random::fold_in(as_array(key, "random.fold_in"), parameter(data, Dtype::uint32, "random.fold_in")));
      },
      nb::arg("key"), nb::arg("data"));
  m.def(
      "random_bits",
      [](nb::handle key, nb::handle shape, int width) {
        return wrap_object(random::bits(as_array(key, "random.bits"), drawn_shape(shape, "random.bits"), width));
      },
      nb::arg("key"), nb::arg("shape"), nb::arg("width"));
  m.def(
      "random_uniform",
      [](nb::handle key, nb::handle shape, Dtype dtype, nb::handle low, nb::handle high) {
        const char* name = "random.uniform";
        return wrap_object(random::uniform(as_array(key, name), maybe_shape(shape, name), dtype,
                                           parameter(low, dtype, name), parameter(high, dtype, name)));
      },
      nb::arg("key"), nb::arg("shape").none(), nb::arg("dtype"), nb::arg("low"), nb::arg("high"));
  m.def(
      "random_normal",
      [](nb::handle key, nb::handle shape, Dtype dtype, nb::handle loc, nb::handle scale) {
        const char* name = "random.normal";
        return wrap_object(random::normal(as_array(key, name), maybe_shape(shape, name), dtype,
                                          parameter(loc, dtype, name), parameter(scale, dtype, name)));
      },
      nb::arg("key"), nb::arg("shape").none(), nb::arg("dtype"), nb::arg("loc").none(), nb::arg("scale").none());
  m.def(
      "random_bernoulli",
      [](nb::handle key, nb::handle p, nb::handle shape) {
        const char* name = "random.bernoulli";
        return wrap_object(
            random::bernoulli(as_array(key, name), parameter(p, Dtype::float32, name), maybe_shape(shape, name)));
      },
      nb::arg("key"), nb::arg("p"), nb::arg("shape").none());
  m.def(
      "random_randint",
      [](nb::handle key, nb::handle low, nb::handle high, nb::handle shape, Dtype dtype) {
        const char* name = "random.randint";
        return wrap_object(random::randint(as_array(key, name), integer_bound(low, dtype, 0),
                                           integer_bound(high, dtype, 1), maybe_shape(shape, name), dtype));
      },
      nb::arg("key"), nb::arg("low"), nb::arg("high"), nb::arg("shape").none(), nb::arg("dtype"));
  m.def(
      "random_truncated_normal",
      [](nb::handle key, nb::handle lower, nb::handle upper, nb::handle shape, Dtype dtype) {
        const char* name = "random.truncated_normal";
        return wrap_object(random::truncated_normal(as_array(key, name), parameter(lower, Dtype::float32, name),
                                                    parameter(upper, Dtype::float32, name), maybe_shape(shape, name),
                                                    dtype));
      },
      nb::arg("key"), nb::arg("lower"), nb::arg("upper"), nb::arg("shape").none(), nb::arg("dtype"));
  m.def(
      "random_gumbel",
      [](nb::handle key, nb::handle shape, Dtype dtype) {
        return wrap_object(random::gumbel(as_array(key, "random.gumbel"), drawn_shape(shape, "random.gumbel"), dtype));
      },
      nb::arg("key"), nb::arg("shape"), nb::arg("dtype"));
  m.def(
      "random_laplace",
      [](nb::handle key, nb::handle shape, Dtype dtype, nb::handle loc, nb::handle scale) {
        const char* name = "random.laplace";
        return wrap_object(random::laplace(as_array(key, name), maybe_shape(shape, name), dtype,
                                           parameter(loc, dtype, name), parameter(scale, dtype, name)));
      },
      nb::arg("key"), nb::arg("shape").none(), nb::arg("dtype"), nb::arg("loc").none(), nb::arg("scale").none());
  m.def(
      "random_categorical",
      [](nb::handle key, nb::handle logits, int64_t axis, nb::handle shape, nb::handle count) {
        const char* name = "random.categorical";
        std::optional<int64_t> samples;
        if (!count.is_none()) samples = integer_of(count, name);
        return wrap_object(
            random::categorical(as_array(key, name), as_array(logits, name), axis, maybe_shape(shape, name), samples));
      },
      nb::arg("key"), nb::arg("logits"), nb::arg("axis"), nb::arg("shape").none(), nb::arg("num_samples").none());
  m.def(
      "random_permutation",
      [](nb::handle key, nb::handle x, int64_t axis) {
        const char* name = "random.permutation";
        if (is_index(x)) return wrap_object(random::permutation(as_array(key, name), integer_of(x, name)));
        return wrap_object(random::permutation(as_array(key, name), as_array(x, name), axis));
      },
      nb::arg("key"), nb::arg("x"), nb::arg("axis"));
}

}  // namespace funcnn
