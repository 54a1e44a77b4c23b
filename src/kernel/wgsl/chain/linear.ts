// A product of one row as a phase: the row comes from memory or by mail, results go to memory or by mail.

import type { KernelPrecision } from '../../signature.ts';
import type { GpuBinding, GpuCapabilities } from '../contract.ts';
import { keeps, type XMode } from '../linear/activations.ts';
import { gluFunction } from '../linear/epilogue.ts';
import { type Geometry, type RowWork, segmentOctets, weightWork } from '../linear/geometry.ts';
import type { RowOutput } from '../linear/row-plan.ts';
import { rowCode } from '../linear/rows.ts';
import type { LinearSegment, LinearShape } from '../linear/shape.ts';
import { octetsOf, weightReader } from '../linear/unpack.ts';
import { panelsOf, panelWindows } from '../linear/windows.ts';
import { normReader, rowReader, rowType } from '../linear/x-input.ts';
import type { ChainDispatch, ChainSize, MailAt, Phase } from './phase.ts';

/** Bytes of weights that a thread asks for before it needs the first. */
const bytesAhead = 128;

const modeOf = (precision: KernelPrecision, quantized: boolean, { dot4 }: GpuCapabilities): XMode =>
  precision === 'exact' || !quantized || !dot4 ? 'f32' : precision === 'fast' ? 'int8' : 'int8x2';

/** How the panels of each output and their columns are laid over workgroups; undefined where x does not fit. */
export function phaseGeometry(
  work: RowWork,
  outputs: readonly number[],
  size: ChainSize,
  caps: GpuCapabilities,
): Geometry | undefined {
  const { threads } = size;
  const most = Math.max(size.groups, outputs.length);
  const mode = modeOf(work.precision, work.quantized, caps);
  const groupsOf = (per: number): number => outputs.reduce((n, panels) => n + Math.ceil(panels / per), 0);
  // Panels side by side: their loads are under way together, and sums are taken once.
  let teams = 1;
  while (teams < 8 && groupsOf(teams) > most && threads / (2 * teams) >= 32) teams *= 2;
  let rounds = 1;
  while (groupsOf(teams * rounds) > most) rounds++;
  const lanes = threads / teams;
  const grouped = Math.min(4, work.groupOctets);
  const run = mode !== 'f32' && grouped > 1 && work.octets * 4 >= lanes * grouped ? grouped : 1;
  const steps = Math.ceil((work.octets * 4) / (lanes * run));
  const unroll = Math.max(1, Math.min(steps, bytesAhead / (16 * work.streams * work.octetLoads * run)));
  const geometry: Geometry = { mode, threads, teams, rounds, unroll: Math.floor(unroll), run };
  const segment = segmentOctets(geometry, work, caps);
  const whole = segment !== undefined && keeps({ rows: 1, octets: work.octets, segment, threads });
  return whole ? geometry : undefined;
}

/** Where column `n` of a row of K is in the mail for `mailInput`: neighbouring octets are in neighbouring words, first column 0 of all octets, then column 1. */
export const octetWord = (n: string, K: number): string => `(${n} & 7u) * ${K / 8}u + (${n} >> 3u)`;

/** WGSL of `x_octet` and `x_wait` for a row of K numbers that comes by mail, times an f32 expression of `octet`. */
export function mailInput(at: MailAt, K: number, factor?: string): string {
  const four = (j: number): string =>
    `vec4<f32>(${[0, 1, 2, 3].map((i) => `mail_read(${at + (i + j) * (K / 8)}u + octet)`).join(', ')})${factor === undefined ? '' : ` * ${factor}`}`;
  return `fn x_octet(row: u32, octet: u32) -> Eight { return Eight(${four(0)}, ${four(4)}); }
fn x_wait() { _ = mail_read(${at}u + mail_pick * 8u % ${K}u); }
`;
}

export interface RowSource {
  /** `x_octet`, and `norm_octet` where there is a norm. */
  readonly code: string;
  readonly bindings: readonly GpuBinding[];
  readonly mail: boolean;
  readonly norm: { readonly K: number; readonly eps: string } | undefined;
}

/** A row of memory, normalised where there is a norm; `x` and `weight` are numbers of buffers of the chain. */
export interface InputRow {
  readonly x: number;
  readonly K: number;
  readonly norm?: { readonly weight: number; readonly eps: string; readonly offset: string } | undefined;
}

export type NormedRow = InputRow & { readonly norm: NonNullable<InputRow['norm']> };

