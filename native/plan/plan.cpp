#include "plan/plan.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "base/device_dtypes.h"
#include "base/error.h"
#include "graph/transfer.h"
#include "plan/control.h"
#include "plan/decisions.h"
#include "plan/emit.h"
#include "plan/epilogue.h"
#include "plan/eval.h"
#include "plan/fuse.h"
#include "plan/instead_of_host.h"
#include "plan/ir.h"
#include "plan/kernels.h"
#include "plan/log.h"
#include "plan/measure.h"
#include "plan/measured.h"
#include "plan/meetings.h"
#include "plan/packed_plan.h"
#include "plan/schedule.h"
#include "plan/staged.h"
#include "plan/takeover.h"

namespace funcnn {
namespace {

// A result asks so many dying values of its size for their memory.
constexpr size_t kMostTried = 32;

// Whether its kernel may raise for what it finds: a factorisation, or a function of the language around.
bool may_raise(const Primitive& primitive) {
  if (primitive.on_host()) return true;
  if (primitive.kind() != Kind::control) return false;
  for (const Graph* graph : primitive.graphs())
    for (const Node* node : topological_order(graph->outputs, [](const Node&) { return true; }))
      if (node->primitive && may_raise(*node->primitive)) return true;
  return false;
}

size_t value_bytes(const Value& v) { return size_t(v.size()) * item_size(v.dtype); }

}  // namespace

// Turns a partitioned Ir into the steps of a plan.
class Plan::Builder {
 public:
  Builder(Plan& plan, Ir ir, bool fusion) : plan_(plan), ir_(std::move(ir)), fusion_(fusion) {}

  void build() {
    std::optional<Outline> outline = fuse_or_reuse();
    size_t count = partition_.units.size(), values = ir_.values.size();
    emitted_.resize(count);
    Emission emission(ir_, partition_);
    for (size_t u = 0; u < count; ++u)
      if (partition_.units[u].operation < 0) emitted_[u] = emission.emit(partition_.units[u]);
    epilogues_ = attach_epilogues(
        ir_, partition_, emitted_,
        [&](const Operation& op, const KernelProgram& program) {
          return fusion_ && backend(op.device).accepts_epilogue(*op.primitive, value(op.outputs[0]).shape, program);
        },
        [&](int operation, int reader, Apart why) {
          if (seams_) no_epilogue_[{operation, reader}] = fusion_ ? why : Apart::off;
        });
    joined_.assign(count, 0);
    for (const auto& epilogue : epilogues_)
      if (epilogue) joined_[size_t(epilogue->unit)] = 1;
    list_work();

    is_result_.assign(values, 0);
    for (const auto& result : ir_.results)
      for (int v : result) is_result_[size_t(value(v).view.base)] = 1;
    gives_.assign(values, 0);
    given_.assign(values, 0);
    cost_.assign(values, 0);
    for (size_t v = 0; v < values; ++v) {
      const Value& val = ir_.values[v];
      if (val.kind == ValueKind::view) continue;
      cost_[v] = value_bytes(val);
      bool freed = val.kind == ValueKind::leaf ? ir_.leaves[size_t(val.leaf)].disposable : true;
      if (freed && !is_result_[v]) gives_[v] = cost_[v];
    }
    std::vector<int> order = schedule(work_, gives_, cost_);
    put_constants_first(order);

    slots_.assign(values, -1);
    charged_.assign(values, 0);
    readers_.assign(values, 0);
    times_.assign(values, 0);
    seen_.assign(values, 0);
    for (const Work& w : work_)
      for (int v : w.reads) ++readers_[size_t(v)];
    plan_.steps_.reserve(count);
    step_of_.assign(count, -1);
    count_raising(order);
    for (int u : order) {
      if (joined_[size_t(u)]) continue;
      add_step(size_t(u));
      if (constant_[size_t(u)]) plan_.constant_steps_ = plan_.steps_.size();
    }
    place_results();
    for (size_t v = 0; v < values; ++v)
      if (lasts_[v]) plan_.constant_slots_.push_back(slot_of(int(v)));
    finish();
    if (seams_) plan_.meetings_ = find_meetings(ir_, partition_, *seams_, no_epilogue_, step_of_);
    plan_.find_peaks(footprints_);
    plan_.place_scratch(footprints_);
    plan_.join_steps(footprints_);
    plan_.packed_ = PackedPlan::make(plan_);
    if (outline) decision_cache().keep(*outline, std::move(partition_));
  }

