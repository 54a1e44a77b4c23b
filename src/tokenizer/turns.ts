// Which tokens end an answer. Files name one end-of-text token; chat models also end a turn with another.

const turnEnders: readonly string[] = [
  '<|im_end|>',
  '<|eot_id|>',
  '<|eom_id|>',
  '<|end|>',
  '<|endoftext|>',
  '<|end_of_text|>',
  '<end_of_turn>',
  '<|return|>',
  '<|call|>',
  '<|END_OF_TURN_TOKEN|>',
  // GLM hands on to whoever speaks next.
  '<|user|>',
  '<|observation|>',
];

/** `named` ids first and in order, then every special token that by its name ends a turn; without repeats. */
export function endIds(
  named: readonly (number | undefined)[],
  idOf: (token: string) => number | undefined,
  isSpecial: (id: number) => boolean,
): number[] {
  const byName = turnEnders.map(idOf).filter((id) => id !== undefined && isSpecial(id));
  // In harmony <|end|> ends a message, after which the answer goes on in another channel.
  const between = idOf('<|channel|>') === undefined ? undefined : idOf('<|end|>');
  const known = [...named, ...byName].filter((id): id is number => id !== undefined);
  return [...new Set(known)].filter((id) => id !== between);
}
