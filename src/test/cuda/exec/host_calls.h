// Functions the device runtime provides to kernels: printf and assert.
#ifndef LIMBECK_EXEC_HOST_CALLS_H
#define LIMBECK_EXEC_HOST_CALLS_H

#include <string>

#include "exec/kernel.h"

namespace limbeck {

// The handler of a call to `name`, or null. more: places and sizes of the arguments, aux: place of the result.
Handler hostCall(const std::string &name);

}  // namespace limbeck

#endif
