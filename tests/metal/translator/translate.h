// Preprocessed Metal source -> C++ for the shim: what Metal adds to C++ is rewritten token by token.
#pragma once

#include <string>

namespace software_metal {

// Throws TranslationError.
std::string translate(const std::string& preprocessed);

}  // namespace software_metal
