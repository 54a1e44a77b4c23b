// tile: runs an elementwise program over tiles that fit the L1 cache, one vector loop per instruction or
// chain. The encoding is in docs/cpu-kernels.md, "Tile programs".
#include "tile_chain.h"
#include "signatures/tile.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int kMaxInputs = 32, kMaxOutputs = 16, kMaxRank = 16, kMaxRegisters = 256, kMaxInstructions = 4096;
constexpr int64_t kTileBytes = 32 << 10;  // wanted size of all registers of a tile
constexpr int64_t kGrain = 64;            // elements handed out together; one cache line of bytes at least

int64_t dtype_bytes(int64_t code) {
  switch (code) {
    case dF32:
    case dI32:
    case dU32:
      return 4;
    case dF16:
    case dBF16:
      return 2;
    case dI8:
    case dU8:
    case dBool:
      return 1;
    default:
      return 0;
  }
}

struct Input {
  const uint8_t* data;
  int64_t dtype, bytes;
  int64_t strides[kMaxRank];
};
struct Instruction {
  int16_t op, dst, a, b, c;
};
struct Program {
  int64_t count, rank;
  int inputs, outputs, constants, instructions, registers;
  int64_t sizes[kMaxRank];
  Input in[kMaxInputs];
  int64_t out_dtype[kMaxOutputs];
  int result[kMaxOutputs];
  int64_t constant_dtype[kMaxRegisters];
  double constant[kMaxRegisters];
  Instruction code[kMaxInstructions];
};

// Null, or what is wrong.
const char* parse_inputs(const TileArgs& a, Program& p) {
  for (int i = 0; i < p.inputs; i++) {
    const TileArgs::Input given = a.inputs(i);
    Input& in = p.in[i];
    in.data = given.x();
    in.dtype = given.dtype();
    in.bytes = dtype_bytes(in.dtype);
    if (in.bytes == 0) return "tile: unknown dtype of an input";
    double last = 0;
    for (int64_t d = 0; d < p.rank; d++) {
      in.strides[d] = given.strides(d);
      if (in.strides[d] < 0) return "tile: negative stride";
      last += double(p.sizes[d] - 1) * double(in.strides[d]);
    }
    if (p.count > 0 && (last + 1) * double(in.bytes) > double(given.x_buf().bytes))
      return "tile: an input is smaller than its sizes and strides say";
  }
  return nullptr;
}

const char* parse_instructions(const TileArgs& a, Program& p) {
  const int first_temporary = p.inputs + p.constants;
  p.registers = first_temporary;
  for (int i = 0; i < p.instructions; i++) {
    const TileArgs::Instruction given = a.instructions(i);
    const int64_t opcode = given.opcode(), dst = given.dst(), operands[] = {given.a(), given.b(), given.c()};
    if (opcode < 0 || opcode >= kTileOps) return "tile: unknown instruction";
    if (dst < first_temporary || dst >= kMaxRegisters)
      return "tile: an instruction does not write a temporary";
    for (int k = 0; k < 3; k++)
      if (operands[k] < 0 || operands[k] >= (k < kTileArity[opcode] ? p.registers : kMaxRegisters))
        return "tile: an instruction reads a register that nothing has written";
    if (dst > p.registers) return "tile: temporaries are not numbered in order of first use";
    if (dst == p.registers) p.registers++;
    p.code[i] = {int16_t(opcode), int16_t(dst), int16_t(operands[0]), int16_t(operands[1]),
                 int16_t(operands[2])};
  }
  return nullptr;
}

const char* parse(const Args& args, Program& p) {
  if (const char* problem = TileArgs::mismatch(args)) return problem;
  const TileArgs a(args);
  p.count = a.count();
  p.rank = a.rank();
  if (p.count < 0 || a.input_count() > kMaxInputs || a.output_count() < 1 || a.output_count() > kMaxOutputs ||
      p.rank > kMaxRank)
    return "tile: more than 32 inputs, 16 outputs or rank 16, or a negative count";
  if (a.input_count() + a.constant_count() > kMaxRegisters) return "tile: more than 256 registers";
  if (a.instruction_count() > kMaxInstructions) return "tile: more than 4096 instructions";
  p.inputs = int(a.input_count());
  p.outputs = int(a.output_count());
  p.constants = int(a.constant_count());
  p.instructions = int(a.instruction_count());
  double product = 1;
  for (int64_t d = 0; d < p.rank; d++) product *= double(p.sizes[d] = a.sizes(d));
  if (product != double(p.count)) return "tile: the count is not the product of the sizes";
  if (const char* problem = parse_inputs(a, p)) return problem;
  for (int o = 0; o < p.outputs; o++) {
    p.out_dtype[o] = a.outputs(o).dtype();
    const int64_t bytes = dtype_bytes(p.out_dtype[o]);
    if (bytes == 0) return "tile: unknown dtype of an output";
    if (double(p.count) * double(bytes) > double(a.outputs(o).y_buf().bytes))
      return "tile: an output is smaller than the count";
  }
  for (int i = 0; i < p.constants; i++) {
    p.constant_dtype[i] = a.constants(i).dtype();
    p.constant[i] = a.constants(i).value();
  }
  if (const char* problem = parse_instructions(a, p)) return problem;
  for (int o = 0; o < p.outputs; o++) {
    if (a.results(o) < 0 || a.results(o) >= p.registers) return "tile: a result register was never written";
    p.result[o] = int(a.results(o));
  }
  return nullptr;
}

