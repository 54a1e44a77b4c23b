// The Node-API surface of the CPU device. src/device/cpu/addon.ts types it. Raw node_api.h: the header comes
// from an npm package and the surface is a dozen functions. Nothing here knows a kernel.
#include <cstring>

#include "cpu_level.h"
#include "mute.h"
#include "napi_brief.h"
#include "napi_experts.h"
#include "napi_jobs.h"
#include "napi_pages.h"

using namespace ingot;

namespace {

// What src/device/cpu/addon.ts must agree with: raised with every change to a function here or to a kernel's
// buffers or params. An addon older than the code that calls it would compute nonsense.
constexpr double kContract = 9;

napi_value Configure(napi_env env, napi_callback_info info) {  // (threads, level) -> threads in use
  Call c(env, info);
  const int threads = int(c.number(0));
  Level level = best_level();
  const std::string wanted = c.text(1);
  if (!wanted.empty()) {
    if (!level_from_name(wanted, level)) raise(env, "unknown instruction-set level '" + wanted + "'");
    if (!level_built(level) || !level_supported(level))
      raise(env, "this CPU or build has no level '" + wanted + "'");
  }
  if (threads < 0 || threads > 1024) raise(env, "threads must lie between 0 (all cores) and 1024");
  const int n = threads ? threads : default_threads();
  if (!c.state->pool || c.state->pool->threads() != n) {
    auto next = std::make_unique<Pool>(n);
    if (c.state->pool) next->submit(std::make_shared<Handover>(std::move(c.state->pool)));
    c.state->pool = std::move(next);
  }
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
  ok(env,
     napi_set_named_property(env, r, "threads", make(env, c.state->pool ? c.state->pool->threads() : 0)));
  ok(env, napi_set_named_property(env, r, "cpu", make(env, cpu_name())));
  return r;
}

napi_value Allocate(napi_env env, napi_callback_info info) {  // (bytes[, sparse]) -> memory
  Call c(env, info);
  const double bytes = c.number(0);
  if (!(bytes >= 0 && bytes < 9e15)) raise(env, "bad size");
  auto m = Memory::allocate(size_t(bytes), c.argc > 1 && c.boolean(1));
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
  if (const char* problem = m->elsewhere()) raise(env, problem);
  if (n) std::memcpy(m->data() + size_t(offset), data, n);
  return nullptr;
}

napi_value copy_out(napi_env env, const Memory& m, double offset, double bytes) {
  if (!(offset >= 0 && bytes >= 0 && offset + bytes <= double(m.bytes())))
    raise(env, "read outside the buffer");
  if (const char* problem = m.elsewhere()) raise(env, problem);
  void* data;
  napi_value buffer, view;
  ok(env, napi_create_arraybuffer(env, size_t(bytes), &data, &buffer));
  if (bytes > 0) std::memcpy(data, m.data() + size_t(offset), size_t(bytes));
  if (m.lost()) raise(env, kLostFile + m.path());
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

napi_value HasKernel(napi_env env, napi_callback_info info) {  // (kernel name) -> boolean
  Call c(env, info);
  napi_value found;
  ok(env, napi_get_boolean(env, find_kernel(c.text(0).c_str(), c.state->level) != nullptr, &found));
  return found;
}

napi_value MuteStderr(napi_env env,
                      napi_callback_info info) {  // (number: not 0 mutes) -> whether anything changed
  Call c(env, info);
  napi_value changed;
  ok(env, napi_get_boolean(env, mute_stderr(c.number(0) != 0), &changed));
  return changed;
}

napi_value Compile(napi_env env, napi_callback_info info) {  // (kernel names, memories, arena bytes, scalar
                                                             // count, Float64Array) -> program
  Call c(env, info);
  std::vector<const KernelDef*> kernels;
  for (uint32_t i = 0, n = c.length(c.arg(0)); i < n; i++) {
    const std::string name = c.text_of(c.at(c.arg(0), i));
    const KernelDef* def = find_kernel(name.c_str(), c.state->level);
    if (!def) raise(env, "unknown kernel '" + name + "'");
    kernels.push_back(def);
  }
  std::vector<std::shared_ptr<Memory>> buffers;
  for (uint32_t i = 0, n = c.length(c.arg(1)); i < n; i++)
    buffers.push_back(c.handle<Memory>(c.at(c.arg(1), i)));
  auto [data, bytes] = c.bytes(c.arg(4));
  try {
    return make_handle(
        env, std::make_shared<Program>(kernels, std::move(buffers), size_t(c.number(2)), int(c.number(3)),
                                       reinterpret_cast<const double*>(data), bytes / 8));
  } catch (const std::exception& e) {
    raise(env, e.what());
  }
}

// (program, Float64Array scalars, profile[, memories, Float64Array slices, data[, bound memories]]) ->
// promise of an ArrayBuffer with what was read; undefined when a brief run that moves nothing has been made
napi_value Run(napi_env env, napi_callback_info info) {
  Call c(env, info);
  auto& program = c.handle<Program>(c.arg(0));
  auto [data, bytes] = c.bytes(c.arg(1));
  if (int(bytes / 8) != program->scalars()) raise(env, "wrong number of scalars");
  if (!c.state->pool) raise(env, "configure() was not called");
  const auto* s = reinterpret_cast<const double*>(data);
  Transfers transfers;
  if (c.argc > 3) transfers = transfers_of(c, c.arg(3), c.arg(4), c.arg(5));
  std::vector<std::shared_ptr<Memory>> bound;
  if (c.argc > 6) {
    for (uint32_t i = 0, n = c.length(c.arg(6)); i < n; i++)
      bound.push_back(c.handle<Memory>(c.at(c.arg(6), i)));
    if (bound.size() != program->buffers())
      raise(env, "a run binds as many memories as the program was compiled with");
    for (size_t i = 0; i < bound.size(); i++)
      if (bound[i]->bytes() < program->needed(i))
        raise(env, "a bound memory is smaller than the program needs");
  }
  if (program->brief() && transfers.none() && !c.boolean(2) && c.state->pool->idle()) {
    if (!c.state->brief) c.state->brief = std::make_shared<BriefRuns>();
    if (c.state->brief->allowed()) {
      const std::string error = c.state->brief->run(*program, s, std::move(bound), c.state->pool->threads());
      if (!error.empty()) raise(env, error);
      return nullptr;
    }
  }
  return std::make_shared<RunJob>(program, std::vector<double>(s, s + bytes / 8), c.boolean(2),
                                  std::move(transfers), std::move(bound))
      ->start(c);
}

napi_value Profile(napi_env env,
                   napi_callback_info info) {  // (program) -> Float64Array of nanoseconds per dispatch
  Call c(env, info);
  const auto& p = c.handle<Program>(c.arg(0))->profile();
  void* data;
  napi_value buffer, view;
  ok(env, napi_create_arraybuffer(env, p.size() * 8, &data, &buffer));
  if (!p.empty()) std::memcpy(data, p.data(), p.size() * 8);
  ok(env, napi_create_typedarray(env, napi_float64_array, p.size(), buffer, 0, &view));
  return view;
}

// (memory, offset, bytes, source code, parts, N, K, [layout code, group, metaDtype], rowMap | null) ->
// promise
napi_value Pack(napi_env env, napi_callback_info info) {
  Call c(env, info);
  auto job = std::make_shared<PackJob>();
  job->target = c.handle<Memory>(c.arg(0));
  job->offset = size_t(c.number(1));
  const double bytes = c.number(2);
  double layout[3] = {};
  for (uint32_t i = 0; i < 3; i++) ok(env, napi_get_value_double(env, c.at(c.arg(7), i), &layout[i]));
  job->form = {int(c.number(3)), {}, int64_t(c.number(5)), int64_t(c.number(6))};
  const char* no_layout =
      read_layout(job->form.layout, int64_t(layout[0]), int64_t(layout[1]), int64_t(layout[2]));
  if (no_layout) raise(env, std::string("pack: ") + no_layout);
  const int64_t n = job->form.N;
  if (!c.state->pool) raise(env, "configure() was not called");
  if (!job->target->writable() || double(job->offset) + bytes > double(job->target->bytes()) || n < 0)
    raise(env, "pack: the target range lies outside the buffer");
  std::vector<size_t> sizes;
  for (uint32_t i = 0, n = c.length(c.arg(4)); i < n; i++) {
    napi_value part = c.at(c.arg(4), i);
    auto [data, length] = c.bytes(part);
    job->parts.push_back(data);
    sizes.push_back(length);
    job->keep(env, part);
  }
  const char* problem = pack_problem(job->form, sizes.data(), int(sizes.size()), size_t(bytes));
  if (problem) raise(env, std::string("pack: ") + problem);
  napi_valuetype type;
  ok(env, napi_typeof(env, c.arg(8), &type));
  if (type == napi_object) {
    auto [data, length] = c.bytes(c.arg(8));
    if (int64_t(length) != n * 4) raise(env, "pack: the row map has the wrong length");
    const auto* map = reinterpret_cast<const int32_t*>(data);
    for (int64_t i = 0; i < n; i++)
      if (map[i] < 0 || map[i] >= n) raise(env, "pack: the row map points outside the matrix");
    job->row_map = map;
    job->keep(env, c.arg(8));
  }
  return job->start(c);
}

// (source code, values, N, K, [layout code, group, metaDtype], parts) -> promise; the parts are filled
napi_value Quantize(napi_env env, napi_callback_info info) {
  Call c(env, info);
  auto job = std::make_shared<QuantizeJob>();
  double layout[3] = {};
  for (uint32_t i = 0; i < 3; i++) ok(env, napi_get_value_double(env, c.at(c.arg(4), i), &layout[i]));
  job->form = {int(c.number(0)), {}, int64_t(c.number(2)), int64_t(c.number(3))};
  const char* no_layout =
      read_layout(job->form.layout, int64_t(layout[0]), int64_t(layout[1]), int64_t(layout[2]));
  if (no_layout) raise(env, std::string("quantize: ") + no_layout);
  if (!c.state->pool) raise(env, "configure() was not called");
  auto [values, bytes] = c.bytes(c.arg(1));
  job->values = reinterpret_cast<const float*>(values);
  job->keep(env, c.arg(1));
  std::vector<size_t> sizes;
  for (uint32_t i = 0, n = c.length(c.arg(5)); i < n; i++) {
    napi_value part = c.at(c.arg(5), i);
    auto [data, length] = c.bytes(part);
    job->parts.push_back(const_cast<uint8_t*>(data));
    sizes.push_back(length);
    job->keep(env, part);
  }
  const char* problem = quantize_problem(job->form, bytes / 4, sizes.data(), int(sizes.size()));
  if (problem) raise(env, std::string("quantize: ") + problem);
  return job->start(c);
}

template <napi_value (*F)(napi_env, napi_callback_info)>
napi_value guarded(napi_env env, napi_callback_info info) {
  try {
    return F(env, info);
  } catch (const Thrown&) {
    return nullptr;
  } catch (const std::exception& e) {
    napi_throw_error(env, "INGOT_NATIVE", e.what());
    return nullptr;
  }
}

// Calls may be fewer than jobs that finished: each settles all there are.
void on_done(napi_env env, napi_value, void* context, void*) {
  auto* state = static_cast<State*>(context);
  std::vector<std::shared_ptr<AsyncJob>> jobs;
  {
    std::lock_guard lock(state->mutex);
    jobs.swap(state->finished);
  }
  if (env)
    for (auto& job : jobs) job->settle(env);
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
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, state, on_done,
                                  &state->done);
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
  EXPORT("hasKernel", HasKernel)
  EXPORT("muteStderr", MuteStderr)
  EXPORT("compile", Compile)
  EXPORT("run", Run)
  EXPORT("profile", Profile)
  EXPORT("pack", Pack)
  EXPORT("quantize", Quantize)
  EXPORT("openExperts", open_experts)
  EXPORT("expertStack", expert_stack)
  EXPORT("expertCounters", expert_counters)
  EXPORT("expertRows", expert_rows)
  EXPORT("expertDistances", expert_distances)
  EXPORT("injectExpertFaults", inject_expert_faults)
  EXPORT("freeExperts", free_experts)
  EXPORT("measureReads", measure_file_reads)
  EXPORT("measureReadRounds", measure_read_rounds)
  EXPORT("openPages", open_pages)
  EXPORT("pagedArray", paged_array)
  EXPORT("discardPages", discard_pages)
  EXPORT("pageCounters", page_counters)
  EXPORT("injectPageFaults", inject_page_faults)
  EXPORT("freePages", free_pages)
#undef EXPORT
  return exports;
}

}  // namespace

NAPI_MODULE(ingot, init)
