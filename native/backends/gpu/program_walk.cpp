#include "backends/gpu/program_walk.h"

#include <algorithm>
#include <limits>

namespace funcnn::gpu {
namespace {

// Numbers of elements below each axis, in ascending order; each divides the next.
class Cuts {
 public:
  explicit Cuts(int64_t total) : at_{1, total} {}

  // False, and nothing changes, where they do not go together.
  bool add(std::span<const int64_t> more) {
    std::vector<int64_t> all = at_;
    all.insert(all.end(), more.begin(), more.end());
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    for (size_t i = 1; i < all.size(); ++i)
      if (all[i] % all[i - 1] != 0) return false;
    at_ = std::move(all);
    return true;
  }
  Shape axes() const {
    Shape out;
    for (size_t i = at_.size() - 1; i > 0; --i) out.push_back(at_[i] / at_[i - 1]);
    return out;
  }

 private:
  std::vector<int64_t> at_;
};

// Axes [begin, end) of the walk, merged where the accesses that walk allow it.
void merge(const Walk& from, const std::vector<char>& walks, size_t begin, size_t end, Walk& to) {
  Shape axes(from.axes.begin() + ptrdiff_t(begin), from.axes.begin() + ptrdiff_t(end));
  std::vector<Strides> parts;
  std::vector<size_t> owners;
  for (size_t a = 0; a < from.strides.size(); ++a) {
    if (!walks[a]) continue;
    const Strides& s = from.strides[a];
    parts.emplace_back(s.begin() + ptrdiff_t(begin), s.begin() + ptrdiff_t(end));
    owners.push_back(a);
  }
  std::vector<Strides*> pointers;
  for (Strides& s : parts) pointers.push_back(&s);
  merge_axes(axes, pointers);
  if (axes.empty()) {
    axes.push_back(1);
    for (Strides& s : parts) s.push_back(0);
  }
  for (int64_t length : axes) to.axes.push_back(length);
  for (size_t i = 0; i < owners.size(); ++i)
    for (int64_t step : parts[i]) to.strides[owners[i]].push_back(step);
}

int64_t reach(const Shape& axes, const Strides& strides) {
  int64_t most = 0;
  for (size_t i = 0; i < axes.size(); ++i) most += (axes[i] - 1) * (strides[i] < 0 ? -strides[i] : strides[i]);
  return most;
}

}  // namespace

bool Walk::flat(int access) const {
  if (odd[size_t(access)]) return false;
  const Strides& s = strides[size_t(access)];
  int64_t step = 1;
  for (size_t i = axes.size(); i-- > 0; step *= axes[i])
    if (axes[i] != 1 && s[i] != step) return false;
  return true;
}

std::vector<Space> access_spaces(const KernelProgram& program) {
  std::vector<Space> out(program.accesses.size(), Space::element);
  for (const Instruction& i : program.code)
    if (i.access >= 0) out[size_t(i.access)] = i.space;
  return out;
}

Walk walk_of(const KernelProgram& p, bool divided) {
  // Nothing walks along rows or columns that are not there.
  const int64_t cols = std::max<int64_t>(p.cols, 1), total = std::max<int64_t>(p.rows, 1) * cols;
  std::vector<Space> spaces = access_spaces(p);
  std::vector<char> walks(p.accesses.size(), 1);
  for (const Instruction& i : p.code)
    if (i.access >= 0 && i.kind == InstructionKind::reduce_col) walks[size_t(i.access)] = 0;
  for (size_t a = 0; a < walks.size(); ++a)
    if (spaces[a] == Space::scalar || p.rows == 0 || (spaces[a] == Space::element && p.cols == 0) ||
        element_count(p.accesses[a].shape) != (spaces[a] == Space::row ? p.rows : p.rows * p.cols))
      walks[a] = 0;  // the last: results of parts of rows
  bool rows = divided || std::find(spaces.begin(), spaces.end(), Space::row) != spaces.end();

  Walk exact, out;
  exact.strides.resize(p.accesses.size());
  exact.odd.assign(p.accesses.size(), 0);
  Cuts cuts(total);
  if (rows) cuts.add(std::span(&cols, 1));
  for (size_t a = 0; a < p.accesses.size(); ++a) {
    if (!walks[a]) continue;
    std::vector<int64_t> own;
    int64_t below = spaces[a] == Space::row ? cols : 1;
    for (size_t i = p.accesses[a].shape.size(); i-- > 0;) own.push_back(below *= p.accesses[a].shape[i]);
    exact.odd[a] = !cuts.add(own);
  }
  exact.axes = cuts.axes();
  size_t row_axes = 0;
  if (rows)
    for (int64_t above = total; above > cols; ++row_axes) above /= exact.axes[row_axes];
  for (size_t a = 0; a < p.accesses.size(); ++a) {
    if (!walks[a] || exact.odd[a]) continue;
    const Access& access = p.accesses[a];
    size_t own = spaces[a] == Space::row ? row_axes : exact.axes.size();
    Shape target(exact.axes.begin(), exact.axes.begin() + ptrdiff_t(own));
    exact.odd[a] = !reshape_strides(access.shape, access.strides, target, exact.strides[a]);
    exact.strides[a].resize(exact.axes.size(), 0);
  }
  for (size_t a = 0; a < walks.size(); ++a)
    if (exact.odd[a]) walks[a] = 0;
  out.strides.resize(p.accesses.size());
  out.odd = exact.odd;
  if (divided) {
    merge(exact, walks, 0, row_axes, out);
    out.row_axes = out.axes.size();
    merge(exact, walks, row_axes, exact.axes.size(), out);
  } else {
    merge(exact, walks, 0, exact.axes.size(), out);
  }

  constexpr int64_t narrow = (int64_t(1) << 31) - (1 << 18);  // groups count beyond the end
  out.wide = total >= narrow;
  for (const Access& access : p.accesses)
    out.wide |= reach(access.shape, access.strides) + std::max(access.offset, -access.offset) >= narrow;
  return out;
}

}  // namespace funcnn::gpu
