// A compiled plan: dispatches over buffers, with parameters that may come from the scalars of a run.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bytes.h"
#include "kernel.h"
#include "page_store.h"
#include "signatures/paged.h"

namespace ingot {

struct Param {
  double constant;  // value, or the term added to scalar * mul
  double mul;
  int scalar;  // index into the run's scalars, -1 for a constant
};

class Program {
 public:
  // `code` is a flat list of numbers, one record per dispatch:
  //   kernel index, n buffers, n x (buffer index or -1 for the arena, byte offset, byte length), m params, m
  //   x (scalar or -1, mul, constant)
  // Throws std::runtime_error on a record that does not decode or a slice outside its buffer.
  Program(const std::vector<const KernelDef*>& kernels, std::vector<std::shared_ptr<Memory>> buffers,
          size_t arena_bytes, int scalars, const double* code, size_t length);

  int scalars() const { return scalars_; }
  size_t size() const { return ops_.size(); }
  const Memory& arena() const { return *arena_; }
  const std::vector<double>& profile() const { return profile_; }
  // Whether a run is shorter than waking a worker for it.
  bool brief() const { return brief_; }

  // The worker that starts a run: substitutes scalars, checks every dispatch, reserves shared memory. False
  // with team.failed set on error.
  bool prepare(const double* scalars, Team& team, int nthreads);
  // Before prepare: other memories in place of those given to the constructor, none smaller. Empty lets go of
  // them.
  void bind(std::vector<std::shared_ptr<Memory>> buffers);
  // A memory whose file is gone, of which the last run may have read zeros; or null.
  const Memory* lost() const;
  size_t buffers() const { return sizes_.size(); }
  size_t needed(size_t buffer) const { return sizes_[buffer]; }
  // After prepare, and after what the run brings is in place: the pages of the first dispatch. False with
  // team.failed set.
  bool open(Team& team) { return ops_.empty() || enter(ops_[0], team); }
  // Every worker, from the dispatch that comes next: some may join late.
  void execute(Ctx& ctx, bool profile);

 private:
  struct Op {
    const KernelDef* def;
    size_t first_buf, nbufs, first_param, nparams;
    bool dynamic;  // some param comes from a scalar
    int pages;     // in pages_, -1 where everything is in memory
  };
  // Of a dispatch whose cache is in a store of pages: while it runs, its table has slots in place of pages.
  struct Pages {
    const PagedKernel* kernel;
    const PagedArray* array;
    std::vector<int32_t> table;
  };
  void find_pages(Op& op);
  bool enter(const Op& op, Team& team);
  void leave(const Op& op) {
    if (op.pages >= 0) pages_[size_t(op.pages)].array->store->end();
  }
  Buf& buf(const Op& op, int i) { return bufs_[op.first_buf + size_t(i)]; }
  double& value(const Op& op, int i) { return values_[op.first_param + size_t(i)]; }
  Args args(const Op& op) const {
    return {bufs_.data() + op.first_buf, int(op.nbufs), values_.data() + op.first_param, int(op.nparams)};
  }
  std::vector<Op> ops_;
  struct Place {
    int buffer;  // -1: the arena, which does not move
    size_t offset;
  };
  std::vector<Buf> bufs_;
  std::vector<Place> places_;   // of each of bufs_
  std::vector<size_t> sizes_;  // bytes that the program reaches in each buffer
  std::vector<Pages> pages_;
  std::vector<Param> params_;
  std::vector<double> values_;
  std::vector<double> profile_;
  std::vector<std::shared_ptr<Memory>> buffers_;  // keeps them alive
  std::shared_ptr<Memory> arena_;
  int scalars_;
  bool checked_ = false, brief_ = true;
  size_t shared_ = 0;
};

}  // namespace ingot
