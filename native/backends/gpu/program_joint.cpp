// Many programs in few launches: the update of an optimiser is the same small program over every parameter.
#include <algorithm>
#include <cstring>

#include "backends/gpu/program_kernel.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr size_t kMostValues = 4000;

// Elements in a row, at the start of their operand, and scalars: such programs are told apart by their numbers of
// elements only.
bool joins(const KernelProgram& p) {
  if (p.has_row_reduction() || p.has_col_reduction()) return false;
  const int64_t total = p.rows * p.cols;
  if (total < 2 || total >= int64_t(1) << 30) return false;
  return std::all_of(p.code.begin(), p.code.end(), [&](const Instruction& i) {
    if (i.space == Space::row) return false;
    if (i.access < 0) return true;
    const Access& a = p.accesses[size_t(i.access)];
    if (a.offset != 0) return false;
    if (i.space == Space::scalar) return i.kind == InstructionKind::load;
    return a.shape.size() == 1 && a.shape[0] == total && a.strides[0] == 1;
  });
}

bool alike(const KernelProgram& a, const KernelProgram& b) {
  if (a.operand_count != b.operand_count || a.code != b.code || a.accesses.size() != b.accesses.size()) return false;
  for (size_t i = 0; i < a.accesses.size(); ++i)
    if (a.accesses[i].operand != b.accesses[i].operand || a.accesses[i].dtype != b.accesses[i].dtype) return false;
  return true;
}

bool same(const Operand& a, const Operand& b, size_t bytes) {
  if (a.buffer || b.buffer) return a.buffer == b.buffer && a.offset == b.offset;
  return std::memcmp(a.scalar, b.scalar, bytes) == 0;
}

class JointKernel final : public Kernel {
 public:
  JointKernel(Machine& machine, std::span<const std::shared_ptr<Kernel>> kernels)
      : machine_(machine), kernels_(kernels.begin(), kernels.end()) {
    size_t begin = 0;
    std::vector<std::vector<size_t>> classes;
    for (size_t k = 0; k < kernels_.size(); ++k) {
      begins_.push_back(begin);
      begin += kernel(k).operand_count();
      auto it = std::find_if(classes.begin(), classes.end(), [&](const std::vector<size_t>& c) {
        return joins(kernel(k).program()) && joins(kernel(c[0]).program()) &&
               alike(kernel(c[0]).program(), kernel(k).program());
      });
      if (it == classes.end())
        classes.push_back({k});
      else
        it->push_back(k);
    }
    for (const auto& members : classes) add_class(members);
  }
  bool worthwhile() const { return !batches_.empty(); }

  void encode(Queue& queue, std::span<const Operand> operands) override {
    for (size_t k : alone_) kernel(k).encode(queue, operands_of(k, operands));
    for (const Batch& batch : batches_)
      if (!launch(batch, operands))
        for (size_t k : batch.members) kernel(k).encode(queue, operands_of(k, operands));
  }
  void describe(std::ostream& out, const std::string& indent) const override {
    for (const Batch& batch : batches_)
      out << indent << batch.members.size() << " kernels run as one, " << batch.pipeline->source().name << '\n';
  }

 private:
  // Members of a class, and the kernel that runs them all.
  struct Batch {
    std::vector<size_t> members;
    PrintedJoint text;
    Ref<Pipeline> pipeline;
  };

  ProgramKernel& kernel(size_t k) const { return static_cast<ProgramKernel&>(*kernels_[k]); }
  std::span<const Operand> operands_of(size_t k, std::span<const Operand> all) const {
    return all.subspan(begins_[k], kernel(k).operand_count());
  }

