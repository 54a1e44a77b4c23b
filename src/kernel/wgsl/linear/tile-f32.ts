// Tiles in f32, for every adapter and for exact results: 256 threads, each with a block of sums in registers.

import { invariant } from '../../../base/errors.ts';
import { lines, type TileEngine, type TileOperands, type TileShape, tileName } from './tile-body.ts';

/** Threads over the rows of x and of W; a thread has rows `y + 16 i` and columns `x + 16 j`. */
const side = 16;
const threads = side * side;
const columns = 32;
const chunks = columns / 8;
const words = columns / 4;

/** Shapes have k 32 and `subgroups` [1, 1]: there is nothing to share. 64x64 needs 16 KiB of workgroup memory. */
export function f32Engine(shape: TileShape): TileEngine {
  const [tm, tn] = [shape.m / side, shape.n / side];
  invariant(Number.isInteger(tm) && Number.isInteger(tn) && shape.k === columns, tileName(shape));
  return {
    name: `f32 ${tileName(shape)}`,
    shape,
    threads,
    enables: [],
    subgroup: { param: '', value: '0u' },
    math: 'f32',
    halves: false,
    workgroupBytes: (shape.m + shape.n) * words * 16,
    columns: (matrices) => shape.n / matrices,
    prelude: `var<workgroup> x_tile: array<vec4<f32>, ${shape.m * words}>;
var<workgroup> w_tile: array<vec4<f32>, ${shape.n * words}>;
// Where four columns of a row lie: turned by the row, so that eight rows are in different banks.
fn place(row: u32, word: u32) -> u32 { return row * ${words}u + (word ^ (row % ${words}u)); }
fn put_x(row: u32, c: u32, v: array<vec4<f32>, 2>) { x_tile[place(row, 2u * c)] = v[0]; x_tile[place(row, 2u * c + 1u)] = v[1]; }
fn put_w(row: u32, c: u32, p: Pairs) {
  w_tile[place(row, 2u * c)] = vec4<f32>(p[0].x, p[1].x, p[0].y, p[1].y);
  w_tile[place(row, 2u * c + 1u)] = vec4<f32>(p[2].x, p[3].x, p[2].y, p[3].y);
}
fn fma4(a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }
`,
    body: (operands) => body(operands, shape, tm, tn),
  };
}

function body(o: TileOperands, shape: TileShape, tm: number, tn: number): string {
  const matrices = o.fetch.length;
  const perMatrix = shape.n / matrices;
  const x = tasks(shape.m);
  const w = tasks(perMatrix);
  const each = (text: (i: number, j: number) => string): string =>
    lines(tm, (i) => lines(tn, (j) => text(i, j)));
  return `fn tile_${o.suffix}(start: u32, count: u32, x_base: u32, w_base: u32, n_tile: u32, t: u32, subgroup: u32) {
${lines(x.each, (i) => `  let x_${i} = x_row(start + min(${x.task(i)} / ${chunks}u, count - 1u));`)}
${lines(
  w.each,
  (i) => `  let n_${i} = min(n_tile * ${perMatrix}u + ${w.task(i)} % ${perMatrix}u, ${o.lastRow});
  let c_${i} = (${w.task(i)} / ${perMatrix}u) % ${chunks}u;`,
)}
${each((i, j) => `  var sum_${i}_${j} = 0.0;`)}
  for (var k = 0u; k < ${o.steps}; k++) {
    let first = k * ${chunks}u;
${lines(x.each, (i) => x.guarded(`put_x(${x.task(i)} / ${chunks}u, t % ${chunks}u, x_chunk(x_base, x_${i}, first + t % ${chunks}u));`))}
${o.fetch.map((fetch, h) => lines(w.each, (i) => w.guarded(`put_w(${h * perMatrix}u + ${w.task(i)} % ${perMatrix}u, c_${i}, ${o.decode[h]}(${fetch}(w_base, n_${i}, first + c_${i}), n_${i}, first + c_${i}));`))).join('\n')}
    workgroupBarrier();
    for (var word = 0u; word < ${words}u; word++) {
${lines(tn, (j) => `      let w_${j} = w_tile[place(t % ${side}u + ${side * j}u, word)];`)}
${lines(
  tm,
  (i) => `      let v_${i} = x_tile[place(t / ${side}u + ${side * i}u, word)];
${lines(tn, (j) => `      sum_${i}_${j} = fma4(v_${i}, w_${j}, sum_${i}_${j});`)}`,
)}
    }
    workgroupBarrier();
  }
${lines(tm, (i) => finishRow(i, o, perMatrix, tn))}
}
`;
}

function tasks(n: number) {
  const total = n * chunks;
  const partial = total % threads !== 0;
  invariant(!partial || total < threads, `${total} chunks for ${threads} threads`);
  return {
    each: Math.ceil(total / threads),
    task: (i: number): string => (i === 0 ? 't' : `(t + ${i * threads}u)`),
    guarded: (text: string): string => (partial ? `    if (t < ${total}u) { ${text} }` : `    ${text}`),
  };
}

/** Columns of gate and up are `tn / 2` apart in a thread's sums. */
function finishRow(i: number, o: TileOperands, perMatrix: number, tn: number): string {
  const pairs = tn / o.fetch.length;
  const values = (j: number): string => o.fetch.map((_, h) => `sum_${i}_${j + h * pairs}`).join(', ');
  return `  if (t / ${side}u + ${side * i}u < count) {
    let slot = start + t / ${side}u + ${side * i}u;
    let n = n_tile * ${perMatrix}u + t % ${side}u;
${lines(pairs, (j) => `    if (n + ${side * j}u < ${o.N}) { ${o.finish}(slot, n + ${side * j}u, ${values(j)}); }`)}
  }`;
}
