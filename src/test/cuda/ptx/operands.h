// Token level of the parser: expectations with good errors, numbers and operands resolved against the open scopes.
#ifndef LIMBECK_PTX_OPERANDS_H
#define LIMBECK_PTX_OPERANDS_H

#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "ptx/ast.h"
#include "ptx/lexer.h"

namespace limbeck::ptx {

struct Scope {
  std::unordered_map<std::string, int> registers;
  std::unordered_map<std::string, Variable *> variables;
  int index = -1;  // number of the scope within its function, -1 at module level
};

class Reader {
 public:
  Reader(const std::string &text, const Module &module, const std::vector<Scope> &scopes) : lexer_(text), module_(module), scopes_(scopes) {}

  const Token &peek() const { return lexer_.peek(); }
  Token next() { return lexer_.next(); }
  bool atEnd() const { return peek().kind == Token::Kind::end; }
  bool is(std::string_view punctuation) const { return peek().kind == Token::Kind::punctuation && peek().text == punctuation; }
  bool isWord(std::string_view word) const { return peek().kind == Token::Kind::word && peek().text == word; }
  bool accept(std::string_view punctuation);
  void expect(std::string_view punctuation);
  std::string_view word();
  std::string_view string();
  uint64_t integer();
  int64_t signedInteger();
  Operand number();  // with an optional sign
  Operand operand();
  void enter(const Function *function) { function_ = function; }
  [[noreturn]] void fail(const std::string &what, bool unsupported = false) const { throw Error(peek().line, what, unsupported); }

 private:
  Operand named();
  Operand address();
  Operand list(std::string_view close);
  int findRegister(const std::string &name) const;
  Variable *findVariable(const std::string &name) const;

  Lexer lexer_;
  const Module &module_;
  const std::vector<Scope> &scopes_;
  const Function *function_ = nullptr;
};

}  // namespace limbeck::ptx

#endif