// Drops axes of size 1 and merges neighbours that every input walks as one.
void collapse(Program& p) {
  int64_t rank = 0;
  for (int64_t d = 0; d < p.rank; d++) {
    if (p.sizes[d] == 1) continue;
    bool merges = rank > 0;
    for (int i = 0; i < p.inputs && merges; i++)
      merges = p.in[i].strides[rank - 1] == p.in[i].strides[d] * p.sizes[d];
    const int64_t to = merges ? rank - 1 : rank++;
    p.sizes[to] = merges ? p.sizes[to] * p.sizes[d] : p.sizes[d];
    for (int i = 0; i < p.inputs; i++) p.in[i].strides[to] = p.in[i].strides[d];
  }
  if (rank == 0) {
    p.sizes[0] = 1;
    for (int i = 0; i < p.inputs; i++) p.in[i].strides[0] = 0;
    rank = 1;
  }
  p.rank = rank;
}

uint32_t load_element(const uint8_t* p, int64_t dtype) {
  uint16_t h;
  switch (dtype) {
    case dI8:
      return uint32_t(int32_t(int8_t(*p)));
    case dU8:
      return *p;
    case dBool:
      return *p != 0;
    case dF16:
    case dBF16: {
      std::memcpy(&h, p, 2);
      vh v{};
      v[0] = h;
      return uint32_t(as_i(dtype == dF16 ? f16_to_f32(v) : bf16_to_f32(v))[0]);
    }
    case dF32:
    case dI32:
    case dU32: {
      uint32_t w;
      std::memcpy(&w, p, 4);
      return w;
    }
    default:
      return 0xffffffff;  // dtype_bytes has refused it
  }
}
void fill(uint32_t* to, uint32_t bits, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = bits;
}
// n elements, `stride` apart, to 32-bit register lanes.
void load_run(uint32_t* to, const uint8_t* from, int64_t dtype, int64_t bytes, int64_t stride, int64_t n) {
  if (stride == 0) return fill(to, load_element(from, dtype), n);
  int64_t i = 0;
  if (stride == 1) {
    if (bytes == 4) {
      std::memcpy(to, from, size_t(n) * 4);
      return;
    }
    if (bytes == 2) {
      for (; i + kW <= n; i += kW) {
        const vh h = load_h(reinterpret_cast<const uint16_t*>(from) + i);
        storeb(to + i, dtype == dF16 ? f16_to_f32(h) : bf16_to_f32(h));
      }
    }
    // A loop for each dtype, which the compiler makes vectors of.
    if (dtype == dI8)
      for (; i < n; i++) to[i] = uint32_t(int32_t(int8_t(from[i])));
    if (dtype == dU8)
      for (; i < n; i++) to[i] = from[i];
    if (dtype == dBool)
      for (; i < n; i++) to[i] = from[i] != 0;
  }
  for (; i < n; i++) to[i] = load_element(from + i * stride * bytes, dtype);
}

// Elements [start, start + n) of the iteration space of one input.
void load_input(const Program& p, const Input& in, int64_t start, int64_t n, uint32_t* to) {
  int64_t index[kMaxRank], rest = start, offset = 0;
  for (int64_t d = p.rank - 1; d >= 0; d--) {
    index[d] = rest % p.sizes[d];
    rest /= p.sizes[d];
    offset += index[d] * in.strides[d];
  }
  const int64_t inner = p.rank - 1, stride = in.strides[inner];
  for (int64_t done = 0; done < n;) {
    const int64_t run = min64(n - done, p.sizes[inner] - index[inner]);
    load_run(to + done, in.data + offset * in.bytes, in.dtype, in.bytes, stride, run);
    done += run;
    index[inner] += run;
    offset += run * stride;
    for (int64_t d = inner; d > 0 && index[d] == p.sizes[d]; d--) {
      offset += in.strides[d - 1] - index[d] * in.strides[d];
      index[d] = 0;
      index[d - 1]++;
    }
  }
}

