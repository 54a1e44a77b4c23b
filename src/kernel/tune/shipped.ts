// Choices measured by the authors, by vendor and architecture of the adapter (`vendor architecture`, lower case).

import type { Choices } from './choices.ts';
import shipped from './shipped.json' with { type: 'json' };

export const shippedChoices = (adapter: string): Choices =>
  (shipped as Readonly<Record<string, Choices>>)[adapter] ?? {};
