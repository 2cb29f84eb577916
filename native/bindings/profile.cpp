// What fn.profile is made of.
#include "bindings/profile.h"

#include <nanobind/stl/string.h>

#include "base/profile.h"
#include "bindings/gil.h"
#include "plan/measure.h"

namespace funcnn {
namespace {

double seconds(int64_t nanoseconds) { return double(nanoseconds) * 1e-9; }

constexpr const char* kClocks[] = {"run", "queue", "launch"};

// A recorder that Python holds: it is open until it is closed or forgotten.
class Profiler {
 public:
  Profiler() : recorder_(Recorder::open()) {}
  ~Profiler() { recorder_->close(); }
  Profiler(const Profiler&) = delete;

  void close() { recorder_->close(); }
  Recorder::Content content() const {
    Unlocked unlocked;
    settle(*recorder_);
    return recorder_->content();
  }

  // (seconds, runs that are not kept one by one, kernels, spans)
  nb::tuple summary() const {
    Recorder::Content content = this->content();
    nb::list kernels, spans;
    for (const KernelTotals& k : content.kernels) {
      const KernelInfo& info = *k.info;
      kernels.append(nb::make_tuple(info.kind, info.name, info.operands, info.program, info.device, k.calls,
                                    seconds(k.total), seconds(k.own), seconds(k.least), seconds(k.median),
                                    k.clock == Clock::run ? nb::cast(seconds(k.busy)) : nb::object(nb::none()),
                                    info.bytes, info.flops, kClocks[int(k.clock)]));
    }
    for (const SpanRun& s : content.spans) spans.append(nb::make_tuple(s.kind, s.name, seconds(s.length)));
    return nb::make_tuple(seconds(content.end - content.begin), content.left_out, kernels, spans);
  }

  // (kernel, name, kind, device, operands, thread, begin, length, bytes, flops, clock) of each kept run; (kind, name,
  // thread, begin, length) of each kept span. Seconds since the profile began.
  nb::tuple runs() const {
    Recorder::Content content = this->content();
    nb::list kernels, runs, spans;
    for (const KernelTotals& k : content.kernels)
      kernels.append(
          nb::make_tuple(k.info->kind, k.info->name, k.info->operands, k.info->device, k.info->bytes, k.info->flops));
    for (const KernelRun& r : content.runs)
      runs.append(nb::make_tuple(r.kernel, r.thread, seconds(r.begin - content.begin), seconds(r.length),
                                 kClocks[int(r.clock)]));
    for (const SpanRun& s : content.spans)
      spans.append(nb::make_tuple(s.kind, s.name, s.thread, seconds(s.begin - content.begin), seconds(s.length)));
    return nb::make_tuple(kernels, runs, spans);
  }

 private:
  std::shared_ptr<Recorder> recorder_;
};

}  // namespace

void bind_profile(nb::module_& m) {
  nb::class_<Profiler>(m, "_Profiler")
      .def(nb::init<>())
      .def("close", &Profiler::close)
      .def("summary", &Profiler::summary)
      .def("runs", &Profiler::runs);
  m.def(
      "_measure_ceilings",
      [](const std::string& device) {
        Effort reached = [&] {
          Unlocked unlocked;
          return measure_ceilings(parse_device(device));
        }();
        return nb::make_tuple(reached.bytes, reached.flops);
      },
      nb::arg("device"), nb::sig("def _measure_ceilings(device: str) -> tuple[float, float]"));
}

}  // namespace funcnn
