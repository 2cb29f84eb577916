#include "backends/gpu/kernel.h"

#include <cstring>
#include <sstream>

namespace funcnn::gpu {

void StagedLaunches::encode(Queue&, std::span<const Operand> operands) {
  SmallVector<Operand, 16> bound;
  SmallVector<std::byte, 128> values;
  for (const Stage& stage : stages_) {
    bound.clear();
    for (const Place& place : stage.operands) {
      Operand at = operands[size_t(place.operand)];
      if (at.buffer) at.offset += place.offset;
      bound.push_back(at);
    }
    values = SmallVector<std::byte, 128>(std::span<const std::byte>(stage.values));
    for (const Stage::Aligned& a : stage.aligned)
      if (operands[size_t(a.operand)].offset % 16 != 0) std::memset(&values[a.value], 0, 4);
    machine_.launch({.pipeline = stage.pipeline.get(),
                     .groups = stage.groups,
                     .threads = stage.threads,
                     .operands = {bound.data(), bound.size()},
                     .read_only = stage.read_only,
                     .values = {values.data(), values.size()}});
  }
}

void StagedLaunches::describe(std::ostream& out, const std::string& indent) const {
  for (const Stage& stage : stages_) {
    out << indent << stage.groups.x << " x " << stage.groups.y << " x " << stage.groups.z << " groups of "
        << stage.threads.count() << " threads run, after the prelude:\n";
    const Source& source = stage.pipeline->source();
    std::istringstream lines(source.text.substr(source.prelude));
    for (std::string line; std::getline(lines, line);) out << indent << "  " << line << '\n';
  }
}

}  // namespace funcnn::gpu
