// Lays out a kernel: reachable functions, code, shared, local and parameter memory, register slots by liveness; then encodes it.
#include <algorithm>
#include <cstring>
#include <set>

#include "exec/decode.h"
#include "exec/liveness.h"

namespace limbeck {

using ptx::Operand;
using ptx::Type;

namespace {

const DecodeTable &decodeTable() {
  static const DecodeTable *table = [] {
    auto *fresh = new DecodeTable;
    addIntegerFamily(*fresh);
    addBitFamily(*fresh);
    addFloatFamily(*fresh);
    addApproximateFamily(*fresh);
    addHalfFamily(*fresh);
    addCompareFamily(*fresh);
    addConvertFamily(*fresh);
    addMoveFamily(*fresh);
    addMemoryFamily(*fresh);
    addAtomicFamily(*fresh);
    addControlFamily(*fresh);
    addWarpFamily(*fresh);
    addTensorFamily(*fresh);
    addAsyncFamily(*fresh);
    return fresh;
  }();
  return *table;
}

void decode(Encoder &encoder) {
  auto found = decodeTable().find(std::string(encoder.mods.base()));
  if (found == decodeTable().end()) encoder.fail("unknown instruction " + encoder.instruction.opcode, true);
  found->second(encoder);
}

uint32_t roundUp(uint32_t value, uint32_t step) { return (value + step - 1) / step * step; }

bool isCall(const ptx::Instruction &instruction) { return instruction.opcode == "call" || instruction.opcode == "call.uni"; }

// The callee's operand: first of the call, or second after the list of results.
const Operand &calleeOf(const ptx::Instruction &call) {
  size_t index = !call.operands.empty() && call.operands[0].kind == Operand::Kind::vector ? 1 : 0;
  if (index >= call.operands.size()) throw ptx::Error(call.line, "call without a callee");
  return call.operands[index];
}

}  // namespace

KernelBuilder::KernelBuilder(const ptx::Module &module, const std::map<std::string, int> &functionNumbers, const ptx::Function &entry)
    : module_(module), numbers_(functionNumbers), entry_(entry), kernel_(std::make_unique<Kernel>()) {
  for (Slot &slot : kernel_->specials) slot = kNoSlot;
}

std::unique_ptr<Kernel> KernelBuilder::build() {
  kernel_->name = entry_.name;
  if (entry_.maxThreads) kernel_->maxThreads = std::min(1024, entry_.maxThreads);
  kernel_->exactThreads = entry_.exactThreads;
  std::copy(entry_.requiredThreads, entry_.requiredThreads + 3, kernel_->requiredThreads);
  findIndirect();
  std::vector<const ptx::Function *> path;
  reach(entry_, path);
  layOutShared();
  layOutParameters();
  layOutLocal();
  // Slot 0: where destinations nobody reads go. Then the thread's place in the block, fixed for a launch.
  reserved_ = 8 * kLanes;
  for (ptx::Special special : {ptx::Special::tid_x, ptx::Special::tid_y, ptx::Special::tid_z, ptx::Special::warpid}) {
    kernel_->specials[static_cast<int>(special)] = static_cast<Slot>(reserved_);
    reserved_ += 4 * kLanes;
  }
  learnEffects();
  for (auto &frame : frames_) foldConstants(*frame);
  layOutCode();
  for (auto &frame : frames_) assignSlots(*frame);
  placeFrames();
  encodeAll();
  return std::move(kernel_);
}

void KernelBuilder::findIndirect() {
  std::set<const ptx::Function *> taken;
  auto visit = [&](const Operand &operand, auto &self) -> void {
    if (operand.kind == Operand::Kind::function || operand.kind == Operand::Kind::label) {
      const ptx::Function *function = functionNamed(operand.name);
      if (function) taken.insert(function);
    }
    for (const Operand &item : operand.items) self(item, self);
  };
  for (const auto &entry : module_.functions)
    for (const ptx::Instruction &instruction : entry.second->code)
      if (!isCall(instruction) && instruction.opcode.compare(0, 3, "bra") != 0)
        for (const Operand &operand : instruction.operands) visit(operand, visit);
  for (const ptx::Variable *variable : module_.globals)
    for (const ptx::Relocation &relocation : variable->relocations)
      if (const ptx::Function *function = functionNamed(relocation.symbol)) taken.insert(function);
  for (const ptx::Function *function : taken)
    if (function->isDefined && !function->isEntry) addressTaken_.push_back(function);
}

void KernelBuilder::reach(const ptx::Function &function, std::vector<const ptx::Function *> &path) {
  if (std::find(path.begin(), path.end(), &function) != path.end())
    throw ptx::Error(function.line, "recursion through " + function.name + " is not supported", true);
  Frame *frame;
  auto known = byFunction_.find(&function);
  if (known == byFunction_.end()) {
    frames_.push_back(std::make_unique<Frame>());
    frame = frames_.back().get();
    frame->function = &function;
    byFunction_[&function] = frame;
    std::set<const ptx::Function *> callees;
    for (const ptx::Instruction &instruction : function.code) {
      if (!isCall(instruction)) continue;
      const Operand &callee = calleeOf(instruction);
      if (callee.kind == Operand::Kind::reg) {
        callees.insert(addressTaken_.begin(), addressTaken_.end());
      } else if (const ptx::Function *found = functionNamed(callee.name)) {
        if (found->isDefined) callees.insert(found);
      }
    }
    // In the order of their names: an order by address would change the layout from run to run.
    frame->callees.assign(callees.begin(), callees.end());
    std::sort(frame->callees.begin(), frame->callees.end(), [](auto *a, auto *b) { return a->name < b->name; });
  } else {
    frame = known->second;
  }
  frame->depth = std::max(frame->depth, static_cast<int>(path.size()));
  kernel_->maxDepth = std::max(kernel_->maxDepth, frame->depth);
  path.push_back(&function);
  for (const ptx::Function *callee : std::vector<const ptx::Function *>(frame->callees)) reach(*callee, path);
  path.pop_back();
}

KernelBuilder::Frame &KernelBuilder::frameOf(const ptx::Function &function) { return *byFunction_.at(&function); }

void KernelBuilder::layOutCode() {
  int pc = 0;
  for (auto &frame : frames_) {
    frame->first = pc;
    for (char folded : frame->folded) {
      frame->pcs.push_back(pc);
      if (!folded) ++pc;
    }
    frame->pcs.push_back(pc++);  // a return at the end, in case the text lacks one
    kernel_->functions[numberOf(frame->function->name)].entry = frame->first;
  }
  kernel_->code.resize(pc);
  kernel_->source.resize(pc);
}

void KernelBuilder::layOutShared() {
  uint32_t offset = 0, dynamicAlign = 16;
  std::vector<const ptx::Variable *> dynamic;
  for (auto &frame : frames_)
    for (const ptx::Variable *variable : frame->function->shareds) {
      if (variable->bytes == 0) {
        dynamicAlign = std::max<uint32_t>(dynamicAlign, variable->align);
        dynamic.push_back(variable);
      } else if (!places_.count(variable)) {
        offset = roundUp(offset, variable->align);
        places_[variable] = offset;
        offset += variable->bytes;
      }
    }
  kernel_->staticShared = offset;
  kernel_->dynamicAlign = dynamicAlign;
  for (const ptx::Variable *variable : dynamic) places_[variable] = roundUp(offset, dynamicAlign);
}

void KernelBuilder::layOutParameters() {
  uint32_t offset = 0;
  for (const ptx::Variable *parameter : entry_.parameters) {
    offset = roundUp(offset, parameter->align);
    places_[parameter] = offset;
    kernel_->parameters.push_back({offset, static_cast<uint32_t>(parameter->bytes)});
    offset += parameter->bytes;
  }
  kernel_->parameterBytes = offset;
}

void KernelBuilder::layOutLocal() {
  // A frame lies behind the deepest frame that can call it, so that no two live frames of a lane overlap.
  std::vector<Frame *> order;
  for (auto &frame : frames_) order.push_back(frame.get());
  std::stable_sort(order.begin(), order.end(), [](Frame *a, Frame *b) { return a->depth < b->depth; });
  for (Frame *frame : order) {
    uint32_t offset = roundUp(frame->localBase, 16);
    frame->localBase = offset;
    auto lay = [&](const std::vector<ptx::Variable *> &variables) {
      for (const ptx::Variable *variable : variables) {
        offset = roundUp(offset, std::max<uint32_t>(1, variable->align));
        places_[variable] = offset;
        offset += variable->bytes;
      }
    };
    if (!frame->function->isEntry) {
      lay(frame->function->parameters);
      lay(frame->function->results);
    }
    lay(frame->function->locals);
    lay(frame->function->callSpaces);
    for (const ptx::Function *callee : frame->callees) {
      Frame &inner = frameOf(*callee);
      inner.localBase = std::max(inner.localBase, offset);
    }
    kernel_->localBytes = std::max(kernel_->localBytes, roundUp(offset, 16));
    FunctionPlace &place = kernel_->functions[numberOf(frame->function->name)];
    if (frame->function->isEntry) continue;
    for (const ptx::Variable *v : frame->function->parameters) place.parameters.push_back({places_[v], static_cast<uint32_t>(v->bytes)});
    for (const ptx::Variable *v : frame->function->results) place.results.push_back({places_[v], static_cast<uint32_t>(v->bytes)});
  }
}

void KernelBuilder::learnEffects() {
  for (auto &frame : frames_) {
    frame->effects.resize(frame->function->code.size());
    for (size_t i = 0; i < frame->function->code.size(); ++i) {
      recording_ = &frame->effects[i];
      recording_->guarded = frame->function->code[i].guard >= 0;
      Inst ignored;
      Encoder encoder(*this, *frame->function, frame->function->code[i], ignored);
      decode(encoder);
      frame->effects[i].constant = ignored.a;
    }
  }
  recording_ = nullptr;
  kernel_->ordered = false;
  kernel_->slots.clear();
  kernel_->copies.clear();
}

// nvcc moves every constant into a register of its own before it is used. Where a register is written once, by such a move, its readers
// take the constant's slot, and the move is left out.
void KernelBuilder::foldConstants(Frame &frame) {
  const ptx::Function &function = *frame.function;
  std::vector<int> writes(function.registers.size(), 0);
  for (const Effects &effects : frame.effects)
    for (int reg : effects.defs) ++writes[reg];
  frame.constants.assign(function.registers.size(), kNoSlot);
  frame.folded.assign(function.code.size(), 0);
  for (size_t i = 0; i < function.code.size(); ++i) {
    const ptx::Instruction &move = function.code[i];
    if (move.guard >= 0 || move.operands.size() != 2 || Modifiers(move.opcode).base() != "mov") continue;
    const Operand &to = move.operands[0], &from = move.operands[1];
    if (to.kind != Operand::Kind::reg || writes[to.reg] != 1 || function.registers[to.reg] == Type::pred) continue;
    bool clock = from.kind == Operand::Kind::special && (from.special == ptx::Special::clock || from.special == ptx::Special::clock_hi ||
                                                         from.special == ptx::Special::clock64 || from.special == ptx::Special::globaltimer);
    bool value = from.kind == Operand::Kind::integer || from.kind == Operand::Kind::real || from.kind == Operand::Kind::variable || from.kind == Operand::Kind::special;
    if (!value || clock) continue;
    frame.constants[to.reg] = frame.effects[i].constant;
    frame.folded[i] = 1;
    frame.effects[i] = Effects();
  }
  for (Effects &effects : frame.effects)
    effects.uses.erase(std::remove_if(effects.uses.begin(), effects.uses.end(), [&](int reg) { return frame.constants[reg] != kNoSlot; }), effects.uses.end());
}

void KernelBuilder::assignSlots(Frame &frame) {
  const ptx::Function &function = *frame.function;
  std::vector<FlowNode> flow(function.code.size());
  for (size_t i = 0; i < function.code.size(); ++i) {
    const ptx::Instruction &instruction = function.code[i];
    FlowNode &node = flow[i];
    node.uses = &frame.effects[i].uses;
    node.defs = &frame.effects[i].defs;
    node.guarded = instruction.guard >= 0;
    std::string_view base = Modifiers(instruction.opcode).base();
    bool ends = base == "ret" || base == "exit" || base == "bra" || base == "trap";
    if (base == "bra") node.target = labelIndex(function, instruction.operands.at(0), instruction.line);
    node.fallsThrough = !ends || node.guarded;
  }
  std::vector<int> bytes;
  for (Type type : function.registers) bytes.push_back(type == Type::pred ? 4 : ptx::sizeOf(type) * kLanes);
  frame.slots = assignRegisters(flow, bytes, frame.registerBytes);
}

void KernelBuilder::placeFrames() {
  std::vector<Frame *> order;
  for (auto &frame : frames_) order.push_back(frame.get());
  std::stable_sort(order.begin(), order.end(), [](Frame *a, Frame *b) { return a->depth < b->depth; });
  kernel_->registerBytes = reserved_;
  for (Frame *frame : order) {
    if (frame->registerBase == 0) frame->registerBase = reserved_;
    uint32_t end = frame->registerBase + roundUp(frame->registerBytes, 64);
    kernel_->registerBytes = std::max(kernel_->registerBytes, end);
    for (const ptx::Function *callee : frame->callees) {
      Frame &inner = frameOf(*callee);
      inner.registerBase = std::max(inner.registerBase, end);
    }
  }
}

void KernelBuilder::encodeAll() {
  static const ptx::Instruction kReturn = [] {
    ptx::Instruction instruction;
    instruction.opcode = "ret";
    return instruction;
  }();
  for (auto &frame : frames_) {
    size_t count = frame->function->code.size();
    for (size_t i = 0; i <= count; ++i) {
      if (i < count && frame->folded[i]) continue;
      const ptx::Instruction &instruction = i < count ? frame->function->code[i] : kReturn;
      int pc = frame->pcs[i];
      Encoder encoder(*this, *frame->function, instruction, kernel_->code[pc]);
      decode(encoder);
      kernel_->source[pc] = {instruction.line, instruction.location};
    }
  }
}

Slot KernelBuilder::registerSlot(const ptx::Function &function, int reg, bool write) {
  if (recording_) {
    (write ? recording_->defs : recording_->uses).push_back(reg);
    return 0;
  }
  Frame &frame = frameOf(function);
  if (!write && frame.constants[reg] != kNoSlot) return frame.constants[reg];
  return static_cast<Slot>(frame.registerBase + frame.slots[reg]);
}

Slot KernelBuilder::constantSlot(uint64_t bits, int bytes) {
  if (bytes < 8) bits &= (1ull << (8 * bytes)) - 1;
  auto found = constants_.find({bits, bytes});
  if (found != constants_.end()) return found->second;
  std::vector<uint8_t> &image = kernel_->constants;
  size_t offset = image.size();
  image.resize(offset + std::max(2, bytes) * kLanes);
  for (int lane = 0; lane < kLanes; ++lane) std::memcpy(image.data() + offset + lane * std::max(2, bytes), &bits, std::max(2, bytes));
  Slot slot = static_cast<Slot>(offset) | 1;
  constants_[{bits, bytes}] = slot;
  return slot;
}

Slot KernelBuilder::specialSlot(ptx::Special special) {
  Slot &slot = kernel_->specials[static_cast<int>(special)];
  if (slot != kNoSlot) return slot;
  std::vector<uint8_t> &image = kernel_->constants;
  size_t offset = image.size();
  image.resize(offset + 4 * kLanes);
  uint32_t *lanes = reinterpret_cast<uint32_t *>(image.data() + offset);
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    uint32_t own = 1u << lane;
    switch (special) {
      case ptx::Special::laneid: lanes[lane] = lane; break;
      case ptx::Special::lanemask_eq: lanes[lane] = own; break;
      case ptx::Special::lanemask_lt: lanes[lane] = own - 1; break;
      case ptx::Special::lanemask_le: lanes[lane] = own | (own - 1); break;
      case ptx::Special::lanemask_gt: lanes[lane] = ~(own | (own - 1)); break;
      case ptx::Special::lanemask_ge: lanes[lane] = ~(own - 1); break;
      default: break;  // filled by the launch or the block
    }
  }
  slot = static_cast<Slot>(offset) | 1;
  return slot;
}

