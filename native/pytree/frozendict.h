// An immutable, hashable dict. Where Python has one of its own (3.15) that one is used.
#pragma once

#include "pytree/container.h"

namespace funcnn::pytree {

bool is_frozendict(PyObject* object);
// The dict inside a frozendict, borrowed. Never to be changed.
PyObject* frozendict_dict(PyObject* object);
// A frozendict around `dict`, which nobody else may hold. `record` non-null: its keys are in canonical order.
nb::object make_frozendict(nb::object dict, const Record* record);
// The key order remembered in a frozendict: `record` non-null if known, `order` non-null if it is not the sorted one.
struct FrozenOrder {
  const Record* record;
  const DictOrder* order;
};
FrozenOrder frozen_order(PyObject* object);
void set_frozen_order(PyObject* object, Ref<const Record> record, Ref<const DictOrder> order);
void initialise_frozendict(nb::module_& m);

}  // namespace funcnn::pytree
