// Plain text tables: columns as wide as their longest cell.

/** Lines of `rows`, the first being the header; columns named in `right` are aligned to the right. */
export function formatTable(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) =>
    Math.max(...rows.map((row) => (row[c] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    widths
      .map((width, c) => (right.includes(c) ? (row[c] ?? '').padStart(width) : (row[c] ?? '').padEnd(width)))
      .join('  ')
      .trimEnd();
  return `${rows.map(line).join('\n')}\n`;
}

/** "name  value" lines; entries whose value is undefined are left out. */
export const formatFacts = (facts: readonly (readonly [string, string | number | undefined])[]): string =>
  formatTable(facts.filter(([, value]) => value !== undefined).map(([name, value]) => [name, String(value)]));
