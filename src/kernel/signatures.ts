// The kernels' signatures: names, order and meaning of their buffers and params. The only list: lowerings, WGSL kernels
// and devices find places by these names (signature.ts); tools/gen-signatures.mjs writes the accessors of the native
// kernels (native/build/signatures/) and the table of docs/cpu-kernels.md. Adding a kernel is an entry here. Both tables are
// plain literals, because that tool evaluates them as they stand.

/**
 * Params that are one of a list of names: the code of a name is its place. In C++ `kFast`, `kNoGlu`; dtypes are `dF32`.
 * Dtypes are those of base/dtype.ts, in its order.
 */
export const kernelCodes = {
  dtype: ['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool'],
  glu: ['none', 'silu', 'gelu_tanh', 'gelu_erf'],
  order: ['softmax-topk', 'topk-softmax'],
  precision: ['fast', 'exact', 'fine'],
  reduction: ['sum', 'max', 'min', 'prod', 'mean', 'argmax', 'argmin', 'any', 'all'],
} as const;

/**
 * Buffers: `read`, `write` (every element, without reading any) or `update` (in place), with `?` when the buffer may be
 * absent (then it is in the list with 0 bytes); what it holds (`packed`: weights of docs/layouts.md, `cache`: f32 or f16 by
 * kvDtype, `any`: what a param says); its shape. Params: `int`, `float`, `number` (of any of 32-bit types), `flag` (0 or 1), a list of `kernelCodes`,
 * `count NAME` (the length of the list NAME), `int[COUNT]` (as many as the param COUNT says). An object is a list of
 * records, one after the other: of params, or of buffers for the list of params with the same name. What follows a
 * semicolon is for the reader.
 */
