#include "plan/plan.h"

#include <algorithm>
#include <numeric>
#include <sstream>
#include <tuple>

#include "base/error.h"
#include "plan/control.h"
#include "plan/emit.h"
#include "plan/epilogue.h"
#include "plan/eval.h"
#include "plan/fuse.h"
#include "plan/ir.h"
#include "plan/schedule.h"

namespace funcnn {
namespace {

size_t value_bytes(const Value& v) { return size_t(v.size()) * item_size(v.dtype); }

double touched_bytes(const Access& a) {
  double n = 1;
  for (size_t i = 0; i < a.shape.size(); ++i)
    if (a.strides[i] != 0) n *= double(a.shape[i]);
  return n * double(item_size(a.dtype));
}

double program_bytes(const KernelProgram& p) {
  double total = 0;
  for (const Access& a : p.accesses) total += touched_bytes(a);
  return total;
}

double program_flops(const KernelProgram& p) {
  double total = 0;
  for (const Instruction& i : p.code) {
    if (i.kind == InstructionKind::compute && i.op == Opcode::copy) continue;
    bool whole = i.kind == InstructionKind::reduce_row || i.kind == InstructionKind::reduce_col;
    if (i.kind != InstructionKind::compute && !whole) continue;
    total += whole || i.space == Space::element ? double(p.rows) * double(p.cols)
             : i.space == Space::row            ? double(p.rows)
                                                : 1.0;
  }
  return total;
}

std::string amount(double x) {
  const char* units[] = {"", "k", "M", "G", "T"};
  int u = 0;
  while (x >= 1000 && u < 4) {
    x /= 1000;
    ++u;
  }
  std::ostringstream out;
  out.precision(3);
  out << x << ' ' << units[u];
  return out.str();
}

}  // namespace

Plan::Plan(const Capture& capture, bool fusion) { build(build_ir(capture), fusion); }
Plan::~Plan() = default;

void Plan::build(Ir ir, bool fusion) {
  Partition partition = fuse(ir, fusion);
  size_t count = partition.units.size();
  std::vector<Work> work(count);
  std::vector<Emitted> emitted(count);

  auto order_after = [&](Work& w, int v) {
    if (ir.values[size_t(v)].kind != ValueKind::view) return;
    for (int dep : ir.values[size_t(v)].inputs) w.after.push_back(ir.values[size_t(dep)].view.base);
  };
  Backend& machine = backend(Device::cpu);
  for (size_t u = 0; u < count; ++u)
    if (partition.units[u].operation < 0) emitted[u] = emit(ir, partition, partition.units[u]);
  std::vector<std::optional<Epilogue>> epilogues = attach_epilogues(
      ir, partition, emitted, [&](const Primitive& p) { return fusion && machine.accepts_epilogue(p); });
  std::vector<char> joined(count, 0);
  for (const auto& epilogue : epilogues)
    if (epilogue) joined[size_t(epilogue->group)] = 1;

  auto add_read = [](Work& w, int v) {
    if (std::find(w.reads.begin(), w.reads.end(), v) == w.reads.end()) w.reads.push_back(v);
  };
  auto after_inputs = [&](Work& w, const Unit& unit) {
    for (int m : unit.members)
      for (int input : ir.values[size_t(m)].inputs) order_after(w, input);
  };
  for (size_t u = 0; u < count; ++u) {
    if (joined[u]) continue;
    const Unit& unit = partition.units[u];
    Work& w = work[u];
    w.sequence = unit.sequence;
    if (unit.operation < 0) {
      w.reads = emitted[u].reads;
      w.writes = emitted[u].writes;
      after_inputs(w, unit);
      continue;
    }
    const Operation& op = ir.operations[size_t(unit.operation)];
    for (int input : op.inputs) {
      add_read(w, ir.values[size_t(input)].view.base);
      order_after(w, input);
    }
    if (const auto& epilogue = epilogues[u]) {
      const Unit& group = partition.units[size_t(epilogue->group)];
      for (int v : epilogue->reads) add_read(w, v);
      w.writes = epilogue->writes;
      w.writes.insert(w.writes.begin(), epilogue->target);
      after_inputs(w, group);
    } else {
      w.writes.assign(op.outputs.begin(), op.outputs.end());
    }
  }

  std::vector<char> is_result(ir.values.size(), 0);
  for (const auto& result : ir.results)
    for (int v : result) is_result[size_t(ir.values[size_t(v)].view.base)] = 1;
  std::vector<size_t> bytes(ir.values.size(), 0), cost(ir.values.size(), 0);
  for (size_t v = 0; v < ir.values.size(); ++v) {
    const Value& value = ir.values[v];
    if (value.kind == ValueKind::view) continue;
    cost[v] = value_bytes(value);
    bool freed = value.kind == ValueKind::leaf ? ir.leaves[size_t(value.leaf)].disposable : true;
    if (freed && !is_result[v]) bytes[v] = cost[v];
  }

  std::vector<int> order = schedule(work, bytes, cost);

  std::vector<int> slots(ir.values.size(), -1);
  auto slot_of = [&](int v) {
    int& slot = slots[size_t(v)];
    if (slot < 0) {
      slot = slot_count_++;
      if (ir.values[size_t(v)].kind == ValueKind::leaf) leaf_slots_.emplace_back(ir.values[size_t(v)].leaf, slot);
    }
    return slot;
  };
  std::vector<int> readers(ir.values.size(), 0);
  for (const Work& w : work)
    for (int v : w.reads) ++readers[size_t(v)];

  size_t in_use = 0;
  std::vector<size_t> charged(ir.values.size(), 0);  // what a value holds of it; leaves hold nothing
  std::vector<std::tuple<size_t, int, int>> sizes;   // bytes, value, step
  steps_.reserve(count);
  for (int u : order) {
    if (joined[size_t(u)]) continue;
    const Unit& unit = partition.units[size_t(u)];
    const Work& w = work[size_t(u)];
    Step step;
    const Operation* op = unit.operation >= 0 ? &ir.operations[size_t(unit.operation)] : nullptr;
    const KernelProgram& program = emitted[size_t(u)].program;
    const Epilogue* epilogue = epilogues[size_t(u)] ? &*epilogues[size_t(u)] : nullptr;

    if (op) {
      std::vector<Layout> inputs, outputs;
      for (int input : op->inputs) {
        const Value& value = ir.values[size_t(input)];
        inputs.push_back({value.shape, value.dtype, value.view.strides});
        step.operands.push_back(slot_of(value.view.base));
      }
      for (int output : op->outputs) {
        const Value& value = ir.values[size_t(output)];
        outputs.push_back({value.shape, value.dtype, contiguous_strides(value.shape)});
        step.operands.push_back(slot_of(epilogue ? epilogue->target : output));
      }
      if (epilogue) {
        for (int v : epilogue->reads) step.operands.push_back(slot_of(v));
        for (int v : epilogue->writes) step.operands.push_back(slot_of(v));
      }
      if (op->primitive->kind() == Kind::control) {
        step.kernel = make_control_kernel(*op->primitive, inputs, fusion);
      } else {
        step.kernel = machine.make_primitive(*op->primitive, inputs, outputs, epilogue ? &epilogue->program : nullptr);
      }
      // Operands point at the first element seen, not at the base of the memory.
      std::vector<int64_t> offsets;
      bool shifted = false;
      for (int input : op->inputs) {
        const Value& value = ir.values[size_t(input)];
        offsets.push_back(value.view.offset * int64_t(item_size(value.dtype)));
        shifted |= value.view.offset != 0;
      }
      if (shifted) step.kernel = with_offsets(std::move(step.kernel), std::move(offsets));
      if (epilogue) {
        step.flops += program_flops(epilogue->program);
        step.program = std::make_unique<KernelProgram>(epilogue->program);
      }
      for (int v : w.reads) step.bytes += double(cost[size_t(v)]);
      for (int v : w.writes) step.bytes += double(cost[size_t(v)]);
      if (op->primitive->name() == "dot" && !inputs.empty() && !inputs[0].shape.empty())
        step.flops += 2.0 * double(element_count(outputs[0].shape)) * double(inputs[0].shape.back());
      step.primitive = op->primitive;
      step.inputs = std::move(inputs);
      step.outputs = std::move(outputs);
    } else {
      for (int v : w.reads) step.operands.push_back(slot_of(v));
      for (int v : w.writes) step.operands.push_back(slot_of(v));
      step.kernel = machine.make_fused(program);
      step.bytes = program_bytes(program);
      step.flops = program_flops(program);
      step.program = std::make_unique<KernelProgram>(program);
    }

    // Memory: take over what dies here where the kernel allows it, else ask the pool.
    SmallVector<int, 6> dying;
    for (int v : w.reads) {
      if (--readers[size_t(v)] == 0 && !is_result[size_t(v)]) dying.push_back(v);
    }
    for (size_t i = 0; i < w.writes.size(); ++i) {
      int v = w.writes[i];
      Fresh fresh{slot_of(v), std::max(cost[size_t(v)], epilogue && i == 0 ? cost[size_t(op->outputs[0])] : 0)};
      for (int& d : dying) {
        if (d < 0 || bytes[size_t(d)] == 0 || cost[size_t(d)] != cost[size_t(v)]) continue;
        bool fits;
        if (epilogue) {
          // The product passes through the target's memory; the other results are written as their rows are finished.
          auto read = std::find(epilogue->reads.begin(), epilogue->reads.end(), d);
          bool factor = std::any_of(op->inputs.begin(), op->inputs.end(),
                                    [&](int input) { return ir.values[size_t(input)].view.base == d; });
          fits = i > 0 && !factor && read != epilogue->reads.end() &&
                 can_share(epilogue->program, 1 + int(read - epilogue->reads.begin()), int(epilogue->reads.size() + i));
        } else if (op) {
          int reusable = op->primitive->reusable_input();
          const Value* from = reusable >= 0 && i == 0 ? &ir.values[size_t(op->inputs[size_t(reusable)])] : nullptr;
          fits = from && from->view.base == d && from->view.offset == 0 &&
                 is_contiguous(from->shape, from->view.strides) &&
                 std::count_if(op->inputs.begin(), op->inputs.end(),
                               [&](int input) { return ir.values[size_t(input)].view.base == d; }) == 1;
        } else {
          int read = int(std::find(w.reads.begin(), w.reads.end(), d) - w.reads.begin());
          fits = can_share(program, read, int(w.reads.size() + i));
        }
        if (!fits) continue;
        fresh.takes_over = slots[size_t(d)];
        if (ir.values[size_t(d)].kind == ValueKind::leaf) fresh.leaf = ir.values[size_t(d)].leaf;
        bytes[size_t(d)] = 0;  // no longer free to give
        charged[size_t(v)] = std::exchange(charged[size_t(d)], 0);
        d = -1;
        break;
      }
      if (fresh.takes_over < 0) {
        in_use += charged[size_t(v)] = block_capacity(fresh.bytes);
        sizes.emplace_back(fresh.bytes, v, int(steps_.size()));
      }
      step.fresh.push_back(fresh);
    }
    step.idle = std::all_of(w.writes.begin(), w.writes.end(), [&](int v) { return cost[size_t(v)] == 0; });
    peak_bytes_ = std::max(peak_bytes_, in_use + step.kernel->scratch_bytes());
    for (int v : w.writes)
      if (readers[size_t(v)] == 0 && !is_result[size_t(v)]) dying.push_back(v);
    for (int d : dying) {
      if (d < 0) continue;
      step.released.push_back(slots[size_t(d)]);
      in_use -= charged[size_t(d)];
    }
    steps_.push_back(std::move(step));
  }

  for (const auto& result : ir.results) {
    SmallVector<Place, 1> places;
    for (int v : result) {
      const Value& value = ir.values[size_t(v)];
      const Value& base = ir.values[size_t(value.view.base)];
      Place place;
      place.slot = slot_of(value.view.base);
      place.offset_bytes = value.view.offset * int64_t(item_size(value.dtype));
      place.strides = value.view.strides;
      if (base.kind == ValueKind::leaf) {
        place.leaf = base.leaf;
        place.scalar = ir.leaves[size_t(base.leaf)].scalar;
      }
      places.push_back(place);
    }
    results_.push_back(std::move(places));
  }
  size_t top = std::min<size_t>(5, sizes.size());
  std::partial_sort(sizes.begin(), sizes.begin() + ptrdiff_t(top), sizes.end(), std::greater<>());
  for (size_t i = 0; i < top; ++i) {
    auto [bytes_taken, v, s] = sizes[i];
    const Value& value = ir.values[size_t(v)];
    largest_.emplace_back(bytes_taken, cat(value.dtype, value.shape, " of ", steps_[size_t(s)].title()));
  }
}

namespace {

// Work since the user was last asked whether to go on: some milliseconds of it are let pass.
constexpr double kEffort = 2e7;
thread_local double effort = 0;

}  // namespace

std::string Plan::Step::title() const {
  if (!primitive) return "fused";
  std::string text(primitive->name());
  if (std::string parameters = primitive->parameters(); !parameters.empty()) text += "(" + parameters + ")";
  return program ? text + " with epilogue" : text;
}

void Plan::run(std::span<const Storage* const> leaves, std::vector<SmallVector<Storage, 1>>& results,
               std::vector<int>* overwritten) const {
  std::vector<std::byte*> pointers(size_t(slot_count_), nullptr);
  std::vector<Ref<Buffer>> buffers{size_t(slot_count_)};
  for (auto [leaf, slot] : leaf_slots_) {
    pointers[size_t(slot)] = leaves[size_t(leaf)]->data;
    buffers[size_t(slot)] = leaves[size_t(leaf)]->buffer;
  }
  check_memory();
  SmallVector<std::byte*, 16> operands;
  for (const Step& step : steps_) {
    for (const Fresh& fresh : step.fresh) {
      size_t slot = size_t(fresh.slot);
      if (fresh.takes_over >= 0) {
        buffers[slot] = std::move(buffers[size_t(fresh.takes_over)]);
        if (overwritten && fresh.leaf >= 0) overwritten->push_back(fresh.leaf);
      } else {
        buffers[slot] = Buffer::allocate(fresh.bytes);
      }
      pointers[slot] = buffers[slot]->data();
    }
    operands.clear();
    for (int slot : step.operands) operands.push_back(pointers[size_t(slot)]);
    if (!step.idle) step.kernel->run({operands.data(), operands.size()});
    if ((effort += step.bytes + step.flops / 16 + 1000) > kEffort) {
      effort = 0;
      check_interrupt();
    }
    for (int slot : step.released) buffers[size_t(slot)] = nullptr;
  }
  results.resize(results_.size());
  for (size_t r = 0; r < results_.size(); ++r) {
    results[r].clear();
    for (const Place& place : results_[r]) {
      Storage storage;
      storage.buffer = buffers[size_t(place.slot)];
      storage.data = pointers[size_t(place.slot)] + place.offset_bytes;
      storage.strides = place.strides;
      results[r].push_back(std::move(storage));
    }
  }
}

void Plan::check_memory() const {
  size_t limit = memory_limit();
  if (!limit) return;
  size_t active = memory_stats().active;
  if (active + peak_bytes_ <= limit) return;
  std::string message = cat("out of memory: the computation needs ", peak_bytes_, " bytes beside ", active,
                            " in use, the limit is ", limit, "; its largest arrays:");
  for (const auto& [bytes, what] : largest_) message += cat("\n  ", bytes, " bytes: ", what);
  throw OutOfMemoryError(message);
}

std::string Plan::describe() const {
  std::ostringstream out;
  double bytes = 0, flops = 0;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& s = steps_[i];
    bytes += s.bytes;
    flops += s.flops;
    out << '[' << i << "] " << s.title() << "  " << amount(s.bytes) << "B  " << amount(s.flops) << "flop";
    bool reuses = std::any_of(s.fresh.begin(), s.fresh.end(), [](auto& f) { return f.takes_over >= 0; });
    out << (reuses ? "  in place\n" : "\n");
    for (const Layout& in : s.inputs) out << "  in  " << in.dtype << in.shape << '\n';
    for (const Layout& made : s.outputs) out << "  out " << made.dtype << made.shape << '\n';
    if (s.program) out << *s.program;
  }
  out << steps_.size() << (steps_.size() == 1 ? " kernel, " : " kernels, ") << amount(bytes) << "B moved, "
      << amount(flops) << "flop, peak " << amount(double(peak_bytes_)) << "B\n";
  return out.str();
}

}  // namespace funcnn
