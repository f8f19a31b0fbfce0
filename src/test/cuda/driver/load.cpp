// Refuses a processor that lacks what the library was compiled for, with a sentence instead of an illegal instruction.
#include <cstdio>
#include <cstdlib>

namespace {

__attribute__((constructor)) void checkProcessor() {
#ifdef __AVX2__
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2")) {
    std::fputs("limbeck software CUDA device: built for x86-64-v3, which this processor is not; build it here again\n", stderr);
    std::abort();
  }
#endif
}

}  // namespace
