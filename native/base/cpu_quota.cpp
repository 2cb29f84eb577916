#include "base/cpu_quota.h"

#include <algorithm>
#include <fstream>
#include <limits>

namespace funcnn {
namespace {

constexpr double kUnbounded = std::numeric_limits<double>::infinity();

// That of one group, by the files of version 2 or 1. "max" is no number.
double quota_of(const std::string& group) {
  double quota = 0, period = 0;
  if (!(std::ifstream(group + "/cpu.max") >> quota >> period)) {
    std::ifstream(group + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(group + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : kUnbounded;
}

// The least of a group and of those that it lies in. Inside a container its path may be that outside, where nothing is.
double quota_above(const std::string& mount, std::string path) {
  double least = quota_of(mount);
  for (; !path.empty(); path.resize(std::min(path.rfind('/'), path.size() - 1)))
    least = std::min(least, quota_of(mount + path));
  return least;
}

}  // namespace

double cpu_quota(const std::string& root) {
  double least = kUnbounded;
  std::ifstream groups(root + "/proc/self/cgroup");
  // number:controllers:path; version 2 names no controllers.
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    const std::string mounts = root + "/sys/fs/cgroup";
    if (controllers.empty())
      least = std::min({least, quota_above(mounts, path), quota_above(mounts + "/unified", path)});
    else if ((',' + controllers + ',').find(",cpu,") != std::string::npos)
      least = std::min({least, quota_above(mounts + "/cpu", path), quota_above(mounts + '/' + controllers, path)});
  }
  return least;
}

}  // namespace funcnn
