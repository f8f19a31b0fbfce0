// Recursive descent over PTX: module directives, variables with initialisers, functions and their scopes.
#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "ptx/ast.h"
#include "ptx/lexer.h"
#include "ptx/operands.h"

namespace limbeck::ptx {

namespace {

struct NamedType {
  const char *name;
  Type type;
  int size;
  bool isSigned, isFloat;
};

constexpr NamedType kTypes[] = {
    {"pred", Type::pred, 4, false, false}, {"b8", Type::b8, 1, false, false},      {"b16", Type::b16, 2, false, false},
    {"b32", Type::b32, 4, false, false},   {"b64", Type::b64, 8, false, false},    {"u8", Type::u8, 1, false, false},
    {"u16", Type::u16, 2, false, false},   {"u32", Type::u32, 4, false, false},    {"u64", Type::u64, 8, false, false},
    {"s8", Type::s8, 1, true, false},      {"s16", Type::s16, 2, true, false},     {"s32", Type::s32, 4, true, false},
    {"s64", Type::s64, 8, true, false},    {"f16", Type::f16, 2, true, true},      {"f16x2", Type::f16x2, 4, true, true},
    {"bf16", Type::bf16, 2, true, true},   {"bf16x2", Type::bf16x2, 4, true, true}, {"tf32", Type::tf32, 4, true, true},
    {"f32", Type::f32, 4, true, true},     {"f64", Type::f64, 8, true, true},
};

const NamedType *lookUp(Type type) {
  for (const NamedType &entry : kTypes)
    if (entry.type == type) return &entry;
  return nullptr;
}

}  // namespace

int sizeOf(Type type) {
  const NamedType *entry = lookUp(type);
  return entry ? entry->size : 0;
}

bool isSigned(Type type) {
  const NamedType *entry = lookUp(type);
  return entry && entry->isSigned;
}

bool isFloat(Type type) {
  const NamedType *entry = lookUp(type);
  return entry && entry->isFloat;
}

Type typeNamed(std::string_view name) {
  for (const NamedType &entry : kTypes)
    if (name == entry.name) return entry.type;
  return Type::none;
}

const char *nameOf(Type type) {
  const NamedType *entry = lookUp(type);
  return entry ? entry->name : "none";
}

std::string_view Module::sourceLine(int line) const {
  size_t begin = 0;
  for (int i = 1; i < line; ++i) {
    begin = text.find('\n', begin);
    if (begin == std::string::npos) return {};
    ++begin;
  }
  size_t end = text.find('\n', begin);
  std::string_view found(text.data() + begin, (end == std::string::npos ? text.size() : end) - begin);
  size_t first = found.find_first_not_of(" \t");
  return first == std::string_view::npos ? std::string_view() : found.substr(first);
}

namespace {

class Parser {
 public:
  Parser(Module &module) : module_(module), reader_(module.text, module, scopes_) {}

  void run() {
    scopes_.push_back({});
    directive(".version");
    std::string version(reader_.next().text);
    size_t dot = version.find('.');
    if (dot == std::string::npos) fail("expected a version like 8.0, found " + version);
    module_.version = 10 * std::atoi(version.c_str()) + std::atoi(version.c_str() + dot + 1);
    directive(".target");
    target();
    if (reader_.isWord(".address_size")) {
      reader_.next();
      if (reader_.integer() != 64) fail("only .address_size 64 exists on this device");
    }
    while (!reader_.atEnd()) topLevel();
    for (auto &entry : module_.functions) finish(*entry.second);
  }

 private:
  [[noreturn]] void fail(const std::string &what, bool unsupported = false) { reader_.fail(what, unsupported); }

  void directive(const char *name) {
    if (!reader_.isWord(name)) fail(std::string("expected ") + name);
    reader_.next();
  }

  void target() {
    for (bool more = true; more; more = reader_.accept(",")) {
      std::string word(reader_.word());
      if (word.compare(0, 3, "sm_") == 0) {
        module_.target = std::atoi(word.c_str() + 3);
        if (module_.target <= 0) fail("unknown target " + word);
      } else if (word != "debug") {
        fail("unknown target " + word);
      }
    }
  }

