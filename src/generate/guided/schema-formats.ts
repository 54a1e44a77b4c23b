// The formats of strings that are followed, as patterns of whole texts. Each matches only texts of the format, not all.
// https://json-schema.org/draft/2020-12/json-schema-validation#section-7.3

const date =
  '\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))';
const time = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)';
const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const hostname = `${label}(?:\\.${label}){0,3}`;
const byte = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const group = '[\\da-fA-F]{1,4}';
const path = "(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[\\dA-Fa-f]{2})*";

export const stringFormats: Readonly<Record<string, string>> = {
  date,
  time,
  'date-time': `${date}T${time}`,
  duration:
    'P(?:\\d{1,9}W|(?:\\d{1,9}Y(?:\\d{1,9}M)?(?:\\d{1,9}D)?|\\d{1,9}M(?:\\d{1,9}D)?|\\d{1,9}D)(?:T\\d{1,9}H(?:\\d{1,9}M)?(?:\\d{1,9}S)?)?|T(?:\\d{1,9}H(?:\\d{1,9}M)?(?:\\d{1,9}S)?|\\d{1,9}M(?:\\d{1,9}S)?|\\d{1,9}S))',
  email: `[A-Za-z0-9_+-]+(?:\\.[A-Za-z0-9_+-]+)*@${label}(?:\\.${label}){1,3}`,
  hostname,
  ipv4: `${byte}(?:\\.${byte}){3}`,
  ipv6: `(?:${group}:){7}${group}|(?:${group}:){1,6}:${group}|::(?:${group}:){0,5}${group}|::`,
  uri: `[A-Za-z][A-Za-z0-9+.-]*://${hostname}(?::\\d{1,5})?(?:/${path})?(?:\\?${path})?(?:#${path})?`,
  uuid: '[\\da-fA-F]{8}-[\\da-fA-F]{4}-[\\da-fA-F]{4}-[\\da-fA-F]{4}-[\\da-fA-F]{12}',
};

/** Formats of numbers that OpenAPI uses, as bounds. */
export const numberFormats: Readonly<
  Record<string, { readonly minimum?: number; readonly maximum?: number }>
> = {
  int32: { minimum: -(2 ** 31), maximum: 2 ** 31 - 1 },
  int64: {},
  float: {},
  double: {},
};
