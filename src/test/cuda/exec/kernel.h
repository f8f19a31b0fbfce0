// A kernel as the interpreter runs it: decoded instructions over slots of a register file, and what a launch must provide.
#ifndef LIMBECK_EXEC_KERNEL_H
#define LIMBECK_EXEC_KERNEL_H

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ptx/ast.h"

namespace limbeck {

constexpr int kLanes = 32;
constexpr uint32_t kAllLanes = ~0u;

// Windows of the generic address space. None is a host address, and no two overlap; device memory starts at kDeviceBase.
constexpr uint64_t kDeviceBase = 0x7'0000'0000;
constexpr uint64_t kDeviceStride = 0x100'0000'0000;  // between two devices
constexpr uint64_t kSharedWindow = 0x1000'0000'0000'0000;
constexpr uint64_t kLocalWindow = 0x2000'0000'0000'0000;
constexpr uint64_t kParamWindow = 0x3000'0000'0000'0000;
constexpr uint64_t kFunctionWindow = 0x4000'0000'0000'0000;
constexpr uint64_t kWindowMask = 0xf000'0000'0000'0000;

struct Warp;
struct Inst;
using Handler = void (*)(Warp &, const Inst &);

// What an instruction counts as.
enum class Class : uint8_t { integer, floating, fp64, conversion, move, predicate, special, global, shared, local, parameter, atomic, tensor, warp, barrier, control, count };
const char *nameOf(Class c);

// A slot names 32 lanes of a register (or the 32 bits of a predicate). Even: byte offset in the warp's registers; odd: one more than
// the byte offset among the constants that all warps of a worker share.
using Slot = int32_t;
constexpr Slot kNoSlot = -2;

struct Inst {
  Handler run = nullptr;
  const Slot *more = nullptr;  // further slots: vectors, fragments
  int64_t imm = 0;             // address offset, or what the handler's comment says
  Slot d = kNoSlot, a = kNoSlot, b = kNoSlot, c = kNoSlot;
  Slot guard = kNoSlot;
  int32_t target = -1;  // branch, call
  bool guardNegated = false;
  Class cls = Class::integer;
  uint8_t count = 0;  // elements of `more`
  uint8_t flags = 0;  // memory access: see MemoryFlag
  uint32_t aux = 0;   // what the handler's comment says
};
static_assert(sizeof(Inst) <= 64, "one cache line");

struct Source {
  int line = 0;  // of the PTX
  int location = -1;
};

// A function within a kernel: its entry and the places of its formal parameters in each lane's local memory.
struct FunctionPlace {
  int entry = -1;
  struct Copy {
    uint32_t place;
    uint32_t bytes;
  };
  std::vector<Copy> parameters, results;
};

struct Kernel {
  std::string name;
  const ptx::Module *module = nullptr;
  std::vector<Inst> code;
  std::vector<Source> source;
  std::deque<std::vector<Slot>> slots;          // what Inst::more points into
  std::deque<std::vector<uint32_t>> copies;     // parameter moves of calls
  std::vector<uint8_t> constants;               // initial image of the constants
  std::map<int, FunctionPlace> functions;       // by number within the module
  uint32_t registerBytes = 0;                   // per warp
  uint32_t localBytes = 0;                      // per lane
  uint32_t staticShared = 0;
  uint32_t dynamicAlign = 16;
  uint32_t parameterBytes = 0;
  std::vector<std::pair<uint32_t, uint32_t>> parameters;  // offset, bytes
  int maxThreads = 1024;
  int requiredThreads[3] = {0, 0, 0};
  bool exactThreads = false;
  int maxDepth = 0;        // of calls
  bool ordered = false;    // its result may depend on the order of the blocks: runs on one worker
  int registers = -1;      // per thread, from the table of ptxas; -1: not known
  int maxDynamicShared = -1;  // raised by cuFuncSetAttribute; -1: the default limit
  Slot specials[static_cast<int>(ptx::Special::count)];  // kNoSlot where not used
};

}  // namespace limbeck

#endif