  void topLevel() {
    bool external = false;
    for (;;) {
      if (reader_.accept(";")) return;
      std::string word(reader_.peek().text);
      if (word == ".visible" || word == ".weak" || word == ".common") {
        reader_.next();
      } else if (word == ".extern") {
        external = true;
        reader_.next();
      } else if (word == ".entry" || word == ".func") {
        reader_.next();
        function(word == ".entry");
        return;
      } else if (word == ".global" || word == ".const" || word == ".shared") {
        reader_.next();
        variables(spaceNamed(word), external, nullptr);
        return;
      } else if (word == ".file") {
        reader_.next();
        int index = static_cast<int>(reader_.integer());
        module_.files[index] = std::string(reader_.string());
        while (reader_.accept(",")) reader_.integer();
        return;
      } else if (word == ".section") {
        reader_.next();
        reader_.word();
        skipBraces();
        return;
      } else if (word == ".pragma") {
        pragma();
        return;
      } else {
        fail("unknown directive " + word);
      }
    }
  }

  void skipBraces() {
    reader_.expect("{");
    for (int depth = 1; depth > 0;) {
      if (reader_.atEnd()) fail("section without an end");
      Token token = reader_.next();
      if (token.kind != Token::Kind::punctuation) continue;
      if (token.text == "{") ++depth;
      if (token.text == "}") --depth;
    }
  }

  void pragma() {
    reader_.next();
    do {
      std::string text(reader_.string());
      if (text != "nounroll" && text.compare(0, 11, "used_bytes_") != 0 && text != "enable_smem_spilling") fail("unknown pragma " + text);
    } while (reader_.accept(","));
    reader_.expect(";");
  }

  Space spaceNamed(std::string_view word) {
    if (word == ".global") return Space::global;
    if (word == ".const") return Space::constant;
    if (word == ".shared") return Space::shared;
    if (word == ".local") return Space::local;
    if (word == ".param") return Space::param;
    fail("unknown state space " + std::string(word));
  }

  // After the state space: [.align n] .type name[dims] [= initial] {, name...} ;
  void variables(Space space, bool external, Function *owner) {
    size_t align = 0;
    Type type = Type::none;
    int vector = 1;
    attributes(align, type, vector);
    do {
      Variable *variable = declare(space, type, vector, align, external);
      if (space == Space::shared && owner) owner->shareds.push_back(variable);
      if (space == Space::local && owner) owner->locals.push_back(variable);
      if (space == Space::param && owner) owner->callSpaces.push_back(variable);
      if (!owner) module_.globals.push_back(variable);
      if (reader_.accept("=")) {
        if (space != Space::global && space != Space::constant) fail("only .global and .const variables have initialisers");
        initialise(*variable);
      }
    } while (reader_.accept(","));
    reader_.expect(";");
  }

  void attributes(size_t &align, Type &type, int &vector) {
    while (type == Type::none) {
      std::string word(reader_.word());
      if (word == ".align") {
        align = reader_.integer();
        if (align == 0 || (align & (align - 1))) fail("alignment must be a power of two");
      } else if (word == ".v2") {
        vector = 2;
      } else if (word == ".v4") {
        vector = 4;
      } else if (word == ".ptr") {
        // Only says what a pointer parameter points to, for NVIDIA's optimiser; the type was read before it.
        fail(".ptr before a type");
      } else {
        type = word[0] == '.' ? typeNamed(std::string_view(word).substr(1)) : Type::none;
        if (type == Type::none || type == Type::pred) fail("unknown type or attribute " + word);
      }
    }
  }

