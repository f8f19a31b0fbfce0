// Options and queries of the device: see README.md.
#ifndef LIMBECK_DRIVER_OPTIONS_H
#define LIMBECK_DRIVER_OPTIONS_H

#include <string>

#include "driver/state.h"

namespace limbeck {

void readEnvironment(Options &options);
// "name=value[,name=value...]"; a CUresult.
int applyOption(const std::string &assignment);

}  // namespace limbeck

#endif