 private:
  const Value& value(int v) const { return ir_.values[size_t(v)]; }
  int64_t offset_bytes(const Value& v) const { return v.view.offset * int64_t(item_size(v.dtype)); }

  // The outline to keep the decisions by, where they were found by a search.
  std::optional<Outline> fuse_or_reuse() {
    std::optional<Outline> outline;
    // Why it was decided is known to the search alone, which finds what another one found before.
    if (Explaining::on()) {
      Ir again = ir_;
      seams_.emplace();
      fuse(again, fusion_, &*seams_);
    }
    if (fusion_) {
      outline.emplace(ir_);
      if (decision_cache().apply(*outline, ir_, partition_)) return std::nullopt;
    }
    partition_ = fuse(ir_, fusion_);
    return outline;
  }

  int slot_of(int v) {
    int& slot = slots_[size_t(v)];
    if (slot < 0) {
      slot = plan_.slot_count_++;
      if (value(v).kind == ValueKind::leaf) plan_.leaf_slots_.push_back({value(v).leaf, slot});
    }
    return slot;
  }

  // ---- what every unit reads and writes

  void order_after(Work& w, int v) const {
    if (value(v).kind != ValueKind::view) return;
    for (int dep : value(v).inputs) w.after.push_back(value(dep).view.base);
  }
  void after_inputs(Work& w, const Unit& unit) const {
    for (int m : unit.members)
      for (int input : value(m).inputs) order_after(w, input);
  }

  void list_work() {
    work_.resize(partition_.units.size());
    std::vector<size_t> last_reader(ir_.values.size(), work_.size());
    for (size_t u = 0; u < work_.size(); ++u) {
      if (joined_[u]) continue;
      const Unit& unit = partition_.units[u];
      Work& w = work_[u];
      auto add_read = [&](int v) {
        if (std::exchange(last_reader[size_t(v)], u) != u) w.reads.push_back(v);
      };
      w.sequence = unit.sequence;
      if (unit.operation < 0) {
        w.reads = std::move(emitted_[u].reads);
        w.writes = std::move(emitted_[u].writes);
        after_inputs(w, unit);
        continue;
      }
      const Operation& op = ir_.operations[size_t(unit.operation)];
      w.reads.reserve(op.inputs.size() + (epilogues_[u] ? epilogues_[u]->reads.size() : 0));
      for (int input : op.inputs) {
        add_read(value(input).view.base);
        order_after(w, input);
      }
      if (const auto& epilogue = epilogues_[u]) {
        for (int v : epilogue->reads) add_read(v);
        w.writes = epilogue->writes;
        w.writes.insert(w.writes.begin(), epilogue->target);
        after_inputs(w, partition_.units[size_t(epilogue->unit)]);
      } else {
        w.writes.assign(op.outputs.begin(), op.outputs.end());
      }
    }
  }

  // In a plan that runs again and again, as the body of a loop: work that depends on nothing that changes comes first,
  // and what others read of it stays.
  void put_constants_first(std::vector<int>& order) {
    constant_.assign(work_.size(), 0);
    lasts_.assign(ir_.values.size(), 0);
    if (std::none_of(ir_.leaves.begin(), ir_.leaves.end(), [](const LeafClass& leaf) { return leaf.constant; })) return;
    std::vector<char> same(ir_.values.size(), 0);
    for (size_t v = 0; v < same.size(); ++v)
      same[v] = value(int(v)).kind == ValueKind::leaf && ir_.leaves[size_t(value(int(v)).leaf)].constant;
    auto all_same = [&](const auto& values) {
      return std::all_of(values.begin(), values.end(), [&](int v) { return same[size_t(v)]; });
    };
    for (int u : order) {
      const Work& w = work_[size_t(u)];
      if (joined_[size_t(u)] || !all_same(w.reads) || !all_same(w.after)) continue;
      constant_[size_t(u)] = 1;
      for (int v : w.writes) {
        same[size_t(v)] = 1;
        lasts_[size_t(v)] = is_result_[size_t(v)];
      }
    }
    for (size_t u = 0; u < work_.size(); ++u)
      for (int v : work_[u].reads)
        if (!constant_[u] && same[size_t(v)] && value(v).kind != ValueKind::leaf) lasts_[size_t(v)] = 1;
    for (size_t v = 0; v < lasts_.size(); ++v)
      if (lasts_[v]) gives_[v] = 0;
    std::stable_partition(order.begin(), order.end(), [&](int u) { return constant_[size_t(u)]; });
  }

