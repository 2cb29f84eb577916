// FUNCNN_CUDA: words parted by commas.
//   off         there is no GPU
//   compile     a GPU that compiles kernels and runs none, on machines without one: for tests of the kernels' text
//   nographs    launch kernels one by one, also those of work that repeats
//   cusolver    decompose matrices of any size there, also those with which the host is done sooner: for tests
//   nocusolver  decompose none there
//   cufft       transform all lines by it that it can be given, also those at which our kernels are quicker: for tests
//   nocufft     transform none by it
//   noepilogue  let cuBLASLt add nothing to products: kernels of our own do it afterwards
//   cudnn       attention by it wherever it can be given it, also where our kernels are quicker: for tests
//   cudnnparts  let it work on one head at a time where it would want memory for all: for tests
//   nocudnn     none by it
//   blocking    wait for each kernel, so that errors name the one that fails
#pragma once

#include <string_view>

namespace funcnn::cuda {

bool setting_has(std::string_view word);

}  // namespace funcnn::cuda
