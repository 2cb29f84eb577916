// What a resident compiler and those who ask it agree on.
#pragma once

// The compiler's end of the socket, over which it says that it is ready and every request comes as one message. In the
// copy that compiles it is the object.
enum { kSocket = 1 };
// The files that come with a request. A compiler writes a byte into the last one when it has ended: 0 for success.
enum { kProgram, kObject, kDone, kRequestFiles };
// What the compiler includes.
#define kProgramPath "/software_metal_program"
