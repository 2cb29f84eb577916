// Stand-in: one whole-domain loop an instruction. Replaced by the tile interpreter.
#include "backends/cpu/interpreter.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace funcnn::cpu {
namespace {

using Bytes = std::vector<std::byte>;

template <class T>
T scalar_op(Opcode op, T a, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    switch (op) {
      case Opcode::bitwise_and: return a && b;
      case Opcode::bitwise_or: return a || b;
      case Opcode::bitwise_xor: return a != b;
      case Opcode::maximum: return a || b;
      case Opcode::minimum: return a && b;
      default: return a;
    }
  } else if constexpr (std::is_same_v<T, complex64_t>) {
    switch (op) {
      case Opcode::negative: return -a;
      case Opcode::exp: return std::exp(a);
      case Opcode::log: return std::log(a);
      case Opcode::sin: return std::sin(a);
      case Opcode::cos: return std::cos(a);
      case Opcode::tanh: return std::tanh(a);
      case Opcode::sqrt: return std::sqrt(a);
      case Opcode::rsqrt: return T(1) / std::sqrt(a);
      case Opcode::square: return a * a;
      case Opcode::reciprocal: return T(1) / a;
      case Opcode::conjugate: return std::conj(a);
      case Opcode::add: return a + b;
      case Opcode::subtract: return a - b;
      case Opcode::multiply: return a * b;
      case Opcode::divide: return a / b;
      case Opcode::power: return std::pow(a, b);
      default: return a;
    }
  } else if constexpr (std::is_integral_v<T>) {
    switch (op) {
      case Opcode::negative: return T(0 - a);
      case Opcode::abs: return T(a < 0 ? 0 - a : a);
      case Opcode::sign: return T(a > 0 ? 1 : a < 0 ? -1 : 0);
      case Opcode::square: return T(a * a);
      case Opcode::bitwise_invert: return T(~a);
      case Opcode::add: return T(a + b);
      case Opcode::subtract: return T(a - b);
      case Opcode::multiply: return T(a * b);
      case Opcode::floor_divide: { if (!b) return 0; T q = T(a / b); return T((a % b) && ((a < 0) != (b < 0)) ? q - 1 : q); }
      case Opcode::remainder: { if (!b) return 0; T r = T(a % b); return T(r && ((r < 0) != (b < 0)) ? r + b : r); }
      case Opcode::power: { if (b < 0) return 0; T r = 1; while (b) { if (b & 1) r = T(r * a); a = T(a * a); b = T(b >> 1); } return r; }
      case Opcode::maximum: return a > b ? a : b;
      case Opcode::minimum: return a < b ? a : b;
      case Opcode::bitwise_and: return T(a & b);
      case Opcode::bitwise_or: return T(a | b);
      case Opcode::bitwise_xor: return T(a ^ b);
      case Opcode::left_shift: return T(a << b);
      case Opcode::right_shift: return T(a >> b);
      default: return a;
    }
  } else if constexpr (!std::is_floating_point_v<T>) {
    return a;
  } else {
    switch (op) {
      case Opcode::round_float16: return T(float(float16_t(float(a))));
      case Opcode::round_bfloat16: return T(float(bfloat16_t(float(a))));
      case Opcode::negative: return -a;
      case Opcode::abs: return std::abs(a);
      case Opcode::sign: return a > 0 ? T(1) : a < 0 ? T(-1) : a;
      case Opcode::floor: return std::floor(a);
      case Opcode::ceil: return std::ceil(a);
      case Opcode::round: return std::nearbyint(a);
      case Opcode::trunc: return std::trunc(a);
      case Opcode::sqrt: return std::sqrt(a);
      case Opcode::rsqrt: return 1 / std::sqrt(a);
      case Opcode::square: return a * a;
      case Opcode::reciprocal: return 1 / a;
      case Opcode::exp: return std::exp(a);
      case Opcode::expm1: return std::expm1(a);
      case Opcode::exp2: return std::exp2(a);
      case Opcode::log: return std::log(a);
      case Opcode::log1p: return std::log1p(a);
      case Opcode::log2: return std::log2(a);
      case Opcode::log10: return std::log10(a);
      case Opcode::sin: return std::sin(a);
      case Opcode::cos: return std::cos(a);
      case Opcode::tan: return std::tan(a);
      case Opcode::arcsin: return std::asin(a);
      case Opcode::arccos: return std::acos(a);
      case Opcode::arctan: return std::atan(a);
      case Opcode::sinh: return std::sinh(a);
      case Opcode::cosh: return std::cosh(a);
      case Opcode::tanh: return std::tanh(a);
      case Opcode::arcsinh: return std::asinh(a);
      case Opcode::arccosh: return std::acosh(a);
      case Opcode::arctanh: return std::atanh(a);
      case Opcode::sigmoid: return 1 / (1 + std::exp(-a));
      case Opcode::erf: return std::erf(a);
      case Opcode::lgamma: return std::lgamma(a);
      case Opcode::add: return a + b;
      case Opcode::subtract: return a - b;
      case Opcode::multiply: return a * b;
      case Opcode::divide: return a / b;
      case Opcode::floor_divide: return std::floor(a / b);
      case Opcode::remainder: { T r = std::fmod(a, b); return r != 0 && ((r < 0) != (b < 0)) ? r + b : r; }
      case Opcode::power: return std::pow(a, b);
      case Opcode::maximum: return std::isnan(a) ? a : std::isnan(b) ? b : std::max(a, b);
      case Opcode::minimum: return std::isnan(a) ? a : std::isnan(b) ? b : std::min(a, b);
      case Opcode::arctan2: return std::atan2(a, b);
      case Opcode::logaddexp: { T m = std::max(a, b); return std::isinf(m) ? m : m + std::log1p(std::exp(-std::abs(a - b))); }
      default: return a;
    }
  }
}

