// Graphs: nodes with work and dependencies, made by capturing a stream.
#ifndef LIMBECK_DRIVER_GRAPH_H
#define LIMBECK_DRIVER_GRAPH_H

#include "driver/state.h"

namespace limbeck {

struct Node {
  Work work;
  std::vector<int> after;
};

struct Graph {
  Context *context = nullptr;
  std::vector<Node> nodes;
};

// Instantiated: its own copy of the nodes, in an order that keeps the dependencies.
struct Executable {
  Context *context = nullptr;
  std::vector<Node> nodes;
};

}  // namespace limbeck

#endif
