// From parsed instructions to handlers and slots. Each family of instructions registers a decoder per base opcode.
#ifndef LIMBECK_EXEC_DECODE_H
#define LIMBECK_EXEC_DECODE_H

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "exec/kernel.h"
#include "ptx/ast.h"

namespace limbeck {

class KernelBuilder;

// The dotted parts of an opcode. What a decoder does not take is an error, so no modifier is ever ignored by mistake.
class Modifiers {
 public:
  explicit Modifiers(std::string_view opcode);
  std::string_view base() const { return base_; }
  bool take(std::string_view part);
  std::string_view takeOneOf(std::initializer_list<std::string_view> parts);  // empty if none
  ptx::Type takeType();                                                        // the first type; none if there is none
  std::string_view left() const { return parts_.empty() ? std::string_view() : parts_.front(); }

 private:
  std::string_view base_;
  std::vector<std::string_view> parts_;
};

class Encoder {
 public:
  Encoder(KernelBuilder &builder, const ptx::Function &function, const ptx::Instruction &instruction, Inst &out);

  Modifiers mods;
  const ptx::Function &function;
  const ptx::Instruction &instruction;
  Inst &out;
  KernelBuilder &builder;

  size_t operands() const { return instruction.operands.size(); }
  const ptx::Operand &operand(size_t index) const;
  void arity(size_t least, size_t most) const;
  void arity(size_t exact) const { arity(exact, exact); }
  ptx::Type type();  // takes the type modifier, which must be there

  Slot use(size_t index, ptx::Type type) { return use(operand(index), type); }
  Slot use(const ptx::Operand &operand, ptx::Type type);
  Slot use(const ptx::Operand &operand, int bytes, ptx::Type type, bool mayBeWider = false);
  Slot def(size_t index, ptx::Type type) { return def(operand(index), type); }
  Slot def(const ptx::Operand &operand, ptx::Type type, bool mayBeWider = false);
  Slot usePredicate(const ptx::Operand &operand);  // where `!p` is legal the decoder takes the ! off and keeps it itself
  Slot defPredicate(const ptx::Operand &operand);
  Slot constant(uint64_t bits, int bytes);
  Slot special(ptx::Special special);
  int registerBytes(const ptx::Operand &operand) const;
  const Slot *list(std::vector<Slot> slots);
  uint64_t immediate(size_t index) const;  // the operand must be an integer constant

  void emit(Handler handler, Class cls);
  [[noreturn]] void fail(const std::string &what, bool unsupported = false) const;
  [[noreturn]] void unknown() const { fail("unknown form " + instruction.opcode, true); }
};

using Decode = void (*)(Encoder &);
using DecodeTable = std::unordered_map<std::string, Decode>;

void addIntegerFamily(DecodeTable &table);
void addBitFamily(DecodeTable &table);
void addFloatFamily(DecodeTable &table);
void addApproximateFamily(DecodeTable &table);
void addHalfFamily(DecodeTable &table);
void addCompareFamily(DecodeTable &table);
void addConvertFamily(DecodeTable &table);
void addMoveFamily(DecodeTable &table);
void addMemoryFamily(DecodeTable &table);
void addAtomicFamily(DecodeTable &table);
void addControlFamily(DecodeTable &table);
void addWarpFamily(DecodeTable &table);
void addTensorFamily(DecodeTable &table);
void addAsyncFamily(DecodeTable &table);

// Float forms of opcodes that integers share (add, mul, min, abs, ...): true if the type was theirs.
bool decodeFloat(Encoder &e, ptx::Type type);
bool decodeHalf(Encoder &e, ptx::Type type);
void decodeApproximateDivision(Encoder &e, bool full);

// Which registers an instruction reads and writes, learnt by decoding it once without slots.
struct Effects {
  std::vector<int> uses, defs;
  bool guarded = false;
  Slot constant = kNoSlot;  // of a move: where its source lies
};

// Builds one kernel from an entry and every function it can reach.
class KernelBuilder {
 public:
  KernelBuilder(const ptx::Module &module, const std::map<std::string, int> &functionNumbers, const ptx::Function &entry);
  std::unique_ptr<Kernel> build();

  // For Encoder.
  Slot registerSlot(const ptx::Function &function, int reg, bool write);
  Slot constantSlot(uint64_t bits, int bytes);
  Slot specialSlot(ptx::Special special);
  Slot trashSlot() const { return trash_; }
  uint32_t place(const ptx::Variable &variable) const;
  int labelTarget(const ptx::Function &function, const ptx::Operand &label, int line) const;
  const ptx::Function *functionNamed(const std::string &name) const;
  int numberOf(const std::string &name) const;
  bool isRead(const ptx::Function &function, int reg);  // by any instruction; true while that is not yet known
  Kernel &kernel() { return *kernel_; }

 private:
  struct Frame {
    const ptx::Function *function = nullptr;
    int first = 0;  // pc of its first instruction
    int depth = 0;
    std::vector<const ptx::Function *> callees;
    std::vector<Effects> effects;
    std::vector<int> pcs;          // of its instructions; one that was folded away has the pc of the next
    std::vector<Slot> constants;   // of registers that hold one constant for good: its slot, else kNoSlot
    std::vector<char> folded;      // instructions that only made such a register
    std::vector<Slot> slots;  // of its registers, relative to its frame
    uint32_t registerBytes = 0, registerBase = 0;
    uint32_t localBytes = 0, localBase = 0;
  };

  void reach(const ptx::Function &function, std::vector<const ptx::Function *> &path);
  void findIndirect();
  void layOutCode();
  void layOutLocal();
  void layOutShared();
  void layOutParameters();
  void learnEffects();
  void foldConstants(Frame &frame);
  int labelIndex(const ptx::Function &function, const ptx::Operand &label, int line) const;
  void assignSlots(Frame &frame);
  std::vector<std::pair<int, int>> liveIntervals(const Frame &frame) const;
  void placeFrames();
  void encodeAll();
  Frame &frameOf(const ptx::Function &function);

  const ptx::Module &module_;
  const std::map<std::string, int> &numbers_;
  const ptx::Function &entry_;
  std::unique_ptr<Kernel> kernel_;
  std::vector<std::unique_ptr<Frame>> frames_;
  std::map<const ptx::Function *, Frame *> byFunction_;
  std::vector<const ptx::Function *> addressTaken_;
  std::map<const ptx::Variable *, uint32_t> places_;
  std::map<std::pair<uint64_t, int>, Slot> constants_;
  Effects *recording_ = nullptr;
  Slot trash_ = 0;
  uint32_t reserved_ = 0;  // bytes of the register file before the first frame
};

}  // namespace limbeck

#endif
