// FUNCNN_LOG=compile,plan: say on stderr when something is traced or planned.
#pragma once

#include <string>
#include <string_view>

namespace funcnn {

bool log_enabled(std::string_view topic);
void log_line(std::string_view topic, const std::string& text);

}  // namespace funcnn