export const kernelSignatures = {
  linear: {
    buffers: {
      x: 'read f32 [rows, K]',
      normWeight: 'read? f32 [K]',
      residual: 'read? f32 [rows, N]',
      segments: { w: 'read packed [N, K]', bias: 'read? f32 [N]', y: 'write? f32 [rows, N]' },
    },
    params: {
      rows: 'int',
      K: 'int',
      precision: 'precision; fine: int8 plus the int8 rounding error, f32 for float layouts',
      normEps: 'float',
      normOffset: 'float; the weight is w + offset',
      glu: 'glu',
      segmentCount: 'count segments',
      segments: { N: 'int', layout: 'int; code of docs/layouts.md', group: 'int', metaDtype: 'dtype' },
    },
    notes: 'with a glu: gate and up of equal N; act(gate) * up goes to the first y, the second is absent',
  },
  moe_glu: {
    buffers: {
      x: 'read f32 [rows, K]',
      ids: 'read i32 [rows, topk]',
      gate: 'read packed [E][N, K]',
      up: 'read packed [E][N, K]',
      h: 'write f32 [rows, topk, N]',
    },
    params: {
      rows: 'int',
      K: 'int',
      precision: 'precision',
      glu: 'glu; not none',
      topk: 'int',
      E: 'int',
      N: 'int',
      layout: 'int; of gate and up',
      group: 'int',
      metaDtype: 'dtype',
    },
    notes: 'h = act(gate x) * (up x) of the experts of each row',
  },
  moe_down: {
    buffers: {
      h: 'read f32 [rows, topk, K]',
      ids: 'read i32 [rows, topk]',
      weights: 'read f32 [rows, topk]',
      down: 'read packed [E][N, K]',
      residual: 'read? f32 [rows, N]',
      y: 'write f32 [rows, N]',
    },
    params: {
      rows: 'int',
      K: 'int',
      precision: 'precision',
      topk: 'int',
      E: 'int',
      N: 'int',
      layout: 'int',
      group: 'int',
      metaDtype: 'dtype',
    },
    notes: 'y = (residual +) sum of weights * (down h) over the experts of each row',
  },
  moe_route: {
    buffers: {
      logits: 'read f32 [rows, E]',
      ids: 'write i32 [rows, k]',
      weights: 'write f32 [rows, k]',
    },
    params: {
      rows: 'int',
      E: 'int',
      k: 'int',
      normTopk: 'flag; weights are divided by their sum',
      order: 'order; softmax over all or over the chosen',
      scale: 'float',
    },
    notes: '',
  },
  embed: {
    buffers: { ids: 'read i32 [rows]', w: 'read packed [N, K]', y: 'write f32 [rows, K]' },
    params: {
      rows: 'int',
      N: 'int',
      K: 'int',
      layout: 'int',
      group: 'int',
      metaDtype: 'dtype',
      scale: 'float',
    },
    notes: '',
  },
  rms_norm: {
    buffers: { x: 'read f32 [rows, D]', w: 'read? f32 [D]', y: 'write f32 [rows, D]' },
    params: { rows: 'int', D: 'int', eps: 'float', offset: 'float' },
    notes: 'y = x * rsqrt(mean x^2 + eps) * (w + offset)',
  },
  layer_norm: {
    buffers: { x: 'read f32 [rows, D]', w: 'read? f32 [D]', b: 'read? f32 [D]', y: 'write f32 [rows, D]' },
    params: { rows: 'int', D: 'int', eps: 'float' },
    notes: '',
  },
  rope: {
    buffers: {
      x: 'read f32 [rows, H, Dh]',
      positions: 'read i32 [rows]',
      invFreq: 'read f32 [rot/2]',
      y: 'write f32 [rows, H, Dh]',
      normWeight: 'read? f32 [Dh]',
    },
    params: {
      rows: 'int',
      H: 'int',
      Dh: 'int',
      rot: 'int',
      interleaved: 'flag',
      attentionScale: 'float; multiplies sin and cos',
      normEps: 'float',
      hasNorm: 'flag; RMS norm of each head before the rotation',
    },
    notes: '',
  },
  kv_write: {
    buffers: {
      k: 'read f32 [rows, Hkv, Dh]',
      v: 'read? f32 [rows, Hkv, Dh]',
      positions: 'read i32 [rows]',
      kCache: 'update cache [Hkv, cap, Dh]',
      vCache: 'update? cache [Hkv, cap, Dh]',
      sequences: 'read? i32 [rows]',
      pageTable: 'read? i32 [S, maxPages]',
    },
    params: {
      rows: 'int',
      Hkv: 'int',
      Dh: 'int',
      cap: 'int',
      kvDtype: 'dtype; f32 or f16',
      ring: 'int; 0: slot = position, n > 0: slot = position mod n',
      S: 'int',
      maxPages: 'int',
    },
    notes: 'v and its cache go together',
  },
  short_conv: {
    buffers: {
      state: 'update f32 [slots, taps - 1, C]',
      x: 'read f32 [rows, C]',
      weight: 'read f32 [C, taps]',
      positions: 'read i32 [rows]',
      bias: 'read? f32 [C]',
      sequences: 'read? i32 [rows]',
      pageTable: 'read? i32 [S, maxPages]',
      y: 'write f32 [rows, C]',
    },
    params: { rows: 'int', C: 'int', taps: 'int', slots: 'int', S: 'int', maxPages: 'int' },
    notes:
      'y = bias + the sum over taps of weight and the inputs up to the row; a slot has the last inputs as of the end of its page, and is written for the last row of each sequence and for the last position of a page that has one',
  },
  rope_kv: {
    buffers: {
      q: 'read f32 [rows, H, Dh]',
      k: 'read f32 [rows, Hkv, Dh]',
      v: 'read f32 [rows, Hkv, Dh]',
      positions: 'read i32 [rows]',
      invFreq: 'read f32 [rot/2]',
      qNorm: 'read? f32 [Dh]',
      kNorm: 'read? f32 [Dh]',
      kCache: 'update cache [Hkv, cap, Dh]',
      vCache: 'update cache [Hkv, cap, Dh]',
      y: 'write f32 [rows, H, Dh]',
      sequences: 'read? i32 [rows]',
      pageTable: 'read? i32 [S, maxPages]',
    },
    params: {
      rows: 'int',
      H: 'int',
      Hkv: 'int',
      Dh: 'int',
      rot: 'int',
      interleaved: 'flag',
      attentionScale: 'float',
      normEps: 'float; above 0 without a norm weight: a norm with weights of 1 (WebGPU only)',
      cap: 'int',
      kvDtype: 'dtype; f32 or f16',
      ring: 'int',
      S: 'int',
      maxPages: 'int',
    },
    notes:
      'rope of q into y, rope of k and v straight into the caches: what fusion makes of two rope and a kv_write',
  },
  attention: {
    buffers: {
      q: 'read f32 [rows, H, Dh]',
      kCache: 'read cache [Hkv, cap, Dh]',
      vCache: 'read cache [Hkv, cap, Dh]',
      positions: 'read i32 [rows]',
      sinks: 'read? f32 [H]',
      y: 'write f32 [rows, H, Dh]',
      sequences: 'read? i32 [rows]',
      pageTable: 'read? i32 [S, maxPages]',
    },
    params: {
      rows: 'int',
      H: 'int',
      Hkv: 'int',
      Dh: 'int',
      cap: 'int',
      kvDtype: 'dtype; f32 or f16',
      scale: 'float',
      window: 'int; 0: none, a row at position p sees keys p-window+1 … p',
      softcap: 'float; 0: none',
      ring: 'int',
      S: 'int',
      maxPages: 'int',
      precision: 'precision; not fine',
    },
    notes: '',
  },
  matmul: {
    buffers: {
      a: 'read f32 [batch, M, K]',
      b: 'read f32 [batch, K, N] or [batch, N, K]',
      y: 'write f32 [batch, M, N]',
    },
    params: {
      batch: 'int',
      M: 'int',
      K: 'int',
      N: 'int',
      transposeB: 'flag',
      aStride: 'int; elements from one matrix to the next, 0 broadcasts',
      bStride: 'int',
    },
    notes: '',
  },
  softmax: {
    buffers: { x: 'read f32 [rows, D]', y: 'write f32 [rows, D]' },
    params: { rows: 'int', D: 'int', log: 'flag' },
    notes: '',
  },
  sort_rows: {
    buffers: { x: 'read f32 [rows, D]', values: 'write f32 [rows, D]', indices: 'write i32 [rows, D]' },
    params: { rows: 'int', D: 'int', k: 'int; D', descending: 'flag' },
    notes: 'ties by lower index',
  },
  topk_rows: {
    buffers: { x: 'read f32 [rows, D]', values: 'write f32 [rows, k]', indices: 'write i32 [rows, k]' },
    params: { rows: 'int', D: 'int', k: 'int', descending: 'flag' },
    notes: 'ties by lower index',
  },
  tile: {
    buffers: { inputs: { x: 'read any [sizes]' }, outputs: { y: 'write any [count]' } },
    params: {
      count: 'int; elements',
      inputCount: 'count inputs',
      outputCount: 'count outputs',
      rank: 'count sizes',
      sizes: 'int[rank]; outermost first',
      inputs: { dtype: 'dtype', strides: 'int[rank]; elements, 0 broadcasts' },
      outputs: { dtype: 'dtype' },
      constantCount: 'count constants',
      constants: { dtype: 'dtype; f32, i32, u32 or bool', value: 'number' },
      instructionCount: 'count instructions',
      instructions: { opcode: 'int', dst: 'int', a: 'int', b: 'int', c: 'int' },
      results: 'int[outputCount]; registers',
    },
    notes: 'see "Tile programs"',
  },
  reduce: {
    buffers: { x: 'read any [outer, D, inner]', y: 'write any [outer, inner]' },
    params: { outer: 'int', D: 'int', inner: 'int', kind: 'reduction', dtype: 'dtype; of x' },
    notes: '',
  },
  copy: {
    buffers: { x: 'read any', y: 'update any; elements that are no destination stay' },
    params: {
      rank: 'count sizes',
      bytes: 'int; of an element',
      sizes: 'int[rank]; outermost first',
      fromStrides: 'int[rank]; elements',
      toStrides: 'int[rank]',
      fromOffset: 'int; elements',
      toOffset: 'int',
    },
    notes: '',
  },
  gather: {
    buffers: {
      x: 'read any [outer, D, inner]',
      indices: 'read i32 [n]',
      y: 'write any [outer, n, inner]',
    },
    params: { outer: 'int', D: 'int', inner: 'int', n: 'int', bytes: 'int; of an element' },
    notes: 'negative indices count from the end; one outside the axis fails the run',
  },
  scatter_add: {
    buffers: {
      updates: 'read any [n, inner]',
      indices: 'read i32 [n]',
      y: 'write any [D, inner]',
    },
    params: { n: 'int', inner: 'int', D: 'int', dtype: 'dtype; f32, i32 or u32' },
    notes: 'accumulated in index order; negative indices count from the end',
  },
  penalize: {
    buffers: {
      logits: 'update f32 [B, V]',
      settings: 'read i32 [B, 12]',
      counts: 'read? i32 [S, V]',
      masks: 'read? i32 [M, ceil(V/32)]',
      biasRows: 'read? i32 [n]',
      biasIds: 'read? i32 [n]',
      biasValues: 'read? f32 [n]',
    },
    params: { B: 'int', V: 'int', S: 'int', M: 'int', n: 'int' },
    notes: '',
  },
  sample: {
    buffers: {
      logits: 'read f32 [B, V]',
      settings: 'read i32 [B, 12]',
      out: 'write u32 [B]',
      outLogprob: 'write f32 [B]',
      topIds: 'write i32 [B, n]',
      topLogprobs: 'write f32 [B, n]',
    },
    params: { B: 'int', V: 'int', n: 'int' },
    notes: '',
  },
  count: {
    buffers: {
      ids: 'read i32 [rows]',
      counts: 'update i32 [S, V]',
      slots: 'read? i32 [rows]',
      fresh: 'read? i32 [S]',
    },
    params: { rows: 'int', V: 'int', S: 'int' },
    notes:
      'rows of counts with fresh ≠ 0 become 0, then each id adds 1 to its row slots[i] (-1: none; without slots: row 0)',
  },
  measure_read: {
    buffers: { data: 'read any', sink: 'write f64 [workers]' },
    params: { ahead: 'int; bytes that are asked for in advance, 0: none' },
    notes: 'reads all of data (CPU only, as the three below: `ingot doctor`)',
  },
  measure_int8: {
    buffers: { operations: 'write f64 [1]' },
    params: { rounds: 'int' },
    notes: 'operations done, 0 where the level has none',
  },
  measure_bf16: { buffers: { operations: 'write f64 [1]' }, params: { rounds: 'int' }, notes: '' },
  measure_f32: { buffers: { operations: 'write f64 [1]' }, params: { rounds: 'int' }, notes: '' },
} as const;
