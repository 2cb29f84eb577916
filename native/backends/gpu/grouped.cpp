#include "backends/gpu/grouped.h"

#include "base/error.h"

namespace funcnn::gpu {

// A group for each matrix looks through all items, first to count its own and then to place them behind those of the
// matrices before it: the same order whatever runs first.
std::vector<Stage> Grouping::stages(Machine& machine) const {
  const bool metal = machine.traits().language == Language::metal;
  auto declare = [&](KernelText& text) {
    for (const auto& [layout, name] : operands) read_operand(text, layout, name);
  };
  auto declare_values = [&](KernelText& text, Values& into) {
    text.value("u32", "items").value("u32", "matrices").value("u32", "rows");
    into.add(uint32_t(items)).add(uint32_t(matrices)).add(uint32_t(rows));
    for (const auto& [name, value] : values) {
      text.value("i64", name);
      into.add(value);
    }
  };
  std::vector<Stage> out;
  {
    KernelText text(machine.traits(), "count_items", 256);
    declare(text);
    text.write("u32", "counts");
    Values into;
    declare_values(text, into);
    text.body(filled_in(R"text(  SHARED u32 found[8];
  u32 mine = 0;
  for (u32 i = item.x; i < p.items; i += 256) {
    #{number}
    mine += u32(number == group.x);
  }
  mine = warp_sum(mine);
  if (lane == 0) found[warp] = mine;
  BARRIER();
  if (item.x == 0) {
    for (u32 w = 1; w < 8; ++w) mine += found[w];
    counts[group.x] = mine;
  }
)text",
                        {{"number", number}}));
    std::vector<Place> all = places;
    all.push_back(counts());
    out.push_back({machine.pipeline(text.finish()), {uint32_t(matrices + 1)}, {256}, all, places.size(), into.bytes()});
  }
  KernelText text(machine.traits(), "order_items", 256);
  declare(text);
  text.read("u32", "counts").write("u32", "order").write("u32", "starts").write("u32", "tiles");
  Values into;
  declare_values(text, into);
  text.before(metal ? "#define COUNT_BITS(x) popcount(x)\n" : "#define COUNT_BITS(x) u32(__popc(x))\n");
  text.body(filled_in(R"text(  SHARED u32 found[8], tiles_found[8];
  u32 items_before = 0, tiles_before = 0;
  for (u32 j = item.x; j < group.x; j += 256) {
    items_before += counts[j];
    tiles_before += (counts[j] * p.rows + #{tile} - 1) / #{tile};
  }
  items_before = warp_sum(items_before);
  tiles_before = warp_sum(tiles_before);
  if (lane == 0) {
    found[warp] = items_before;
    tiles_found[warp] = tiles_before;
  }
  BARRIER();
  u32 start = 0, first_tile = 0;
  for (u32 w = 0; w < 8; ++w) {
    start += found[w];
    first_tile += tiles_found[w];
  }
  const u32 end_row = (start + counts[group.x]) * p.rows, count = (counts[group.x] * p.rows + #{tile} - 1) / #{tile};
  for (u32 t = item.x; t < count; t += 256) {
    const u32 row = start * p.rows + t * #{tile};
    tiles[1 + 3 * (first_tile + t)] = group.x;
    tiles[2 + 3 * (first_tile + t)] = row;
    tiles[3 + 3 * (first_tile + t)] = min(row + #{tile}, end_row);
  }
  if (item.x == 0) {
    starts[group.x] = start;
    if (group.x == p.matrices) tiles[0] = first_tile + count;
  }
  for (u32 first = 0; first < p.items; first += 256) {
    const u32 i = first + item.x;
    bool mine = false;
    if (i < p.items) {
      #{number}
      mine = number == group.x;
    }
    const u32 votes = warp_ballot(mine);
    BARRIER();
    if (lane == 0) found[warp] = COUNT_BITS(votes);
    BARRIER();
    u32 place = start + COUNT_BITS(votes & ((1u << lane) - 1u));
    for (u32 w = 0; w < 8; ++w) {
      if (w < warp) place += found[w];
      start += found[w];
    }
    if (mine) order[place] = i;
  }
)text",
                      {{"number", number}, {"tile", cat(tile, "u")}}));
  std::vector<Place> all = places;
  all.push_back(counts());
  const size_t read_only = all.size();
  for (Place place : {order(), starts(), this->tiles()}) all.push_back(place);
  out.push_back({machine.pipeline(text.finish()), {uint32_t(matrices + 1)}, {256}, all, read_only, into.bytes()});
  return out;
}

}  // namespace funcnn::gpu
