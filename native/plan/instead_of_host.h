// What a back end computes by itself of the primitives that the host computes for the others (Primitive::on_host).
#pragma once

#include "plan/backend.h"

namespace funcnn {

class InsteadOfHost {
 public:
  virtual ~InsteadOfHost() = default;
  // As Backend::make_primitive; null: the host does.
  virtual std::unique_ptr<Kernel> make_instead_of_host(const Primitive& primitive, std::span<const Layout> inputs,
                                                       std::span<const Layout> outputs) = 0;
};

}  // namespace funcnn
