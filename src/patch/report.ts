// A capsule as people read it: markdown, and a picture of the speeds and of where tokens go apart.

import { IngotError } from '../base/errors.ts';
import { formatBytes } from '../base/text.ts';
import { type Capsule, type CapsuleSide, capsuleVersion, type SpeedComparison } from './capsule.ts';

/** The capsule in a JSON text. Throws `bad_file` for what is none. */
export function parseCapsule(text: string, name: string): Capsule {
  const refuse = (problem: string, cause?: unknown): never => {
    throw new IngotError('bad_file', `${name} is no capsule of ingot validate: ${problem}`, { cause });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return refuse(cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (typeof value !== 'object' || value === null || !('capsule' in value))
    return refuse('it has no "capsule"');
  const capsule = value as Capsule;
  if (capsule.capsule !== capsuleVersion) {
    return refuse(
      `it has version ${String(capsule.capsule)}, and this is read up to version ${capsuleVersion}`,
    );
  }
  const missing = (
    ['machine', 'reference', 'other', 'prompts', 'decode', 'prefill', 'memory', 'promises'] as const
  ).find((key) => typeof capsule[key] !== 'object' || capsule[key] === null);
  return missing === undefined ? capsule : refuse(`"${missing}" is missing`);
}

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** The report as markdown. */
export function renderMarkdown(capsule: Capsule): string {
  const { reference, other, machine, logits, memory, prompts, promises } = capsule;
  const equal = prompts.filter((p) => p.equal === p.tokens).length;
  const tokens = prompts.reduce((n, p) => n + p.tokens, 0);
  const same = prompts.reduce((n, p) => n + p.equal, 0);
  const apart = prompts.flatMap((p, i) => (p.equal < p.tokens ? [{ ...p, number: i + 1 }] : []));
  return `# ${other.model}: ${other.label} against ${reference.label}

${capsule.passed ? 'Passed' : '**Failed**'}. Ingot ${capsule.ingot}, Node ${capsule.node}, ${machine.platform}, ${machine.cpu}, ${machine.cores} cores, ${formatBytes(machine.memoryBytes)}; ${capsule.date}.

| promise | held | found |
|---|---|---|
${promises.map((p) => `| ${p.what} | ${p.held ? 'yes' : '**no**'} | ${p.found} |`).join('\n')}

| | ${reference.label} | ${other.label} | ratio |
|---|---:|---:|---:|
${speedRow('decode, tokens/s', capsule.decode)}
${speedRow('prefill, tokens/s', capsule.prefill)}
| dispatches of a step | ${reference.dispatches} | ${other.dispatches} | |
| peak memory of buffers | ${memory.shared ? 'one model, both plans' : formatBytes(memory.referenceBytes)} | ${formatBytes(memory.otherBytes)} | |
${sideRow('model', reference, other, (s) => `${s.model}, ${s.format}`)}
${sideRow('device', reference, other, (s) => s.device)}
${sideRow('precision', reference, other, (s) => s.precision)}

Medians of ${capsule.runs - 1} rounds in turn, smallest and largest in brackets. The process took ${formatBytes(memory.processBytes)} at most.

## Tokens

${equal} of ${prompts.length} prompts are the same to the end, ${same} of ${tokens} tokens in front of a difference. ${capsule.runs} runs of each side were compared.
${
  apart.length === 0
    ? ''
    : `
| prompt | same tokens | margin of the reference there |
|---:|---:|---:|
${apart.map((p) => `| ${p.number} | ${p.equal} of ${p.tokens} | ${p.margin === undefined ? '' : p.margin.toPrecision(3)} |`).join('\n')}
`
}${
  logits === undefined
    ? ''
    : `
## Logits

Over ${logits.rows} rows: largest difference ${logits.maxAbs.toPrecision(3)}, 99 % of rows within ${logits.p99.toPrecision(3)}, mean ${logits.meanAbs.toPrecision(3)}; best token the same in ${percent(logits.top1)}; KL divergence ${logits.kl.toPrecision(3)} nats.
`
}
## Fusions

| pattern | ${reference.label} | ${other.label} |
|---|---:|---:|
${patternRows(reference, other)}
`;
}

const sideRow = (name: string, a: CapsuleSide, b: CapsuleSide, of: (side: CapsuleSide) => string): string =>
  `| ${name} | ${of(a)} | ${of(b)} | |`;

function speedRow(name: string, { reference, other, ratio }: SpeedComparison): string {
  const cell = ({ median, min, max }: SpeedComparison['ratio']): string => `${median} (${min}-${max})`;
  return `| ${name} | ${cell(reference)} | ${cell(other)} | ${cell(ratio)} |`;
}

function patternRows(a: CapsuleSide, b: CapsuleSide): string {
  const names = [...new Set([...Object.keys(a.patternCounts), ...Object.keys(b.patternCounts)])];
  const count = (side: CapsuleSide, name: string): string =>
    String((side.patternCounts as Readonly<Record<string, number>>)[name] ?? 0);
  return names.map((name) => `| ${name} | ${count(a, name)} | ${count(b, name)} |`).join('\n');
}

const width = 640;
const left = 150;
const barWidth = width - left - 110;

/** Speeds as bars, and for every prompt how far its tokens are the same. Self-contained; readable on light and dark pages. */
export function renderSvg(capsule: Capsule): string {
  const { reference, other, decode, prefill, prompts } = capsule;
  const lines: string[] = [];
  let y = 34;
  const text = (x: number, content: string, more = ''): void => {
    lines.push(`<text x="${Number(x.toFixed(1))}" y="${y}"${more}>${escaped(content)}</text>`);
  };
  text(12, `${other.model}: ${other.label} against ${reference.label}`, ' font-weight="600" font-size="15"');
  for (const [name, speed] of [
    ['decode', decode],
    ['prefill', prefill],
  ] as const) {
    const most = Math.max(speed.reference.median, speed.other.median, Number.MIN_VALUE);
    y += 32;
    text(12, `${name}, tokens/s`, ' font-weight="600"');
    text(left, `${speed.ratio.median} times`, ' fill="#1a7f5a"');
    for (const [side, rate, colour] of [
      [reference, speed.reference.median, '#8a94a6'],
      [other, speed.other.median, '#1a7f5a'],
    ] as const) {
      y += 22;
      text(12, shorten(side.label));
      const length = Math.max(1, (barWidth * rate) / most);
      lines.push(
        `<rect x="${left}" y="${y - 12}" width="${length.toFixed(1)}" height="14" rx="2" fill="${colour}"/>`,
      );
      text(left + length + 8, String(rate));
    }
  }
  y += 32;
  text(12, 'tokens that are the same, by prompt', ' font-weight="600"');
  for (const [i, { equal, tokens }] of prompts.entries()) {
    y += 12;
    const length = (barWidth * equal) / Math.max(1, tokens);
    const bar = (x: number, w: number, colour: string): string =>
      `<rect x="${x.toFixed(1)}" y="${y - 8}" width="${w.toFixed(1)}" height="8" fill="${colour}"/>`;
    lines.push(bar(left, length, '#1a7f5a'), bar(left + length, barWidth - length, '#c8553d'));
    if (i % 5 === 0) text(12, `prompt ${i + 1}`, ' font-size="11"');
  }
  const height = y + 24;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="#7a8290" role="img">
<title>${escaped(`${other.model}: ${other.label} against ${reference.label}, decode ${decode.ratio.median} times, prefill ${prefill.ratio.median} times`)}</title>
${lines.join('\n')}
</svg>
`;
}

const shorten = (text: string): string => (text.length > 19 ? `${text.slice(0, 18)}…` : text);

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);
