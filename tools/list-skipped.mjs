// A vitest reporter that ends a run with one line per skipped test, or group of tests, so that no check is left out
// unseen. Titles say why.

const skipped = (item) =>
  item.type === 'test' ? item.result().state === 'skipped' : [...item.children.array()].every(skipped);

/** The outermost groups of which nothing ran, and single tests elsewhere. */
function* outermost(children) {
  for (const item of children) {
    if (skipped(item)) yield item;
    else if (item.type === 'suite') yield* outermost(item.children);
  }
}

function line(item) {
  const tests = item.type === 'suite' ? [...item.children.allTests()].length : 1;
  return `skipped: ${item.module.relativeModuleId}: ${item.fullName}${tests > 1 ? ` (${tests} tests)` : ''}`;
}

export default class ListSkipped {
  onTestRunEnd(modules) {
    for (const module of modules) for (const item of outermost(module.children)) console.log(line(item));
  }
}
