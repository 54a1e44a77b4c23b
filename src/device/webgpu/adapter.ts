// From an adapter to a device: everything it offers is asked for, and what kernels may use is written down once.

import { IngotError } from '../../base/errors.ts';
import { ChoiceBook, type ChoiceStore } from '../../kernel/tune/choices.ts';
import { relativeChoices, shippedChoices } from '../../kernel/tune/shipped.ts';
import type { GpuCapabilities, SubgroupMatrixShape } from '../../kernel/wgsl/contract.ts';
import { WebGpuDevice, type WebGpuDeviceParts } from './device.ts';

/** Features that kernels or profiles use. */
const wanted = [
  'shader-f16',
  'subgroups',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
] as const;

/** Limits that are raised to what the adapter has. */
const raised = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'minStorageBufferOffsetAlignment',
] as const;

/** Least that the kernels are written for (the baseline of WebGPU). */
const needed = { maxStorageBuffersPerShaderStage: 8, maxComputeInvocationsPerWorkgroup: 256 } as const;

interface AdapterInfo extends GPUAdapterInfo {
  readonly subgroupMatrixConfigs?: readonly {
    readonly M: number;
    readonly N: number;
    readonly K: number;
    readonly componentType: SubgroupMatrixShape['component'];
    readonly resultComponentType: SubgroupMatrixShape['result'];
  }[];
}

export type AdapterOptions = Omit<
  WebGpuDeviceParts,
  'gpu' | 'caps' | 'description' | 'identity' | 'choices' | 'keepChoices'
> & {
  /** Tuned choices of an adapter, beside those that ship; default: neither. */
  readonly choices?: ChoiceStore | undefined;
  /** What to do when this adapter will not do. */
  readonly remedy?: string;
  /** Features not to use: to test the variants without them. */
  readonly without?: readonly string[];
  /** Overrides of what kernels are told, to test small limits. */
  readonly limits?: Partial<Pick<GpuCapabilities, 'maxBindingBytes' | 'maxStorageBuffers'>>;
};

/** True for adapters that compute on the processor. */
export const isSoftware = (adapter: GPUAdapter): boolean =>
  adapter.info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|software/i.test(nameOf(adapter));

/** Vulkan drivers describe themselves by their version and name the GPU as the device; others the other way round. */
export const nameOf = ({ info }: GPUAdapter): string => {
  const device = /^(0x|$)/.test(info.device) ? info.description : info.device;
  return [...new Set([info.vendor, info.architecture, device])].filter((s) => s !== '').join(' ');
};

/**
 * A device on this adapter with all its features and limits.
 * @param languageFeatures WGSL features of the implementation (`navigator.gpu.wgslLanguageFeatures`).
 * @throws IngotError `unsupported` for an adapter below the baseline, `device_failed` when it gives no device.
 */
export async function openAdapter(
  adapter: GPUAdapter,
  languageFeatures: ReadonlySet<string>,
  options: AdapterOptions = {},
): Promise<WebGpuDevice> {
  const { without = [], limits = {}, choices, remedy = "use device 'cpu'", ...parts } = options;
  for (const [name, least] of Object.entries(needed)) {
    const has = adapter.limits[name as keyof typeof needed];
    if (has < least) {
      throw new IngotError(
        'unsupported',
        `the GPU ${nameOf(adapter)} has ${name} ${has}, and ${least} are needed: ${remedy}`,
        { details: { [name]: has } },
      );
    }
  }
  const requiredFeatures = wanted.filter((f) => adapter.features.has(f) && !without.includes(f));
  const requiredLimits = Object.fromEntries(raised.map((name) => [name, adapter.limits[name]]));
  let gpu: GPUDevice;
  try {
    gpu = await adapter.requestDevice({
      label: 'ingot',
      requiredFeatures: [...requiredFeatures] as GPUFeatureName[],
      requiredLimits,
    });
  } catch (cause) {
    throw new IngotError('device_failed', `the GPU ${nameOf(adapter)} gave no device: ${String(cause)}`, {
      cause,
    });
  }
  const caps = { ...capabilities(adapter, gpu, languageFeatures, without), ...limits };
  const { vendor, architecture } = adapter.info;
  const identity = { name: nameOf(adapter), vendor, architecture, software: isSoftware(adapter) };
  const book = choices
    ? new ChoiceBook(choices.load(identity), shippedChoices(identity), relativeChoices(identity)?.choices)
    : new ChoiceBook();
  return new WebGpuDevice({
    ...parts,
    gpu,
    caps,
    identity,
    choices: book,
    keepChoices: (kept) => choices?.save(identity, kept),
    description: describe(adapter, caps),
  });
}

function capabilities(
  adapter: GPUAdapter,
  gpu: GPUDevice,
  languageFeatures: ReadonlySet<string>,
  without: readonly string[],
): GpuCapabilities {
  const info: AdapterInfo = adapter.info;
  const has = (feature: string): boolean => gpu.features.has(feature as GPUFeatureName);
  const { limits } = gpu;
  return {
    f16: has('shader-f16'),
    subgroups: has('subgroups')
      ? { min: info.subgroupMinSize ?? 4, max: info.subgroupMaxSize ?? 128 }
      : undefined,
    dot4:
      languageFeatures.has('packed_4x8_integer_dot_product') &&
      !without.includes('packed_4x8_integer_dot_product'),
    subgroupMatrices: has('chromium-experimental-subgroup-matrix')
      ? (info.subgroupMatrixConfigs ?? []).map((c) => ({
          m: c.M,
          n: c.N,
          k: c.K,
          component: c.componentType,
          result: c.resultComponentType,
        }))
      : [],
    maxWorkgroupBytes: limits.maxComputeWorkgroupStorageSize,
    maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
    maxStorageBuffers: limits.maxStorageBuffersPerShaderStage,
    maxBindingBytes: limits.maxStorageBufferBindingSize,
    offsetAlignment: limits.minStorageBufferOffsetAlignment,
    vendor: info.vendor.toLowerCase(),
  };
}

function describe(adapter: GPUAdapter, caps: GpuCapabilities): string {
  const { subgroups } = caps;
  const parts = [
    nameOf(adapter),
    caps.f16 ? 'f16' : 'no f16',
    subgroups === undefined
      ? 'no subgroups'
      : `subgroups of ${subgroups.min === subgroups.max ? subgroups.min : `${subgroups.min} to ${subgroups.max}`}`,
    ...(caps.dot4 ? ['int8 dot products'] : []),
    ...(caps.subgroupMatrices.length > 0 ? ['subgroup matrices'] : []),
  ];
  return parts.join(', ');
}
