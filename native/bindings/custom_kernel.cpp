// fn.fast.metal_kernel, fn.fast.cuda_kernel and fn.metal: see funcnn._custom_kernels, which checks what comes here.
#include "ops/custom_kernel.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "backends/gpu/backend.h"
#include "backends/gpu/custom_kernel.h"
#include "backends/metal/capture.h"
#include "bindings/array.h"
#include "bindings/gil.h"

namespace funcnn {
namespace {

// A kernel as Python holds it.
struct KernelSource {
  std::shared_ptr<const CustomSource> source;
};

constexpr const char* kMathModes[] = {"safe", "relaxed", "fast"};

KernelSource make_source(bool cuda, std::string name, std::vector<std::string> inputs, std::vector<std::string> outputs,
                         std::string body, std::string header, bool dense_inputs, bool atomic_outputs,
                         const std::string& math) {
  CustomSource source;
  source.language = cuda ? CustomSource::Language::cuda : CustomSource::Language::metal;
  source.name = std::move(name);
  source.inputs = std::move(inputs);
  source.outputs = std::move(outputs);
  source.body = std::move(body);
  source.header = std::move(header);
  source.dense_inputs = dense_inputs;
  source.atomic_outputs = atomic_outputs;
  for (int i = 0; i < 3; ++i)
    if (math == kMathModes[i]) source.math = CustomSource::Math(i);
  return {sealed(std::move(source))};
}

// The machine that the kernel runs on: where its inputs are, or the first gpu.
gpu::Machine& machine_for(const CustomSource& source, const std::string& name, Span inputs) {
  Device device;
  for (size_t i = 0; i < inputs.size(); ++i) {
    Device at = inputs[i].node()->device;
    if (!at.placed()) continue;
    if (at.kind != DeviceKind::gpu)
      throw ValueError(cat(name, ": expected inputs on the gpu, got ", source.inputs[i], " on ", device_name(at),
                           "; move it with fn.device_put, or say stream=fn.gpu"));
    if (device.placed() && device != at)
      throw ValueError(cat(name, ": the inputs are on several devices, ", device_name(device), " and ", device_name(at),
                           "; bring them together with fn.device_put"));
    device = at;
  }
  if (!device.placed()) device = {DeviceKind::gpu, 0};
  device_memory(device);  // raises where there is none
  gpu::Machine& machine = *gpu::machine_of(device);
  bool metal = machine.traits().language == gpu::Language::metal;
  if (metal != (source.language == CustomSource::Language::metal))
    throw ValueError(cat(name, ": the gpu of this machine speaks ",
                         metal ? "Metal's language; see fn.fast.metal_kernel" : "CUDA's; see fn.fast.cuda_kernel"));
  return machine;
}

CustomCall::Size size_of(nb::handle object, const char* name) {
  CustomCall::Size size{};
  SmallVector<int64_t, 4> given = integers_of(object, name);
  for (size_t i = 0; i < 3; ++i) size[i] = uint32_t(given[i]);
  return size;
}

nb::object run(const KernelSource& kernel, const std::string& name, nb::list given, nb::list arguments, nb::handle grid,
               nb::handle threads, nb::list shapes, nb::list dtypes, nb::handle initial, uint32_t shared_bytes,
               bool verbose) {
  const CustomSource& source = *kernel.source;
  Arrays inputs;
  for (nb::handle x : given) inputs.push_back(as_array(x, name.c_str()));
  CustomCall call;
  for (nb::handle item : arguments) {
    nb::handle value = item[1];
    std::string parameter = nb::cast<std::string>(item[0]);
    if (PyBool_Check(value.ptr()))
      call.arguments.emplace_back(parameter, value.is(Py_True));
    else if (PyLong_Check(value.ptr()))
      call.arguments.emplace_back(parameter, nb::cast<int64_t>(value));
    else
      call.arguments.emplace_back(parameter, dtype_of(value));
  }
  call.grid = size_of(grid, "grid");
  call.threads = size_of(threads, "threadgroup");
  if (!initial.is_none()) call.initial = nb::cast<double>(initial);
  call.shared_bytes = shared_bytes;
  for (size_t i = 0; i < nb::len(shapes); ++i)
    call.outputs.push_back({shape_of(shapes[i], name.c_str()), dtype_of(dtypes[i])});
  gpu::Machine& machine = machine_for(source, name, inputs);
  const gpu::Traits& traits = machine.traits();
  uint64_t count = 1;
  for (size_t i = 0; i < 3; ++i) count *= std::min(call.threads[i], std::max(call.grid[i], 1u));
  if (count > traits.most_threads)
    throw ValueError(cat(name, ": expected at most ", traits.most_threads, " threads in a threadgroup, got ", count));
  if (shared_bytes > traits.shared_bytes)
    throw ValueError(
        cat(name, ": expected at most ", traits.shared_bytes, " bytes of shared memory, got ", shared_bytes));
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    Dtype dtype = call.outputs[i].dtype;
    if (dtype == Dtype::float64 && !traits.float64)
      throw ValueError(cat(name, ": the gpu has no float64, which output ", source.outputs[i], " is to be"));
    if (source.atomic_outputs && dtype != Dtype::float32 && dtype != Dtype::int32 && dtype != Dtype::uint32)
      throw ValueError(cat(name, ": atomic outputs are float32, int32 or uint32, got ", dtype_name(dtype), " for ",
                           source.outputs[i]));
  }
  if (verbose) {
    std::vector<Aval> avals;
    std::vector<uint16_t> scalars;
    for (const Array& x : inputs) avals.push_back(x.aval());
    for (size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i].node()->is_scalar()) scalars.push_back(uint16_t(i));
    nb::print(gpu::custom_kernel_text(source, call, avals, scalars).c_str());
  }
  nb::list made;
  for (Array& x : custom_kernel(kernel.source, inputs, std::move(call))) made.append(wrap_object(std::move(x)));
  return made;
}

}  // namespace

