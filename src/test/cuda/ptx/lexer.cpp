#include "ptx/lexer.h"

#include <cctype>

#include "ptx/ast.h"

namespace limbeck::ptx {

namespace {

bool startsWord(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || c == '%' || c == '$' || c == '.'; }

bool continuesWord(char c) { return startsWord(c) || std::isdigit(static_cast<unsigned char>(c)); }

}  // namespace

void Lexer::skipBlanks() {
  while (at_ < text_.size()) {
    char c = text_[at_];
    if (c == '\n') {
      ++line_;
      ++at_;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++at_;
    } else if (text_.compare(at_, 2, "//") == 0) {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    } else if (text_.compare(at_, 2, "/*") == 0) {
      size_t end = text_.find("*/", at_ + 2);
      if (end == std::string_view::npos) throw Error(line_, "comment without an end");
      for (; at_ < end + 2; ++at_) line_ += text_[at_] == '\n';
    } else {
      return;
    }
  }
}

void Lexer::advance() {
  skipBlanks();
  token_.line = line_;
  size_t begin = at_;
  if (at_ >= text_.size() || text_[at_] == '\0') {
    token_.kind = Token::Kind::end;
    token_.text = {};
    return;
  }
  char c = text_[at_];
  if (std::isdigit(static_cast<unsigned char>(c))) {
    token_.kind = Token::Kind::number;
    // A number runs as far as letters, digits and dots do; 1e-5 and 1e+5 keep their sign, 0x1e-5 does not.
    bool hexadecimal = text_.size() > at_ + 1 && c == '0' && std::isalpha(static_cast<unsigned char>(text_[at_ + 1]));
    while (at_ < text_.size()) {
      char d = text_[at_];
      bool exponentSign = (d == '-' || d == '+') && !hexadecimal && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E');
      if (!std::isalnum(static_cast<unsigned char>(d)) && d != '.' && !exponentSign) break;
      ++at_;
    }
  } else if (startsWord(c)) {
    token_.kind = Token::Kind::word;
    while (at_ < text_.size()) {
      if (continuesWord(text_[at_])) {
        ++at_;
      } else if (text_.compare(at_, 2, "::") == 0 && at_ + 2 < text_.size() && continuesWord(text_[at_ + 2])) {
        at_ += 2;  // .shared::cta, .L2::128B
      } else {
        break;
      }
    }
  } else if (c == '"') {
    token_.kind = Token::Kind::string;
    size_t end = text_.find('"', at_ + 1);
    if (end == std::string_view::npos) throw Error(line_, "string without an end");
    at_ = end + 1;
    token_.text = text_.substr(begin + 1, end - begin - 1);
    return;
  } else {
    token_.kind = Token::Kind::punctuation;
    ++at_;
  }
  token_.text = text_.substr(begin, at_ - begin);
}

}  // namespace limbeck::ptx
