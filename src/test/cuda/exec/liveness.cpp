#include "exec/liveness.h"

#include <algorithm>
#include <climits>
#include <map>

namespace limbeck {

namespace {

using Bits = std::vector<uint64_t>;

void set(Bits &bits, int index) { bits[index / 64] |= 1ull << (index % 64); }

bool test(const Bits &bits, int index) { return bits[index / 64] >> (index % 64) & 1; }

struct Block {
  int begin, end;
  Bits gen, kill, in, out;
  std::vector<int> next;
};

std::vector<Block> blocksOf(const std::vector<FlowNode> &flow, size_t words) {
  int count = static_cast<int>(flow.size());
  std::vector<char> leads(count + 1, 0);
  leads[0] = 1;
  for (int i = 0; i < count; ++i) {
    if (flow[i].target >= 0) leads[flow[i].target] = 1;
    if (flow[i].target >= 0 || !flow[i].fallsThrough) leads[i + 1] = 1;
  }
  std::vector<Block> blocks;
  std::vector<int> blockAt(count + 1, -1);
  for (int i = 0; i < count; ++i) {
    if (leads[i]) blocks.push_back({i, i, Bits(words), Bits(words), Bits(words), Bits(words), {}});
    blocks.back().end = i + 1;
    blockAt[i] = static_cast<int>(blocks.size()) - 1;
  }
  for (Block &block : blocks) {
    const FlowNode &last = flow[block.end - 1];
    if (last.target >= 0 && blockAt[last.target] >= 0) block.next.push_back(blockAt[last.target]);
    if (last.fallsThrough && block.end < count) block.next.push_back(blockAt[block.end]);
    for (int i = block.begin; i < block.end; ++i) {
      for (int reg : *flow[i].uses)
        if (!test(block.kill, reg)) set(block.gen, reg);
      if (flow[i].guarded) continue;
      for (int reg : *flow[i].defs) set(block.kill, reg);
    }
    // A guarded write needs the old value: a use, unless an unguarded write came before it.
    Bits killed(words);
    for (int i = block.begin; i < block.end; ++i)
      for (int reg : *flow[i].defs) {
        if (flow[i].guarded && !test(killed, reg)) set(block.gen, reg);
        if (!flow[i].guarded) set(killed, reg);
      }
  }
  return blocks;
}

void solve(std::vector<Block> &blocks, size_t words) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = blocks.size(); b-- > 0;) {
      Block &block = blocks[b];
      for (int next : block.next)
        for (size_t w = 0; w < words; ++w) block.out[w] |= blocks[next].in[w];
      for (size_t w = 0; w < words; ++w) {
        uint64_t in = block.gen[w] | (block.out[w] & ~block.kill[w]);
        if (in != block.in[w]) {
          block.in[w] = in;
          changed = true;
        }
      }
    }
  }
}

}  // namespace

std::vector<int32_t> assignRegisters(const std::vector<FlowNode> &flow, const std::vector<int> &bytes, uint32_t &total) {
  int count = static_cast<int>(bytes.size());
  std::vector<int32_t> offsets(count, 0);
  total = 0;
  if (flow.empty()) return offsets;
  size_t words = (count + 63) / 64;
  std::vector<Block> blocks = blocksOf(flow, words);
  solve(blocks, words);
  std::vector<std::pair<int, int>> interval(count, {INT_MAX, -1});
  auto touch = [&](int reg, int at) {
    interval[reg].first = std::min(interval[reg].first, at);
    interval[reg].second = std::max(interval[reg].second, at);
  };
  for (const Block &block : blocks) {
    for (int reg = 0; reg < count; ++reg) {
      if (test(block.in, reg)) touch(reg, block.begin);
      if (test(block.out, reg)) touch(reg, block.end);
    }
    for (int i = block.begin; i < block.end; ++i) {
      for (int reg : *flow[i].uses) touch(reg, i);
      for (int reg : *flow[i].defs) touch(reg, i);
    }
  }
  std::vector<int> order;
  for (int reg = 0; reg < count; ++reg)
    if (interval[reg].second >= 0) order.push_back(reg);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return interval[a] < interval[b]; });
  std::multimap<int, int> active;           // end of the interval -> register
  std::map<int, std::vector<int>> free;     // size -> offsets
  for (int reg : order) {
    while (!active.empty() && active.begin()->first < interval[reg].first) {
      int ended = active.begin()->second;
      free[bytes[ended]].push_back(offsets[ended]);
      active.erase(active.begin());
    }
    std::vector<int> &pool = free[bytes[reg]];
    if (!pool.empty()) {
      offsets[reg] = pool.back();
      pool.pop_back();
    } else {
      // Vectors of lanes start at a cache line; predicates are packed.
      uint32_t align = bytes[reg] >= 64 ? 64 : 4;
      total = (total + align - 1) / align * align;
      offsets[reg] = static_cast<int32_t>(total);
      total += bytes[reg];
    }
    active.emplace(interval[reg].second, reg);
  }
  return offsets;
}

}  // namespace limbeck
