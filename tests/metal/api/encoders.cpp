#include "encoders.h"

#include <algorithm>
#include <cstring>

#include "../device/checker.h"
#include "../device/options.h"
#include "commands.h"
#include "event.h"

namespace software_metal {
namespace {

constexpr size_t kMostBytes = 4096;  // of setBytes

struct Size {  // MTLSize
  Unsigned width, height, depth;
};

Extent extent(const Size& size) {
  for (Unsigned n : {size.width, size.height, size.depth})
    if (n > 0xffffffffu) misuse("a dispatch of more than 2^32 - 1 threads along one dimension");
  return {unsigned(size.width), unsigned(size.height), unsigned(size.depth)};
}

// What both kinds have in common.
class Encoder : public Object {
 public:
  Encoder(const Class& of, CommandBuffer* commands, const char* kind) : Object(of), commands_(commands) {
    commands->begin_encoder(kind);
  }
  ~Encoder() override {
    if (!ended_) misuse("an encoder is released without endEncoding");
  }
  virtual void end() {
    expect_open("endEncoding");
    ended_ = true;
    commands_->end_encoder();
  }
  void expect_open(const char* message) const {
    if (ended_) misuse(std::string(message) + " of an encoder that has ended");
  }

 protected:
  Ref<CommandBuffer> commands_;

 private:
  bool ended_ = false;
};

const Class& encoder_class() {
  static const Class* made = &(new Class("MTLCommandEncoder", &object_class()))
                                  ->method("endEncoding", [](Encoder* self, Selector) { self->end(); })
                                  .method("setLabel:", [](Encoder*, Selector, String*) {})
                                  .method("pushDebugGroup:", [](Encoder*, Selector, String*) {})
                                  .method("popDebugGroup", [](Encoder*, Selector) {})
                                  .method("insertDebugSignpost:", [](Encoder*, Selector, String*) {})
                                  .method("updateFence:", [](Encoder*, Selector, Fence*) {})
                                  .method("waitForFence:", [](Encoder*, Selector, Fence*) {});
  return *made;
}

// ---- compute

class ComputeEncoder final : public Encoder {
 public:
  ComputeEncoder(CommandBuffer* commands, bool concurrent);

  void end() override {
    flush();
    Encoder::end();
  }
  void set_pipeline(Pipeline* pipeline) {
    expect_open("setComputePipelineState:");
    if (!pipeline) misuse("setComputePipelineState: of nil");
    state_.pipeline = pipeline;
  }
  void set_buffer(Buffer* buffer, Unsigned offset, Unsigned index) {
    expect_open("setBuffer:offset:atIndex:");
    check_index(index, "setBuffer:offset:atIndex:");
    if (buffer && offset >= buffer->length())
      misuse("setBuffer:offset:atIndex: with the offset " + std::to_string(offset) + " in " + buffer->name());
    state_.dispatch.buffers[index] = buffer ? buffer->bound(offset) : Bound{};
    buffers_[index] = buffer;
    bytes_[index] = nullptr;
  }
  void set_offset(Unsigned offset, Unsigned index) {
    check_index(index, "setBufferOffset:atIndex:");
    if (!buffers_[index]) misuse("setBufferOffset:atIndex: where no buffer is bound");
    set_buffer(buffers_[index].get(), offset, index);
  }
  void set_bytes(const void* bytes, Unsigned length, Unsigned index) {
    expect_open("setBytes:length:atIndex:");
    check_index(index, "setBytes:length:atIndex:");
    if (!length || length > kMostBytes)
      misuse("setBytes:length:atIndex: of " + std::to_string(length) + " bytes; 1 to 4096 are allowed");
    auto* from = static_cast<const unsigned char*>(bytes);
    bytes_[index] = std::make_shared<std::vector<unsigned char>>(from, from + length);
    buffers_[index] = {};
    state_.dispatch.buffers[index] = {bytes_[index]->data(), length, 0,
                                      "setBytes(" + std::to_string(index) + ") of " + std::to_string(length) + " bytes",
                                      0};
  }
  // Until the encoder ends.
  void use(Buffer* buffer, Unsigned usage) {
    expect_open("useResource:usage:");
    if (!buffer) misuse("useResource: of nil");
    if (!usage || usage > 3) misuse("useResource: with the usage " + std::to_string(usage));
    // Encoded dispatches keep what they saw.
    if (!residents_ || residents_.use_count() > 1)
      residents_ = residents_ ? std::make_shared<Residents>(*residents_) : std::make_shared<Residents>();
    Resident& resident = (*residents_)[buffer->bytes()];
    resident = {buffer->bound(0), resident.written || (usage & 2)};
  }
  void set_shared(Unsigned length, Unsigned index) {
    expect_open("setThreadgroupMemoryLength:atIndex:");
    check_index(index, "setThreadgroupMemoryLength:atIndex:");
    if (length % 16)
      misuse("setThreadgroupMemoryLength: of " + std::to_string(length) + ", not a multiple of 16 bytes");
    state_.dispatch.shared[index] = length;
  }
  void dispatch(const Extent& grid, const Extent& groups, const Extent& size) {
    expect_open("dispatch");
    EncodedDispatch encoded = state_;
    encoded.dispatch.grid = grid;
    encoded.dispatch.groups = groups;
    encoded.dispatch.size = size;
    encoded.dispatch.residents = residents_;
    if (encoded.pipeline) {
      encoded.dispatch.kernel = encoded.pipeline->kernel;
      encoded.dispatch.module = encoded.pipeline->module.get();
    }
    if (std::string why = refusal(encoded.dispatch); !why.empty()) {
      flush();
      commands_->add({{}, [why] { return why; }, {}});
      return;
    }
    for (unsigned i = 0; i < kBindings; ++i) {
      if (buffers_[i]) encoded.buffers.push_back(buffers_[i]);
      if (bytes_[i]) encoded.bytes.push_back(bytes_[i]);
    }
    interval_.dispatches.push_back(std::move(encoded));
    if (!concurrent_) flush();
  }
  void dispatch_groups(const Size& groups, const Size& size) {
    Extent g = extent(groups), s = extent(size);
    dispatch({g.x * s.x, g.y * s.y, g.z * s.z}, g, s);
  }
  void dispatch_threads(const Size& grid, const Size& size) {
    Extent g = extent(grid), s = extent(size);
    auto groups = [](unsigned n, unsigned by) { return by ? n / by + (n % by != 0) : 0; };
    dispatch(g, {groups(g.x, s.x), groups(g.y, s.y), groups(g.z, s.z)}, s);
  }
  void barrier(std::vector<unsigned> resources) {
    expect_open("memoryBarrier");
    flush();
    interval_.barrier = std::move(resources);
  }

