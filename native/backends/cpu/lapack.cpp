#include "backends/cpu/lapack.h"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <memory>
#include <vector>

#include "backends/cpu/blas.h"
#include "backends/cpu/lapack_names.h"
#include "base/error.h"

namespace funcnn::cpu::lapack {

using Complex = std::complex<float>;

extern "C" {
#define DECLARE(T, p)                                                                      \
  void LAPACK(p##potrf)(const char*, const Int*, T*, const Int*, Int* LENGTH);             \
  void LAPACK(p##getrf)(const Int*, const Int*, T*, const Int*, Int*, Int*);               \
  void LAPACK(p##getri)(const Int*, T*, const Int*, const Int*, T*, const Int*, Int*);     \
  void LAPACK(p##geqrf)(const Int*, const Int*, T*, const Int*, T*, T*, const Int*, Int*); \
  void LAPACK(p##gebrd)(const Int*, const Int*, T*, const Int*, Real<T>*, Real<T>*, T*, T*, T*, const Int*, Int*);
FOR_ALL(DECLARE)
#undef DECLARE
#define DECLARE(T, p)                                                                                                \
  void LAPACK(p##orgqr)(const Int*, const Int*, const Int*, T*, const Int*, const T*, T*, const Int*, Int*);         \
  void LAPACK(p##syevd)(const char*, const char*, const Int*, T*, const Int*, T*, T*, const Int*, Int*, const Int*,  \
                        Int* LENGTHS);                                                                               \
  void LAPACK(p##gesdd)(const char*, const Int*, const Int*, T*, const Int*, T*, T*, const Int*, T*, const Int*, T*, \
                        const Int*, Int*, Int* LENGTH);                                                              \
  void LAPACK(p##sytrd)(const char*, const Int*, T*, const Int*, T*, T*, T*, T*, const Int*, Int* LENGTH);           \
  void LAPACK(p##larfg)(const Int*, T*, T*, const Int*, T*);                                                         \
  void LAPACK(p##steqr)(const char*, const Int*, T*, T*, T*, const Int*, T*, Int* LENGTH);                           \
  void LAPACK(p##laed4)(const Int*, const Int*, const T*, const T*, T*, const T*, T*, Int*);                         \
  void LAPACK(p##lasd4)(const Int*, const Int*, const T*, const T*, T*, const T*, T*, T*, Int*);                     \
  void LAPACK(p##lasdq)(const char*, const Int*, const Int*, const Int*, const Int*, const Int*, T*, T*, T*,         \
                        const Int*, T*, const Int*, T*, const Int*, T*, Int* LENGTH);                                \
  void LAPACK(p##geev)(const char*, const char*, const Int*, T*, const Int*, T*, T*, T*, const Int*, T*, const Int*, \
                       T*, const Int*, Int* LENGTHS);
FOR_REAL(DECLARE)
#undef DECLARE
#define DECLARE(T, multiply)                                                                                     \
  void LAPACK(multiply##qr)(const char*, const char*, const Int*, const Int*, const Int*, const T*, const Int*,  \
                            const T*, T*, const Int*, T*, const Int*, Int* LENGTHS);                             \
  void LAPACK(multiply##br)(const char*, const char*, const char*, const Int*, const Int*, const Int*, const T*, \
                            const Int*, const T*, T*, const Int*, T*, const Int*, Int* LENGTHS LENGTH);
DECLARE(float, sorm)
DECLARE(double, dorm)
DECLARE(Complex, cunm)
#undef DECLARE
void LAPACK(cungqr)(const Int*, const Int*, const Int*, Complex*, const Int*, const Complex*, Complex*, const Int*,
                    Int*);
void LAPACK(cheevd)(const char*, const char*, const Int*, Complex*, const Int*, float*, Complex*, const Int*, float*,
                    const Int*, Int*, const Int*, Int* LENGTHS);
void LAPACK(cgesdd)(const char*, const Int*, const Int*, Complex*, const Int*, float*, Complex*, const Int*, Complex*,
                    const Int*, Complex*, const Int*, float*, Int*, Int* LENGTH);
void LAPACK(cgeev)(const char*, const char*, const Int*, Complex*, const Int*, Complex*, Complex*, const Int*, Complex*,
                   const Int*, Complex*, const Int*, float*, Int* LENGTHS);
}

namespace {

// Memory that a routine asks for.
template <class T>
class Work {
 public:
  explicit Work(int64_t count) : memory_(new T[size_t(std::max<int64_t>(count, 1))]) {}
  operator T*() { return memory_.get(); }

 private:
  std::unique_ptr<T[]> memory_;
};

// The length a routine named through a number, which may have been rounded down.
template <class T>
Int length_of(T asked) {
  double count = std::real(asked) * (1 + 0x1p-22) + 1;
  if (count > INT_MAX) throw ValueError("linalg: a matrix is too large for LAPACK, which counts in 32 bits");
  return Int(count);
}

// Call a routine twice: for the length of its work, and for the work.
template <class T, class Routine>
void with_work(Routine routine) {
  blas::single_threaded();
  T asked{};
  Int query = -1;
  routine(&asked, &query);
  Int length = length_of(asked);
  Work<T> work(length);
  routine(work, &length);
}

}  // namespace

#define DEFINE(T, p)                                                                                               \
  template <>                                                                                                      \
  Int potrf(char uplo, Int n, T* a, Int ld) {                                                                      \
    blas::single_threaded();                                                                                       \
    Int info = 0;                                                                                                  \
    LAPACK(p##potrf)(&uplo, &n, a, &ld, &info ONE);                                                                \
    return info;                                                                                                   \
  }                                                                                                                \
  template <>                                                                                                      \
  Int getrf(Int m, Int n, T* a, Int ld, Int* pivots) {                                                             \
    blas::single_threaded();                                                                                       \
    Int info = 0;                                                                                                  \
    LAPACK(p##getrf)(&m, &n, a, &ld, pivots, &info);                                                               \
    return info;                                                                                                   \
  }                                                                                                                \
  template <>                                                                                                      \
  Int getri(Int n, T* a, Int ld, const Int* pivots) {                                                              \
    Int info = 0;                                                                                                  \
    with_work<T>([&](T* work, Int* length) { LAPACK(p##getri)(&n, a, &ld, pivots, work, length, &info); });        \
    return info;                                                                                                   \
  }                                                                                                                \
  template <>                                                                                                      \
  Int geqrf(Int m, Int n, T* a, Int ld, T* tau) {                                                                  \
    Int info = 0;                                                                                                  \
    with_work<T>([&](T* work, Int* length) { LAPACK(p##geqrf)(&m, &n, a, &ld, tau, work, length, &info); });       \
    return info;                                                                                                   \
  }                                                                                                                \
  template <>                                                                                                      \
  Int gebrd(Int n, T* a, Int ld, Real<T>* d, Real<T>* e, T* tau_q, T* tau_p) {                                     \
    Int info = 0;                                                                                                  \
    with_work<T>(                                                                                                  \
        [&](T* work, Int* length) { LAPACK(p##gebrd)(&n, &n, a, &ld, d, e, tau_q, tau_p, work, length, &info); }); \
    return info;                                                                                                   \
  }
FOR_ALL(DEFINE)
#undef DEFINE

#define DEFINE(T, multiply)                                                                                \
  template <>                                                                                              \
  Int ormqr(Int m, Int n, Int k, const T* a, Int ld, const T* tau, T* c, Int ldc) {                        \
    Int info = 0;                                                                                          \
    with_work<T>([&](T* work, Int* length) {                                                               \
      LAPACK(multiply##qr)("L", "N", &m, &n, &k, a, &ld, tau, c, &ldc, work, length, &info ONES);          \
    });                                                                                                    \
    return info;                                                                                           \
  }                                                                                                        \
  template <>                                                                                              \
  Int ormbr_p(Int n, const T* a, Int ld, const T* tau, T* c, Int ldc) {                                    \
    Int info = 0;                                                                                          \
    with_work<T>([&](T* work, Int* length) {                                                               \
      LAPACK(multiply##br)("P", "L", "N", &n, &n, &n, a, &ld, tau, c, &ldc, work, length, &info ONES ONE); \
    });                                                                                                    \
    return info;                                                                                           \
  }
DEFINE(float, sorm)
DEFINE(double, dorm)
DEFINE(Complex, cunm)
#undef DEFINE

#define DEFINE(T, p)                                                                                                 \
  template <>                                                                                                        \
  Int orgqr(Int m, Int n, Int k, T* a, Int ld, const T* tau) {                                                       \
    Int info = 0;                                                                                                    \
    with_work<T>([&](T* work, Int* length) { LAPACK(p##orgqr)(&m, &n, &k, a, &ld, tau, work, length, &info); });     \
    return info;                                                                                                     \
  }                                                                                                                  \
  template <>                                                                                                        \
  Int syevd(char job, char uplo, Int n, T* a, Int ld, T* w) {                                                        \
    Int info = 0, integers = 3 + 5 * n;                                                                              \
    Work<Int> places(integers);                                                                                      \
    with_work<T>([&](T* work, Int* length) {                                                                         \
      LAPACK(p##syevd)(&job, &uplo, &n, a, &ld, w, work, length, places, &integers, &info ONES);                     \
    });                                                                                                              \
    return info;                                                                                                     \
  }                                                                                                                  \
  template <>                                                                                                        \
  Int gesdd(char job, Int m, Int n, T* a, Int ld, T* s, T* u, Int ldu, T* vh, Int ldv) {                             \
    Int info = 0;                                                                                                    \
    Work<Int> places(8 * int64_t(std::min(m, n)));                                                                   \
    with_work<T>([&](T* work, Int* length) {                                                                         \
      LAPACK(p##gesdd)(&job, &m, &n, a, &ld, s, u, &ldu, vh, &ldv, work, length, places, &info ONE);                 \
    });                                                                                                              \
    return info;                                                                                                     \
  }                                                                                                                  \
  template <>                                                                                                        \
  Int sytrd(Int n, T* a, Int ld, T* d, T* e, T* tau) {                                                               \
    Int info = 0;                                                                                                    \
    with_work<T>(                                                                                                    \
        [&](T* work, Int* length) { LAPACK(p##sytrd)("L", &n, a, &ld, d, e, tau, work, length, &info ONE); });       \
    return info;                                                                                                     \
  }                                                                                                                  \
  template <>                                                                                                        \
  void larfg(Int n, T* alpha, T* x, T* tau) {                                                                        \
    const Int step = 1;                                                                                              \
    LAPACK(p##larfg)(&n, alpha, x, &step, tau);                                                                      \
  }                                                                                                                  \
  template <>                                                                                                        \
  Int steqr(Int n, T* d, T* e, T* z, Int ldz) {                                                                      \
    Int info = 0;                                                                                                    \
    Work<T> work(2 * int64_t(n));                                                                                    \
    LAPACK(p##steqr)("I", &n, d, e, z, &ldz, work, &info ONE);                                                       \
    return info;                                                                                                     \
  }                                                                                                                  \
  template <>                                                                                                        \
  Int laed4(Int n, Int i, const T* d, const T* z, T* delta, T rho, T* value) {                                       \
    Int info = 0;                                                                                                    \
    LAPACK(p##laed4)(&n, &i, d, z, delta, &rho, value, &info);                                                       \
    return info;                                                                                                     \
  }                                                                                                                  \
  template <>                                                                                                        \
  Int lasd4(Int n, Int i, const T* d, const T* z, T* delta, T rho, T* value, T* sums) {                              \
    Int info = 0;                                                                                                    \
    LAPACK(p##lasd4)(&n, &i, d, z, delta, &rho, value, sums, &info);                                                 \
    return info;                                                                                                     \
  }                                                                                                                  \
  template <>                                                                                                        \
  Int lasdq(Int wider, Int n, T* d, T* e, T* vt, Int ldvt, T* u, Int ldu) {                                          \
    Int info = 0, columns = n + wider, none = 0, one = 1;                                                            \
    Work<T> work(4 * int64_t(n));                                                                                    \
    T spare;                                                                                                         \
    LAPACK(p##lasdq)("U", &wider, &n, &columns, &n, &none, d, e, vt, &ldvt, u, &ldu, &spare, &one, work, &info ONE); \
    return info;                                                                                                     \
  }                                                                                                                  \
  template <>                                                                                                        \
  Int geev(Int n, T* a, Int ld, std::complex<T>* w, std::complex<T>* v) {                                            \
    Int info = 0, none = 1;                                                                                          \
    char left = 'N', right = v ? 'V' : 'N';                                                                          \
    Work<T> re(n), im(n), pairs(v ? int64_t(n) * n : 1);                                                             \
    with_work<T>([&](T* work, Int* length) {                                                                         \
      LAPACK(p##geev)(&left, &right, &n, a, &ld, re, im, nullptr, &none, pairs, &n, work, length, &info ONES);       \
    });                                                                                                              \
    if (info == 0) join_pairs<T>(n, re, im, v ? static_cast<T*>(pairs) : nullptr, w, v);                             \
    return info;                                                                                                     \
  }

namespace {

// Conjugate pairs of vectors come as their real and their imaginary part, in neighbouring columns.
template <class T>
void join_pairs(Int n, const T* re, const T* im, const T* pairs, std::complex<T>* w, std::complex<T>* v) {
  for (Int j = 0; j < n; ++j) w[j] = {re[j], im[j]};
  if (!v) return;
  for (int64_t j = 0; j < n; ++j) {
    const T* x = pairs + j * n;
    std::complex<T>* to = v + j * n;
    if (im[j] == 0 || j + 1 == n) {
      for (int64_t i = 0; i < n; ++i) to[i] = {x[i], T(0)};
      continue;
    }
    for (int64_t i = 0; i < n; ++i) {
      to[i] = {x[i], x[n + i]};
      to[n + i] = {x[i], -x[n + i]};
    }
    ++j;
  }
}

}  // namespace

FOR_REAL(DEFINE)
#undef DEFINE

template <>
Int orgqr(Int m, Int n, Int k, Complex* a, Int ld, const Complex* tau) {
  Int info = 0;
  with_work<Complex>([&](Complex* work, Int* length) { LAPACK(cungqr)(&m, &n, &k, a, &ld, tau, work, length, &info); });
  return info;
}

template <>
Int syevd(char job, char uplo, Int n, Complex* a, Int ld, float* w) {
  int64_t side = n, reals = job == 'V' ? 1 + 5 * side + 2 * side * side : side + 1;
  if (reals > INT_MAX) throw ValueError("linalg: a matrix is too large for LAPACK, which counts in 32 bits");
  Int info = 0, integers = 3 + 5 * n, real_count = Int(reals);
  Work<Int> places(integers);
  Work<float> room(reals);
  with_work<Complex>([&](Complex* work, Int* length) {
    LAPACK(cheevd)(&job, &uplo, &n, a, &ld, w, work, length, room, &real_count, places, &integers, &info ONES);
  });
  return info;
}

template <>
Int gesdd(char job, Int m, Int n, Complex* a, Int ld, float* s, Complex* u, Int ldu, Complex* vh, Int ldv) {
  Int info = 0;
  int64_t less = std::min(m, n), more = std::max(m, n);
  Work<Int> places(8 * less);
  Work<float> room(job == 'N' ? 7 * less : less * std::max(5 * less + 7, 2 * more + 2 * less + 1));
  with_work<Complex>([&](Complex* work, Int* length) {
    LAPACK(cgesdd)(&job, &m, &n, a, &ld, s, u, &ldu, vh, &ldv, work, length, room, places, &info ONE);
  });
  return info;
}

template <>
Int geev(Int n, Complex* a, Int ld, Complex* w, Complex* v) {
  Int info = 0, none = 1;
  char left = 'N', right = v ? 'V' : 'N';
  Complex spare;
  Work<float> room(2 * int64_t(n));
  with_work<Complex>([&](Complex* work, Int* length) {
    LAPACK(cgeev)(&left, &right, &n, a, &ld, w, &spare, &none, v ? v : &spare, &n, work, length, room, &info ONES);
  });
  return info;
}

}  // namespace funcnn::cpu::lapack
