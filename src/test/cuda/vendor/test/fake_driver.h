// A device just real enough for these tests: addresses that are no host addresses, work that runs only when a test says so.
#pragma once

#include <cstddef>

namespace fake {

constexpr unsigned long long kOffset = 1ULL << 46;  // outside what user space can map on x86-64

void *allocate(size_t bytes);               // a device address; fresh memory holds NaN patterns
void *host(void *device);                   // the host memory behind it
void set_capability(int capability);        // 75, 80, 90
void set_context(bool present);
int pending();                              // jobs queued on every stream
int run_all();                              // runs them; the first CUresult that is not 0
int run_again();                            // runs the same jobs once more, as a replayed graph does
void drop_all();                            // destroys them

}  // namespace fake