  // What is evaluated may be asked for again after an error: until the last kernel that may raise has run, what it is
  // computed from stays.
  void count_raising(std::span<const int> order) {
    if (std::none_of(ir_.leaves.begin(), ir_.leaves.end(),
                     [](const LeafClass& leaf) { return leaf.disposable && leaf.asked_again; }))
      return;
    for (int u : order) {
      int operation = partition_.units[size_t(u)].operation;
      raising_left_ += operation >= 0 && may_raise(*ir_.operations[size_t(operation)].primitive);
    }
  }
  bool must_stay(int v) const {
    return raising_left_ > 0 && value(v).kind == ValueKind::leaf && ir_.leaves[size_t(value(v).leaf)].asked_again;
  }

  // ---- steps

  void add_step(size_t u) {
    const Unit& unit = partition_.units[u];
    const Work& w = work_[u];
    const Operation* op = unit.operation >= 0 ? &ir_.operations[size_t(unit.operation)] : nullptr;
    const Epilogue* epilogue = epilogues_[u] ? &*epilogues_[u] : nullptr;
    Step step;
    control_ = nullptr;
    if (op) {
      step.backend = &backend(op->device);
      check_dtypes(*step.backend, w);
      operation_step(step, *op, w, epilogue);
    } else {
      step.backend = &backend(value(unit.members[0]).device);
      check_dtypes(*step.backend, w);
      const KernelProgram& program = emitted_[u].program;
      for (int v : w.reads) step.operands.push_back({slot_of(v), 0});
      for (int v : w.writes) step.operands.push_back({slot_of(v), 0});
      step.kernel = kernels().fused(*step.backend, program);
      step.effort = effort_of(program);
    }
    // What the step itself asks for while it runs.
    const size_t scratch = step.kernel ? step.kernel->scratch_bytes() : 0;
    size_t before = account_of(*step.backend).in_use;
    if (op)
      for (int input : op->inputs) ++times_[size_t(value(input).view.base)];
    place_writes(step, PlannedStep{&w, op, &emitted_[u], epilogue, control_, times_});
    if (op)
      for (int input : op->inputs) times_[size_t(value(input).view.base)] = 0;
    if (op && raising_left_ > 0) raising_left_ -= may_raise(*op->primitive);
    footprints_.push_back({before, account_of(*step.backend).in_use - before});
    if (scratch) {
      int slot = plan_.slot_count_++;
      step.operands.push_back({slot, 0});
      step.fresh.push_back({slot, scratch});
      step.released.push_back(slot);
      footprints_.back().scratch = block_capacity(scratch);
    }
    if (step.kernel) footprints_.back().inner = step.kernel->inner_bytes();
    Account& account = account_of(*step.backend);
    account.most_held = std::max(account.most_held, account.live + (control_ ? control_->inner_live_bytes() : 0));
    // What it reads last need not outlast what it writes: only what nobody reads has to be there beside that.
    for (size_t i = 0; i < dying_.size(); ++i) {
      if (i == dying_reads_) note_live(*step.backend);
      int d = dying_[i];
      if (given_[size_t(d)]) continue;
      step.released.push_back(slots_[size_t(d)]);
      Account& of = account_of(backend_of(d));
      of.in_use -= charged_[size_t(d)];
      if (charged_[size_t(d)]) of.live -= cost_[size_t(d)];
    }
    if (dying_reads_ == dying_.size()) note_live(*step.backend);
    if (!op)
      step.program = std::make_unique<KernelProgram>(std::move(emitted_[u].program));
    else if (epilogue)
      step.program = std::make_unique<KernelProgram>(std::move(epilogues_[u]->program));
    step_of_[u] = int(plan_.steps_.size());
    if (epilogue) step_of_[size_t(epilogue->unit)] = step_of_[u];
    plan_.steps_.push_back(std::move(step));
  }

  void check_dtypes(const Backend& backend, const Work& w) const {
    for (int v : w.writes)
      if (!backend.limits().has(ir_.values[size_t(v)].dtype))
        throw_no_dtype({}, backend.device(), ir_.values[size_t(v)].dtype);
  }

