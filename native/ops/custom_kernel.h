// Kernels that users write in the language of the GPU.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "graph/primitive.h"

namespace funcnn {

// What a kernel is made from. Names are identifiers, all different.
struct CustomSource {
  enum class Language : uint8_t { metal, cuda };
  enum class Math : uint8_t { safe, relaxed, fast };
  Language language = Language::metal;
  std::string name;
  std::vector<std::string> inputs, outputs;
  std::string body, header;
  bool dense_inputs = true;     // inputs are made row-contiguous first
  bool atomic_outputs = false;  // Metal: of type atomic<T>
  Math math = Math::safe;       // Metal
  Hash identity;                // of all of the above
};
// Ready to be called: with its identity.
std::shared_ptr<const CustomSource> sealed(CustomSource source);

// What a call of it says beside the inputs.
struct CustomCall {
  using Size = std::array<uint32_t, 3>;
  using Argument = std::variant<Dtype, bool, int64_t>;
  std::vector<std::pair<std::string, Argument>> arguments;  // of the template
  Size grid{1, 1, 1}, threads{1, 1, 1};                     // threads in all, and of a group
  std::optional<double> initial;                            // what outputs hold before it runs
  uint32_t shared_bytes = 0;                                // CUDA: beyond what it declares
  std::vector<Aval> outputs;
};

class CustomKernel final : public Primitive {
 public:
  // Mapped: run once for each example, the outermost axis first.
  struct Loop {
    int64_t size;
    SmallVector<bool, 4> batched;  // by input
  };
  CustomKernel(std::shared_ptr<const CustomSource> source, CustomCall call, std::vector<Loop> loops = {})
      : source_(std::move(source)), call_(std::move(call)), loops_(std::move(loops)) {}

  std::string_view name() const override {
    return source_->language == CustomSource::Language::metal ? "metal_kernel" : "cuda_kernel";
  }
  void hash(Hasher& h) const override;
  std::string parameters() const override { return source_->name; }
  Device device(Device inputs) const override { return inputs.placed() ? inputs : Device{DeviceKind::gpu, 0}; }
  bool dear() const override { return true; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

  const CustomSource& source() const { return *source_; }
  const CustomCall& call() const { return call_; }
  const std::vector<Loop>& loops() const { return loops_; }
  // Axes that vmap put in front of this input.
  size_t mapped_axes(size_t input) const;

 private:
  std::shared_ptr<const CustomSource> source_;
  CustomCall call_;
  std::vector<Loop> loops_;
};

// Run a kernel; inputs are on a GPU of its language, or scalars.
Arrays custom_kernel(std::shared_ptr<const CustomSource> source, Span inputs, CustomCall call);

}  // namespace funcnn
