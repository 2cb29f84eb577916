// An NVRTC whose images are the texts themselves, for tests with the fake driver. A text with the words
// "does not compile" does not.
#include <stdlib.h>
#include <string.h>

int nvrtcVersion(int* major, int* minor) {
  *major = 13;
  *minor = 0;
  return 0;
}
const char* nvrtcGetErrorString(int status) { return status ? "error" : "success"; }
int nvrtcGetNumSupportedArchs(int* count) {
  *count = 3;
  return 0;
}
int nvrtcGetSupportedArchs(int* list) {
  list[0] = 75, list[1] = 90, list[2] = 100;
  return 0;
}
int nvrtcCreateProgram(void** program, const char* text, const char* name, int headers, const char* const* texts,
                       const char* const* names) {
  (void)name, (void)headers, (void)texts, (void)names;
  *program = strdup(text);
  return 0;
}
int nvrtcDestroyProgram(void** program) {
  free(*program);
  return 0;
}
int nvrtcCompileProgram(void* program, int count, const char* const* options) {
  (void)count, (void)options;
  return strstr(program, "does not compile") ? 6 : 0;
}
int nvrtcGetProgramLogSize(void* program, size_t* size) {
  (void)program;
  *size = sizeof("it says so");
  return 0;
}
int nvrtcGetProgramLog(void* program, char* log) {
  (void)program;
  strcpy(log, "it says so");
  return 0;
}
int nvrtcGetCUBINSize(void* program, size_t* size) {
  *size = strlen(program) + 1;
  return 0;
}
int nvrtcGetCUBIN(void* program, char* image) {
  strcpy(image, program);
  return 0;
}
int nvrtcGetPTXSize(void* program, size_t* size) { return nvrtcGetCUBINSize(program, size); }
int nvrtcGetPTX(void* program, char* image) { return nvrtcGetCUBIN(program, image); }
