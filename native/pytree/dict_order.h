// The orders in which dicts have their keys, remembered for those that come again.
#pragma once

#include <span>

#include "pytree/container.h"

namespace funcnn::pytree {

// From so many keys on, looking whether a dict is like the last one pays.
inline constexpr size_t kManyKeys = 16;

// Of these keys, as they were inserted.
Ref<const DictOrder> find_order(std::span<PyObject* const> keys);
// Of the dict of many keys that was met last, if there was one.
Ref<const DictOrder> last_order();

}  // namespace funcnn::pytree
