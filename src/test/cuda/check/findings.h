// What a checker has to say: where, who, and what is wrong.
#ifndef LIMBECK_CHECK_FINDINGS_H
#define LIMBECK_CHECK_FINDINGS_H

#include <cstdint>
#include <string>
#include <vector>

namespace limbeck {

enum class Check : uint8_t { memcheck, alignment, initcheck, racecheck, synccheck, readonly, arithmetic, assertion, limit, host };
const char *nameOf(Check check);

struct Finding {
  Check check = Check::memcheck;
  int status = 0;  // the CUresult it becomes; 0: only reported
  std::string kernel;
  uint64_t blockNumber = 0;
  uint32_t block[3] = {0, 0, 0};
  uint32_t thread[3] = {0, 0, 0};
  bool onHost = false;  // found in a call of the host, not in a kernel
  std::string file;
  int line = 0;
  int ptxLine = 0;
  std::string instruction;
  std::string what;

  std::string text() const;
};

// Prints to stderr and keeps the text for the query "findings"; the same finding is printed once per launch.
class FindingLog {
 public:
  static void add(const Finding &finding);
  static std::string all();
  static uint64_t count();
  static void clear();
};

}  // namespace limbeck

#endif
