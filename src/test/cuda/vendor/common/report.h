// Tells on stderr why a call was refused: a status alone says little, and the real libraries have logs too.
#pragma once

namespace limbeck {

// Prints "LIBRARY stand-in: FUNCTION: reason" (printf style) as one line.
void report(const char *library, const char *function, const char *format, ...) __attribute__((format(printf, 3, 4)));

}  // namespace limbeck