export function memoryRow({ x, K, norm }: InputRow): RowSource {
  const type = rowType(K);
  const bindings: GpuBinding[] = [{ buffer: x, name: 'x', type, access: 'read' }];
  const code = `${rowReader('x', K)}fn x_octet(row: u32, octet: u32) -> Eight { return x_eight(0u, octet); }
`;
  if (norm === undefined) return { code, bindings, mail: false, norm: undefined };
  bindings.push({ buffer: norm.weight, name: 'norm_weight', type, access: 'read' });
  return {
    code: `${code}${normReader(K, norm.offset)}`,
    bindings,
    mail: false,
    norm: { K, eps: norm.eps },
  };
}

/** Where an output goes: by mail, number by number or for `mailInput`, or to buffer y of its segment. */
export type RowTarget = { readonly mail: MailAt; readonly octets?: boolean } | 'memory';

/**
 * The phase of a `linear` dispatch; `targets` are those of its outputs, `residual` is the number of a buffer of the chain. Undefined
 * where it cannot be one.
 */
export function linearPhase(
  dispatch: ChainDispatch,
  shape: LinearShape,
  source: RowSource,
  targets: readonly RowTarget[],
  size: ChainSize,
  residual = dispatch.first + dispatch.request.as('linear').b.residual,
): Phase | undefined {
  const { caps } = dispatch.request;
  const { K, glu, segments } = shape;
  const parts = glu === 'none' ? segments.map((s) => [s]) : [segments];
  const bindings: GpuBinding[] = [...source.bindings];
  const outputs: RowOutput[] = [];
  for (const [i, part] of parts.entries()) {
    const target = targets[i];
    const output = target && partOutput(dispatch, shape, part, i, target, bindings);
    if (output === undefined) return undefined;
    outputs.push(output);
  }
  const { N = 0 } = segments[0] ?? {};
  if (shape.residual) bindings.push({ buffer: residual, name: 'residual', type: rowType(N), access: 'read' });
  const readers = outputs.flatMap((o) => o.streams.map((s) => s.reader));
  const work: RowWork = {
    precision: shape.precision,
    rows: 1,
    octets: octetsOf(K),
    panels: outputs.reduce((n, o) => n + o.panels, 0),
    streams: Math.max(...outputs.map((o) => o.streams.length)),
    ...weightWork(readers),
  };
  const counts = outputs.map((o) => o.panels);
  const geometry = phaseGeometry(work, counts, size, caps);
  if (geometry === undefined || (source.mail && K % 8 !== 0)) return undefined;
  const { code, enables, groups } = rowCode({
    geometry,
    work,
    caps,
    outputs,
    input: `${source.code}${gluFunction(glu)}`,
    norm: source.norm,
    rowCount: '1u',
    mail: source.mail,
  });
  return { code, enables, groups, bindings };
}

/** One output; undefined where a matrix does not fit a binding or the output has ends of its own. */
function partOutput(
  { request, first }: ChainDispatch,
  shape: LinearShape,
  part: readonly LinearSegment[],
  i: number,
  target: RowTarget,
  bindings: GpuBinding[],
): RowOutput | undefined {
  const [head] = part;
  if (head === undefined || head.N % 16 !== 0) return undefined; // so that a row of residuals is read by fours, too
  const panels = panelsOf(head.N);
  const streams = [];
  const terms: string[] = [];
  for (const [s, { w, bias, layout }] of part.entries()) {
    const windows = panelWindows({ layout, K: shape.K, count: panels, unit: 1 }, request.caps);
    if (windows.length !== 1) return undefined;
    const name = `w${i}_${s}`;
    bindings.push({ buffer: first + w, name, type: 'array<vec4<u32>>', access: 'read' });
    streams.push({ name, reader: weightReader(name, layout, shape.K) });
    if (bias !== undefined)
      bindings.push({ buffer: first + bias, name: `b${i}_${s}`, type: 'array<f32>', access: 'read' });
    terms.push(bias === undefined ? `v${s}` : `v${s} + b${i}_${s}[n]`);
  }
  const [gate = 'v0', up] = terms;
  const value = `${up === undefined ? gate : `glu(${gate}, ${up})`}${shape.residual ? ' + residual[n >> 2u][n & 3u]' : ''}`;
  if (target === 'memory') {
    if (head.y === undefined) return undefined;
    bindings.push({ buffer: first + head.y, name: `y${i}`, type: 'array<f32>', access: 'read_write' });
    return { streams, panels, store: `y${i}[n] = ${value};` };
  }
  const at = target.octets ? octetWord('n', head.N) : 'n';
  return { streams, panels, store: `mail_send(${target.mail}u + ${at}, ${value});` };
}
