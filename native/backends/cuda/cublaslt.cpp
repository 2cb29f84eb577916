#include "backends/cuda/cublaslt.h"

#include <atomic>
#include <complex>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string_view>

#include "backends/cuda/library.h"
#include "base/error.h"

namespace funcnn::cuda {
namespace {

// Numbers of cublasLt.h, library_types.h and cublas_api.h.
constexpr int kBatchCount = 5, kBatchStride = 6;  // of a layout
constexpr int kTransposeA = 3, kTransposeB = 4;   // of an operation
constexpr int kEpilogue = 7, kBiasPointer = 8;
constexpr uint32_t kRelu = 2, kBias = 4;                 // epilogues
constexpr int kMostWorkspaceBytes = 1, kReductions = 3;  // wishes
constexpr int kAlignmentA = 5, kAlignmentB = 6, kAlignmentC = 7, kAlignmentD = 8;
constexpr int kTranspose = 1;
// How parts of a sum are added: as wide as they are, not rounded to the dtype of the result, nor in any order.
constexpr uint32_t kWideReductions = 2;
constexpr int kCompute32 = 68, kCompute32Tf32 = 77, kCompute64 = 70;

struct Heuristic {
  uint64_t algorithm[8];
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

struct CublasLt {
  int (*create)(void** handle);
  int (*create_operation)(void**, int compute, int scale_type);
  int (*destroy_operation)(void*);
  int (*set_operation)(void*, int attribute, const void*, size_t);
  int (*create_layout)(void**, int type, uint64_t rows, uint64_t columns, int64_t leading);
  int (*destroy_layout)(void*);
  int (*set_layout)(void*, int attribute, const void*, size_t);
  int (*create_wishes)(void**);
  int (*destroy_wishes)(void*);
  int (*set_wish)(void*, int attribute, const void*, size_t);
  int (*choose)(void* handle, void* operation, void* a, void* b, void* c, void* d, void* wishes, int most, Heuristic*,
                int* found);
  int (*multiply)(void* handle, void* operation, const void* alpha, const void* a, void* layout_a, const void* b,
                  void* layout_b, const void* beta, const void* c, void* layout_c, void* d, void* layout_d,
                  const void* algorithm, void* workspace, size_t workspace_bytes, StreamHandle);
  bool usable = false;

  // The library's state for a context.
  void* handle(Context context) const {
    static auto* made = new std::map<Context, void*>;
    static auto* mutex = new std::mutex;
    std::lock_guard lock(*mutex);
    void*& handle = (*made)[context];
    if (!handle && create(&handle) != 0) throw Error("CUDA: cuBLASLt does not start");
    return handle;
  }
};

const CublasLt& library() {
  static const auto* once = [] {
    auto* c = new CublasLt{};
    Needed found(toolkit_names("cublasLt"));
    found.bind(c->create, "cublasLtCreate");
    found.bind(c->create_operation, "cublasLtMatmulDescCreate");
    found.bind(c->destroy_operation, "cublasLtMatmulDescDestroy");
    found.bind(c->set_operation, "cublasLtMatmulDescSetAttribute");
    found.bind(c->create_layout, "cublasLtMatrixLayoutCreate");
    found.bind(c->destroy_layout, "cublasLtMatrixLayoutDestroy");
    found.bind(c->set_layout, "cublasLtMatrixLayoutSetAttribute");
    found.bind(c->create_wishes, "cublasLtMatmulPreferenceCreate");
    found.bind(c->destroy_wishes, "cublasLtMatmulPreferenceDestroy");
    found.bind(c->set_wish, "cublasLtMatmulPreferenceSetAttribute");
    found.bind(c->choose, "cublasLtMatmulAlgoGetHeuristic");
    found.bind(c->multiply, "cublasLtMatmul");
    c->usable = found.usable("cuBLASLt", "products run on kernels of our own");
    return c;
  }();
  return *once;
}

// Products of float32 round their operands to 10 bits of mantissa where the user allows it.
bool tf32() {
  static const bool on = [] {
    const char* set = std::getenv("FUNCNN_TF32");
    return set && std::string_view(set) == "1";
  }();
  return on;
}

int type_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::float32:
      return 0;
    case Dtype::float64:
      return 1;
    case Dtype::float16:
      return 2;
    case Dtype::complex64:
      return 4;
    case Dtype::bfloat16:
      return 14;
    default:
      throw Error("CUDA: cuBLASLt multiplies no such matrices");
  }
}
// Of sums and of what they are scaled by.
int scale_type_of(Dtype dtype) { return is_half(dtype) ? 0 : type_of(dtype); }
int compute_of(Dtype dtype) {
  if (dtype == Dtype::float64) return kCompute64;
  return tf32() && (dtype == Dtype::float32 || dtype == Dtype::complex64) ? kCompute32Tf32 : kCompute32;
}

void expect(int status, const char* what) {
  if (status != 0) throw Error(cat("CUDA: cuBLASLt: ", what, " failed with status ", status));
}

}  // namespace

