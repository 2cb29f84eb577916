// Blocks of objects that come and go all the time, kept by the thread that frees them.
#pragma once

#include <cstddef>
#include <new>

namespace funcnn {

// Base of a class T, of whose freed blocks each thread keeps so many for those that it makes next. They go back with
// the thread.
template <class T, int kMost>
class Recycled {
 public:
  static void* operator new(size_t size) { return take(kept, size); }
  static void operator delete(void* block) noexcept {
    Kept& mine = kept;
    if (mine.count >= mine.most && !begin(mine)) {
      ::operator delete(block);
      return;
    }
    mine.first = new (block) Free{mine.first};
    ++mine.count;
  }

 private:
  struct Free {
    Free* next;
  };
  struct Kept {
    Free* first = nullptr;
    int count = 0;
    int most = 0;  // 0: the thread has kept none yet
    bool over = false;
  };
  // Lets go of them when the thread ends; what is freed after that is not kept.
  struct End {
    ~End() {
      kept.over = true;
      kept.most = kept.count = 0;
      while (Free* block = kept.first) {
        kept.first = block->next;
        ::operator delete(block);
      }
    }
  };
  static void* take(Kept& mine, size_t size) {
    if (Free* block = mine.first) {
      mine.first = block->next;
      --mine.count;
      return block;
    }
    return ::operator new(size);
  }
  static bool begin(Kept& mine) noexcept {
    if (mine.most || mine.over) return false;
    mine.most = kMost;
    static thread_local End end;
    (void)&end;
    return true;
  }
  static inline thread_local constinit Kept kept{};

 protected:
  // Blocks for several that are made one after another: what the thread keeps is looked for once.
  class Supply {
   public:
    void* take() { return Recycled::take(mine_, sizeof(T)); }

   private:
    Kept& mine_ = kept;
  };
};

}  // namespace funcnn