  void add_class(const std::vector<size_t>& members) {
    if (members.size() == 1) {
      alone_.push_back(members[0]);
      return;
    }
    const KernelProgram& program = kernel(members[0]).program();
    const size_t each = print_joint(machine_.traits(), program, 1).by_address.size() * 8 + 8;
    const size_t most = (kMostValues - 8) / each;
    for (size_t begin = 0; begin < members.size(); begin += most) {
      Batch batch;
      batch.members.assign(members.begin() + ptrdiff_t(begin),
                           members.begin() + ptrdiff_t(std::min(members.size(), begin + most)));
      // Few capacities, so that few kernels are compiled.
      size_t capacity = 8;
      while (capacity < batch.members.size()) capacity *= 2;
      batch.text = print_joint(machine_.traits(), program, int(std::min(capacity, most)));
      batch.pipeline = machine_.pipeline(batch.text.printed.source);
      batches_.push_back(std::move(batch));
    }
  }

  // False, and nothing is launched, where operands are not as the kernel wants them.
  bool launch(const Batch& batch, std::span<const Operand> all) const {
    const PrintedJoint& text = batch.text;
    const auto capacity = size_t(text.capacity), each = text.by_address.size();
    std::span<const Operand> first = operands_of(batch.members[0], all);
    SmallVector<Operand, 16> scalars;
    for (const Place& place : text.printed.operands) scalars.push_back(first[size_t(place.operand)]);
    std::vector<uint64_t> addresses(capacity * each);
    std::vector<uint32_t> counts(capacity), firsts(capacity);
    std::vector<Operand> reached, written;
    int64_t groups = 0;
    for (size_t m = 0; m < batch.members.size(); ++m) {
      const size_t k = batch.members[m];
      const KernelProgram& program = kernel(k).program();
      std::span<const Operand> operands = operands_of(k, all);
      if (!aligned(operands, text.printed.aligned)) return false;
      for (const Place& place : text.printed.operands)
        if (!same(operands[size_t(place.operand)], first[size_t(place.operand)], item_of(program, place.operand)))
          return false;
      for (size_t i = 0; i < each; ++i) {
        const Operand& operand = operands[size_t(text.by_address[i])];
        if (!operand.buffer) return false;
        addresses[m * each + i] = machine_.address(operand);
        (text.is_written[i] ? written : reached).push_back(operand);
      }
      counts[m] = uint32_t(program.rows * program.cols);
      firsts[m] = uint32_t(groups);
      groups += (program.rows * program.cols + text.elements - 1) / text.elements;
    }
    std::vector<std::byte> values;
    auto append = [&](const void* from, size_t bytes) {
      const auto* at = static_cast<const std::byte*>(from);
      values.insert(values.end(), at, at + bytes);
    };
    append(addresses.data(), addresses.size() * 8);
    append(counts.data(), counts.size() * 4);
    append(firsts.data(), firsts.size() * 4);
    const auto members = uint32_t(batch.members.size());
    append(&members, 4);
    values.resize((values.size() + 7) / 8 * 8);
    Launch launch;
    launch.pipeline = batch.pipeline.get();
    launch.groups = {uint32_t(groups)};
    launch.threads = text.printed.threads;
    launch.operands = {scalars.data(), scalars.size()};
    launch.read_only = scalars.size();
    launch.values = values;
    launch.reached_read_only = reached.size();
    reached.insert(reached.end(), written.begin(), written.end());
    launch.reached = reached;
    machine_.launch(launch);
    return true;
  }
  static size_t item_of(const KernelProgram& program, int operand) {
    for (const Access& a : program.accesses)
      if (a.operand == operand) return item_size(a.dtype);
    return 0;
  }

  Machine& machine_;
  std::vector<std::shared_ptr<Kernel>> kernels_;
  std::vector<size_t> begins_;  // of the operands of each
  std::vector<size_t> alone_;
  std::vector<Batch> batches_;
};

}  // namespace

std::unique_ptr<Kernel> make_joint_kernel(Machine& machine, std::span<const std::shared_ptr<Kernel>> kernels) {
  if (!machine.addresses()) return nullptr;
  if (!std::all_of(kernels.begin(), kernels.end(), [](auto& k) { return dynamic_cast<ProgramKernel*>(k.get()); }))
    return nullptr;
  auto joint = std::make_unique<JointKernel>(machine, kernels);
  return joint->worthwhile() ? std::move(joint) : nullptr;
}

}  // namespace funcnn::gpu
