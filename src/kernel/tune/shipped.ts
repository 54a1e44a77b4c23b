// Choices measured by the authors, by the adapter's name as `ingot doctor --gpu` shows it.

import type { AdapterIdentity, Choices } from './choices.ts';
import { type AdapterChoices, type Inherited, inherit } from './relatives.ts';
import measured from './shipped.json' with { type: 'json' };

// Not measured.map: the bundler takes a property of a JSON list for an export that there is not.
const shipped: readonly AdapterChoices[] = Array.from(measured, ({ choices, ...adapter }) => ({
  ...adapter,
  choices: choices as Choices,
}));

/** Those of exactly this adapter. */
export const shippedChoices = ({ name }: AdapterIdentity): Choices =>
  shipped.find((a) => a.name === name)?.choices ?? {};

/** Those of the nearest relative of an adapter. */
export const relativeChoices = (adapter: AdapterIdentity): Inherited | undefined => inherit(adapter, shipped);
