// SentencePiece BPE vocabularies carry scores instead of merges. A pair may merge when its joined text is a token, and
// better scores merge first; writing those pairs out in that order gives the equivalent list of merges.

/** Merges, best first, that a vocabulary with scores implies. `tokens[i]` has `scores[i]`; higher is better. */
export function mergesFromScores(tokens: readonly string[], scores: ArrayLike<number>): [string, string][] {
  const scoreOf = (id: number | undefined): number => scores[id ?? 0] || 0;
  const known = new Set(tokens);
  const order = tokens.map((_, id) => id).sort((a, b) => scoreOf(b) - scoreOf(a) || a - b);
  const merges: [string, string][] = [];
  for (let at = 0; at < order.length; ) {
    const score = scoreOf(order[at]);
    const sameScore: [string, string][] = [];
    for (; at < order.length && scoreOf(order[at]) === score; at++) {
      sameScore.push(...pairsOf(tokens[order[at] ?? 0] ?? '', known));
    }
    // Between equal scores the longer left part goes first, as in the reference converters.
    sameScore.sort((a, b) => b[0].length - a[0].length || b[1].length - a[1].length);
    for (const pair of sameScore) merges.push(pair);
  }
  return merges;
}

/** The place of the first merge that makes a token, by the token. */
export function mergedBy(merges: readonly unknown[]): ReadonlyMap<string, number> {
  const first = new Map<string, number>();
  merges.forEach((merge, rank) => {
    const token = Array.isArray(merge) ? merge.join('') : String(merge).replace(' ', '');
    if (!first.has(token)) first.set(token, rank);
  });
  return first;
}

// No trained vocabulary has longer tokens; a hostile one must not cost its length squared.
const longestMerged = 1024;

function pairsOf(token: string, known: ReadonlySet<string>): [string, string][] {
  const pairs: [string, string][] = [];
  if (token.length > longestMerged) return pairs;
  for (let cut = 1; cut < token.length; cut++) {
    const left = token.slice(0, cut);
    const right = token.slice(cut);
    if (known.has(left) && known.has(right)) pairs.push([left, right]);
  }
  return pairs;
}
