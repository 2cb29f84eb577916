// The text around the body that a user writes, as MLX puts it.
#pragma once

#include <string>

#include "backends/gpu/machine.h"
#include "ops/custom_kernel.h"

namespace funcnn::gpu {

// What the kernel is called in the text.
std::string custom_kernel_name(const CustomSource& source);
// Of one example: `inputs` without the axes of vmap. `scalars` are inputs that may be scalars of the host.
std::string custom_kernel_text(const CustomSource& source, const CustomCall& call, std::span<const Aval> inputs,
                               std::span<const uint16_t> scalars);

// Which of the fields NAME_shape, NAME_strides and NAME_ndim of an input the body mentions.
struct CustomFields {
  bool shape = false, strides = false, ndim = false;
};
CustomFields custom_fields(const CustomSource& source, size_t input, size_t axes);

}  // namespace funcnn::gpu
