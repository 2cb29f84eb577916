// The conditions of #if.
#pragma once

#include <vector>

#include "tokens.h"

namespace software_metal {

// Of tokens without macros and without `defined`: names that are left are 0. Throws TranslationError.
bool condition_holds(const std::vector<Token>& tokens);

}  // namespace software_metal
