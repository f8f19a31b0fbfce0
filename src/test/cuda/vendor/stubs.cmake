# Writes a source with a weak definition of every name in LIST: where the library defines the function itself, the linker drops
# the weak one, so there is no second list of what is real. Arguments: LIST, OUTPUT, LIBRARY, STATUS.
file(STRINGS ${LIST} names)
set(text "// Generated from ${LIST}: functions that exist but do nothing except to say so.\n#include <cstdio>\n\n")
string(APPEND text "static int refuse(const char *name) {\n"
  "  std::fprintf(stderr, \"${LIBRARY} stand-in: %s: not computed here\\n\", name);\n  return ${STATUS};\n}\n\n")
foreach(name IN LISTS names)
  string(APPEND text
    "extern \"C\" __attribute__((weak, visibility(\"default\"))) int ${name}(void) { return refuse(\"${name}\"); }\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