void bind_custom_kernel(nb::module_& m) {
  nb::class_<KernelSource>(m, "_KernelSource")
      .def(
          "__init__",
          [](KernelSource* self, bool cuda, std::string name, std::vector<std::string> inputs,
             std::vector<std::string> outputs, std::string body, std::string header, bool dense_inputs,
             bool atomic_outputs, const std::string& math) {
            new (self)
                KernelSource(make_source(cuda, std::move(name), std::move(inputs), std::move(outputs), std::move(body),
                                         std::move(header), dense_inputs, atomic_outputs, math));
          },
          nb::arg("cuda"), nb::arg("name"), nb::arg("inputs"), nb::arg("outputs"), nb::arg("body"), nb::arg("header"),
          nb::arg("dense_inputs"), nb::arg("atomic_outputs"), nb::arg("math"));
  m.def(
      "_run_kernel", &run, nb::arg("kernel"), nb::arg("name"), nb::arg("inputs"), nb::arg("arguments"), nb::arg("grid"),
      nb::arg("threads"), nb::arg("shapes"), nb::arg("dtypes"), nb::arg("initial").none(), nb::arg("shared_bytes"),
      nb::arg("verbose"),
      nb::sig("def _run_kernel(kernel: _KernelSource, name: str, inputs: list[Any], arguments: list[Any], grid: Any, "
              "threads: Any, shapes: list[Any], dtypes: list[Any], initial: float | None, shared_bytes: int, verbose: "
              "bool) -> list[array]"));
  m.def("_metal_is_available", &metal::is_available);
  m.def("_metal_start_capture", &metal::start_capture, nb::arg("path"), nb::call_guard<Unlocked>());
  m.def("_metal_stop_capture", &metal::stop_capture, nb::call_guard<Unlocked>());
}

}  // namespace funcnn