void store_output(uint8_t* out, int64_t dtype, int64_t start, const uint32_t* from, int64_t n) {
  switch (dtype) {
    case dF16:
    case dBF16: {
      uint16_t* to = reinterpret_cast<uint16_t*>(out) + start;
      const auto half = [&](int64_t i) {
        const vf v = load(reinterpret_cast<const float*>(from) + i);  // registers are whole vectors
        return dtype == dF16 ? f32_to_f16(v) : f32_to_bf16(v);
      };
      int64_t i = 0;
      for (; i + kW <= n; i += kW) {
        const vh h = half(i);
        std::memcpy(to + i, &h, sizeof h);  // of a known size: one store, not a call
      }
      if (i < n) {
        const vh h = half(i);
        std::memcpy(to + i, &h, size_t(n - i) * 2);
      }
      return;
    }
    case dI8:
    case dU8:
      for (int64_t i = 0; i < n; i++) out[start + i] = uint8_t(from[i]);
      return;
    case dBool:
      for (int64_t i = 0; i < n; i++) out[start + i] = from[i] != 0;
      return;
    case dF32:
    case dI32:
    case dU32: {
      uint8_t* to = out + start * 4;
      if (to != reinterpret_cast<const uint8_t*>(from)) std::memmove(to, from, size_t(n) * 4);
    }
  }
}

uint32_t constant_bits(int64_t dtype, double value) {
  if (dtype == dI32) return uint32_t(int32_t(value));
  if (dtype == dU32) return uint32_t(int64_t(value));
  if (dtype == dBool) return value != 0;
  const float f = float(value);
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  return bits;
}

// For each instruction the output it may write in place of its register, or -1: the last write of a result
// register, when no input shares memory with an output.
void plan_direct(const Program& p, const TileArgs& a, int16_t* direct) {
  std::memset(direct, -1, size_t(p.instructions) * sizeof *direct);
  for (int i = 0; i < p.inputs; i++)
    for (int o = 0; o < p.outputs; o++) {
      const Buf &x = a.inputs(i).x_buf(), &y = a.outputs(o).y_buf();
      if (x.data < y.data + y.bytes && y.data < x.data + x.bytes) return;
    }
  for (int o = 0; o < p.outputs; o++) {
    if (dtype_bytes(p.out_dtype[o]) != 4) continue;
    for (int i = p.instructions - 1; i >= 0; i--) {
      if (p.code[i].dst != p.result[o]) continue;
      if (direct[i] < 0) direct[i] = int16_t(o);
      break;
    }
  }
}

bool reads(const Instruction& c, int r) {
  const int arity = kTileArity[c.op];
  return (arity > 0 && c.a == r) || (arity > 1 && c.b == r) || (arity > 2 && c.c == r);
}
// Whether the result of instruction i is for the one after it and nothing else.
bool passed_on(const Program& p, int i) {
  const int r = p.code[i].dst;
  if (i + 1 == p.instructions || !reads(p.code[i + 1], r)) return false;
  for (int j = i + 1; j < p.instructions; j++) {
    if (j > i + 1 && reads(p.code[j], r)) return false;
    if (p.code[j].dst == r) return true;
  }
  for (int o = 0; o < p.outputs; o++)
    if (p.result[o] == r) return false;
  return true;
}
// Instruction i as a link behind the result in register r; false when it cannot be one.
bool link_of(const Instruction& c, int r, Link& link) {
  if (chain_unary(c.op))
    link = {c.op, kNowhere, false, nullptr};
  else if (chain_binary(c.op) && c.a != c.b)
    link = {c.op, c.a == r ? kFirst : kSecond, false, nullptr};
  else
    return false;
  return true;
}

struct Workspace {
  Program program;
  Buf out[kMaxOutputs];
  int16_t direct[kMaxInstructions];
  int16_t chain[kMaxInstructions];  // instructions of the chain that begins here; 0: none does
  Link links[kMaxInstructions];
  bool past_caches;
  uint32_t* home[kMaxRegisters];  // each register's own storage
  uint32_t* reg[kMaxRegisters];   // where its value is in this tile
};

