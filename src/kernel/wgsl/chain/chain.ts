// A chain: dispatches of one row that follow each other, as phases of one dispatch. Few workgroups, all running at once, go through
// the phases in order and hand results on by mail; the next phase's weights are on their way while they wait.
//
// On an H100 a hop to the next phase takes 1.0 to 1.5 us, one to the next dispatch 2.1 and the processor's 5 to record it.

import type { GpuBinding, GpuEnable, GpuPass, KernelRequest } from '../contract.ts';
import { statusBinding } from '../status.ts';
import { attentionBlock } from './attention-block.ts';
import { expertsBlock } from './experts-block.ts';
import { mailFunctions, mailStatement } from './mail.ts';
import { mlpBlock } from './mlp-block.ts';
import type { Block, BuiltBlock, ChainDispatch, ChainSize } from './phase.ts';
import { scoped } from './scope.ts';

const blocks: readonly Block[] = [attentionBlock, mlpBlock, expertsBlock];

export interface Chain {
  readonly pass: GpuPass;
  /** Dispatches that it stands for. */
  readonly count: number;
  readonly words: number;
  readonly unwritten: readonly string[];
}

/** Workgroups x threads to choose among. The first choice is to have no chains. */
const choices = [
  'off',
  ...[1, 32, 64, 96, 128, 132, 160, 192, 264].flatMap((n) => [256, 512, 1024].map((t) => `${n}x${t}`)),
];

/**
 * The chain that begins with the first of these dispatches, or undefined. Buffers of its pass are numbered through all its
 * dispatches. `mail` is the first free word of the status buffer.
 */
export function chainAt(
  dispatches: readonly ChainDispatch[],
  names: readonly string[],
  mail: number,
): Chain | undefined {
  for (const block of blocks) {
    if (!block.kernels.every((kernel, i) => names[i] === kernel)) continue;
    const own = dispatches.slice(0, block.kernels.length);
    const [first] = own;
    if (first === undefined) continue;
    const { request } = first;
    const choice = request.choose(`chain ${block.name} K${request.constant(block.width(request))}`, choices);
    if (choice === 'off') continue;
    const [groups = 0, threads = 0] = choice.split('x').map(Number);
    const size = { threads, groups };
    const built = block.build(own, size, mail);
    const pass = built && chainPass(block.name, built, size, first.request);
    if (pass !== undefined && built !== undefined) {
      return { pass, count: own.length, words: built.words, unwritten: built.unwritten };
    }
  }
  return undefined;
}

function chainPass(
  name: string,
  { phases, shared = '' }: BuiltBlock,
  { groups, threads }: ChainSize,
  { caps }: KernelRequest,
): GpuPass | undefined {
  const bindings = new Map<string, GpuBinding>([['status', statusBinding]]);
  const codes: string[] = [];
  const calls: string[] = [];
  const enables = new Set<GpuEnable>(phases.flatMap((p) => p.enables));
  let start = 0;
  for (const [i, phase] of phases.entries()) {
    let code = scoped(
      phase.code,
      `p${i}_`,
      phase.bindings.map((b) => b.name),
    );
    for (const b of phase.bindings) {
      const name = `p${i}_${b.name}`;
      const key = `${b.buffer} ${b.type} ${b.access}`;
      const known = bindings.get(key);
      if (known === undefined) bindings.set(key, { ...b, name });
      else code = code.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), known.name);
    }
    codes.push(code);
    // Where the phase before has no work, this one's loads can be on their way.
    calls.push(`  for (var g = (wg.x + ${(groups - (start % groups)) % groups}u) % ${groups}u; g < ${phase.groups}u; g += ${groups}u) {
    p${i}_main(vec3<u32>(g, 0u, 0u), vec3<u32>(${phase.groups}u, 1u, 1u), t);
    workgroupBarrier();
  }
`);
    start += phase.groups;
  }
  if (bindings.size > caps.maxStorageBuffers) return undefined;
  const code = `${mailFunctions}${shared}${codes.join('')}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  ${mailStatement}
${calls.join('')}}
`;
  if (threads > caps.maxInvocations || workgroupBytes(code) > caps.maxWorkgroupBytes) return undefined;
  return {
    name: `chain ${name}`,
    enables: [...enables],
    bindings: [...bindings.values()],
    code,
    groups: [groups, 1, 1],
  };
}

/** Bytes of workgroup memory that code declares: phases do not share theirs. */
function workgroupBytes(code: string): number {
  const sizes: Readonly<Record<string, number>> = {
    Eight: 32,
    'vec4<f32>': 16,
    'vec2<u32>': 8,
    'vec2<f32>': 8,
  };
  const declared = code.matchAll(/var<workgroup> \w+: array<([\w<>]+), (\d+)>/g);
  return [...declared].reduce((n, [, type = '', count]) => n + (sizes[type] ?? 4) * Number(count), 0);
}
