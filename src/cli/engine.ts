// The engine behind the commands: every module is imported when a command first needs it, so that starting stays quick.

import { env } from '../base/env.ts';
import type { Engine } from './context.ts';

/** What a preset is made of. */
const baseOf = async (name: string): Promise<string> =>
  (await import('../engine/presets/store.ts')).baseOf(name, env);

export const realEngine: Engine = {
  load: async (name, options) => (await import('../engine/load.ts')).load(name, options),
  resolve: async (name, options) =>
    (await import('../hub/resolve.ts')).resolveModel(await baseOf(name), options),
  inspect: async (name) => (await import('../engine/inspect.ts')).inspectModel(name),
  pack: async (name, options) => (await import('../engine/pack.ts')).packModel(await baseOf(name), options),
  convert: async (name, options) =>
    (await import('../engine/convert.ts')).convertModel(await baseOf(name), options),
  routingStatistics: async (name, options) =>
    (await import('../engine/routing-statistics.ts')).routingStatistics(await baseOf(name), options),
  outlook: async (name, options) =>
    (await import('../engine/outlook.ts')).modelOutlook(
      /^https?:/.test(name) ? name : await baseOf(name),
      options,
    ),
  bench: async (name, options) => (await import('../engine/bench.ts')).benchModel(name, options),
  validate: async (name, options) => (await import('../engine/validate.ts')).validateModel(name, options),
  serve: async (options) => (await import('../server/server.ts')).startServer(options),
  cpuReport: async () => (await import('../device/cpu/doctor.ts')).cpuReport(),
  listGpus: async () => (await import('../device/webgpu/report.ts')).listGpus(),
};
