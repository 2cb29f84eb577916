// Recording what the GPU does, for Xcode.
#pragma once

#include <string>

namespace funcnn::metal {

// Whether there is a Metal device.
bool is_available();
// Record everything from here on into a document at `path` (.gputrace); raises Error where the system refuses.
void start_capture(const std::string& path);
// End the recording; nothing where there is none.
void stop_capture();

}  // namespace funcnn::metal
