// What the generated accessors of a kernel's arguments (build/signatures) are made of. In the namespace of
// each instruction set, so that no level runs another's copy.
#pragma once
#include "kernel.h"

namespace ingot::INGOT_NS {
namespace {

struct ArgsView {
  const Args& args;
  explicit ArgsView(const Args& a) : args(a) {}
  const Buf& buf_at(int64_t k) const { return args.bufs[k]; }
  template <class T> T* data_at(int64_t k) const { return args.bufs[k].as<T>(); }
  template <class T>
  T* data_or_null(int64_t k) const {
    return args.bufs[k].bytes ? args.bufs[k].as<T>() : nullptr;
  }
  int64_t int_at(int64_t k) const { return args.i(int(k)); }
  float float_at(int64_t k) const { return args.f(int(k)); }
  double number_at(int64_t k) const { return args.params[k]; }
  // A count says how many params follow: it is there, and at most their number.
  bool is_count(int64_t k) const {
    return k < args.nparams && args.params[k] >= 0 && args.params[k] <= args.nparams;
  }
};

// One record of a list of params, and of buffers.
struct RecordView : ArgsView {
  int64_t param, buf;
  RecordView(const Args& a, int64_t first_param, int64_t first_buf)
      : ArgsView(a), param(first_param), buf(first_buf) {}
};

}  // namespace
}  // namespace ingot::INGOT_NS
