// Functions and classes that differ in address spaces alone, which are no part of types here.
#pragma once

#include "tokens.h"

namespace software_metal {

// Keeps the first of each.
void drop_overloads_by_address_space(Tokens& tokens);

bool is_address_space(const std::string& word);

}  // namespace software_metal
