// The limits of a compute capability.
#ifndef LIMBECK_DRIVER_PROFILE_H
#define LIMBECK_DRIVER_PROFILE_H

#include <cstdint>

namespace limbeck {

struct Profile {
  int capability;
  uint32_t sharedPerBlock;       // without asking for more
  uint32_t sharedPerBlockOptin;  // with cuFuncSetAttribute
  uint32_t sharedPerMultiprocessor;
  uint32_t threadsPerMultiprocessor;
  uint32_t blocksPerMultiprocessor;
  uint32_t registers;  // of a block and of a multiprocessor
  uint64_t l2Bytes;
};

// NVIDIA's table of technical specifications per compute capability.
inline const Profile &profileOf(int capability) {
  static const Profile profiles[] = {
      {75, 49152, 65536, 65536, 1024, 16, 65536, 4ull << 20},
      {80, 49152, 166912, 167936, 2048, 32, 65536, 40ull << 20},
      {90, 49152, 232448, 233472, 2048, 32, 65536, 50ull << 20},
  };
  for (const Profile &profile : profiles)
    if (profile.capability == capability) return profile;
  return profiles[1];
}

constexpr int kMultiprocessors = 16;
constexpr uint32_t kMaxParameterBytes = 4096;

}  // namespace limbeck

#endif
