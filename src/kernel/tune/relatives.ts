// Which adapters are alike: choices measured on one hold for others of its architecture, and are a better guess than none for
// others of its vendor.

import type { AdapterIdentity, Choices } from './choices.ts';

/** Choices measured by the authors on one adapter. */
export interface AdapterChoices extends AdapterIdentity {
  readonly choices: Choices;
}

/** Architectures of a vendor, oldest first, by what names of their adapters contain; the first that fits counts. */
const architectures: Readonly<Record<string, readonly (readonly [name: string, adapters: RegExp])[]>> = {
  nvidia: [
    ['pascal', /\b(gtx[ -]?10\d\d|titan[ -]x|p100|p40|p4)\b/],
    ['volta', /\b(v100|titan[ -]v)\b/],
    ['turing', /\b(rtx[ -]?20\d\d|gtx[ -]?16\d\d|t4|titan[ -]rtx|quadro[ -]rtx)\b/],
    ['ampere', /\b(rtx[ -]?30\d\d|a100x?|a800|a[1-9]0g?|a16|a2|rtx[ -]?a\d000)\b/],
    ['ada', /\b(rtx[ -]?40\d\d|l4|l40s?|rtx[ -]?\d000[ -]ada)\b/],
    ['hopper', /\b(h100|h200|h800|h20|gh200)\b/],
    ['blackwell', /\b(rtx[ -]?50\d\d|b100|b200|b300|gb200|gb300)\b/],
  ],
  amd: [
    ['rdna-2', /\b(rx[ -]?6\d\d\d|rdna[ -]?2)/],
    ['rdna-3', /\b(rx[ -]?7\d\d\d|rdna[ -]?3|780m|890m)/],
    ['rdna-4', /\b(rx[ -]?9\d\d\d|rdna[ -]?4)/],
  ],
  intel: [
    ['xe-lpg', /\b(xe[ -]?lpg|iris|uhd)/],
    ['xe-hpg', /\b(xe[ -]?hpg|arc[ -]a\d\d\d)/],
    ['xe-2', /\b(xe[ -]?2|arc[ -]b\d\d\d)/],
  ],
  apple: [
    ['m1', /\bm1\b/],
    ['m2', /\bm2\b/],
    ['m3', /\bm3\b/],
    ['m4', /\bm4\b/],
    ['m5', /\bm5\b/],
  ],
};

export interface Kind {
  readonly vendor: string;
  /** As this table says, else as the adapter does; empty where neither tells. */
  readonly architecture: string;
}

/** Vendor and architecture of an adapter. Names of adapters say more than drivers do about new ones. */
export function kindOf({ name, vendor, architecture = '' }: AdapterIdentity): Kind {
  const lower = name.toLowerCase();
  const known = Object.keys(architectures).find((v) => (vendor ?? lower).toLowerCase().includes(v));
  const own = known ?? vendor?.toLowerCase() ?? lower.split(' ')[0] ?? '';
  const found = architectures[own]?.find(([, adapters]) => adapters.test(lower));
  return { vendor: own, architecture: found?.[0] ?? architecture.toLowerCase() };
}

/** How far two architectures of a vendor are from each other; undefined for those that are not in the table. */
function generations(vendor: string, a: string, b: string): number | undefined {
  const names = (architectures[vendor] ?? []).map(([name]) => name);
  const [i, j] = [names.indexOf(a), names.indexOf(b)];
  return i < 0 || j < 0 ? undefined : Math.abs(i - j);
}

/** A choice that holds only where as many workgroups run at the same time as where it was measured. */
const needsResidency = (key: string): boolean => key.startsWith('chain ');

export interface Inherited {
  readonly from: string;
  readonly choices: Choices;
}

/**
 * What the nearest relative of an adapter runs: one of the same architecture, else of the same vendor and the nearest architecture, and
 * of that only what does not depend on how many workgroups it holds. Undefined without one.
 */
export function inherit(adapter: AdapterIdentity, known: readonly AdapterChoices[]): Inherited | undefined {
  const own = kindOf(adapter);
  let best: { readonly distance: number; readonly relative: AdapterChoices } | undefined;
  for (const relative of known) {
    const other = kindOf(relative);
    if (relative.name === adapter.name || other.vendor !== own.vendor) continue;
    const same = own.architecture !== '' && own.architecture === other.architecture;
    const distance = same ? 0 : 1 + (generations(own.vendor, own.architecture, other.architecture) ?? 9);
    if (best === undefined || distance < best.distance) best = { distance, relative };
  }
  if (best === undefined) return undefined;
  const { distance, relative } = best;
  const kept = Object.entries(relative.choices).filter(([key]) => distance === 0 || !needsResidency(key));
  return { from: relative.name, choices: Object.fromEntries(kept) };
}
