// The Node-API surface of the CPU device. src/device/cpu/addon.ts types it. Raw node_api.h: the header comes from an npm
// package and the surface is a dozen functions. Nothing here knows a kernel.
#include <node_api.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../kernels/pack.h"
#include "cpu_level.h"
#include "bytes.h"
#include "pack_check.h"
#include "pool.h"
#include "program.h"

using namespace ingot;

namespace {

// Per-environment state: the pool, and the function that carries finished jobs back to the event loop.
struct State {
  std::unique_ptr<Pool> pool;
  Level level = kScalar;
  napi_threadsafe_function done = nullptr;
  int pending = 0;  // jobs in flight; keeps the event loop alive while > 0
};

struct Thrown {};  // a JavaScript exception is pending

[[noreturn]] void raise(napi_env env, const std::string& message) {
  napi_throw_error(env, "INGOT_NATIVE", message.c_str());
  throw Thrown{};
}
void ok(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, "INGOT_NATIVE", info && info->error_message ? info->error_message : "bad argument");
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
    const size_t width = type == napi_float64_array || type == napi_bigint64_array || type == napi_biguint64_array ? 8
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

napi_value make(napi_env env, double v) {
  napi_value r;
  ok(env, napi_create_double(env, v, &r));
  return r;
}
napi_value make(napi_env env, const std::string& v) {
  napi_value r;
  ok(env, napi_create_string_utf8(env, v.c_str(), v.size(), &r));
  return r;
}
template <class T> napi_value make_handle(napi_env env, std::shared_ptr<T> p) {
  napi_value r;
  auto* box = new std::shared_ptr<T>(std::move(p));
  ok(env, napi_create_external(env, box, [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<T>*>(data); }, nullptr, &r));
  return r;
}

// What src/device/cpu/addon.ts must agree with: raised with every change to a function here or to a kernel's buffers or
// params. An addon older than the code that calls it would compute nonsense.
constexpr double kContract = 3;

// A job with a promise. `references` keep typed arrays alive until it is settled.
class AsyncJob : public Job, public std::enable_shared_from_this<AsyncJob> {
 public:
  napi_value start(const Call& call) {
    napi_value promise;
    ok(call.env, napi_create_promise(call.env, &deferred_, &promise));
    state_ = call.state;
    if (state_->pending++ == 0) napi_ref_threadsafe_function(call.env, state_->done);
    state_->pool->submit(shared_from_this());
    return promise;
  }
  void keep(napi_env env, napi_value v) {
    napi_ref r;
    ok(env, napi_create_reference(env, v, 1, &r));
    references_.push_back(r);
  }
  void finish(const Team& team) override {
    if (team.failed.load()) error_ = team.message[0] ? team.message : "unknown failure";
    else collect();
    auto* self = new std::shared_ptr<AsyncJob>(shared_from_this());
    if (napi_call_threadsafe_function(state_->done, self, napi_tsfn_blocking) != napi_ok) delete self;
  }
  void settle(napi_env env) {
    for (napi_ref r : references_) napi_delete_reference(env, r);
    if (--state_->pending == 0) napi_unref_threadsafe_function(env, state_->done);
    napi_value value;
    if (error_.empty()) {
      if (!result(env, &value)) napi_get_undefined(env, &value);
      napi_resolve_deferred(env, deferred_, value);
    } else {
      napi_value message, code;
      napi_create_string_utf8(env, error_.c_str(), error_.size(), &message);
      napi_create_string_utf8(env, "INGOT_NATIVE", NAPI_AUTO_LENGTH, &code);
      napi_create_error(env, code, message, &value);
      napi_reject_deferred(env, deferred_, value);
    }
  }

 protected:
  virtual void collect() {}                                        // leader, after success and before the next job
  virtual bool result(napi_env, napi_value*) const { return false; }  // on the event loop; false resolves to undefined

