// The formats of strings that are followed, as patterns of whole texts. Each matches only texts of the format, not all. All
// others are annotations. https://json-schema.org/draft/2020-12/json-schema-validation#section-7.3

const leapYear = '(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)';
const date = `(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|${leapYear}-02-29)`;
const clock = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,12})?';
const offset = '(?:[Zz]|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)';
const time = `${clock}${offset}`;
/** Up to 63 characters, no hyphen at either end, nor as third and fourth: those are names in another script. */
const label = ((a, x) => `${a}(?:${x}?${a}|${x}(?:(?:${a}|-)${a}(?:${x}{0,58}${a})?|${a}-${x}{0,58}${a}))?`)(
  '[A-Za-z0-9]',
  '[A-Za-z0-9-]',
);
const hostname = `(?=.{1,253}$)${label}(?:\\.${label})*`;
const atom = "[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]+";
const octet = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const ipv4 = `${octet}(?:\\.${octet}){3}`;
const group = '[\\da-fA-F]{1,4}';
/** Eight groups, or fewer with `::` for those that are missing. */
const ipv6 = [
  `(?:${group}:){7}${group}`,
  `::(?:(?:${group}:){0,6}${group})?`,
  ...[1, 2, 3, 4, 5, 6].map((n) => `(?:${group}:){${n}}:(?:(?:${group}:){0,${6 - n}}${group})?`),
  `(?:${group}:){7}:`,
].join('|');
const byPercent = '%[\\dA-Fa-f]{2}';
const pathCharacter = `(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|${byPercent})`;
const segments = `(?:/${pathCharacter}*)*`;
const host = `(?:\\[(?:${ipv6})\\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|${byPercent})+)`;
const authority = `(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|${byPercent})*@)?${host}(?::\\d{0,5})?`;
const rest = `(?:\\?(?:${pathCharacter}|[/?])*)?(?:#(?:${pathCharacter}|[/?])*)?`;
const uri = `[A-Za-z][A-Za-z0-9+.-]*:(?://${authority}${segments}|/(?:${pathCharacter}+${segments})?|${pathCharacter}+${segments})${rest}`;
const relative = `(?://${authority}${segments}|/(?:${pathCharacter}+${segments})?|(?:[A-Za-z0-9._~!$&'()*+,;=@-]|${byPercent})+${segments}|)${rest}`;
const pointer = '(?:/(?:[^~/]|~[01])*)*';
const variable = `(?:\\w|${byPercent})(?:\\w|${byPercent})*(?:\\*|:[1-9]\\d{0,3})?`;
const count = '\\d{1,9}';

export const stringFormats: Readonly<Record<string, string>> = {
  date,
  time,
  'date-time': `${date}[Tt]${time}`,
  duration: `P(?:${count}W|(?:${count}Y(?:${count}M(?:${count}D)?)?|${count}M(?:${count}D)?|${count}D)(?:T(?:${count}H(?:${count}M(?:${count}S)?)?|${count}M(?:${count}S)?|${count}S))?|T(?:${count}H(?:${count}M(?:${count}S)?)?|${count}M(?:${count}S)?|${count}S))`,
  email: `(?=[^@]{1,64}@)${atom}(?:\\.${atom})*@(?=.{1,253}$)${label}(?:\\.${label})+`,
  hostname,
  ipv4,
  ipv6,
  uri,
  'uri-reference': `(?:${uri}|${relative})`,
  iri: uri,
  'iri-reference': `(?:${uri}|${relative})`,
  'idn-hostname': hostname,
  'idn-email': `(?=[^@]{1,64}@)${atom}(?:\\.${atom})*@(?=.{1,253}$)${label}(?:\\.${label})+`,
  'uri-template': `(?:[A-Za-z0-9._~!$&()*+,;=:@/?#\\[\\]-]|${byPercent}|\\{[+#./;?&]?${variable}(?:,${variable})*\\})*`,
  uuid: '[\\da-fA-F]{8}-[\\da-fA-F]{4}-[\\da-fA-F]{4}-[\\da-fA-F]{4}-[\\da-fA-F]{12}',
  'json-pointer': pointer,
  'relative-json-pointer': `(?:0|[1-9]\\d{0,8})(?:#|${pointer})`,
  /** Text without the characters that mean something, or with a backslash before them; classes, groups of it, and repetitions. */
  regex:
    '\\^?(?:(?:[^\\\\^$.*+?()\\[\\]{}|/]|\\.|\\\\[dDwWsStnrfv0.*+?()\\[\\]{}|/^$\\\\-]|\\[\\^?(?:[A-Za-z0-9_ .,:;@#%&=]|\\\\[dDwWsS])+-?\\])(?:[*+?]\\??|\\{[1-9]\\d{0,2}\\})?|\\|)*\\$?',
};

/** Formats of numbers that OpenAPI uses, as bounds. */
export const numberFormats: Readonly<
  Record<string, { readonly minimum?: number; readonly maximum?: number; readonly integer?: boolean }>
> = {
  int32: { minimum: -(2 ** 31), maximum: 2 ** 31 - 1, integer: true },
  int64: { minimum: -(2 ** 63), maximum: 2 ** 63 - 1024, integer: true },
};
