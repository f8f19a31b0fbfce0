// What the families' decoders share: modifiers, operands to slots, and complaints.
#include "exec/decode.h"

#include <cstring>

namespace limbeck {

using ptx::Operand;
using ptx::Type;

const char *nameOf(Class c) {
  static const char *const names[] = {"integer", "floating", "fp64", "conversion", "move", "predicate", "special", "global", "shared",
                                      "local", "parameter", "atomic", "tensor", "warp", "barrier", "control"};
  return names[static_cast<int>(c)];
}

Modifiers::Modifiers(std::string_view opcode) {
  size_t dot = opcode.find('.');
  base_ = opcode.substr(0, dot);
  while (dot != std::string_view::npos) {
    size_t next = opcode.find('.', dot + 1);
    parts_.push_back(opcode.substr(dot + 1, next == std::string_view::npos ? next : next - dot - 1));
    dot = next;
  }
}

bool Modifiers::take(std::string_view part) {
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i] != part) continue;
    parts_.erase(parts_.begin() + i);
    return true;
  }
  return false;
}

std::string_view Modifiers::takeOneOf(std::initializer_list<std::string_view> parts) {
  for (std::string_view part : parts)
    if (take(part)) return part;
  return {};
}

Type Modifiers::takeType() {
  for (size_t i = 0; i < parts_.size(); ++i) {
    Type type = ptx::typeNamed(parts_[i]);
    if (type == Type::none) continue;
    parts_.erase(parts_.begin() + i);
    return type;
  }
  return Type::none;
}

Encoder::Encoder(KernelBuilder &builder, const ptx::Function &function, const ptx::Instruction &instruction, Inst &out)
    : mods(instruction.opcode), function(function), instruction(instruction), out(out), builder(builder) {
  if (instruction.guard < 0) return;
  out.guard = builder.registerSlot(function, instruction.guard, false);
  out.guardNegated = instruction.guardNegated;
}

const Operand &Encoder::operand(size_t index) const {
  if (index >= instruction.operands.size()) fail("too few operands");
  return instruction.operands[index];
}

void Encoder::arity(size_t least, size_t most) const {
  if (operands() < least || operands() > most)
    fail("expected " + std::to_string(least) + (most == least ? "" : " to " + std::to_string(most)) + " operands, found " + std::to_string(operands()));
}

Type Encoder::type() {
  Type type = mods.takeType();
  if (type == Type::none) fail("type missing");
  return type;
}

Slot Encoder::use(const Operand &operand, Type type) {
  if (type == Type::pred) return usePredicate(operand);
  return use(operand, ptx::sizeOf(type), type);
}

Slot Encoder::use(const Operand &operand, int bytes, Type type, bool mayBeWider) {
  switch (operand.kind) {
    case Operand::Kind::reg: {
      if (operand.negated || !operand.items.empty()) fail("unexpected ! or | at " + operand.name);
      Type declared = function.registers[operand.reg];
      if (declared == Type::pred) fail("predicate " + operand.name + " where a value is needed");
      if (ptx::sizeOf(declared) != bytes && !(mayBeWider && ptx::sizeOf(declared) > bytes))
        fail("register " + operand.name + " has " + std::to_string(8 * ptx::sizeOf(declared)) + " bits, the instruction needs " + std::to_string(8 * bytes));
      return builder.registerSlot(function, operand.reg, false);
    }
    case Operand::Kind::integer:
      if (ptx::isFloat(type) && type != Type::f16 && type != Type::bf16 && type != Type::f16x2 && type != Type::bf16x2 && type != Type::tf32)
        fail("integer constant where " + std::string(ptx::nameOf(type)) + " is needed");
      return constant(operand.bits, bytes);
    case Operand::Kind::real: {
      if (ptx::isFloat(type) && operand.realSize == 8 && bytes == 4) {
        double wide;
        std::memcpy(&wide, &operand.bits, 8);
        float narrow = static_cast<float>(wide);
        uint32_t bits;
        std::memcpy(&bits, &narrow, 4);
        return constant(bits, 4);
      }
      if (operand.realSize == 4 && bytes == 8) {
        float narrow;
        uint32_t low = static_cast<uint32_t>(operand.bits);
        std::memcpy(&narrow, &low, 4);
        double wide = narrow;
        uint64_t bits;
        std::memcpy(&bits, &wide, 8);
        return constant(bits, 8);
      }
      if (operand.realSize != bytes) fail("floating-point constant of the wrong width");
      return constant(operand.bits, bytes);
    }
    case Operand::Kind::special: {
      bool wide = operand.special == ptx::Special::clock64 || operand.special == ptx::Special::globaltimer;
      if (wide || operand.special == ptx::Special::clock || operand.special == ptx::Special::clock_hi)
        fail("clocks can only be read by mov", true);
      if (bytes != 4) fail("special register where " + std::to_string(8 * bytes) + " bits are needed");
      return special(operand.special);
    }
    default:
      fail("operand " + operand.name + " is not a value");
  }
}

