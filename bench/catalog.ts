// Kernels of the catalog on large operands: their share of a copy of as many bytes, and the time of the same composed of plain operations.

import type { NDArray } from '../src/array/array.ts';
import type { Outputs } from '../src/array/compile.ts';
import type { DType } from '../src/base/dtype.ts';
import type { Device } from '../src/device/device.ts';
import { compare, type Measurement } from '../src/testing/bench.ts';
import type { CatalogCase } from '../src/testing/catalog/case.ts';
import { catalogCases } from '../src/testing/catalog/index.ts';

type Sizes = readonly number[];

/** Rows and columns of most operands. */
const N = 16 * 1024;
const D = 1024;
const whole: Sizes = [N, D];
const row: Sizes = [D];

/** Kernels of which every operand is the whole, or as listed. */
const shapes: Readonly<Record<string, readonly Sizes[]>> = {
  ...all('activations', [whole]),
  ...some('transformer', ['swiglu', 'geglu', 'reglu', 'glu', 'softcap'], [whole]),
  ...some(
    'transformer',
    ['swigluPair', 'gegluPair', 'regluPair', 'clampedSwiglu', 'scaledResidual'],
    [whole, whole],
  ),
  ...some('transformer', ['biasSwiglu', 'biasGeglu', 'addBias', 'biasGeluTanh', 'biasSilu'], [whole, row]),
  ...some('softmax', ['softmax', 'logSoftmax', 'softmin'], [whole]),
  'softmax.softmaxGradient': [whole, whole],
  'norms.rmsNorm': [whole, row],
  'norms.layerNorm': [whole, row, row],
  ...some('norms', ['addRmsNorm', 'residualRmsNorm'], [whole, whole, row]),
  ...some('norms', ['addLayerNorm', 'residualLayerNorm'], [whole, whole, row, row]),
  'norms.l2Normalize': [whole],
  'norms.rmsNormGradient': [whole, row, whole],
  ...some(
    'reductions',
    ['logSumExp', 'variance', 'standardDeviation', 'l2Norm', 'l1Norm', 'standardize', 'prod'],
    [whole],
  ),
  'reductions.dotLast': [whole, whole],
  ...some('vlsp', ['depthGate', 'grpoAdvantage'], [whole]),
  'vlsp.siluMulResidual': [whole, whole, whole],
  'vlsp.recurrentStep': [whole, row, whole, []],
  ...all('optimizers', [whole, whole, whole]),
  'optimizers.adamwStep': [whole, whole, whole, whole],
  'optimizers.adamStep': [whole, whole, whole, whole],
  ...some(
    'loss',
    ['binaryCrossEntropy', 'focalLoss', 'huberLoss', 'meanSquaredError', 'klDivergence'],
    [whole, whole],
  ),
  ...some('scan', ['cumsum', 'logCumSumExp'], [[N / 16, D]]),
};

function some(module: string, names: readonly string[], operands: readonly Sizes[]) {
  return Object.fromEntries(names.map((n) => [`${module}.${n}`, operands]));
}
function all(module: string, operands: readonly Sizes[]) {
  return some(module, Object.keys(catalogCases[module] ?? {}), operands);
}

/** What `run` of a kernel is called with; others are constants that its cases make. */
function caseOf(name: string): CatalogCase {
  const [module = '', kernel = ''] = name.split('.');
  const found = catalogCases[module]?.[kernel];
  if (found === undefined) throw new Error(`no kernel ${name}`);
  return found;
}

/** Measures every kernel; `log` gets a line as each is done. */
export async function catalogTable(
  device: Device,
  { dtype = 'f16' as DType, only = '', runs = 7, log = (_: string): void => undefined } = {},
): Promise<readonly Measurement[]> {
  const results: Measurement[] = [];
  for (const [name, operands] of Object.entries(shapes)) {
    if (!name.includes(only)) continue;
    const { run, want } = caseOf(name);
    const functions: Readonly<Record<string, (...xs: NDArray[]) => Outputs>> = { plain: want, [name]: run };
    const { measurements } = await compare(functions, {
      shapes: [operands],
      dtypes: [dtype],
      device,
      warmup: 2,
      runs,
      fusion: { plain: false },
    });
    const own = measurements.find((m) => m.name === name);
    if (own === undefined) continue;
    results.push(own);
    const numbers = `${own.microseconds.toFixed(0).padStart(8)} us ${(100 * own.shareOfCopy).toFixed(0).padStart(4)} % of copy ${own.ratio.toFixed(2).padStart(6)}x plain`;
    log(`${name.padEnd(32)} ${dtype} ${numbers}\n`);
  }
  return results;
}
