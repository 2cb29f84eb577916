// What the checker knows of every byte that kernels touch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace software_metal {

// Who touched it, and after how many barriers of its threadgroup and of its SIMD group.
struct Visit {
  uint32_t actor = 0;  // a thread among all that run between two barriers of the queue, from 1 on; 0: nobody
  uint16_t barriers = 0, simd_barriers = 0;
};

// Of a byte or word, since `stamp`. Two visits of a kind are kept, of different groups where there are any: whoever
// comes next is in conflict with one of them, or with none that was.
struct Cell {
  uint32_t stamp = 0;
  bool written = false;
  Visit write, reads[2], atomics[2];
};

// The cells of a range of memory, made where it is touched: one for every 4 bytes, until a page sees smaller accesses.
class Shadow {
 public:
  template <class F>
  void each(size_t offset, size_t size, F visit) {
    const bool split = offset % 4 || size % 4;
    while (size) {
      const size_t inside = offset % kPageBytes, here = std::min(size, kPageBytes - inside);
      Page& at = page(offset / kPageBytes, split);
      for (size_t i = inside / at.unit; i < (inside + here) / at.unit; ++i) visit(at.cells[i]);
      offset += here;
      size -= here;
    }
  }
  uint32_t stamp = 0;  // of the last barrier for this memory alone

 private:
  static constexpr size_t kPageBytes = 4096;
  struct Page {
    unsigned unit = 4;
    std::vector<Cell> cells = std::vector<Cell>(kPageBytes / 4);
  };

  Page& page(size_t number, bool split) {
    if (number >= pages_.size()) pages_.resize(number + 1);
    if (!pages_[number]) pages_[number] = std::make_unique<Page>();
    Page& page = *pages_[number];
    if (split && page.unit == 4) {
      std::vector<Cell> cells;
      cells.reserve(kPageBytes);
      for (const Cell& cell : page.cells) cells.insert(cells.end(), 4, cell);
      page = {1, std::move(cells)};
    }
    return page;
  }

  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace software_metal
