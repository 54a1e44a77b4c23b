// A vitest reporter that ends a run with one line per skipped test: its name and why, so that no check is left out unseen.

/** Reason given to `skip()`, or else the title of the skipped group, which says why in this project. */
function line(test) {
  const { note } = test.result();
  return `skipped: ${test.module.relativeModuleId}: ${test.fullName}${note ? ` (${note})` : ''}`;
}

export default class ListSkipped {
  onTestRunEnd(modules) {
    const tests = modules.flatMap((module) => [...module.children.allTests('skipped')]);
    for (const test of tests) console.log(line(test));
  }
}
