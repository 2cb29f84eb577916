// Devices among the arguments of functions.
#pragma once

#include "bindings/array.h"

namespace funcnn {

// A device of this machine, given as a Device or by its name; raises ValueError where there is none.
Device device_of(nb::handle object, const char* name);

// x on the device asked for; None: where it is.
Array placed(Array x, nb::handle device, const char* name);

}  // namespace funcnn
