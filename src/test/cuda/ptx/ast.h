// What the parser makes of a PTX module: names resolved to registers, variables and labels, opcodes still text.
#ifndef LIMBECK_PTX_AST_H
#define LIMBECK_PTX_AST_H

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck::ptx {

// A module that cannot be loaded. `unsupported` tells legal PTX this device does not know from PTX that is wrong.
struct Error : std::runtime_error {
  Error(int line, const std::string &what, bool unsupported = false)
      : std::runtime_error("PTX line " + std::to_string(line) + ": " + what), line(line), unsupported(unsupported) {}
  int line;
  bool unsupported;
};

enum class Type : uint8_t {
  none, pred, b8, b16, b32, b64, u8, u16, u32, u64, s8, s16, s32, s64, f16, f16x2, bf16, bf16x2, tf32, f32, f64
};

int sizeOf(Type type);
bool isSigned(Type type);
bool isFloat(Type type);
Type typeNamed(std::string_view name);  // without the dot; Type::none if there is no such type
const char *nameOf(Type type);

enum class Space : uint8_t { generic, global, shared, local, param, constant };

// A value in an initialiser that is an address: patched once the module has a place.
struct Relocation {
  size_t offset;
  std::string symbol;
  int64_t addend;
  bool generic;
};

struct Variable {
  std::string name;
  Space space = Space::global;
  Type type = Type::b8;
  size_t bytes = 0;  // 0: an unsized external array (dynamic shared memory)
  size_t align = 1;
  bool isExternal = false;
  bool isFormal = false;  // a parameter of the function itself, not of a call it makes
  std::vector<uint8_t> initial;
  std::vector<Relocation> relocations;
  int line = 0;
  uint64_t place = 0;  // offset within its space (device address for global and constant), set when the module is linked
};

enum class Special : uint8_t {
  tid_x, tid_y, tid_z, ntid_x, ntid_y, ntid_z, ctaid_x, ctaid_y, ctaid_z, nctaid_x, nctaid_y, nctaid_z,
  laneid, warpid, nwarpid, smid, nsmid, gridid, lanemask_eq, lanemask_le, lanemask_lt, lanemask_ge, lanemask_gt,
  clock, clock_hi, clock64, globaltimer, dynamic_smem_size, total_smem_size, count
};

struct Operand {
  enum class Kind : uint8_t { reg, integer, real, vector, address, variable, function, label, special, sink };
  Kind kind = Kind::sink;
  bool negated = false;          // !%p
  int reg = -1;                  // reg; address: base register or -1
  uint64_t bits = 0;             // integer value; real: pattern of `realSize` bytes
  int realSize = 0;
  int64_t offset = 0;            // address
  Variable *variable = nullptr;  // variable; address: base symbol
  std::string name;              // function, label
  int labelScope = 0;
  Special special = Special::count;
  std::vector<Operand> items;    // vector; reg with `d|p`: the second one
};

struct Instruction {
  std::string opcode;
  std::vector<Operand> operands;
  int guard = -1;  // predicate register
  bool guardNegated = false;
  int line = 0;
  int location = -1;  // index into Module::locations
};

// A `.loc`: where in the .cu the code comes from. For code inlined from a header it is the call in the .cu.
struct Location {
  int file = 0;
  int line = 0;
};

struct Function {
  std::string name;
  bool isEntry = false;
  bool isDefined = false;
  std::vector<Variable *> parameters;
  std::vector<Variable *> results;
  std::vector<Type> registers;
  std::vector<std::string> registerNames;
  std::vector<Variable *> locals;      // .local depots and arrays
  std::vector<Variable *> callSpaces;  // .param variables of the calls it makes
  std::vector<Variable *> shareds;     // shared variables declared inside or used by it
  std::vector<Instruction> code;
  std::map<std::pair<int, std::string>, int> labels;  // (scope, name) -> index of the next instruction
  std::vector<int> scopeParents;
  int maxThreads = 0;  // product of .maxntid or .reqntid; 0: none given
  bool exactThreads = false;
  int requiredThreads[3] = {0, 0, 0};
  int line = 0;
};

struct Module {
  std::string text;
  int version = 0;  // 10 * major + minor
  int target = 0;   // 75, 80, ...
  std::vector<std::unique_ptr<Variable>> variables;  // every variable of every space; the module's own are `globals`
  std::vector<Variable *> globals;
  std::map<std::string, std::unique_ptr<Function>> functions;
  std::map<int, std::string> files;
  std::vector<Location> locations;
  std::string_view sourceLine(int line) const;
};

// Throws Error. Anything unknown is an error: a silently misread declaration is a wrong number later.
std::unique_ptr<Module> parse(std::string text);

}  // namespace limbeck::ptx

#endif
