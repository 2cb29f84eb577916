#include "backends/gpu/kernel.h"

#include <sstream>

namespace funcnn::gpu {

void StagedLaunches::encode(Queue&, std::span<const Operand> operands) {
  SmallVector<Operand, 16> bound;
  for (const Stage& stage : stages_) {
    bound.clear();
    for (const Place& place : stage.operands) {
      Operand at = operands[size_t(place.operand)];
      if (at.buffer) at.offset += place.offset;
      bound.push_back(at);
    }
    machine_.launch({.pipeline = stage.pipeline.get(),
                     .groups = stage.groups,
                     .threads = stage.threads,
                     .operands = {bound.data(), bound.size()},
                     .read_only = stage.read_only,
                     .values = stage.values});
  }
}

void StagedLaunches::describe(std::ostream& out, const std::string& indent) const {
  for (const Stage& stage : stages_) {
    out << indent << stage.groups.x << " x " << stage.groups.y << " x " << stage.groups.z << " groups of "
        << stage.threads.count() << " threads run\n";
    std::istringstream lines(stage.pipeline->source().text);
    for (std::string line; std::getline(lines, line);) out << indent << "  " << line << '\n';
  }
}

}  // namespace funcnn::gpu
