// The only reader of process.env: one typed, frozen snapshot. Everything else takes an `Env` and can be tested with another.

import { homedir } from 'node:os';
import { join } from 'node:path';

/** Settings from the environment, with defaults applied. Paths are absolute or as the user wrote them. */
export interface Env {
  readonly home: string;
  /** Hugging Face home: HF_HOME, else XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface. */
  readonly hfHome: string;
  /** Where hub files live: HF_HUB_CACHE (or the older HUGGINGFACE_HUB_CACHE), else HF_HOME/hub. */
  readonly hfHubCache: string;
  readonly hfToken: string | undefined;
  /** File that holds the token when HF_TOKEN is not set. */
  readonly hfTokenPath: string;
  /** Address of the hub without a trailing slash. */
  readonly hfEndpoint: string;
  /** HF_HUB_OFFLINE: never open a connection. */
  readonly offline: boolean;
  /** Ingot's own cache (packed files): INGOT_CACHE, else XDG_CACHE_HOME/ingot, else ~/.cache/ingot. */
  readonly cacheDir: string;
  /** What the user made and would miss (presets): INGOT_DATA, else XDG_DATA_HOME/ingot, else ~/.local/share/ingot. */
  readonly dataDir: string;
  /** INGOT_THREADS: worker threads; undefined lets the device choose. */
  readonly threads: number | undefined;
  /** INGOT_LEVEL: forced SIMD level, for example `avx2` or `scalar`. */
  readonly level: string | undefined;
  readonly pip: PipEnv;
  readonly httpProxy: string | undefined;
  readonly httpsProxy: string | undefined;
  readonly noProxy: readonly string[];
  /** INGOT_API_KEY: a key that `ingot serve` asks for. */
  readonly apiKey: string | undefined;
  /** NO_COLOR is set to anything but the empty string: https://no-color.org */
  readonly noColor: boolean;
}

/** What pip reads from the environment to find its package index. */
export interface PipEnv {
  readonly indexUrl: string | undefined;
  readonly extraIndexUrls: readonly string[];
  readonly configFile: string | undefined;
  readonly cert: string | undefined;
  readonly virtualEnv: string | undefined;
  readonly xdgConfigHome: string;
  readonly xdgConfigDirs: readonly string[];
  /** %APPDATA% on Windows. */
  readonly appData: string | undefined;
}

type Source = Readonly<Record<string, string | undefined>>;

const isTrue = (value: string | undefined): boolean =>
  value !== undefined && ['1', 'true', 'yes', 'on'].includes(value.toLowerCase());

const list = (value: string | undefined, separator: RegExp | string): string[] =>
  (value ?? '').split(separator).filter((part) => part !== '');

function positiveInteger(value: string | undefined): number | undefined {
  const n = Number(value);
  return value !== undefined && Number.isInteger(n) && n > 0 ? n : undefined;
}

/** Builds a snapshot from `source`; an empty variable counts as unset. */
export function readEnv(source: Source = process.env): Env {
  const get = (name: string): string | undefined => (source[name] === '' ? undefined : source[name]);
  const home = get('HOME') ?? get('USERPROFILE') ?? homedir();
  const cacheHome = get('XDG_CACHE_HOME') ?? join(home, '.cache');
  const hfHome = get('HF_HOME') ?? join(cacheHome, 'huggingface');
  return Object.freeze({
    home,
    hfHome,
    hfHubCache: get('HF_HUB_CACHE') ?? get('HUGGINGFACE_HUB_CACHE') ?? join(hfHome, 'hub'),
    hfToken: get('HF_TOKEN') ?? get('HUGGING_FACE_HUB_TOKEN'),
    hfTokenPath: get('HF_TOKEN_PATH') ?? join(hfHome, 'token'),
    hfEndpoint: (get('HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, ''),
    offline: isTrue(get('HF_HUB_OFFLINE')),
    cacheDir: get('INGOT_CACHE') ?? join(cacheHome, 'ingot'),
    dataDir: get('INGOT_DATA') ?? join(get('XDG_DATA_HOME') ?? join(home, '.local', 'share'), 'ingot'),
    threads: positiveInteger(get('INGOT_THREADS')),
    level: get('INGOT_LEVEL'),
    pip: Object.freeze({
      indexUrl: get('PIP_INDEX_URL'),
      extraIndexUrls: Object.freeze(list(get('PIP_EXTRA_INDEX_URL'), /\s+/)),
      configFile: get('PIP_CONFIG_FILE'),
      cert: get('PIP_CERT'),
      virtualEnv: get('VIRTUAL_ENV'),
      xdgConfigHome: get('XDG_CONFIG_HOME') ?? join(home, '.config'),
      xdgConfigDirs: Object.freeze(list(get('XDG_CONFIG_DIRS') ?? '/etc/xdg', ':')),
      appData: get('APPDATA'),
    }),
    httpProxy: get('http_proxy') ?? get('HTTP_PROXY'),
    httpsProxy: get('https_proxy') ?? get('HTTPS_PROXY'),
    noProxy: Object.freeze(list(get('no_proxy') ?? get('NO_PROXY'), /[,\s]+/)),
    apiKey: get('INGOT_API_KEY'),
    noColor: get('NO_COLOR') !== undefined,
  });
}

/** The snapshot taken when this module is first imported. */
export const env: Env = readEnv();

/** The environment of this process with `more` in it, for a process of its own; what is undefined there is taken out. */
export function environmentWith(more: Source): Record<string, string | undefined> {
  const whole = { ...process.env, ...more };
  for (const [name, value] of Object.entries(whole)) if (value === undefined) delete whole[name];
  return whole;
}
