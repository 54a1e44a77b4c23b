// WebGPU in a browser, in pages and in workers: `navigator.gpu`, and tuned choices in the storage of the page.

import { IngotError } from '../../base/errors.ts';
import { type AdapterIdentity, type ChoiceStore, parseChoices } from '../../kernel/tune/choices.ts';
import { openAdapter } from './adapter.ts';
import type { WebGpuDevice } from './device.ts';

/** What a browser may have of this; Node's types do not know all. */
const browser = globalThis as {
  readonly navigator?: { readonly gpu?: GPU };
  readonly isSecureContext?: boolean;
  readonly localStorage?: { getItem(key: string): string | null; setItem(key: string, value: string): void };
};

export interface BrowserGpuOptions {
  /** Bytes that buffers may take together; default: what the browser gives. */
  readonly memoryLimit?: number | undefined;
}

/**
 * Opens the GPU that the browser offers first.
 * @throws IngotError `unsupported` with what to do when there is no WebGPU, no GPU, or too small a one.
 */
export async function openBrowserGpu({ memoryLimit }: BrowserGpuOptions = {}): Promise<WebGpuDevice> {
  const gpu = browser.navigator?.gpu;
  if (gpu === undefined) {
    throw new IngotError(
      'unsupported',
      browser.isSecureContext === false
        ? 'browsers give WebGPU only to pages from https:// or http://localhost: serve this page from there'
        : 'this browser has no WebGPU: use a recent Chrome, Edge, Firefox or Safari, or switch WebGPU on in its settings',
    );
  }
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) {
    throw new IngotError(
      'unsupported',
      'the browser offers no GPU: switch hardware acceleration on in its settings, or update the graphics driver',
    );
  }
  return openAdapter(adapter, gpu.wgslLanguageFeatures, {
    memoryLimit,
    choices: pageChoices,
    remedy: 'use another browser or computer',
  });
}

const keyOf = ({ name }: AdapterIdentity): string => `ingot/gpu/${name}`;

/** Workers have no such storage, and users may forbid it: choices then last as long as the device. */
const pageChoices: ChoiceStore = {
  load(adapter) {
    try {
      return parseChoices(browser.localStorage?.getItem(keyOf(adapter)) ?? '{}');
    } catch {
      return {};
    }
  },
  save(adapter, choices) {
    try {
      browser.localStorage?.setItem(keyOf(adapter), JSON.stringify(choices));
      return browser.localStorage && `localStorage['${keyOf(adapter)}']`;
    } catch {
      return undefined;
    }
  },
};