bool Product::available() { return library().usable; }

Product::Product(Dtype dtype, const ColumnMajor& a, const ColumnMajor& b, const ColumnMajor& d, int32_t batch,
                 ProductSteps steps)
    : dtype_(dtype), steps_(steps) {
  static std::atomic<uint64_t> count{0};
  number_ = ++count;
  const CublasLt& lt = library();
  expect(lt.create_operation(&operation_, compute_of(dtype), scale_type_of(dtype)), "describing a product");
  const ColumnMajor* matrices[] = {&a, &b, &d};
  for (int i = 0; i < 3; ++i) {
    const ColumnMajor& m = *matrices[i];
    expect(lt.create_layout(&layouts_[i], type_of(dtype), m.rows, m.columns, m.leading), "describing a matrix");
    if (batch > 1) {
      expect(lt.set_layout(layouts_[i], kBatchCount, &batch, sizeof(batch)), "describing a batch");
      expect(lt.set_layout(layouts_[i], kBatchStride, &m.batch_stride, sizeof(m.batch_stride)), "describing a batch");
    }
  }
  const int32_t transpose = kTranspose;
  if (a.transposed) expect(lt.set_operation(operation_, kTransposeA, &transpose, sizeof(transpose)), "transposing");
  if (b.transposed) expect(lt.set_operation(operation_, kTransposeB, &transpose, sizeof(transpose)), "transposing");
  if (const uint32_t epilogue = (steps.vector ? kBias : 0) | (steps.relu ? kRelu : 0))
    expect(lt.set_operation(operation_, kEpilogue, &epilogue, sizeof(epilogue)), "describing an epilogue");
}

Product::~Product() {
  if (leaving()) return;
  const CublasLt& lt = library();
  if (operation_) lt.destroy_operation(operation_);
  for (void* layout : layouts_)
    if (layout) lt.destroy_layout(layout);
}

std::optional<ProductAlgorithm> Product::algorithm(Context context, uint32_t alignment, size_t workspace) const {
  const CublasLt& lt = library();
  InContext here(context);
  // The vector's alignment is that of its address, which nobody reads here.
  std::unique_lock lock(vector_mutex_);
  if (steps_.vector) place_vector(alignment);
  void* wishes = nullptr;
  expect(lt.create_wishes(&wishes), "asking for an algorithm");
  lt.set_wish(wishes, kMostWorkspaceBytes, &workspace, sizeof(workspace));
  lt.set_wish(wishes, kReductions, &kWideReductions, sizeof(kWideReductions));
  for (int attribute : {kAlignmentA, kAlignmentB, kAlignmentC, kAlignmentD})
    lt.set_wish(wishes, attribute, &alignment, sizeof(alignment));
  Heuristic best{};
  int found = 0;
  int status = lt.choose(lt.handle(context), operation_, layouts_[0], layouts_[1], layouts_[2], layouts_[2], wishes, 1,
                         &best, &found);
  lt.destroy_wishes(wishes);
  if (status != 0 || found == 0 || best.state != 0) return std::nullopt;
  ProductAlgorithm out{};
  for (int i = 0; i < 8; ++i) out.data[i] = best.algorithm[i];
  out.workspace = best.workspace;
  return out;
}

void Product::place_vector(Address address) const {
  expect(library().set_operation(operation_, kBiasPointer, &address, sizeof(address)), "placing a vector");
}

void Product::run(Context context, const ProductAlgorithm& algorithm, const ProductOperands& p,
                  StreamHandle stream) const {
  const CublasLt& lt = library();
  static const float one = 1, zero = 0;
  static const double wide_one = 1, wide_zero = 0;
  static const std::complex<float> complex_one = 1, complex_zero = 0;
  const void *alpha = &one, *beta = &zero;
  if (dtype_ == Dtype::float64) alpha = &wide_one, beta = &wide_zero;
  if (dtype_ == Dtype::complex64) alpha = &complex_one, beta = &complex_zero;
  const Address c = steps_.matrix ? p.matrix : p.d;
  if (steps_.matrix) beta = alpha;
  std::unique_lock lock(vector_mutex_);
  if (steps_.vector) place_vector(p.vector);
  expect(lt.multiply(lt.handle(context), operation_, alpha, at(p.a), layouts_[0], at(p.b), layouts_[1], beta, at(c),
                     layouts_[2], at(p.d), layouts_[2], algorithm.data, at(p.workspace), algorithm.workspace, stream),
         "a product");
}

}  // namespace funcnn::cuda