  Variable *declare(Space space, Type type, int vector, size_t align, bool external) {
    auto variable = std::make_unique<Variable>();
    variable->line = reader_.peek().line;
    variable->name = std::string(reader_.word());
    variable->space = space;
    variable->type = type;
    variable->isExternal = external;
    size_t element = static_cast<size_t>(sizeOf(type)) * vector;
    variable->align = align ? align : element;
    variable->bytes = element;
    bool unsized = false;
    while (reader_.accept("[")) {
      if (reader_.accept("]")) {
        unsized = true;
        continue;
      }
      variable->bytes *= reader_.integer();
      reader_.expect("]");
    }
    if (unsized) variable->bytes = 0;
    if (unsized && !(external && space == Space::shared) && !reader_.is("="))
      fail("array without a size: " + variable->name);
    Variable *result = variable.get();
    if (!scopes_.back().variables.emplace(variable->name, result).second) fail(variable->name + " is declared twice");
    module_.variables.push_back(std::move(variable));
    return result;
  }

  void initialise(Variable &variable) {
    size_t element = sizeOf(variable.type);
    std::vector<uint8_t> bytes;
    initialValue(variable, element, bytes);
    if (variable.bytes == 0) variable.bytes = bytes.size();
    if (bytes.size() > variable.bytes) fail("initialiser longer than " + variable.name);
    bytes.resize(variable.bytes, 0);
    variable.initial = std::move(bytes);
  }

  void initialValue(Variable &variable, size_t element, std::vector<uint8_t> &bytes) {
    if (reader_.accept("{")) {
      if (reader_.accept("}")) return;
      do initialValue(variable, element, bytes);
      while (reader_.accept(","));
      reader_.expect("}");
      return;
    }
    uint64_t bits = 0;
    if (reader_.peek().kind == Token::Kind::word) {
      Relocation relocation{bytes.size(), std::string(reader_.word()), 0, false};
      if (relocation.symbol == "generic") {
        relocation.generic = true;
        reader_.expect("(");
        relocation.symbol = std::string(reader_.word());
        reader_.expect(")");
      }
      if (reader_.accept("+")) relocation.addend = reader_.signedInteger();
      if (element != 8) fail("an address needs a 64-bit element");
      variable.relocations.push_back(relocation);
    } else {
      Operand value = reader_.number();
      bits = value.bits;
      if (isFloat(variable.type) && value.kind == Operand::Kind::integer) fail("integer in the initialiser of a floating-point array");
      if (value.kind == Operand::Kind::real && value.realSize == 8 && variable.type == Type::f32) {
        double wide;
        std::memcpy(&wide, &bits, 8);
        float narrow = static_cast<float>(wide);
        bits = 0;
        std::memcpy(&bits, &narrow, 4);
      }
    }
    for (size_t i = 0; i < element; ++i) bytes.push_back(static_cast<uint8_t>(bits >> (8 * i)));
  }

  // One parameter: .param [.align n] .type [.ptr [.space] [.align n]] name[dims]
  Variable *parameter(bool entry) {
    if (reader_.isWord(".reg")) fail("register parameters of functions are not supported", true);
    directive(".param");
    size_t align = 0;
    Type type = Type::none;
    int vector = 1;
    attributes(align, type, vector);
    if (reader_.isWord(".ptr")) {
      if (!entry) fail(".ptr on a function's parameter");
      reader_.next();
      std::string word(reader_.peek().text);
      if (word == ".global" || word == ".const" || word == ".shared" || word == ".local") reader_.next();
      if (reader_.isWord(".align")) {
        reader_.next();
        reader_.integer();
      }
    }
    Variable *variable = declare(Space::param, type, vector, align, false);
    variable->isFormal = true;
    return variable;
  }

  void parameters(bool entry, std::vector<Variable *> &into) {
    reader_.expect("(");
    if (reader_.accept(")")) return;
    do into.push_back(parameter(entry));
    while (reader_.accept(","));
    reader_.expect(")");
  }

