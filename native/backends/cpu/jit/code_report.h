// What tools see of generated code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace funcnn::cpu::jit {

// A line of /tmp/perf-PID.map, by which `perf report` names functions that are in no file.
void tell_perf(const void* at, size_t size, const std::string& name);

// FOLDER/PID-NUMBER-NAME.bin and .txt: the code and the text of what it was made from. The folder is made where it is
// missing. Throws Error, naming the file, where that fails.
void dump_code(const std::string& folder, std::string_view name, std::span<const uint8_t> code, std::string_view text);

}  // namespace funcnn::cpu::jit
