// The wish of the user to stop work that is under way.
#pragma once

namespace funcnn {

// Set once, while the library loads. Called a few times a second, between pieces of parallel work, by the thread that
// handed it out, and throws where that is to stop.
void set_stop(void (*stop)());
void stop_if_asked();

}  // namespace funcnn
