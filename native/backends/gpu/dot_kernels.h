// The ways to compute a dot, of which dot.cpp chooses.
#pragma once

#include <memory>

#include "backends/gpu/dot_problem.h"
#include "backends/gpu/tiles.h"

namespace funcnn::gpu {

// Whichever way suits; there are products and elements.
std::unique_ptr<Kernel> make_products(Machine& machine, const DotProblem& p, const KernelProgram* epilogue);

// Elements a thread, tiles through shared memory, and up to kFewRows vectors against a matrix.
std::unique_ptr<Kernel> make_dot_small(Machine& machine, const DotProblem& p, const DotResult& result);
std::unique_ptr<Kernel> make_dot_tiles(Machine& machine, const DotProblem& p, const DotResult& result);
std::unique_ptr<Kernel> make_dot_few(Machine& machine, const DotProblem& p, const DotResult& result);
inline constexpr int64_t kFewRows = 8;

// Many items of few rows for each matrix.
bool suits_grouping(const DotProblem& p);
std::unique_ptr<Kernel> make_grouped_tiles(Machine& machine, const DotProblem& p, const DotResult& result);
std::unique_ptr<Kernel> make_scatter_tiles(Machine& machine, Layouts in, const Layout& out);

// What a quantised matrix is to a product of tiles (TileText::operand).
TileOperand quantized_operand(const TileText& tiles, const DotProblem& p, std::string_view wide);
// What tiles of a problem hold.
Dtype tile_dtype(const DotProblem& p);
// The same ways for a quantised matrix; few: whose rows meet the vectors.
std::unique_ptr<Kernel> make_quantized_small(Machine& machine, const DotProblem& p, const DotResult& result);
std::unique_ptr<Kernel> make_quantized_few(Machine& machine, const DotProblem& p, const DotResult& result);

// The kernel of a stage, whose operands are the inputs so far: of one part it makes the result; of several, parts of
// the sums, which a second stage adds in their order. They lie one after another in the scratch memory, elements being
// of the register type.
std::unique_ptr<Kernel> in_parts(Machine& machine, const DotProblem& p, const DotResult& result, Stage stage,
                                 int64_t parts);

}  // namespace funcnn::gpu
