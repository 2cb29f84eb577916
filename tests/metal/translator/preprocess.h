// The preprocessor of C for Metal sources: macros, conditions, and the headers of the Metal standard library, which are
// there already. It spares every kernel a process.
#pragma once

#include <map>
#include <string>

namespace software_metal {

// Defined beside what <metal_stdlib> defines: name -> text.
using Definitions = std::map<std::string, std::string>;

// Lines keep their numbers. Throws TranslationError.
std::string preprocess(const std::string& source, const Definitions& definitions);

}  // namespace software_metal
