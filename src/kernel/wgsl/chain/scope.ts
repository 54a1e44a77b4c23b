// One module from several: the code of a pass with its own names, and its entry point as a function that is called.

/** Comments, names with numbers that begin like them, single characters. */
const tokens = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|[A-Za-z_][A-Za-z0-9_]*|[0-9][A-Za-z0-9_.]*|\s+|[\s\S]/g;

const isName = (token: string): boolean => /^[A-Za-z_]/.test(token);
const isSpace = (token: string): boolean => /^(\s|\/\/|\/\*)/.test(token);

/** What code declares outside of functions and structures. */
function declaredNames(list: readonly string[]): ReadonlySet<string> {
  const names = new Set<string>();
  let depth = 0;
  let angle = 0;
  let expects = false;
  for (const token of list) {
    if (isSpace(token)) continue;
    if (expects && token === '<') angle++;
    else if (expects && token === '>') angle--;
    else if (expects && angle === 0 && isName(token)) {
      names.add(token);
      expects = false;
    }
    if ('({['.includes(token)) depth++;
    else if (')}]'.includes(token)) depth--;
    else if (depth === 0 && ['const', 'fn', 'alias', 'struct', 'var'].includes(token)) {
      expects = true;
      angle = 0;
    }
  }
  return names;
}

/**
 * Code whose module-scope names, and those in `more`, begin with `prefix`; its `main` takes the built-in values as plain
 * arguments. Members are not renamed.
 */
export function scoped(code: string, prefix: string, more: readonly string[]): string {
  const plain = code
    .replace(/@compute\s+@workgroup_size\([^)]*\)\s*/, '')
    .replace(/@builtin\([a-z_]+\)\s*/g, '');
  const list = plain.match(tokens) ?? [];
  const names = new Set([...declaredNames(list), ...more]);
  let before = '';
  return list
    .map((token, i) => {
      const member = before === '.' || (inStructure(list, i) && nextOf(list, i) === ':');
      if (!isSpace(token)) before = token;
      return names.has(token) && !member ? `${prefix}${token}` : token;
    })
    .join('');
}

function nextOf(list: readonly string[], at: number): string | undefined {
  for (let i = at + 1; i < list.length; i++) if (!isSpace(list[i] as string)) return list[i];
  return undefined;
}

/** Whether the innermost open brace is that of a structure. */
function inStructure(list: readonly string[], at: number): boolean {
  let depth = 0;
  for (let i = at; i >= 0; i--) {
    if (list[i] === '}') depth++;
    else if (list[i] === '{' && depth-- === 0) {
      const head = list.slice(Math.max(0, i - 6), i).filter((t) => !isSpace(t));
      return head.at(-2) === 'struct';
    }
  }
  return false;
}