  void operation_step(Step& step, const Operation& op, const Work& w, const Epilogue* epilogue) {
    std::vector<Layout> inputs, outputs;
    inputs.reserve(op.inputs.size());
    outputs.reserve(op.outputs.size());
    for (int input : op.inputs) {
      const Value& v = value(input);
      inputs.push_back({v.shape, v.dtype, v.view.strides});
      step.operands.push_back({slot_of(v.view.base), offset_bytes(v)});
    }
    for (int output : op.outputs) {
      const Value& v = value(output);
      outputs.push_back({v.shape, v.dtype, contiguous_strides(v.shape)});
      step.operands.push_back({slot_of(epilogue ? epilogue->target : output), 0});
    }
    if (epilogue) {
      for (int v : epilogue->reads) step.operands.push_back({slot_of(v), 0});
      for (int v : epilogue->writes) step.operands.push_back({slot_of(v), 0});
      step.effort.flops += effort_of(epilogue->program).flops;
    }
    if (dynamic_cast<const Transfer*>(op.primitive.get())) {
      step.source = &backend(value(op.inputs[0]).device);
    } else if (op.primitive->kind() == Kind::control) {
      auto kernel = make_control_kernel(*op.primitive, inputs, *step.backend, fusion_);
      control_ = kernel.get();
      step.kernel = std::move(kernel);
    } else if (op.primitive->on_host() && step.backend->device() != kCpu) {
      if (auto* own = dynamic_cast<InsteadOfHost*>(step.backend))
        step.kernel = own->make_instead_of_host(*op.primitive, inputs, outputs);
      if (!step.kernel) {
        if (log_enabled("gpu") && step.backend->device().kind == DeviceKind::gpu)
          log_line("gpu", cat(op.primitive->name(), " runs on the CPU"));
        step.kernel = make_staged_kernel(*op.primitive, inputs, outputs, *step.backend);
      }
    } else {
      step.kernel =
          kernels().primitive(*step.backend, op.primitive, inputs, outputs, epilogue ? &epilogue->program : nullptr);
    }
    step.effort.bytes += moved_bytes(op, w);
    step.effort.flops += op.primitive->flops(inputs.empty() ? Shape() : inputs[0].shape, outputs[0].shape);
    if (step.kernel) {
      Effort inner = step.kernel->inner_effort();
      step.effort.bytes += inner.bytes;
      step.effort.flops += inner.flops;
    }
    step.primitive = op.primitive;
    step.inputs = std::move(inputs);
    step.outputs = std::move(outputs);
  }

  // Of each array as much as is seen, once; of what is only put in place, no more than is written.
  double moved_bytes(const Operation& op, const Work& w) {
    double written = 0, read = 0;
    for (int v : w.writes) written += double(cost_[size_t(v)]);
    for (int input : op.inputs) {
      const Value& from = value(input);
      double elements = 1;
      for (size_t axis = 0; axis < from.shape.size(); ++axis)
        if (from.view.strides[axis] != 0) elements *= double(from.shape[axis]);
      seen_[size_t(from.view.base)] += elements * double(item_size(from.dtype));
    }
    for (int v : w.reads) {
      const double seen = std::exchange(seen_[size_t(v)], 0);
      double most = op.primitive->only_moves() ? std::min(written, double(cost_[size_t(v)])) : double(cost_[size_t(v)]);
      read += seen > 0 ? std::min(seen, most) : most;  // none is seen: the epilogue reads it
    }
    return read + written;
  }

  void note_live(Backend& backend) {
    Account& account = account_of(backend);
    account.most_live = std::max(account.most_live, account.live + (control_ ? control_->inner_live_bytes() : 0));
  }