Slot Encoder::def(const Operand &operand, Type type, bool mayBeWider) {
  if (type == Type::pred) return defPredicate(operand);
  if (operand.kind == Operand::Kind::sink) return builder.trashSlot();
  if (operand.kind != Operand::Kind::reg) fail("the destination must be a register");
  if (operand.negated) fail("unexpected ! at " + operand.name);
  Type declared = function.registers[operand.reg];
  if (declared == Type::pred) fail("predicate " + operand.name + " where a value is written");
  int bytes = ptx::sizeOf(type);
  if (ptx::sizeOf(declared) != bytes && !(mayBeWider && ptx::sizeOf(declared) > bytes))
    fail("register " + operand.name + " has " + std::to_string(8 * ptx::sizeOf(declared)) + " bits, the instruction writes " + std::to_string(8 * bytes));
  return builder.registerSlot(function, operand.reg, true);
}

Slot Encoder::usePredicate(const Operand &operand) {
  if (operand.kind == Operand::Kind::integer) return constant(operand.bits ? ~0ull : 0, 4);
  if (operand.kind != Operand::Kind::reg || function.registers[operand.reg] != Type::pred) fail("a predicate is needed");
  if (operand.negated) fail("negated predicates are not supported here", true);
  return builder.registerSlot(function, operand.reg, false);
}

Slot Encoder::defPredicate(const Operand &operand) {
  if (operand.kind == Operand::Kind::sink) return builder.trashSlot();
  if (operand.kind != Operand::Kind::reg || function.registers[operand.reg] != Type::pred || operand.negated)
    fail("a predicate register is needed as destination");
  return builder.registerSlot(function, operand.reg, true);
}

Slot Encoder::constant(uint64_t bits, int bytes) { return builder.constantSlot(bits, bytes); }

Slot Encoder::special(ptx::Special special) { return builder.specialSlot(special); }

int Encoder::registerBytes(const Operand &operand) const {
  if (operand.kind != Operand::Kind::reg) fail("a register is needed");
  return ptx::sizeOf(function.registers[operand.reg]);
}

const Slot *Encoder::list(std::vector<Slot> slots) {
  if (slots.size() > 255) fail("too many operands");
  out.count = static_cast<uint8_t>(slots.size());
  builder.kernel().slots.push_back(std::move(slots));
  return builder.kernel().slots.back().data();
}

uint64_t Encoder::immediate(size_t index) const {
  if (operand(index).kind != Operand::Kind::integer) fail("an integer constant is needed");
  return operand(index).bits;
}

void Encoder::emit(Handler handler, Class cls) {
  if (!handler) unknown();
  if (!mods.left().empty()) fail("unknown modifier ." + std::string(mods.left()) + " in " + instruction.opcode);
  out.run = handler;
  out.cls = cls;
}

void Encoder::fail(const std::string &what, bool unsupported) const {
  throw ptx::Error(instruction.line, what + " (" + instruction.opcode + ")", unsupported);
}

}  // namespace limbeck