 private:
  State* state_ = nullptr;
  napi_deferred deferred_ = nullptr;
  std::vector<napi_ref> references_;
  std::string error_;
};

// What a run moves around its dispatches. Everything is captured when the run is submitted and performed by the leader, so
// runs of one program may queue up, each fed by the one before it.
struct Transfers {
  struct Slice {
    std::shared_ptr<Memory> memory;
    size_t offset, bytes;
    uint8_t* data() const { return memory->data() + offset; }
  };
  std::vector<Slice> writes, sources, targets, reads;  // sources[i] is copied to targets[i]
  std::vector<uint8_t> written;                        // the bytes of all writes, one after the other
  std::vector<uint8_t> read;                           // of all reads, each at a multiple of kAlign

  static constexpr size_t kAlign = 8;  // typed arrays of every element type may start there
  static size_t aligned(size_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

  void before() const {
    const uint8_t* from = written.data();
    for (const Slice& w : writes) {
      if (w.bytes) std::memcpy(w.data(), from, w.bytes);
      from += w.bytes;
    }
    for (size_t i = 0; i < sources.size(); i++)
      if (sources[i].bytes) std::memmove(targets[i].data(), sources[i].data(), sources[i].bytes);
  }
  void after() {
    size_t at = 0;
    for (const Slice& r : reads) {
      if (r.bytes) std::memcpy(read.data() + at, r.data(), r.bytes);
      at += aligned(r.bytes);
    }
  }
};

class RunJob : public AsyncJob {
 public:
  RunJob(std::shared_ptr<Program> p, std::vector<double> s, bool profile, Transfers t)
      : program_(std::move(p)), scalars_(std::move(s)), transfers_(std::move(t)), profile_(profile) {}
  void prepare(Team& team, int n) override {
    ready_ = program_->prepare(scalars_.data(), team, n);
    if (ready_) transfers_.before();
  }
  void work(Ctx& ctx) override {
    if (ready_) program_->execute(ctx, profile_);
  }

 protected:
  void collect() override { transfers_.after(); }
  bool result(napi_env env, napi_value* value) const override {
    const auto& read = transfers_.read;
    if (read.empty()) return false;
    void* data;
    if (napi_create_arraybuffer(env, read.size(), &data, value) != napi_ok) return false;
    std::memcpy(data, read.data(), read.size());
    return true;
  }