  // Memory of the results: take over what dies here where the kernel allows it, else ask the pool.
  void place_writes(Step& step, const PlannedStep& planned) {
    const Work& w = *planned.work;
    dying_.clear();
    givers_.clear();
    bequests_.clear();
    for (size_t r = 0; r < w.reads.size(); ++r) {
      int v = w.reads[r];
      if (--readers_[size_t(v)] != 0 || is_result_[size_t(v)] || lasts_[size_t(v)]) continue;
      dying_.push_back(v);
      if (gives_[size_t(v)] == 0 || must_stay(v)) continue;
      if (const int heir = heir_of(v); heir >= 0)
        bequests_.push_back({heir, int(r)});
      else
        givers_.push_back({cost_[size_t(v)], int(r), 0});
    }
    std::sort(givers_.begin(), givers_.end(),
              [](const Giver& a, const Giver& b) { return a.bytes != b.bytes ? a.bytes < b.bytes : a.read < b.read; });
    for (size_t g = 0; g < givers_.size(); ++g) givers_[g].next = g;
    Account& account = account_of(*step.backend);
    for (size_t i = 0; i < w.writes.size(); ++i) {
      int v = w.writes[i];
      // A product that becomes the target of its epilogue lies in its memory for a moment.
      size_t product = planned.epilogue && i == 0 ? cost_[size_t(planned.operation->outputs[0])] : 0;
      Fresh fresh{slot_of(v), std::max(cost_[size_t(v)], product)};
      auto first = std::lower_bound(givers_.begin(), givers_.end(), cost_[size_t(v)],
                                    [](const Giver& g, size_t bytes) { return g.bytes < bytes; });
      size_t tried = 0;
      auto take = [&](int read) {
        int d = w.reads[size_t(read)];
        fresh.takes_over = slots_[size_t(d)];
        if (value(d).kind == ValueKind::leaf) fresh.leaf = value(d).leaf;
        charged_[size_t(v)] = std::exchange(charged_[size_t(d)], 0);
        given_[size_t(d)] = 1;
      };
      for (auto [heir, read] : bequests_)
        if (heir == v && fresh.takes_over < 0 && cost_[size_t(w.reads[size_t(read)])] == cost_[size_t(v)] &&
            may_take_over(ir_, planned, read, i))
          take(read);
      for (size_t g = giver_from(size_t(first - givers_.begin()));
           fresh.takes_over < 0 && g < givers_.size() && givers_[g].bytes == cost_[size_t(v)] && tried < kMostTried;
           g = giver_from(g + 1), ++tried) {
        if (!may_take_over(ir_, planned, givers_[g].read, i)) continue;
        givers_[g].next = g + 1;
        take(givers_[g].read);
      }
      if (fresh.takes_over < 0) {
        account.in_use += charged_[size_t(v)] = block_capacity(fresh.bytes);
        account.live += cost_[size_t(v)];
        account.sizes.emplace_back(fresh.bytes, v, int(plan_.steps_.size()));
      }
      step.fresh.push_back(fresh);
    }
    step.idle = std::all_of(w.writes.begin(), w.writes.end(), [&](int v) { return cost_[size_t(v)] == 0; });
    dying_reads_ = dying_.size();
    for (int v : w.writes)
      if (readers_[size_t(v)] == 0 && !is_result_[size_t(v)]) dying_.push_back(v);
  }

  // The value that alone may have the memory of `v`; -1: any may.
  int heir_of(int v) const {
    if (value(v).kind != ValueKind::leaf) return -1;
    const int result = ir_.leaves[size_t(value(v).leaf)].heir;
    return result < 0 ? -1 : value(ir_.results[size_t(result)][0]).view.base;
  }
  // A value that alone may have the memory of a read of the step at hand.
  struct Bequest {
    int heir, read;
  };
  std::vector<Bequest> bequests_;
  // What can give its memory away in the step at hand, by bytes.
  struct Giver {
    size_t bytes;
    int read;     // position among the reads
    size_t next;  // itself, or where to go on looking once it has given
  };
  size_t giver_from(size_t g) {
    while (g < givers_.size() && givers_[g].next != g) {
      size_t next = givers_[g].next;
      if (next < givers_.size()) givers_[g].next = givers_[next].next;
      g = next;
    }
    return g;
  }

  void place_results() {
    for (const auto& result : ir_.results) {
      SmallVector<Place, 1> places;
      for (int v : result)
        places.push_back({slot_of(value(v).view.base), offset_bytes(value(v)), value(v).view.strides});
      plan_.results_.push_back(std::move(places));
    }
    std::vector<char> seen(size_t(plan_.slot_count_), 0);
    for (size_t r = plan_.results_.size(); r-- > 0;)
      for (size_t p = plan_.results_[r].size(); p-- > 0;) {
        Place& place = plan_.results_[r][p];
        place.last = !std::exchange(seen[size_t(place.slot)], 1);
      }
    find_placed();
  }

  // A result can be placed by the caller where it is all of a dense value that the plan computes, the first that is.
  void find_placed() {
    std::vector<int> of_slot(size_t(plan_.slot_count_), -1);
    for (size_t r = 0; r < ir_.results.size(); ++r) {
      if (ir_.results[r].size() != 1) continue;
      const Value& v = value(ir_.results[r][0]);
      bool whole = v.view.offset == 0 && v.size() == value(v.view.base).size() && v.size() > 0 &&
                   is_contiguous(v.shape, v.view.strides);
      int& known = of_slot[size_t(slot_of(v.view.base))];
      if (whole && known < 0) known = int(r);
    }
    plan_.placed_.assign(ir_.results.size(), 0);
    for (Step& step : plan_.steps_)
      for (Fresh& fresh : step.fresh) {
        int r = of_slot[size_t(fresh.slot)];
        if (r < 0 || size_t(&step - plan_.steps_.data()) < plan_.constant_steps_ || step.source ||
            fresh.bytes != value_bytes(value(ir_.results[size_t(r)][0])))
          continue;
        fresh.result = r;
        plan_.placed_[size_t(r)] = 1;
      }
  }

