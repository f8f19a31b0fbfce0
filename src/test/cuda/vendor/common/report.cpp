#include "report.h"

#include <cstdarg>
#include <cstdio>

namespace limbeck {

void report(const char *library, const char *function, const char *format, ...) {
  char reason[480];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  // One call, so that lines of several threads do not mix.
  std::fprintf(stderr, "%s stand-in: %s: %s\n", library, function, reason);
}

}  // namespace limbeck