 private:
  std::shared_ptr<Program> program_;
  std::vector<double> scalars_;
  Transfers transfers_;
  bool profile_, ready_ = false;
};

class PackJob : public AsyncJob {
 public:
  std::shared_ptr<Memory> target;
  size_t offset = 0;
  int source = 0, group = 32, meta = 1;
  int64_t n = 0, k = 0, panel_bytes = 0;
  std::vector<const uint8_t*> parts;
  const int32_t* row_map = nullptr;
  void work(Ctx& ctx) override {
    const int64_t panels = (n + 15) / 16;
    constexpr int64_t chunk = 4;
    for (int64_t c; (c = ctx.next((panels + chunk - 1) / chunk)) >= 0;) {
      const int64_t begin = c * chunk, end = begin + chunk < panels ? begin + chunk : panels;
      if (!pack_rows(source, parts.data(), k, group, meta, row_map, begin, end, n, target->data() + offset))
        ctx.fail("pack: source format %d is not supported", source);
    }
  }
};

// ---- exported functions ----

napi_value Configure(napi_env env, napi_callback_info info) {  // (threads, level) -> threads in use
  Call c(env, info);
  const int threads = int(c.number(0));
  Level level = best_level();
  const std::string wanted = c.text(1);
  if (!wanted.empty()) {
    if (!level_from_name(wanted, level)) raise(env, "unknown instruction-set level '" + wanted + "'");
    if (!level_built(level) || !level_supported(level)) raise(env, "this CPU or build has no level '" + wanted + "'");
  }
  if (threads < 0 || threads > 1024) raise(env, "threads must lie between 0 (all cores) and 1024");
  const int n = threads ? threads : default_threads();
  if (c.state->pending) raise(env, "the pool cannot be changed while work is in flight");
  if (!c.state->pool || c.state->pool->threads() != n) c.state->pool = std::make_unique<Pool>(n);
  c.state->level = level;
  return make(env, n);
}

napi_value Info(napi_env env, napi_callback_info info) {
  Call c(env, info);
  napi_value r, levels;
  ok(env, napi_create_object(env, &r));
  ok(env, napi_create_array(env, &levels));
  uint32_t count = 0;
  for (int i = 0; i < kLevels; i++) {
    if (!level_built(Level(i))) continue;
    napi_value e, flag;
    ok(env, napi_create_object(env, &e));
    ok(env, napi_set_named_property(env, e, "name", make(env, std::string(level_name(Level(i))))));
    ok(env, napi_get_boolean(env, level_supported(Level(i)), &flag));
    ok(env, napi_set_named_property(env, e, "supported", flag));
    ok(env, napi_set_element(env, levels, count++, e));
  }
  ok(env, napi_set_named_property(env, r, "levels", levels));
  ok(env, napi_set_named_property(env, r, "level", make(env, std::string(level_name(c.state->level)))));
  ok(env, napi_set_named_property(env, r, "threads", make(env, c.state->pool ? c.state->pool->threads() : 0)));
  ok(env, napi_set_named_property(env, r, "cpu", make(env, cpu_name())));
  return r;
}

napi_value Allocate(napi_env env, napi_callback_info info) {  // (bytes) -> memory
  Call c(env, info);
  const double bytes = c.number(0);
  if (!(bytes >= 0 && bytes < 9e15)) raise(env, "bad size");
  auto m = Memory::allocate(size_t(bytes));
  if (!m) raise(env, "out of memory");
  return make_handle(env, std::move(m));
}

napi_value Map(napi_env env, napi_callback_info info) {  // (path, offset, bytes) -> memory
  Call c(env, info);
  const double offset = c.number(1), bytes = c.number(2);
  if (!(offset >= 0 && offset < 9e15 && bytes >= 0 && bytes < 9e15)) raise(env, "bad range");
  std::string error;
  auto m = Memory::map(c.text(0), uint64_t(offset), size_t(bytes), error);
  if (!m) raise(env, error);
  return make_handle(env, std::move(m));
}

napi_value FreeMemory(napi_env env, napi_callback_info info) {
  Call c(env, info);
  c.handle<Memory>(c.arg(0)).reset();
  return nullptr;
}

napi_value FreeProgram(napi_env env, napi_callback_info info) {
  Call c(env, info);
  c.handle<Program>(c.arg(0)).reset();
  return nullptr;
}

napi_value Write(napi_env env, napi_callback_info info) {  // (memory, offset, typed array)
  Call c(env, info);
  auto& m = c.handle<Memory>(c.arg(0));
  const double offset = c.number(1);
  auto [data, n] = c.bytes(c.arg(2));
  if (!m->writable()) raise(env, "the buffer is a read-only file mapping");
  if (!(offset >= 0 && offset + double(n) <= double(m->bytes()))) raise(env, "write outside the buffer");
  if (n) std::memcpy(m->data() + size_t(offset), data, n);
  return nullptr;
}

napi_value copy_out(napi_env env, const Memory& m, double offset, double bytes) {
  if (!(offset >= 0 && bytes >= 0 && offset + bytes <= double(m.bytes()))) raise(env, "read outside the buffer");
  void* data;
  napi_value buffer, view;
  ok(env, napi_create_arraybuffer(env, size_t(bytes), &data, &buffer));
  if (bytes > 0) std::memcpy(data, m.data() + size_t(offset), size_t(bytes));
  ok(env, napi_create_typedarray(env, napi_uint8_array, size_t(bytes), buffer, 0, &view));
  return view;
}

napi_value Read(napi_env env, napi_callback_info info) {  // (memory, offset, bytes) -> Uint8Array
  Call c(env, info);
  return copy_out(env, *c.handle<Memory>(c.arg(0)), c.number(1), c.number(2));
}

napi_value ReadArena(napi_env env, napi_callback_info info) {
  Call c(env, info);
  return copy_out(env, c.handle<Program>(c.arg(0))->arena(), c.number(1), c.number(2));
}

napi_value Compile(napi_env env, napi_callback_info info) {  // (kernel names, memories, arena bytes, scalar count, Float64Array) -> program
  Call c(env, info);
  std::vector<const KernelDef*> kernels;
  for (uint32_t i = 0, n = c.length(c.arg(0)); i < n; i++) {
    const std::string name = c.text_of(c.at(c.arg(0), i));
    const KernelDef* def = find_kernel(name.c_str(), c.state->level);
    if (!def) raise(env, "unknown kernel '" + name + "'");
    kernels.push_back(def);
  }
  std::vector<std::shared_ptr<Memory>> buffers;
  for (uint32_t i = 0, n = c.length(c.arg(1)); i < n; i++) buffers.push_back(c.handle<Memory>(c.at(c.arg(1), i)));
  auto [data, bytes] = c.bytes(c.arg(4));
  try {
    return make_handle(env, std::make_shared<Program>(kernels, std::move(buffers), size_t(c.number(2)), int(c.number(3)),
                                                      reinterpret_cast<const double*>(data), bytes / 8));
  } catch (const std::exception& e) {
    raise(env, e.what());
  }
}

// Decodes the transfers of a run: counts of writes, copies and reads; a memory and an (offset, bytes) pair per slice, in
// that order, a copy being its source and its target; and the data of each write.
Transfers transfers_of(const Call& c, napi_value memories, napi_value numbers, napi_value data) {
  auto [raw, size] = c.bytes(numbers);
  const auto* code = reinterpret_cast<const double*>(raw);
  const uint32_t count = c.length(memories);
  if (size != (3 + 2 * size_t(count)) * 8) raise(c.env, "transfers: the counts do not fit the slices");
  const double writes = code[0], copies = code[1];
  if (!(writes >= 0 && copies >= 0 && code[2] >= 0) || writes + 2 * copies + code[2] != count || c.length(data) != writes)
    raise(c.env, "transfers: the counts do not fit the slices");
  Transfers t;
  size_t total = 0;
  for (uint32_t i = 0; i < count; i++) {
    const double offset = code[3 + 2 * i], bytes = code[4 + 2 * i];
    auto& m = c.handle<Memory>(c.at(memories, i));
    if (!(offset >= 0 && bytes >= 0 && offset + bytes <= double(m->bytes()))) raise(c.env, "transfer outside the buffer");
    const bool write = i < writes, copied = !write && i < writes + 2 * copies;
    const bool target = copied && t.targets.size() < t.sources.size();
    if ((write || target) && !m->writable()) raise(c.env, "the buffer is a read-only file mapping");
    auto& list = write ? t.writes : target ? t.targets : copied ? t.sources : t.reads;
    list.push_back({m, size_t(offset), size_t(bytes)});
    if (target && t.sources.back().bytes != size_t(bytes)) raise(c.env, "a copy needs slices of one size");
    if (write) {
      auto [from, n] = c.bytes(c.at(data, i));
      if (n != size_t(bytes)) raise(c.env, "transfers: the data does not fit its slice");
      t.written.insert(t.written.end(), from, from + n);
    }
    if (!write && !copied) total += Transfers::aligned(size_t(bytes));
  }
  t.read.resize(total);
  return t;
}

// (program, Float64Array scalars, profile[, memories, Float64Array slices, data]) -> promise of an ArrayBuffer with what was read
napi_value Run(napi_env env, napi_callback_info info) {
  Call c(env, info);
  auto& program = c.handle<Program>(c.arg(0));
  auto [data, bytes] = c.bytes(c.arg(1));
  if (int(bytes / 8) != program->scalars()) raise(env, "wrong number of scalars");
  if (!c.state->pool) raise(env, "configure() was not called");
  const auto* s = reinterpret_cast<const double*>(data);
  Transfers transfers;
  if (c.argc > 3) transfers = transfers_of(c, c.arg(3), c.arg(4), c.arg(5));
  return std::make_shared<RunJob>(program, std::vector<double>(s, s + bytes / 8), c.boolean(2), std::move(transfers))->start(c);
}

napi_value Profile(napi_env env, napi_callback_info info) {  // (program) -> Float64Array of nanoseconds per dispatch
  Call c(env, info);
  const auto& p = c.handle<Program>(c.arg(0))->profile();
  void* data;
  napi_value buffer, view;
  ok(env, napi_create_arraybuffer(env, p.size() * 8, &data, &buffer));
  if (!p.empty()) std::memcpy(data, p.data(), p.size() * 8);
  ok(env, napi_create_typedarray(env, napi_float64_array, p.size(), buffer, 0, &view));
  return view;
}

// (memory, offset, bytes, source code, parts, N, K, [group, metaDtype], rowMap | null) -> promise
napi_value Pack(napi_env env, napi_callback_info info) {
  Call c(env, info);
  auto job = std::make_shared<PackJob>();
  job->target = c.handle<Memory>(c.arg(0));
  job->offset = size_t(c.number(1));
  const double bytes = c.number(2);
  job->source = int(c.number(3));
  job->n = int64_t(c.number(5));
  job->k = int64_t(c.number(6));
  double v = 0;
  ok(env, napi_get_value_double(env, c.at(c.arg(7), 0), &v));
  job->group = int(v);
  ok(env, napi_get_value_double(env, c.at(c.arg(7), 1), &v));
  job->meta = int(v);
  if (!c.state->pool) raise(env, "configure() was not called");
  if (!job->target->writable() || double(job->offset) + bytes > double(job->target->bytes()) || job->n < 0 || job->k <= 0)
    raise(env, "pack: the target range lies outside the buffer");
  std::vector<size_t> sizes;
  for (uint32_t i = 0, n = c.length(c.arg(4)); i < n; i++) {
    napi_value part = c.at(c.arg(4), i);
    auto [data, length] = c.bytes(part);
    job->parts.push_back(data);
    sizes.push_back(length);
    job->keep(env, part);
  }
  const char* problem = pack_check(job->source, sizes.data(), int(sizes.size()), job->n, job->k, job->group, job->meta, size_t(bytes));
  if (problem) raise(env, std::string("pack: ") + problem);
  napi_valuetype type;
  ok(env, napi_typeof(env, c.arg(8), &type));
  if (type == napi_object) {
    auto [data, length] = c.bytes(c.arg(8));
    if (int64_t(length) != job->n * 4) raise(env, "pack: the row map has the wrong length");
    const auto* map = reinterpret_cast<const int32_t*>(data);
    for (int64_t i = 0; i < job->n; i++)
      if (map[i] < 0 || map[i] >= job->n) raise(env, "pack: the row map points outside the matrix");
    job->row_map = map;
    job->keep(env, c.arg(8));
  }
  return job->start(c);
}

template <napi_value (*F)(napi_env, napi_callback_info)> napi_value guarded(napi_env env, napi_callback_info info) {
  try {
    return F(env, info);
  } catch (const Thrown&) {
    return nullptr;
  } catch (const std::exception& e) {
    napi_throw_error(env, "INGOT_NATIVE", e.what());
    return nullptr;
  }
}

void on_done(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<std::shared_ptr<AsyncJob>> job(static_cast<std::shared_ptr<AsyncJob>*>(data));
  if (env) (*job)->settle(env);
}

napi_value init(napi_env env, napi_value exports) {
  auto* state = new State();
  napi_set_instance_data(env, state, nullptr, nullptr);
  // Workers must be gone before the environment is: the pool is joined here, and the state freed.
  napi_add_env_cleanup_hook(env, [](void* data) {
    auto* s = static_cast<State*>(data);
    s->pool.reset();
    delete s;
  }, state);
  napi_value name;
  napi_create_string_utf8(env, "ingot", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr, on_done, &state->done);
  napi_unref_threadsafe_function(env, state->done);
#define EXPORT(js, fn)                                                            \
  {                                                                               \
    napi_value f;                                                                 \
    napi_create_function(env, js, NAPI_AUTO_LENGTH, guarded<fn>, nullptr, &f);    \
    napi_set_named_property(env, exports, js, f);                                 \
  }
  napi_value contract;
  napi_create_double(env, kContract, &contract);
  napi_set_named_property(env, exports, "contract", contract);
  EXPORT("configure", Configure)
  EXPORT("info", Info)
  EXPORT("allocate", Allocate)
  EXPORT("map", Map)
  EXPORT("freeMemory", FreeMemory)
  EXPORT("freeProgram", FreeProgram)
  EXPORT("write", Write)
  EXPORT("read", Read)
  EXPORT("readArena", ReadArena)
  EXPORT("compile", Compile)
  EXPORT("run", Run)
  EXPORT("profile", Profile)
  EXPORT("pack", Pack)
#undef EXPORT
  return exports;
}

}  // namespace

NAPI_MODULE(ingot, init)
