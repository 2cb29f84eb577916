#include "plan/host_work.h"

namespace funcnn {

bool HostWork::fix(std::span<std::byte* const> operands, std::span<const char>, std::vector<FixedWork>& out) {
  struct Run {
    HostWork* work;
    std::vector<std::byte*> operands;
  };
  auto run = std::make_shared<Run>(Run{this, {operands.begin(), operands.end()}});
  FixedWork fixed{[](void* with) {
                    const Run& run = *static_cast<const Run*>(with);
                    run.work->run(run.operands);
                  },
                  run,
                  {}};
  fixed.start_at(run->operands);
  out.push_back(std::move(fixed));
  return true;
}

}  // namespace funcnn
