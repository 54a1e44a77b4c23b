import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopMatcher } from './stop.ts';

/** What a matcher shows of `pieces`, and what stopped it. */
function show(stops: string[], pieces: string[]): { text: string; stoppedBy: string | undefined } {
  const matcher = new StopMatcher(stops);
  let text = '';
  for (const piece of pieces) {
    const result = matcher.push(piece);
    text += result.text;
    if (result.stoppedBy !== undefined) return { text, stoppedBy: result.stoppedBy };
  }
  return { text: text + matcher.flush(), stoppedBy: undefined };
}

describe('StopMatcher', () => {
  it('cuts at a stop string that spans pieces', () => {
    expect(show(['\n\nUser:'], ['Hello', '\n', '\nUs', 'er: hi'])).toEqual({
      text: 'Hello',
      stoppedBy: '\n\nUser:',
    });
  });

  it('shows held text when the stop string does not complete', () => {
    expect(show(['STOP'], ['a ST', 'AR', ' b'])).toEqual({ text: 'a STAR b', stoppedBy: undefined });
  });

  it('holds back no more than a possible start', () => {
    const matcher = new StopMatcher(['xyz']);
    expect(matcher.push('abcx').text).toBe('abc');
    expect(matcher.push('a').text).toBe('xa');
  });

  it('prefers the earliest, then the longest stop string', () => {
    expect(show(['bc', 'abc'], ['xabcd']).stoppedBy).toBe('abc');
    expect(show(['b', 'bc'], ['abc'])).toEqual({ text: 'a', stoppedBy: 'bc' });
  });

  it('rejects an empty stop string', () => {
    expect(() => new StopMatcher([''])).toThrowErrorMatchingInlineSnapshot(
      '[IngotError: a stop string must not be empty]',
    );
  });

  it('never depends on how the text was cut when one stop string is used', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 30 });
    fc.assert(
      fc.property(
        letters,
        fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 }),
        fc.nat(5),
        (text, stop, step) => {
          const pieces = text.match(new RegExp(`.{1,${step + 1}}`, 'g')) ?? [];
          const at = text.indexOf(stop);
          expect(show([stop], pieces).text).toBe(at < 0 ? text : text.slice(0, at));
        },
      ),
    );
  });
});
