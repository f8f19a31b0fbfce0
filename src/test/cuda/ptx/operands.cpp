#include "ptx/operands.h"

#include <cstdlib>
#include <cstring>

namespace limbeck::ptx {

namespace {

struct NamedSpecial {
  const char *name;
  Special special;
};

constexpr NamedSpecial kSpecials[] = {
    {"%tid.x", Special::tid_x}, {"%tid.y", Special::tid_y}, {"%tid.z", Special::tid_z},
    {"%ntid.x", Special::ntid_x}, {"%ntid.y", Special::ntid_y}, {"%ntid.z", Special::ntid_z},
    {"%ctaid.x", Special::ctaid_x}, {"%ctaid.y", Special::ctaid_y}, {"%ctaid.z", Special::ctaid_z},
    {"%nctaid.x", Special::nctaid_x}, {"%nctaid.y", Special::nctaid_y}, {"%nctaid.z", Special::nctaid_z},
    {"%laneid", Special::laneid}, {"%warpid", Special::warpid}, {"%nwarpid", Special::nwarpid},
    {"%smid", Special::smid}, {"%nsmid", Special::nsmid}, {"%gridid", Special::gridid},
    {"%lanemask_eq", Special::lanemask_eq}, {"%lanemask_le", Special::lanemask_le}, {"%lanemask_lt", Special::lanemask_lt},
    {"%lanemask_ge", Special::lanemask_ge}, {"%lanemask_gt", Special::lanemask_gt},
    {"%clock", Special::clock}, {"%clock_hi", Special::clock_hi}, {"%clock64", Special::clock64},
    {"%globaltimer", Special::globaltimer}, {"%dynamic_smem_size", Special::dynamic_smem_size},
    {"%total_smem_size", Special::total_smem_size},
};

}  // namespace

bool Reader::accept(std::string_view punctuation) {
  if (!is(punctuation)) return false;
  next();
  return true;
}

void Reader::expect(std::string_view punctuation) {
  if (!accept(punctuation)) fail("expected '" + std::string(punctuation) + "', found '" + std::string(peek().text) + "'");
}

std::string_view Reader::word() {
  if (peek().kind != Token::Kind::word) fail("expected a name, found '" + std::string(peek().text) + "'");
  return next().text;
}

std::string_view Reader::string() {
  if (peek().kind != Token::Kind::string) fail("expected a string, found '" + std::string(peek().text) + "'");
  return next().text;
}

uint64_t Reader::integer() {
  if (peek().kind != Token::Kind::number) fail("expected an integer, found '" + std::string(peek().text) + "'");
  Operand value = number();
  if (value.kind != Operand::Kind::integer) fail("expected an integer");
  return value.bits;
}

int64_t Reader::signedInteger() {
  Operand value = number();
  if (value.kind != Operand::Kind::integer) fail("expected an integer");
  return static_cast<int64_t>(value.bits);
}

Operand Reader::number() {
  bool negative = accept("-");
  if (!negative) accept("+");
  if (peek().kind != Token::Kind::number) fail("expected a number, found '" + std::string(peek().text) + "'");
  std::string text(next().text);
  Operand value;
  char *end = nullptr;
  bool exact = text.size() > 2 && text[0] == '0' && (text[1] == 'f' || text[1] == 'F' || text[1] == 'd' || text[1] == 'D');
  if (exact) {
    bool wide = text[1] == 'd' || text[1] == 'D';
    value.kind = Operand::Kind::real;
    value.realSize = wide ? 8 : 4;
    if (text.size() != (wide ? 18u : 10u)) fail("a floating-point pattern needs all its digits: " + text);
    value.bits = std::strtoull(text.c_str() + 2, &end, 16);
    if (negative) value.bits ^= wide ? 1ull << 63 : 1ull << 31;
  } else if (text.find('.') != std::string::npos ||
             (text.find_first_of("eE") != std::string::npos && text.compare(0, 2, "0x") != 0 && text.compare(0, 2, "0X") != 0)) {
    double real = std::strtod(text.c_str(), &end);
    if (negative) real = -real;
    value.kind = Operand::Kind::real;
    value.realSize = 8;
    std::memcpy(&value.bits, &real, 8);
  } else {
    value.kind = Operand::Kind::integer;
    bool binary = text.compare(0, 2, "0b") == 0 || text.compare(0, 2, "0B") == 0;
    value.bits = binary ? std::strtoull(text.c_str() + 2, &end, 2) : std::strtoull(text.c_str(), &end, 0);
    if (*end == 'U' || *end == 'u') ++end;
    if (negative) value.bits = -value.bits;
  }
  if (end == nullptr || *end != '\0') fail("malformed number " + text);
  return value;
}

int Reader::findRegister(const std::string &name) const {
  for (size_t i = scopes_.size(); i-- > 0;) {
    auto found = scopes_[i].registers.find(name);
    if (found != scopes_[i].registers.end()) return found->second;
  }
  return -1;
}

Variable *Reader::findVariable(const std::string &name) const {
  for (size_t i = scopes_.size(); i-- > 0;) {
    auto found = scopes_[i].variables.find(name);
    if (found != scopes_[i].variables.end()) return found->second;
  }
  return nullptr;
}

Operand Reader::named() {
  Operand value;
  value.name = std::string(word());
  if (value.name == "_") {
    value.kind = Operand::Kind::sink;
    return value;
  }
  value.reg = findRegister(value.name);
  if (value.reg >= 0) {
    value.kind = Operand::Kind::reg;
    return value;
  }
  value.variable = findVariable(value.name);
  if (value.variable) {
    value.kind = Operand::Kind::variable;
    return value;
  }
  if (value.name == "WARP_SZ") {
    value.kind = Operand::Kind::integer;
    value.bits = 32;
    return value;
  }
  for (const NamedSpecial &entry : kSpecials) {
    if (value.name != entry.name) continue;
    value.kind = Operand::Kind::special;
    value.special = entry.special;
    return value;
  }
  if (value.name[0] == '%') fail("unknown register " + value.name);
  if (module_.functions.count(value.name) || (function_ && function_->name == value.name)) {
    value.kind = Operand::Kind::function;
    return value;
  }
  // A label may come later; the decoder reports it if it never does.
  value.kind = Operand::Kind::label;
  value.labelScope = scopes_.back().index;
  return value;
}

Operand Reader::address() {
  Operand value;
  value.kind = Operand::Kind::address;
  if (peek().kind == Token::Kind::word) {
    Operand base = named();
    if (base.kind == Operand::Kind::reg) {
      value.reg = base.reg;
    } else if (base.kind == Operand::Kind::variable) {
      value.variable = base.variable;
    } else {
      fail("an address needs a register or a variable, found " + base.name);
    }
    if (accept("+")) {
      value.offset = signedInteger();
    } else if (is("-")) {
      value.offset = signedInteger();
    }
  } else {
    value.offset = signedInteger();
  }
  expect("]");
  return value;
}

Operand Reader::list(std::string_view close) {
  Operand value;
  value.kind = Operand::Kind::vector;
  if (accept(close)) return value;
  do value.items.push_back(operand());
  while (accept(","));
  expect(close);
  return value;
}

Operand Reader::operand() {
  if (accept("[")) return address();
  if (accept("{")) return list("}");
  if (accept("(")) return list(")");
  if (accept("!")) {
    Operand value = named();
    if (value.kind != Operand::Kind::reg) fail("only a register can be negated with !");
    value.negated = true;
    return value;
  }
  if (peek().kind == Token::Kind::number || is("-") || is("+")) return number();
  Operand value = named();
  if (value.kind == Operand::Kind::variable && accept("+")) {
    value.offset = signedInteger();
  } else if ((value.kind == Operand::Kind::reg || value.kind == Operand::Kind::sink) && accept("|")) {
    value.items.push_back(named());
  }
  return value;
}

}  // namespace limbeck::ptx
