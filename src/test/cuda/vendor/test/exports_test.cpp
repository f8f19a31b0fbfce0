// exports_test LIBRARY NODE LIST STUB STATUS LEAST: every one of at least LEAST listed names is there under the version node; an uncomputed one answers STATUS.
#include <dlfcn.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

int main(int count, char **arguments) {
  if (count != 7) return 2;
  void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::cerr << dlerror() << '\n';
    return 1;
  }
  std::ifstream list(arguments[3]);
  int names = 0, missing = 0;
  for (std::string name; std::getline(list, name); names++) {
    if (dlvsym(library, name.c_str(), arguments[2]) == nullptr) {
      std::cerr << name << " is missing\n";
      missing++;
    }
  }
  auto *stub = reinterpret_cast<int (*)()>(dlvsym(library, arguments[4], arguments[2]));
  const int status = stub == nullptr ? -1 : stub();
  std::cout << names << " names, " << missing << " missing, stub answers " << status << '\n';
  return names > std::atoi(arguments[6]) && missing == 0 && status == std::atoi(arguments[5]) ? 0 : 1;
}
