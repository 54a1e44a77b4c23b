// Jobs of the pool that JavaScript waits for: a promise each, settled on the event loop when the workers are
// done.
#pragma once
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../kernels/pack.h"
#include "../kernels/quantize.h"
#include "napi_transfers.h"
#include "program.h"

namespace ingot {

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
    const bool failed = team.failed.load();
    if (!failed) collect(error_);
    if (const Memory* gone = lost()) error_ = kLostFile + gone->path();
    else if (failed) error_ = team.message[0] ? team.message : "unknown failure";
    ended();
    std::lock_guard lock(state_->mutex);
    state_->finished.push_back(shared_from_this());
  }
  void notify() override { napi_call_threadsafe_function(state_->done, nullptr, napi_tsfn_blocking); }
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
  // One worker, after the work and before the next job, in this order:
  virtual void collect(std::string&) {}                   // after success; sets what went wrong
  virtual const Memory* lost() const { return nullptr; }  // a mapping that it read and whose file is gone
  virtual void ended() {}
  virtual bool result(napi_env, napi_value*) const {
    return false;
  }  // on the event loop; false resolves to undefined

 private:
  State* state_ = nullptr;
  napi_deferred deferred_ = nullptr;
  std::vector<napi_ref> references_;
  std::string error_;
};

// Runs a program, and what a run moves around it.
class RunJob : public AsyncJob {
 public:
  RunJob(std::shared_ptr<Program> p, std::vector<double> s, bool profile, Transfers t,
         std::vector<std::shared_ptr<Memory>> bound)
      : program_(std::move(p)),
        scalars_(std::move(s)),
        transfers_(std::move(t)),
        bound_(std::move(bound)),
        profile_(profile) {}
  void prepare(Team& team, int n) override {
    if (!bound_.empty()) program_->bind(bound_);
    ready_ = program_->prepare(scalars_.data(), team, n);
    if (!ready_) return;
    std::string error;
    if (!transfers_.before(error)) {
      team.failed.store(true);
      std::snprintf(team.message, sizeof team.message, "kv pages: %s", error.c_str());
    }
    ready_ = !team.failed.load() && program_->open(team);
  }
  void work(Ctx& ctx) override {
    if (ready_) program_->execute(ctx, profile_);
  }
  // In a program of few dispatches every one needs all workers.
  bool elastic() const override { return program_->size() >= 16; }

 protected:
  void collect(std::string& error) override {
    if (!transfers_.after(error)) error = "kv pages: " + error;
  }
  const Memory* lost() const override {
    const Memory* read = program_->lost();
    return read ? read : transfers_.lost();
  }
  void ended() override {
    if (!bound_.empty()) program_->bind({});  // the memories go when their owners let go of them
  }
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
  std::vector<std::shared_ptr<Memory>> bound_;
  bool profile_, ready_ = false;
};

// Packs rows of a source format into panels.
class PackJob : public AsyncJob {
 public:
  std::shared_ptr<Memory> target;
  size_t offset = 0;
  PackForm form{};
  std::vector<const uint8_t*> parts;
  const int32_t* row_map = nullptr;
  void work(Ctx& ctx) override {
    const int64_t panels = (form.N + 15) / 16;
    constexpr int64_t chunk = 4;
    for (int64_t c; (c = ctx.next((panels + chunk - 1) / chunk)) >= 0;) {
      const int64_t begin = c * chunk, end = begin + chunk < panels ? begin + chunk : panels;
      pack_rows(form, parts.data(), row_map, begin, end, target->data() + offset);
    }
  }
};

// Quantises rows of f32.
class QuantizeJob : public AsyncJob {
 public:
  QuantizeForm form{};
  const float* values = nullptr;
  std::vector<uint8_t*> parts;
  void work(Ctx& ctx) override {
    const int64_t chunk = form.K < 16384 ? 16384 / form.K : 1;
    for (int64_t c; (c = ctx.next((form.N + chunk - 1) / chunk)) >= 0;) {
      const int64_t begin = c * chunk, end = begin + chunk < form.N ? begin + chunk : form.N;
      quantize_rows(form, values, begin, end, parts.data());
    }
  }
};

}  // namespace ingot
