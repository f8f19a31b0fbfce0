// Programs, compiled by the installed nvcc: the same text by the same front end, with the options that NVRTC has. Unlike NVRTC, nvcc
// puts the CUDA headers before every text, so that this stand-in takes texts that NVRTC refuses.
#include <spawn.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "report.h"

extern char **environ;

namespace {

enum Status { success = 0, invalidInput = 3, invalidProgram = 4, invalidOption = 5, compilation = 6, internal = 11 };

struct Program {
  std::string source, name;
  std::vector<std::pair<std::string, std::string>> headers;  // name, text
  std::string ptx, log;
};

// A live program by its handle; a handle that was destroyed is none.
std::mutex mutex;
std::map<void *, Program> &programs() {
  static auto *all = new std::map<void *, Program>;  // never destroyed: the JVM ends in any order
  return *all;
}

int refuse(const char *function, int status, const std::string &reason) {
  limbeck::report("libnvrtc", function, "%s", reason.c_str());
  return status;
}

template <class Body>
int with(const char *function, void *handle, Body body) {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = programs().find(handle);
  if (found == programs().end()) return refuse(function, invalidProgram, "this is no live program");
  try {
    return body(found->second);
  } catch (const std::exception &e) {
    return refuse(function, internal, e.what());
  }
}

std::string read(const std::filesystem::path &file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void write(const std::filesystem::path &file, const std::string &text) {
  std::ofstream(file) << text;
}

// The same text gives the same PTX: the temporary folder's name does not show.
std::string without(std::string text, const std::string &part) {
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) text.erase(at, part.size());
  return text;
}

// Runs nvcc in a folder; its messages go to the file "log" there.
int run(const std::vector<std::string> &words, const std::filesystem::path &folder) {
  std::vector<char *> arguments;
  for (const std::string &word : words) arguments.push_back(const_cast<char *>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, (folder / "log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child = 0;
  int status = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (status != 0 || waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// NVRTC's form of an option in nvcc's; empty if this stand-in does not know it.
std::string translated(const std::string &option) {
  if (option.rfind("--gpu-architecture=compute_", 0) == 0) return "-arch=" + option.substr(option.find('=') + 1);
  if (option == "--std=c++17" || option == "--fmad=false" || option == "--fmad=true") return option;
  if (option == "--generate-line-info") return "-lineinfo";
  return "";
}

int compile(Program &program, const std::vector<std::string> &options) {
  std::vector<std::string> words = {LIMBECK_NVCC, "-ptx"};
  for (const std::string &option : options) {
    std::string word = translated(option);
    if (word.empty()) return refuse("nvrtcCompileProgram", invalidOption, option + " is not known here");
    words.push_back(word);
  }
  std::string pattern = (std::filesystem::temp_directory_path() / "nvrtcXXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) return refuse("nvrtcCompileProgram", internal, "no temporary folder");
  std::filesystem::path folder = pattern;
  for (const auto &header : program.headers) write(folder / header.first, header.second);
  write(folder / "text.cu", program.source);
  words.insert(words.end(), {"-I" + folder.string(), (folder / "text.cu").string(), "-o", (folder / "text.ptx").string()});
  int status = run(words, folder);
  program.log = read(folder / "log");
  program.ptx = status == 0 ? without(read(folder / "text.ptx"), folder.string() + "/") : "";
  std::filesystem::remove_all(folder);
  if (status == -1) return refuse("nvrtcCompileProgram", internal, "nvcc cannot be run");
  return status == 0 ? success : compilation;
}

int size(const char *function, void *handle, size_t *result, std::string Program::*text) {
  return with(function, handle, [&](Program &program) {
    if (result == nullptr) return refuse(function, invalidInput, "the result pointer is null");
    *result = (program.*text).size() + 1;
    return static_cast<int>(success);
  });
}

int copy(const char *function, void *handle, char *result, std::string Program::*text) {
  return with(function, handle, [&](Program &program) {
    if (result == nullptr) return refuse(function, invalidInput, "the result pointer is null");
    std::memcpy(result, (program.*text).c_str(), (program.*text).size() + 1);
    return static_cast<int>(success);
  });
}

}  // namespace

#define NVRTC_API extern "C" __attribute__((visibility("default")))

NVRTC_API int nvrtcVersion(int *major, int *minor) {
  if (major == nullptr || minor == nullptr) return refuse(__func__, invalidInput, "a result pointer is null");
  *major = 12;
  *minor = 6;
  return success;
}

NVRTC_API const char *nvrtcGetErrorString(int status) {
  switch (status) {
    case success: return "NVRTC_SUCCESS";
    case invalidInput: return "NVRTC_ERROR_INVALID_INPUT";
    case invalidProgram: return "NVRTC_ERROR_INVALID_PROGRAM";
    case invalidOption: return "NVRTC_ERROR_INVALID_OPTION";
    case compilation: return "NVRTC_ERROR_COMPILATION";
    default: return "NVRTC_ERROR_INTERNAL_ERROR";
  }
}

NVRTC_API int nvrtcCreateProgram(void **program, const char *source, const char *name, int count, const char *const *headers,
                                 const char *const *names) {
  if (program == nullptr || source == nullptr || count < 0 || (count > 0 && (headers == nullptr || names == nullptr))) {
    return refuse(__func__, invalidInput, "no program pointer, no source or no headers");
  }
  Program made;
  made.source = source;
  made.name = name == nullptr ? "default_program" : name;
  for (int i = 0; i < count; i++) {
    if (std::strchr(names[i], '/') != nullptr) return refuse(__func__, invalidInput, "a header in a folder is not known here");
    made.headers.emplace_back(names[i], headers[i]);
  }
  std::lock_guard<std::mutex> lock(mutex);
  static char *next = nullptr;
  *program = ++next;  // a handle is no address, so that nobody dereferences it
  programs()[*program] = made;
  return success;
}

NVRTC_API int nvrtcDestroyProgram(void **program) {
  if (program == nullptr) return refuse(__func__, invalidInput, "the program pointer is null");
  std::lock_guard<std::mutex> lock(mutex);
  if (programs().erase(*program) == 0) return refuse(__func__, invalidProgram, "this is no live program");
  *program = nullptr;
  return success;
}

NVRTC_API int nvrtcCompileProgram(void *handle, int count, const char *const *options) {
  return with(__func__, handle, [&](Program &program) {
    if (count < 0 || (count > 0 && options == nullptr)) return refuse("nvrtcCompileProgram", invalidInput, "no options");
    return compile(program, std::vector<std::string>(options, options + count));
  });
}

NVRTC_API int nvrtcGetPTXSize(void *handle, size_t *result) { return size(__func__, handle, result, &Program::ptx); }

NVRTC_API int nvrtcGetPTX(void *handle, char *result) { return copy(__func__, handle, result, &Program::ptx); }

NVRTC_API int nvrtcGetProgramLogSize(void *handle, size_t *result) { return size(__func__, handle, result, &Program::log); }

NVRTC_API int nvrtcGetProgramLog(void *handle, char *result) { return copy(__func__, handle, result, &Program::log); }
