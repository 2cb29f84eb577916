// The wish of the user to stop work that is under way.
#pragma once

namespace funcnn {

// Set once, while the library loads, by what knows the user. Whether he asked to stop what this thread computes; no
// code of his runs to find out.
void set_user_stops(bool (*user_stops)());
bool user_stops();

// Set once as well. Called a few times a second, between pieces of parallel work, by the thread that handed it out, and
// throws where that is to stop.
void set_stop(void (*stop)());
void stop_if_asked();

}  // namespace funcnn