  void finish() {
    plan_.overwritten_.assign(ir_.leaves.size(), 0);
    for (const Step& step : plan_.steps_)
      for (const Fresh& fresh : step.fresh)
        if (fresh.leaf >= 0) plan_.overwritten_[size_t(fresh.leaf)] = 1;
    for (LeafSlot& at : plan_.leaf_slots_) at.given = plan_.overwrites(size_t(at.leaf));
    for (Account& account : accounts_) {
      Demand demand{account.backend, 0, account.most_live, account.most_held, {}};
      auto& sizes = account.sizes;
      size_t top = std::min<size_t>(5, sizes.size());
      std::partial_sort(sizes.begin(), sizes.begin() + ptrdiff_t(top), sizes.end(), std::greater<>());
      for (size_t i = 0; i < top; ++i) {
        auto [bytes, v, s] = sizes[i];
        demand.largest.push_back({bytes, value(v).dtype, value(v).shape, s});
      }
      plan_.demands_.push_back(std::move(demand));
    }
    for (size_t v = 0; v < is_result_.size(); ++v)
      if (is_result_[v] && value(int(v)).kind != ValueKind::leaf) plan_.results_bytes_ += cost_[v];
    plan_.own_bytes_ = sizeof(Plan);
    for (const Step& step : plan_.steps_) {
      plan_.own_bytes_ += sizeof(Step) + 1024 + (step.inputs.size() + step.outputs.size()) * sizeof(Layout);
      // The back end keeps a translation of about the size of the program.
      if (step.program)
        plan_.own_bytes_ +=
            4 * (step.program->code.size() * sizeof(Instruction) + step.program->accesses.size() * sizeof(Access));
    }
  }

  // ---- memory by device

  struct Account {
    Backend* backend = nullptr;
    size_t in_use = 0;
    size_t live = 0, most_live = 0, most_held = 0;    // without what blocks have beyond their values
    std::vector<std::tuple<size_t, int, int>> sizes;  // bytes, value, step
  };
  Account& account_of(Backend& backend) {
    for (Account& account : accounts_)
      if (account.backend == &backend) return account;
    Account& account = accounts_.emplace_back();
    account.backend = &backend;
    return account;
  }
  Backend& backend_of(int v) { return backend(value(v).device.placed() ? value(v).device : kCpu); }

  Plan& plan_;
  Ir ir_;
  bool fusion_;
  Partition partition_;
  std::vector<Emitted> emitted_;
  std::vector<std::optional<Epilogue>> epilogues_;
  std::vector<char> joined_;  // units that run as epilogues
  std::vector<Work> work_;
  std::vector<char> is_result_;
  std::vector<char> constant_;   // units that depend on nothing that changes from run to run
  std::vector<char> lasts_;      // values that they leave for others
  std::vector<size_t> gives_;    // what goes free after the last reader
  std::vector<size_t> cost_;     // what storing the value takes
  std::vector<size_t> charged_;  // what the value holds of the memory in use; leaves hold nothing
  int raising_left_ = 0;         // operations of this step and later ones that may raise
  std::vector<int> slots_, readers_;
  std::vector<int> dying_;  // in the step at hand: what it reads last, then what nobody reads
  size_t dying_reads_ = 0;
  std::vector<int> times_;    // by value: how often the operation of the step at hand reads of it,
  std::vector<double> seen_;  // and how many bytes of it
  std::vector<Giver> givers_;
  std::vector<char> given_;  // values whose memory a result has taken over
  std::vector<Account> accounts_;
  std::vector<Footprint> footprints_;  // of the steps
  std::optional<Seams> seams_;         // where somebody asks for them
  std::vector<int> step_of_;           // units
  WithoutEpilogue no_epilogue_;
  const ControlKernel* control_ = nullptr;  // of the step at hand, if it runs graphs
};

Plan::Plan(const Capture& capture, bool fusion) { Builder(*this, build_ir(capture), fusion).build(); }
Plan::~Plan() = default;

}  // namespace funcnn
