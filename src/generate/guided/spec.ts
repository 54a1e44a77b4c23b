// What an answer must look like, as data: the forms users ask for, and the few parts that tool-call formats are made of.

/** A JSON Schema document: an object of keywords, or true and false. */
export type JsonSchema = boolean | Readonly<Record<string, unknown>>;

export type ConstraintSpec =
  /** Any JSON object. */
  | { readonly kind: 'json_object' }
  /**
   * JSON that validates, properties in any order. Keywords that JSON Schema does not know say nothing, and an object may
   * have properties that its schema does not name; `strict` refuses such keywords, and closes objects whose properties are
   * named, as OpenAI's `strict` does. With `mayBeAnyObject`, a schema that cannot be followed stands for any object.
   */
  | {
      readonly kind: 'json_schema';
      readonly schema: JsonSchema;
      readonly strict?: boolean | undefined;
      readonly mayBeAnyObject?: boolean | undefined;
    }
  /** The text itself is a string that validates, without the quotes and escapes of JSON. */
  | { readonly kind: 'string_schema'; readonly schema: JsonSchema }
  /** The whole text matches, as if the pattern stood between ^ and $. */
  | { readonly kind: 'regex'; readonly pattern: string }
  /** Rules `name ::= …`; `root` (default "root") is where a text starts. */
  | { readonly kind: 'ebnf'; readonly grammar: string; readonly root?: string | undefined }
  /** One of these texts. */
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  | { readonly kind: 'literal'; readonly text: string }
  /** Any text in which none of `without` occurs. */
  | { readonly kind: 'text'; readonly without: readonly string[] }
  | { readonly kind: 'sequence'; readonly parts: readonly ConstraintSpec[] }
  | { readonly kind: 'any_of'; readonly options: readonly ConstraintSpec[] }
  /** `part`, from `min` (default 0) to `max` (default: no limit) times. */
  | {
      readonly kind: 'repeat';
      readonly part: ConstraintSpec;
      readonly min?: number | undefined;
      readonly max?: number | undefined;
    };
