#include "backends/metal/messages.h"

namespace funcnn::metal {

const Messages& messages() {
  static const auto* all = new Messages;  // never destroyed: buffers may outlive static destruction
  return *all;
}

}  // namespace funcnn::metal