template <class T>
bool test(Opcode op, T a, T b) {
  if (op == Opcode::equal) return a == b;
  if (op == Opcode::not_equal) return a != b;
  if (op == Opcode::logical_not) return a == T(0);
  if (op == Opcode::logical_and) return a != T(0) && b != T(0);
  if (op == Opcode::logical_or) return a != T(0) || b != T(0);
  if constexpr (!std::is_same_v<T, complex64_t>) {
    if (op == Opcode::less) return a < b;
    if (op == Opcode::less_equal) return a <= b;
    if (op == Opcode::greater) return a > b;
    if (op == Opcode::greater_equal) return a >= b;
    if constexpr (std::is_floating_point_v<T>) {
      if (op == Opcode::isnan) return std::isnan(a);
      if (op == Opcode::isinf) return std::isinf(a);
      if (op == Opcode::isfinite) return std::isfinite(a);
    }
  } else {
    if (op == Opcode::isnan) return std::isnan(a.real()) || std::isnan(a.imag());
    if (op == Opcode::isinf) return std::isinf(a.real()) || std::isinf(a.imag());
    if (op == Opcode::isfinite) return std::isfinite(a.real()) && std::isfinite(a.imag());
  }
  return false;
}

}  // namespace

struct PreparedProgram::Impl {
  KernelProgram p;
};
PreparedProgram::PreparedProgram(const KernelProgram& program) : impl_(new Impl{program}) {}
PreparedProgram::~PreparedProgram() = default;
PreparedProgram::PreparedProgram(PreparedProgram&&) noexcept = default;