 private:
  static void check_index(Unsigned index, const char* message) {
    if (index >= kBindings)
      misuse(std::string(message) + " with the index " + std::to_string(index) + "; the last is 30");
  }
  void flush() {
    if (interval_.dispatches.empty()) return;
    commands_->add(std::move(interval_));
    interval_ = {};
  }

  const bool concurrent_;
  EncodedDispatch state_;  // what the next dispatch takes
  std::shared_ptr<Residents> residents_;
  Ref<Buffer> buffers_[kBindings];
  std::shared_ptr<std::vector<unsigned char>> bytes_[kBindings];
  Interval interval_;
};

const Class& compute_encoder_class() {
  using Self = ComputeEncoder;
  static const Class* made = [] {
    auto* c = new Class("MTLComputeCommandEncoder", &encoder_class());
    c->method("setComputePipelineState:", [](Self* self, Selector, Pipeline* p) { self->set_pipeline(p); });
    c->method("setBuffer:offset:atIndex:", [](Self* self, Selector, Buffer* buffer, Unsigned offset, Unsigned index) {
      self->set_buffer(buffer, offset, index);
    });
    c->method("setBufferOffset:atIndex:",
              [](Self* self, Selector, Unsigned offset, Unsigned index) { self->set_offset(offset, index); });
    c->method("setBuffers:offsets:withRange:",
              [](Self* self, Selector, Buffer* const* buffers, const Unsigned* offsets, Range range) {
                for (Unsigned i = 0; i < range.length; ++i)
                  self->set_buffer(buffers[i], offsets[i], range.location + i);
              });
    c->method("setBytes:length:atIndex:", [](Self* self, Selector, const void* bytes, Unsigned length, Unsigned index) {
      self->set_bytes(bytes, length, index);
    });
    c->method("setThreadgroupMemoryLength:atIndex:",
              [](Self* self, Selector, Unsigned length, Unsigned index) { self->set_shared(length, index); });
    c->method("dispatchThreadgroups:threadsPerThreadgroup:",
              [](Self* self, Selector, Size groups, Size size) { self->dispatch_groups(groups, size); });
    c->method("dispatchThreads:threadsPerThreadgroup:",
              [](Self* self, Selector, Size grid, Size size) { self->dispatch_threads(grid, size); });
    c->method("memoryBarrierWithScope:", [](Self* self, Selector, Unsigned) { self->barrier({}); });
    c->method("memoryBarrierWithResources:count:", [](Self* self, Selector, Buffer* const* buffers, Unsigned count) {
      std::vector<unsigned> resources;
      for (Unsigned i = 0; i < count; ++i) resources.push_back(buffers[i]->resource());
      self->barrier(std::move(resources));
    });
    c->method("useResource:usage:",
              [](Self* self, Selector, Buffer* buffer, Unsigned usage) { self->use(buffer, usage); });
    c->method("useResources:count:usage:",
              [](Self* self, Selector, Buffer* const* buffers, Unsigned count, Unsigned usage) {
                for (Unsigned i = 0; i < count; ++i) self->use(buffers[i], usage);
              });
    c->method("useHeap:", [](Self*, Selector, Heap*) {});
    return c;
  }();
  return *made;
}

ComputeEncoder::ComputeEncoder(CommandBuffer* commands, bool concurrent)
    : Encoder(compute_encoder_class(), commands, "computeCommandEncoder"), concurrent_(concurrent) {}

// ---- blit

class BlitEncoder final : public Encoder {
 public:
  explicit BlitEncoder(CommandBuffer* commands);
  void copy(Buffer* from, Unsigned from_offset, Buffer* to, Unsigned to_offset, Unsigned size) {
    expect_open("copyFromBuffer:");
    check(from, from_offset, size, "copyFromBuffer: reads");
    check(to, to_offset, size, "copyFromBuffer: writes");
    if (from == to && from_offset < to_offset + size && to_offset < from_offset + size)
      misuse("copyFromBuffer: between ranges that overlap");
    commands_->add({{},
                    [from = Ref(from), from_offset, to = Ref(to), to_offset, size] {
                      std::memcpy(to->bytes() + to_offset, from->bytes() + from_offset, size);
                      if (options().check) Checker::instance().wrote(to->resource(), to_offset, size);
                      return std::string();
                    },
                    {}});
  }
  void fill(Buffer* buffer, Range range, unsigned char value) {
    expect_open("fillBuffer:");
    check(buffer, range.location, range.length, "fillBuffer: writes");
    commands_->add({{},
                    [buffer = Ref(buffer), range, value] {
                      std::memset(buffer->bytes() + range.location, value, range.length);
                      if (options().check) Checker::instance().wrote(buffer->resource(), range.location, range.length);
                      return std::string();
                    },
                    {}});
  }

