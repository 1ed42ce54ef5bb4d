// Numbers and times in words. What is not known is said, never shown as 0.

export const UNTOLD = "not told";

export const told = (value) => value !== null && value !== undefined;

export const or = (value, format, otherwise = UNTOLD) => (told(value) ? format(value) : otherwise);

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

export function bytes(number) {
  const power = number ? Math.min(Math.floor(Math.log2(number) / 10), UNITS.length - 1) : 0;
  return `${Number((number / 1024 ** power).toFixed(power ? 1 : 0))} ${UNITS[power]}`;
}

const SHORT = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"], [1, ""]];

/** As in `1.7B`. Intl would do that too, but takes 20 ms when it is first asked for anything. */
export function count(number) {
  const [size, letter] = SHORT.find(([each]) => number >= each) ?? [1, ""];
  return `${Number((number / size).toFixed(1))}${letter}`;
}

export const whole = (number) => String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ",");

export const percent = (ratio) => `${(100 * ratio).toFixed(0)} %`;

export const change = (ratio) => `${ratio < 0 ? "−" : "+"}${Math.abs(100 * ratio).toFixed(1)} %`;

/** A number with about three digits that count. */
export function short(number) {
  const size = Math.abs(number);
  return number.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

export const rate = (number) => `${short(number)} tokens/s`;

export const celsius = (number) => `${number.toFixed(1)} °C`;

export const watts = (number) => `${number.toFixed(1)} W`;

export const hertz = (number) =>
  number >= 1e9 ? `${(number / 1e9).toFixed(2)} GHz` : `${(number / 1e6).toFixed(0)} MHz`;

export function milliseconds(number) {
  return number < 1000 ? `${short(number)} ms` : `${short(number / 1000)} s`;
}

export function span(seconds) {
  const left = Math.max(0, Math.round(seconds));
  if (left < 90) return `${left} s`;
  if (left < 5400) return `${Math.round(left / 60)} min`;
  return left < 172800 ? `${Math.round(left / 3600)} h` : `${Math.round(left / 86400)} days`;
}

const two = (number) => String(number).padStart(2, "0");

/** The local time of day. */
export function clock(at) {
  const time = new Date(at);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
}

/** The local day. */
export function day(at) {
  const time = new Date(at);
  return [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
}

export const date = (at) => `${day(at)} ${clock(at).slice(0, 5)}`;

export const yesNo = (flag) => (flag ? "yes" : "no");

/** The names, as an enumeration in a sentence. */
export function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