  void function(bool entry) {
    auto fresh = std::make_unique<Function>();
    fresh->isEntry = entry;
    scopes_.push_back({});
    if (!entry && reader_.is("(")) parameters(false, fresh->results);
    fresh->line = reader_.peek().line;
    fresh->name = std::string(reader_.word());
    if (reader_.is("(")) parameters(entry, fresh->parameters);
    functionAttributes(*fresh);
    if (!reader_.accept(";")) {
      fresh->isDefined = true;
      body(*fresh);
    }
    scopes_.pop_back();
    std::unique_ptr<Function> &slot = module_.functions[fresh->name];
    if (slot && slot->isDefined && fresh->isDefined) fail("function " + fresh->name + " is defined twice");
    if (!slot || fresh->isDefined) slot = std::move(fresh);
  }

  void functionAttributes(Function &function) {
    for (;;) {
      std::string word(reader_.peek().text);
      if (word == ".maxntid" || word == ".reqntid") {
        reader_.next();
        int dims[3] = {1, 1, 1};
        int count = 0;
        do {
          if (count == 3) fail(word + " has at most three extents");
          dims[count++] = static_cast<int>(reader_.integer());
        } while (reader_.accept(","));
        function.maxThreads = dims[0] * dims[1] * dims[2];
        if (word == ".reqntid") {
          function.exactThreads = true;
          std::copy(dims, dims + 3, function.requiredThreads);
        }
      } else if (word == ".minnctapersm" || word == ".maxnreg") {
        reader_.next();
        reader_.integer();
      } else if (word == ".noreturn") {
        reader_.next();
      } else if (word == ".pragma") {
        pragma();
      } else {
        return;
      }
    }
  }

  void body(Function &function) {
    scopes_.back().index = 0;
    function.scopeParents = {-1};
    reader_.enter(&function);
    currentLocation_ = -1;
    block(function);
    reader_.enter(nullptr);
  }

  void block(Function &function) {
    reader_.expect("{");
    while (!reader_.accept("}")) {
      if (reader_.atEnd()) fail("function " + function.name + " has no end");
      if (reader_.is("{")) {
        int parent = scopes_.back().index;
        scopes_.push_back({});
        scopes_.back().index = static_cast<int>(function.scopeParents.size());
        function.scopeParents.push_back(parent);
        block(function);
        scopes_.pop_back();
      } else {
        statement(function);
      }
    }
  }

  void statement(Function &function) {
    if (reader_.accept(";")) return;
    if (reader_.is("@")) {
      instruction(function);
      return;
    }
    std::string word(reader_.peek().text);
    if (reader_.peek().kind != Token::Kind::word) fail("expected a statement, found " + word);
    if (word == ".reg") {
      reader_.next();
      registers(function);
    } else if (word == ".local" || word == ".shared" || word == ".param") {
      reader_.next();
      variables(spaceNamed(word), false, &function);
    } else if (word == ".loc") {
      location();
    } else if (word == ".pragma") {
      pragma();
    } else if (word[0] == '.') {
      fail("unknown directive " + word);
    } else {
      Token token = reader_.next();
      if (reader_.accept(":")) {
        label(function, word);
      } else {
        instructionNamed(function, token, -1, false);
      }
    }
  }

  void label(Function &function, const std::string &name) {
    if (reader_.isWord(".callprototype")) {  // callees are checked by their own declarations
      while (!reader_.is(";")) {
        if (reader_.atEnd()) fail("prototype without an end");
        reader_.next();
      }
      reader_.next();
      return;
    }
    if (reader_.isWord(".branchtargets") || reader_.isWord(".calltargets")) fail("branch target lists are not supported", true);
    if (!function.labels.emplace(std::make_pair(scopes_.back().index, name), static_cast<int>(function.code.size())).second)
      fail("label " + name + " is defined twice");
  }

  void registers(Function &function) {
    std::string word(reader_.word());
    Type type = word[0] == '.' ? typeNamed(std::string_view(word).substr(1)) : Type::none;
    if (type == Type::none || (type != Type::pred && sizeOf(type) == 1)) fail("unknown register type " + word);
    do {
      std::string name(reader_.word());
      if (reader_.accept("<")) {
        int count = static_cast<int>(reader_.integer());
        reader_.expect(">");
        for (int i = 0; i < count; ++i) addRegister(function, name + std::to_string(i), type);
      } else {
        addRegister(function, name, type);
      }
    } while (reader_.accept(","));
    reader_.expect(";");
  }

