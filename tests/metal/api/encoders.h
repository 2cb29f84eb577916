// MTLComputeCommandEncoder and MTLBlitCommandEncoder.
#pragma once

#include "../objc/object.h"

namespace software_metal {

// What a command buffer answers: new encoders, and steps that belong to none.
void add_encoder_methods(Class& command_buffer);

}  // namespace software_metal