uint32_t KernelBuilder::place(const ptx::Variable &variable) const {
  auto found = places_.find(&variable);
  return found == places_.end() ? 0 : found->second;
}

int KernelBuilder::labelTarget(const ptx::Function &function, const Operand &label, int line) const {
  int index = labelIndex(function, label, line);
  return recording_ ? 0 : byFunction_.at(&function)->pcs[index];
}

int KernelBuilder::labelIndex(const ptx::Function &function, const Operand &label, int line) const {
  if (label.kind != Operand::Kind::label) throw ptx::Error(line, "a branch needs a label");
  for (int scope = label.labelScope; scope >= 0; scope = function.scopeParents[scope]) {
    auto found = function.labels.find({scope, label.name});
    if (found != function.labels.end()) return found->second;
  }
  throw ptx::Error(line, "unknown label " + label.name);
}

const ptx::Function *KernelBuilder::functionNamed(const std::string &name) const {
  auto found = module_.functions.find(name);
  return found == module_.functions.end() ? nullptr : found->second.get();
}

int KernelBuilder::numberOf(const std::string &name) const {
  auto found = numbers_.find(name);
  return found == numbers_.end() ? -1 : found->second;
}

bool KernelBuilder::isRead(const ptx::Function &function, int reg) {
  if (recording_) return true;
  for (const Effects &effects : frameOf(function).effects)
    if (std::find(effects.uses.begin(), effects.uses.end(), reg) != effects.uses.end()) return true;
  return false;
}

}  // namespace limbeck
