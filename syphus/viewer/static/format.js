/** Writes numbers, money and times as people read them. Each returns a string; null and undefined give a dash. */
const WHOLE = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const NONE = "–";

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

/** 12345 -> "12,345"; with digits, 0.5 -> "0.50". */
export function number(value, digits = 0) {
  if (missing(value)) return NONE;
  return digits ? value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) : WHOLE.format(value);
}

/** 1234567 -> "1.23M"; below 10,000 every digit is shown. */
export function short(value) {
  if (missing(value)) return NONE;
  return Math.abs(value) < 10000 ? WHOLE.format(Math.round(value)) : SHORT.format(value);
}

/** Dollars: 0.0000123 -> "$0.000012", 1.5 -> "$1.50", 12345 -> "$12,345". */
export function money(value) {
  if (missing(value)) return NONE;
  if (value === 0) return "$0.00";
  const size = Math.abs(value);
  if (size < 0.01) return `$${value.toLocaleString("en", { maximumSignificantDigits: 2, maximumFractionDigits: 10 })}`;
  return `$${number(value, size < 1000 ? 2 : 0)}`;
}

/** A share of 1: 0.1234 -> "12.3%". Never rounds a rest away: 0.9999 -> "99.9%". */
export function share(value) {
  if (missing(value)) return NONE;
  if (value === 0 || value === 1) return `${value * 100}%`;
  const tenths = Math.min(Math.max(Math.round(value * 1000), 1), 999);
  return `${tenths % 10 ? (tenths / 10).toFixed(1) : tenths / 10}%`;
}

/** Seconds: 0.25 -> "250 ms", 3.2 -> "3.2 s", 75 -> "1 min 15 s", 7500 -> "2 h 5 min", 200000 -> "2 d 7 h". */
export function duration(seconds) {
  if (missing(seconds)) return NONE;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const [big, one, small, other] = seconds < 3600 ? [60, "min", 1, "s"] : seconds < 86400 ? [3600, "h", 60, "min"] : [86400, "d", 3600, "h"];
  const whole = Math.floor(seconds / big);
  const rest = Math.floor((seconds % big) / small);
  return rest ? `${whole} ${one} ${rest} ${other}` : `${whole} ${one}`;
}

/** A place in a video: 83.5 -> "1:23.5". */
export function clock(seconds) {
  if (missing(seconds)) return NONE;
  const tenths = Math.round(seconds * 10);
  const minutes = Math.floor(tenths / 600);
  const rest = (tenths % 600) / 10;
  const text = Number.isInteger(rest) ? String(rest) : rest.toFixed(1);
  return `${minutes}:${rest < 10 ? "0" : ""}${text}`;
}

/** Return a Date of an ISO text or of seconds since 1970, or null. */
export function moment(value) {
  if (missing(value) || value === "") return null;
  const date = new Date(typeof value === "number" ? value * 1000 : value);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** "1 Dec, 14:05"; with the year if it is another one. */
export function date(value) {
  const at = moment(value);
  if (!at) return NONE;
  const year = at.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  return at.toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", ...year });
}

/** "just now", "3 min ago", "2 h 5 min ago". */
export function ago(value, now = Date.now()) {
  const at = moment(value);
  if (!at) return NONE;
  const seconds = Math.max(0, (now - at.getTime()) / 1000);
  return seconds < 10 ? "just now" : `${duration(seconds < 60 ? Math.floor(seconds) : seconds)} ago`;
}

/** plural(1, "pair") -> "1 pair", plural(1200, "query", "queries") -> "1,200 queries". */
export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

const LANGUAGES = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });

/** "zh" -> "Chinese"; what is not a code of a language stays as it is. */
export function languageName(code) {
  try {
    return LANGUAGES.of(code);
  } catch {
    return code;
  }
}
