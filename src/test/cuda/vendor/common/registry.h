// Opaque objects handed to C callers. A pointer that is null, foreign or already destroyed is found out instead of dereferenced.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>

namespace limbeck {

template <class Object>
class Registry {
 public:
  // Never freed: the JVM may still call while static objects of its libraries are being destroyed.
  static Registry &instance() {
    static auto *registry = new Registry;
    return *registry;
  }

  void *add(std::shared_ptr<Object> object) {
    void *key = object.get();
    std::lock_guard<std::mutex> lock(mutex_);
    live_[key] = std::move(object);
    return key;
  }

  // Shared, so that an object destroyed by another thread stays whole until this call is over.
  std::shared_ptr<Object> find(const void *key) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = live_.find(key);
    return found == live_.end() ? nullptr : found->second;
  }

  bool remove(const void *key) {
    std::lock_guard<std::mutex> lock(mutex_);
    return live_.erase(key) == 1;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<const void *, std::shared_ptr<Object>> live_;
};

}  // namespace limbeck