 private:
  static void check(Buffer* buffer, Unsigned offset, Unsigned size, const char* what) {
    if (!buffer) misuse(std::string(what) + " nil");
    if (!size || offset > buffer->length() || size > buffer->length() - offset)
      misuse(std::string(what) + " " + std::to_string(size) + " bytes at " + std::to_string(offset) + " of " +
             buffer->name());
  }
};

const Class& blit_encoder_class() {
  using Self = BlitEncoder;
  static const Class* made =
      &(new Class("MTLBlitCommandEncoder", &encoder_class()))
           ->method("copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:",
                    [](Self* self, Selector, Buffer* from, Unsigned from_offset, Buffer* to, Unsigned to_offset,
                       Unsigned size) { self->copy(from, from_offset, to, to_offset, size); })
           .method("fillBuffer:range:value:", [](Self* self, Selector, Buffer* buffer, Range range,
                                                 unsigned char value) { self->fill(buffer, range, value); })
           .method("synchronizeResource:", [](Self*, Selector, Buffer*) {});
  return *made;
}

BlitEncoder::BlitEncoder(CommandBuffer* commands) : Encoder(blit_encoder_class(), commands, "blitCommandEncoder") {}

}  // namespace

void add_encoder_methods(Class& command_buffer) {
  using Self = CommandBuffer;
  constexpr Unsigned kConcurrent = 1;  // MTLDispatchTypeConcurrent
  command_buffer
      .method("computeCommandEncoder",
              [](Self* self, Selector) { return autoreleased(new ComputeEncoder(self, false)); })
      .method("computeCommandEncoderWithDispatchType:",
              [](Self* self, Selector, Unsigned type) {
                return autoreleased(new ComputeEncoder(self, type == kConcurrent));
              })
      .method("blitCommandEncoder", [](Self* self, Selector) { return autoreleased(new BlitEncoder(self)); })
      .method("encodeSignalEvent:value:",
              [](Self* self, Selector, Event* event, uint64_t value) {
                self->expect_open("encodeSignalEvent:");
                self->add({{},
                           [event = Ref(event), value] {
                             event->signal(value);
                             return std::string();
                           },
                           {}});
              })
      .method("encodeWaitForEvent:value:", [](Self* self, Selector, Event* event, uint64_t value) {
        self->expect_open("encodeWaitForEvent:");
        self->add({{},
                   [event = Ref(event), value] {
                     event->wait(value);
                     return std::string();
                   },
                   {}});
      });
}

}  // namespace software_metal
