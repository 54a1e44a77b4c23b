// Choices measured by the authors, by the adapter's name as `ingot doctor --gpu` shows it.

import type { Choices } from './choices.ts';
import shipped from './shipped.json' with { type: 'json' };

export const shippedChoices = (adapter: string): Choices =>
  (shipped as Readonly<Record<string, Choices>>)[adapter] ?? {};