static void execute(const KernelProgram& p, std::span<std::byte* const> operands, int64_t begin, int64_t end) {
  std::vector<Bytes> values(p.code.size());
  int64_t full = p.rows * p.cols;
  bool whole = begin == 0 && end == full;
  auto count = [&](Space s) { return s == Space::scalar ? 1 : s == Space::row ? p.rows : whole ? full : end - begin; };
  auto pick = [&](int arg, int64_t i, Space s) -> int64_t {
    Space from = p.code[size_t(arg)].space;
    if (from == s) return i;
    return from == Space::scalar ? 0 : (i + begin) / p.cols;
  };
  auto address = [&](const Access& a, int64_t i) {
    int64_t at = a.offset;
    for (size_t d = a.shape.size(); d-- > 0;) {
      at += (i % a.shape[d]) * a.strides[d];
      i /= a.shape[d];
    }
    return at;
  };
  for (size_t n = 0; n < p.code.size(); ++n) {
    const Instruction& in = p.code[n];
    int64_t size = count(in.space);
    int64_t first = in.space == Space::element ? begin : 0;
    Bytes& out = values[n];
    if (in.kind == InstructionKind::store || in.kind == InstructionKind::reduce_col) {
      const Access& a = p.accesses[size_t(in.access)];
      const Bytes& from = values[size_t(in.args[0])];
      Dtype reg = p.code[size_t(in.args[0])].dtype;
      if (in.kind == InstructionKind::reduce_col) {
        visit_dtype(reg, [&](auto tag) {
          using T = typename decltype(tag)::type;
          auto* v = reinterpret_cast<const T*>(from.data());
          for (int64_t c = 0; c < p.cols; ++c) {
            T acc{};
            for (int64_t r = 0; r < p.rows; ++r) {
              T x = v[pick(in.args[0], r * p.cols + c, Space::element)];
              acc = r == 0 ? x
                           : scalar_op<T>(in.reduce == ReduceOp::sum    ? Opcode::add
                                          : in.reduce == ReduceOp::prod ? Opcode::multiply
                                          : in.reduce == ReduceOp::max || in.reduce == ReduceOp::any ? Opcode::maximum
                                                                                                     : Opcode::minimum,
                                          acc, x);
            }
            visit_dtype(a.dtype, [&](auto mtag) {
              using M = typename decltype(mtag)::type;
              if constexpr (std::is_convertible_v<T, M> || (std::is_floating_point_v<T> && std::is_constructible_v<M, T>))
                reinterpret_cast<M*>(operands[size_t(a.operand)])[address(a, c)] = M(acc);
            });
          }
        });
        continue;
      }
      visit_dtype(reg, [&](auto tag) {
        using T = typename decltype(tag)::type;
        auto* v = reinterpret_cast<const T*>(from.data());
        visit_dtype(a.dtype, [&](auto mtag) {
          using M = typename decltype(mtag)::type;
          if constexpr (std::is_convertible_v<T, M> || (std::is_floating_point_v<T> && std::is_constructible_v<M, T>))
            for (int64_t i = 0; i < size; ++i)
              reinterpret_cast<M*>(operands[size_t(a.operand)])[address(a, i + first)] = M(v[pick(in.args[0], i, in.space)]);
        });
      });
      continue;
    }
    visit_dtype(in.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      out.resize(size_t(size) * sizeof(T));
      auto* o = reinterpret_cast<T*>(out.data());
      if (in.kind == InstructionKind::load) {
        const Access& a = p.accesses[size_t(in.access)];
        visit_dtype(a.dtype, [&](auto mtag) {
          using M = typename decltype(mtag)::type;
          auto* m = reinterpret_cast<const M*>(operands[size_t(a.operand)]);
          if constexpr (std::is_convertible_v<M, T>)
            for (int64_t i = 0; i < size; ++i) o[i] = T(m[address(a, i + first)]);
        });
      } else if (in.kind == InstructionKind::index) {
        if constexpr (!std::is_same_v<T, complex64_t>)
          for (int64_t i = 0; i < size; ++i) o[i] = T(i + first);
      } else if (in.kind == InstructionKind::reduce_row) {
        auto* v = reinterpret_cast<const T*>(values[size_t(in.args[0])].data());
        for (int64_t r = 0; r < p.rows; ++r) {
          if (p.cols == 0) {
            o[r] = in.reduce == ReduceOp::prod || in.reduce == ReduceOp::all ? T(1) : T(0);
            continue;
          }
          T acc = v[pick(in.args[0], r * p.cols, Space::element)];
          double wide = 0;
          if constexpr (std::is_floating_point_v<T>) wide = double(acc);
          for (int64_t c = 1; c < p.cols; ++c) {
            T x = v[pick(in.args[0], r * p.cols + c, Space::element)];
            if constexpr (std::is_floating_point_v<T>) {
              if (in.reduce == ReduceOp::sum) {
                wide += double(x);
                continue;
              }
            }
            acc = scalar_op<T>(in.reduce == ReduceOp::sum    ? Opcode::add
                               : in.reduce == ReduceOp::prod ? Opcode::multiply
                               : in.reduce == ReduceOp::max || in.reduce == ReduceOp::any ? Opcode::maximum
                                                                                          : Opcode::minimum,
                               acc, x);
          }
          if constexpr (std::is_floating_point_v<T>) {
            if (in.reduce == ReduceOp::sum) acc = T(wide);
          }
          o[r] = acc;
        }
      } else {
        auto get = [&]<class U>(int k, int64_t i, U*) {
          return reinterpret_cast<const U*>(values[size_t(in.args[k])].data())[pick(in.args[k], i, in.space)];
        };
        Dtype from = p.code[size_t(in.args[0])].dtype;
        if (in.op == Opcode::select) {
          for (int64_t i = 0; i < size; ++i) o[i] = get(0, i, (bool*)nullptr) ? get(1, i, (T*)nullptr) : get(2, i, (T*)nullptr);
        } else if (in.op == Opcode::fma) {
          for (int64_t i = 0; i < size; ++i)
            o[i] = scalar_op<T>(Opcode::add, scalar_op<T>(Opcode::multiply, get(0, i, (T*)nullptr), get(1, i, (T*)nullptr)), get(2, i, (T*)nullptr));
        } else {
          visit_dtype(from, [&](auto ftag) {
            using F = typename decltype(ftag)::type;
            bool two = opcode_arity(in.op) == 2;
            for (int64_t i = 0; i < size; ++i) {
              F a = get(0, i, (F*)nullptr), b = two ? get(1, i, (F*)nullptr) : F{};
              if (opcode_gives_bool(in.op)) {
                if constexpr (std::is_same_v<T, bool>) o[i] = test<F>(in.op, a, b);
              } else if constexpr (std::is_same_v<F, complex64_t> && std::is_same_v<T, float>) {
                o[i] = in.op == Opcode::imag ? a.imag() : in.op == Opcode::abs ? std::abs(a) : a.real();
              } else if constexpr (std::is_same_v<F, float> && std::is_same_v<T, complex64_t>) {
                o[i] = in.op == Opcode::make_complex ? complex64_t(a, b) : complex64_t(a, 0);
              } else if constexpr (std::is_same_v<F, T>) {
                o[i] = scalar_op<T>(in.op, a, b);
              } else if constexpr (std::is_same_v<F, complex64_t>) {
                if constexpr (std::is_constructible_v<T, float>) o[i] = T(a.real());
              } else if constexpr (std::is_same_v<T, complex64_t>) {
                o[i] = T(float(a), 0);
              } else if constexpr (std::is_same_v<T, bool>) {
                o[i] = a != F(0);
              } else {
                o[i] = T(a);
              }
            }
          });
        }
      }
    });
  }
}

void PreparedProgram::run(std::span<std::byte* const> operands) const {
  execute(impl_->p, operands, 0, impl_->p.rows * impl_->p.cols);
}
void PreparedProgram::run_range(std::span<std::byte* const> operands, int64_t begin, int64_t end) const {
  execute(impl_->p, operands, begin, end);
}

const char* instruction_set() { return "baseline"; }
void set_instruction_set(const char*) {}

}  // namespace funcnn::cpu
