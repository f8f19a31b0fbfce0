// Splits PTX text into words, numbers, strings and punctuation.
#ifndef LIMBECK_PTX_LEXER_H
#define LIMBECK_PTX_LEXER_H

#include <string_view>

namespace limbeck::ptx {

struct Token {
  enum class Kind { word, number, string, punctuation, end };
  Kind kind = Kind::end;
  std::string_view text;
  int line = 1;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) { advance(); }
  const Token &peek() const { return token_; }
  Token next() {
    Token token = token_;
    advance();
    return token;
  }

 private:
  void advance();
  void skipBlanks();

  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  Token token_;
};

}  // namespace limbeck::ptx

#endif