  void addRegister(Function &function, const std::string &name, Type type) {
    if (!scopes_.back().registers.emplace(name, static_cast<int>(function.registers.size())).second) fail("register " + name + " is declared twice");
    function.registers.push_back(type);
    function.registerNames.push_back(name);
  }

  // .loc file line column[, function_name label[+n], inlined_at file line column]
  void location() {
    reader_.next();
    Location here{static_cast<int>(reader_.integer()), static_cast<int>(reader_.integer())};
    int column = static_cast<int>(reader_.integer());
    std::array<int, 3> key{here.file, here.line, column};
    if (reader_.accept(",")) {
      if (reader_.word() != "function_name") fail("expected function_name in .loc");
      reader_.word();
      if (reader_.accept("+")) reader_.integer();
      reader_.expect(",");
      if (reader_.word() != "inlined_at") fail("expected inlined_at in .loc");
      std::array<int, 3> outer{};
      for (int &value : outer) value = static_cast<int>(reader_.integer());
      inlinedAt_[key] = outer;
    }
    pending_.push_back(key);
    currentLocation_ = static_cast<int>(pending_.size()) - 1;
    module_.locations.push_back(here);
  }

  void instruction(Function &function) {
    reader_.expect("@");
    bool negated = reader_.accept("!");
    Operand guard = reader_.operand();
    if (guard.kind != Operand::Kind::reg || function.registers[guard.reg] != Type::pred) fail("a guard must be a predicate register");
    Token opcode = reader_.next();
    if (opcode.kind != Token::Kind::word) fail("expected an instruction after the guard");
    instructionNamed(function, opcode, guard.reg, negated);
  }

  void instructionNamed(Function &function, const Token &opcode, int guard, bool negated) {
    Instruction instruction;
    instruction.opcode = std::string(opcode.text);
    instruction.line = opcode.line;
    instruction.guard = guard;
    instruction.guardNegated = negated;
    instruction.location = currentLocation_;
    if (!reader_.is(";")) {
      do instruction.operands.push_back(reader_.operand());
      while (reader_.accept(","));
    }
    reader_.expect(";");
    function.code.push_back(std::move(instruction));
  }

  // Once the files are known: code inlined from a header is reported at the place in the .cu that called it.
  void finish(Function &function) {
    if (!located_) {
      located_ = true;
      for (size_t i = 0; i < pending_.size(); ++i) {
        std::array<int, 3> key = pending_[i];
        for (int depth = 0; depth < 64; ++depth) {
          const std::string &file = module_.files[key[0]];
          auto outer = inlinedAt_.find(key);
          bool own = file.size() > 3 && (file.rfind(".cu") == file.size() - 3 || file.rfind(".cuh") == file.size() - 4);
          if (own || outer == inlinedAt_.end()) break;
          key = outer->second;
        }
        module_.locations[i] = {key[0], key[1]};
      }
    }
    for (const Instruction &instruction : function.code)
      for (const Operand &operand : instruction.operands) collectShared(function, operand);
  }

  // A function's static shared memory is what it names, wherever nvcc declared it.
  void collectShared(Function &function, const Operand &operand) {
    if (operand.variable && operand.variable->space == Space::shared &&
        std::find(function.shareds.begin(), function.shareds.end(), operand.variable) == function.shareds.end())
      function.shareds.push_back(operand.variable);
    for (const Operand &item : operand.items) collectShared(function, item);
  }

  Module &module_;
  std::vector<Scope> scopes_;
  Reader reader_;
  int currentLocation_ = -1;
  bool located_ = false;
  std::vector<std::array<int, 3>> pending_;
  std::map<std::array<int, 3>, std::array<int, 3>> inlinedAt_;
};

}  // namespace

std::unique_ptr<Module> parse(std::string text) {
  auto module = std::make_unique<Module>();
  module->text = std::move(text);
  Parser(*module).run();
  return module;
}

}  // namespace limbeck::ptx