void plan_chains(Workspace& w) {
  const Program& p = w.program;
  for (int first = 0, next; first < p.instructions; first = next) {
    next = first + 1;
    w.chain[first] = 0;
    if (!link_of(p.code[first], p.code[first].a, w.links[first])) continue;
    while (passed_on(p, next - 1) && link_of(p.code[next], p.code[next - 1].dst, w.links[next])) next++;
    w.chain[first] = int16_t(next - first);
  }
}
// Registers that one value fills.
bool repeats(const Program& p, int r) {
  return r < p.inputs ? p.rank == 1 && p.in[r].strides[0] == 0 : r < p.inputs + p.constants;
}

void run_tile(Workspace& w, int64_t start, int64_t n) {
  const Program& p = w.program;
  const int64_t lanes = ceil_div(n, kW) * kW;
  std::memcpy(w.reg, w.home, sizeof(w.reg[0]) * size_t(p.registers));
  for (int i = 0; i < p.inputs; i++) {
    const Input& in = p.in[i];
    if (p.rank == 1 && in.strides[0] == 0) continue;  // filled before the first tile
    if (p.rank == 1 && in.strides[0] == 1 && in.bytes == 4 && lanes == n)
      w.reg[i] = reinterpret_cast<uint32_t*>(const_cast<uint8_t*>(in.data)) + start;
    else
      load_input(p, in, start, n, w.home[i]);
  }
  for (int i = 0; i < p.instructions; i++) {
    const int first = i, links = w.chain[i];
    if (links > 1) i += links - 1;
    const Instruction& c = p.code[i];
    const bool direct = w.direct[i] >= 0 && lanes == n;
    uint32_t* dst = direct ? w.out[w.direct[i]].as<uint32_t>() + start : w.home[c.dst];
    if (links > 0) {
      for (int k = first; k <= i; k++) {
        if (w.links[k].place == kNowhere) continue;
        const int other = w.links[k].place == kFirst ? p.code[k].b : p.code[k].a;
        w.links[k].with = reinterpret_cast<const float*>(w.reg[other]);
        w.links[k].repeats = repeats(p, other);
      }
      run_chain(w.links + first, links, reinterpret_cast<const float*>(w.reg[p.code[first].a]),
                reinterpret_cast<float*>(dst), lanes, direct && w.past_caches);
    } else {
      tile_execute(c.op, dst, w.reg[c.a], w.reg[c.b], w.reg[c.c], lanes);
    }
    w.reg[c.dst] = dst;
  }
  for (int o = 0; o < p.outputs; o++)
    store_output(w.out[o].data, p.out_dtype[o], start, w.reg[p.result[o]], n);
}

void run(const Args& args, Ctx& ctx) {
  const TileArgs a(args);
  const int64_t count = a.count();
  if (count == 0) return;
  Workspace& w = *reinterpret_cast<Workspace*>(ctx.scratch);
  Program& p = w.program;
  int64_t begin, end;
  ctx.range(ceil_div(count, kGrain), begin, end);
  if (begin >= end || parse(args, p) != nullptr) return;
  collapse(p);
  for (int o = 0; o < p.outputs; o++) w.out[o] = a.outputs(o).y_buf();
  plan_direct(p, a, w.direct);
  plan_chains(w);
  w.past_caches = true;
  for (int o = 0; o < p.outputs; o++) w.past_caches &= streams(w.out[o].data, kGrain * 4, count * 4);
  int64_t tile = 1024;
  while (tile > 256 && tile * 4 * p.registers > kTileBytes) tile /= 2;
  // an odd number of cache lines between registers keeps them out of each other's cache sets
  auto* storage = reinterpret_cast<uint32_t*>(ctx.scratch + (sizeof(Workspace) + 63) / 64 * 64);
  for (int r = 0; r < p.registers; r++) w.home[r] = storage + r * (tile + 16);
  for (int i = 0; i < p.inputs; i++)
    if (p.rank == 1 && p.in[i].strides[0] == 0)
      fill(w.home[i], load_element(p.in[i].data, p.in[i].dtype), tile);
  for (int i = 0; i < p.constants; i++)
    fill(w.home[p.inputs + i], constant_bits(p.constant_dtype[i], p.constant[i]), tile);
  end = min64(end * kGrain, count);
  for (int64_t start = begin * kGrain; start < end; start += tile)
    run_tile(w, start, min64(tile, end - start));
  stream_end();
}

const char* check(const Args& args) {
  static thread_local Program program;
  return parse(args, program);
}

const KernelDef defs[] = {{"tile", run, nullptr, check}};

}  // namespace
extern const Table tile_table;
const Table tile_table = {defs, 1};
}  // namespace ingot::INGOT_NS
