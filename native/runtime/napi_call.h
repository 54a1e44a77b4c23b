// What the functions of the addon share: the state of an environment, arguments of a call, errors as
// JavaScript exceptions.
#pragma once
#include <node_api.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "kernel.h"
#include "pool.h"

namespace ingot {

class AsyncJob;
class BriefRuns;

// Per-environment state: the pool, and what carries finished jobs back to the event loop, in the order in
// which they finished.
struct State {
  std::mutex mutex;
  std::vector<std::shared_ptr<AsyncJob>> finished;  // under the mutex
  std::unique_ptr<Pool> pool;                       // goes before what its workers use
  std::shared_ptr<BriefRuns> brief;                 // made when first needed
  Level level = kScalar;
  napi_threadsafe_function done = nullptr;  // settles what has finished
  int pending = 0;  // jobs in flight; keeps the event loop alive while > 0
};

// How messages begin that are about a mapped file: its path follows (src/device/cpu/device.ts).
inline const std::string kLostFile = "lost file: ";

struct Thrown {};  // a JavaScript exception is pending

[[noreturn]] inline void raise(napi_env env, const std::string& message) {
  napi_throw_error(env, "INGOT_NATIVE", message.c_str());
  throw Thrown{};
}
inline void ok(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending)
    napi_throw_error(env, "INGOT_NATIVE", info && info->error_message ? info->error_message : "bad argument");
  throw Thrown{};
}

struct Call {
  napi_env env;
  napi_value argv[10];
  size_t argc = 10;
  State* state = nullptr;
  Call(napi_env e, napi_callback_info info) : env(e) {
    ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr));
    void* data = nullptr;
    ok(env, napi_get_instance_data(env, &data));
    state = static_cast<State*>(data);
  }
  napi_value arg(size_t i) const { return i < argc ? argv[i] : nullptr; }
  double number(size_t i) const {
    double v = 0;
    ok(env, napi_get_value_double(env, arg(i), &v));
    return v;
  }
  std::string text(size_t i) const { return text_of(arg(i)); }
  std::string text_of(napi_value v) const {
    size_t n = 0;
    ok(env, napi_get_value_string_utf8(env, v, nullptr, 0, &n));
    std::string s(n, 0);
    ok(env, napi_get_value_string_utf8(env, v, s.data(), n + 1, &n));
    return s;
  }
  bool boolean(size_t i) const {
    bool v = false;
    ok(env, napi_get_value_bool(env, arg(i), &v));
    return v;
  }
  template <class T> std::shared_ptr<T>& handle(napi_value v) const {
    void* p = nullptr;
    ok(env, napi_get_value_external(env, v, &p));
    auto& shared = *static_cast<std::shared_ptr<T>*>(p);
    if (!shared) raise(env, "the object was disposed");
    return shared;
  }
  // Bytes of a typed array; its memory stays valid while JavaScript holds the array.
  std::pair<uint8_t*, size_t> bytes(napi_value v) const {
    napi_typedarray_type type;
    size_t length = 0;
    void* data = nullptr;
    ok(env, napi_get_typedarray_info(env, v, &type, &length, &data, nullptr, nullptr));
    const size_t width =
        type == napi_float64_array || type == napi_bigint64_array || type == napi_biguint64_array ? 8
        : type == napi_float32_array || type == napi_int32_array || type == napi_uint32_array     ? 4
        : type == napi_int16_array || type == napi_uint16_array                                   ? 2
                                                                                                  : 1;
    return {static_cast<uint8_t*>(data), length * width};
  }
  uint32_t length(napi_value v) const {
    uint32_t n = 0;
    ok(env, napi_get_array_length(env, v, &n));
    return n;
  }
  napi_value at(napi_value v, uint32_t i) const {
    napi_value e;
    ok(env, napi_get_element(env, v, i, &e));
    return e;
  }
};

inline napi_value make(napi_env env, double v) {
  napi_value r;
  ok(env, napi_create_double(env, v, &r));
  return r;
}
inline napi_value make(napi_env env, const std::string& v) {
  napi_value r;
  ok(env, napi_create_string_utf8(env, v.c_str(), v.size(), &r));
  return r;
}
template <class T> napi_value make_handle(napi_env env, std::shared_ptr<T> p) {
  napi_value r;
  auto* box = new std::shared_ptr<T>(std::move(p));
  ok(env, napi_create_external(
              env, box, [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<T>*>(data); },
              nullptr, &r));
  return r;
}

}  // namespace ingot
