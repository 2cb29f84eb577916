#include "plan/staged.h"

#include <vector>

#include "graph/primitive.h"

namespace funcnn {
namespace {

size_t bytes_of(const Layout& l) { return size_t(element_count(l.shape)) * item_size(l.dtype); }

class StagedKernel final : public Kernel {
 public:
  StagedKernel(const Primitive& primitive, std::span<const Layout> inputs, std::span<const Layout> outputs,
               Backend& device)
      : device_(&device), inputs_(inputs.size()) {
    for (const Layout& in : inputs) {
      dense_.push_back({in.shape, in.dtype, contiguous_strides(in.shape)});
      bool copied = !is_contiguous(in.shape, in.strides) && element_count(in.shape) > 0;
      copies_.push_back(copied ? device.make_copy(in, dense_.back()) : nullptr);
    }
    dense_.insert(dense_.end(), outputs.begin(), outputs.end());
    kernel_ = backend(kCpu).make_primitive(primitive, std::span<const Layout>(dense_).first(inputs_), outputs, nullptr);
  }

  void encode(Queue& queue, std::span<const Operand> operands) override {
    std::vector<Operand> here(operands.begin(), operands.end());
    std::vector<Ref<Buffer>> kept(here.size());
    for (size_t i = 0; i < inputs_; ++i) {
      if (!copies_[i]) continue;
      Ref<Buffer> dense = Buffer::allocate(device_->memory(), bytes_of(dense_[i]));
      const Operand copy[] = {here[i], {dense.get()}};
      copies_[i]->encode(queue, copy);
      here[i] = copy[1];
      kept[i] = std::move(dense);
    }
    if (Ref<Event> ready = queue.record()) ready->wait();
    for (size_t i = 0; i < here.size(); ++i) {
      if (here[i].scalar || here[i].buffer->host()) continue;
      Ref<Buffer> host = Buffer::allocate(kCpu, bytes_of(dense_[i]));
      if (i < inputs_ && bytes_of(dense_[i]) > 0)
        device_->memory().download(here[i].buffer->block(), size_t(here[i].offset), bytes_of(dense_[i]), host->host());
      here[i] = {host.get()};
      kept[i] = std::move(host);
    }
    Ref<Buffer> scratch;
    if (size_t bytes = kernel_->scratch_bytes()) {
      scratch = Buffer::allocate(kCpu, bytes);
      here.push_back({scratch.get()});
    }
    Queue& on_host = backend(kCpu).queue();
    kernel_->encode(on_host, here);
    if (Ref<Event> ready = on_host.record()) ready->wait();
    for (size_t i = inputs_; i < kept.size(); ++i)
      if (kept[i] && bytes_of(dense_[i]) > 0)
        device_->memory().upload(kept[i]->host(), bytes_of(dense_[i]), operands[i].buffer->block(),
                                 size_t(operands[i].offset));
  }

 private:
  Backend* device_;
  size_t inputs_;
  std::vector<Layout> dense_;  // of all operands
  std::vector<std::unique_ptr<Kernel>> copies_;
  std::unique_ptr<Kernel> kernel_;
};

}  // namespace

std::unique_ptr<Kernel> make_staged_kernel(const Primitive& primitive, std::span<const Layout> inputs,
                                           std::span<const Layout> outputs, Backend& device) {
  return std::make_unique<StagedKernel>(primitive, inputs, outputs, device);
}

}  // namespace funcnn
