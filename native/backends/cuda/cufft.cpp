#include "backends/cuda/cufft.h"

#include <map>
#include <tuple>

#include "backends/cuda/library.h"
#include "base/error.h"
#include "plan/log.h"

namespace funcnn::cuda {
namespace {

// Numbers of cufft.h, by FftKind.
constexpr int kTypes[] = {0x29, 0x2a, 0x2c};
constexpr int kForward = -1, kInverse = 1;

struct CuFft {
  int (*create)(int* plan);
  int (*destroy)(int plan);
  int (*set_stream)(int plan, StreamHandle);
  int (*set_auto_allocation)(int plan, int on);
  int (*make_many)(int plan, int rank, long long* lengths, long long* input_embedding, long long input_step,
                   long long input_distance, long long* output_embedding, long long output_step,
                   long long output_distance, int type, long long count, size_t* workspace);
  int (*set_workspace)(int plan, void*);
  int (*complex_to_complex)(int plan, void* from, void* to, int direction);
  int (*real_to_complex)(int plan, void* from, void* to);
  int (*complex_to_real)(int plan, void* from, void* to);
  bool usable = false;
};

const CuFft& library() {
  static const auto* once = [] {
    auto* c = new CuFft{};
    Needed found(toolkit_names("cufft"), {"nvJitLink"});
    found.bind(c->create, "cufftCreate");
    found.bind(c->destroy, "cufftDestroy");
    found.bind(c->set_stream, "cufftSetStream");
    found.bind(c->set_auto_allocation, "cufftSetAutoAllocation");
    found.bind(c->make_many, "cufftMakePlanMany64");
    found.bind(c->set_workspace, "cufftSetWorkArea");
    found.bind(c->complex_to_complex, "cufftExecC2C");
    found.bind(c->real_to_complex, "cufftExecR2C");
    found.bind(c->complex_to_real, "cufftExecC2R");
    c->usable = found.usable("cuFFT", "all Fourier transforms run on kernels of our own");
    return c;
  }();
  return *once;
}

}  // namespace

const char* function_name(FftKind kind) {
  return kind == FftKind::complex ? "cufftExecC2C" : kind == FftKind::real_to_half ? "cufftExecR2C" : "cufftExecC2R";
}

std::shared_ptr<FourierPlan> FourierPlan::find(Stream& stream, const FourierLines& lines) {
  if (!library().usable) return nullptr;
  static auto* made = new std::map<std::tuple<Stream*, FourierLines>, std::weak_ptr<FourierPlan>>;
  static auto* mutex = new std::mutex;
  std::lock_guard lock(*mutex);
  std::weak_ptr<FourierPlan>& place = (*made)[{&stream, lines}];
  if (auto known = place.lock()) return known;
  std::shared_ptr<FourierPlan> plan(new FourierPlan(stream, lines.kind));
  if (!plan->prepare(lines)) {
    log_line("gpu", cat("cuFFT has no plan for ", lines.count, " lines of ", lines.length,
                        " on this GPU: they are transformed by kernels of our own"));
    plan = nullptr;
  }
  place = plan;
  std::erase_if(*made, [](const auto& entry) { return entry.second.expired(); });
  return plan;
}

bool FourierPlan::prepare(const FourierLines& lines) {
  const CuFft& c = library();
  InContext here(stream_.context());
  if (c.create(&handle_) != 0) return false;
  made_ = true;
  const long long half = lines.length / 2 + 1;
  long long length = lines.length, in = lines.kind == FftKind::half_to_real ? half : length,
            out = lines.kind == FftKind::real_to_half ? half : length;
  const long long step = lines.side_by_side ? lines.count : 1;
  return c.set_auto_allocation(handle_, 0) == 0 &&
         c.make_many(handle_, 1, &length, &in, step, lines.side_by_side ? 1 : in, &out, step,
                     lines.side_by_side ? 1 : out, kTypes[int(lines.kind)], lines.count, &workspace_) == 0 &&
         c.set_stream(handle_, stream_.handle()) == 0;
}

// What it runs may still read tables of the plan.
FourierPlan::~FourierPlan() {
  if (!made_) return;
  stream_.later([&stream = stream_, handle = handle_] {
    driver().synchronize(stream.handle());
    library().destroy(handle);
  });
}

void FourierPlan::run(bool inverse, Address from, Address to, Address workspace) {
  static const std::string name = "a Fourier transform of cuFFT's";
  const CuFft& c = library();
  stream_.flush();
  std::lock_guard lock(mutex_);
  InContext here(stream_.context());
  expect_success(c.set_workspace(handle_, at(workspace)), "cufftSetWorkArea");
  const int status = kind_ == FftKind::complex
                         ? c.complex_to_complex(handle_, at(from), at(to), inverse ? kInverse : kForward)
                     : kind_ == FftKind::real_to_half ? c.real_to_complex(handle_, at(from), at(to))
                                                      : c.complex_to_real(handle_, at(from), at(to));
  expect_success(status, function_name(kind_));
  stream_.started(Status::success, name);
}

}  // namespace funcnn::cuda
