// How is a number written?  Three significant digits, the unit behind it, a true minus sign.

const NBSP = "\u00a0";
const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 20 });

/** @param {string} text */
const minus = (text) => text.replace(/^-/, "−");

/** A count in full: 23,296. @param {number} n */
export const count = (n) => minus(grouped.format(n));

/** "1 image", "800 images". @param {number} n @param {string} one @param {string} [many] */
export const counted = (n, one, many = `${one}s`) => `${count(n)}${NBSP}${n === 1 ? one : many}`;

/** A large count in short: 1.24 M. @param {number} n */
export function short(n) {
  const size = Math.abs(n);
  if (size < 1e4) return count(n);
  const steps = [[999.5e3, 1e3, "k"], [999.5e6, 1e6, "M"], [999.5e9, 1e9, "G"], [Infinity, 1e12, "T"]];
  const [, scale, letter] = steps.find(([below]) => size < below) ?? steps[3];
  return minus(`${Number((n / scale).toPrecision(3))}${NBSP}${letter}`);
}

/** Three significant digits. @param {number} x */
export function number(x) {
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size < 1e-3) {
    const [digits, power] = x.toExponential(1).split("e");
    return minus(`${digits}${NBSP}×${NBSP}10`) + raised(Number(power));
  }
  if (size >= 1e4) return Number.isInteger(x) && size < 1e5 ? count(x) : short(x);
  return Number.isInteger(x) ? count(x) : count(Number(x.toPrecision(3)));
}

/** Three significant digits, zeros kept, for numbers that stand below one another. @param {number} x */
export const aligned = (x) => (Math.abs(x) >= 1e-2 && Math.abs(x) < 999.5 ? minus(x.toPrecision(3)) : number(x));

/** How many decimals a number is given with. @param {number} x */
const given = (x) => (/e/.test(String(x)) ? 99 : (String(x).split(".")[1] ?? "").length);

/**
 * How the numbers of a column are written: all with as many decimals as three digits of the largest and two of the smallest need,
 * but no more than they are given with; each by itself where the largest would get more than four digits.
 * @param {number[]} numbers
 */
export function column(numbers) {
  const sizes = numbers.map(Math.abs).filter((size) => size > 0);
  if (numbers.every(Number.isInteger)) return number;
  const power = (size) => Math.floor(Math.log10(size) + 1e-9);
  const [top, least] = [power(Math.max(...sizes)), power(Math.min(...sizes))];
  const decimals = Math.min(Math.max(...numbers.map(given)), Math.max(2 - top, 1 - least));
  if (top > 2 || top < -2 || decimals > 3 - top) return aligned;
  return (x) => fixed(x, Math.max(0, decimals));
}

/** @param {number} power */
const raised = (power) => [...String(power)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)] ?? "⁻").join("");

/** A fraction in percent, without the sign. @param {number} x */
function percent(x) {
  const p = x * 100;
  if (p === 0 || Math.abs(p - 100) < 1e-9) return String(Math.round(p));
  if (Math.abs(p) < 1e-3) return number(p);
  return minus(Math.abs(p) >= 0.05 ? p.toFixed(1) : String(Number(p.toPrecision(1))));
}

const POINTS = "points"; // differences of percentages
const PERCENT = new Set(["fraction", POINTS]);
const TWO_DECIMALS = new Set(["correlation", "index"]);

/** A value without its unit, with so many decimals where given. @param {number | null} x @param {string} unit */
export function bare(x, unit, decimals) {
  if (x === null || x === undefined) return "–";
  if (TWO_DECIMALS.has(unit)) return fixed(x, 2);
  const shown = PERCENT.has(unit) ? x * 100 : x;
  if (decimals !== undefined && Math.abs(shown) < 1e4) return fixed(shown, decimals);
  return PERCENT.has(unit) ? percent(x) : number(x);
}

/** @param {number} x @param {number} decimals */
const fixed = (x, decimals) => minus(x.toFixed(decimals).replace(/^-(?=[0.]+$)/, ""));

/** What stands behind a number of that unit. @param {string} unit */
export function sign(unit) {
  if (unit === "fraction") return `${NBSP}%`;
  if (unit === "ratio") return `${NBSP}×`;
  return unit === "" || TWO_DECIMALS.has(unit) ? "" : `${NBSP}${unit}`;
}

/** The unit of a difference of two values. @param {string} unit */
export const differenceOf = (unit) => (unit === "fraction" ? POINTS : unit);

/** A value with its unit: 61.1 %, 6.6 ×. @param {number | null} x @param {string} unit */
export function quantity(x, unit, decimals) {
  return bare(x, unit, decimals) + (x === null || x === undefined ? "" : sign(unit));
}

const isExact = ({ low, high }) => low === null || low === undefined || low === high;

/** As many decimals as half the interval needs for two digits; in percent one. */
function decimalsOf(interval, unit) {
  if (isExact(interval)) return undefined;
  const half = (interval.high - interval.low) / 2;
  if (PERCENT.has(unit)) return half < 5e-4 ? 2 : 1;
  return Math.min(4, Math.max(0, 1 - Math.floor(Math.log10(half))));
}

/** Value with unit, and bounds: empty where it is exact. @param {{value, low, high}} interval @param {string} unit */
export function parts(interval, unit) {
  const decimals = decimalsOf(interval, unit);
  const value = quantity(interval.value, unit, decimals);
  if (isExact(interval)) return [value, ""];
  const [from, to] = [interval.low, interval.high].map((x) => bare(x, unit, decimals));
  return [value, interval.low < 0 || to.length > 6 ? `${from} to ${to}` : `${from}–${to}`];
}

/** Value and interval in one line of text. @param {{value, low, high}} interval @param {string} unit */
export function measured(interval, unit) {
  const [value, bounds] = parts(interval, unit);
  return value + (bounds ? ` (${bounds})` : "");
}

/** The label of an axis at x, with no more digits than the ticks need. */
export function tick(x, unit, step) {
  const scaled = unit === "fraction" ? [x * 100, step * 100] : [x, step];
  const size = Math.abs(scaled[0]);
  if (size >= 1e4 || (size > 1e-12 && size < 1e-3)) return number(scaled[0]) + sign(unit);
  const digits = Math.max(0, -Math.floor(Math.log10(scaled[1]) + 1e-9));
  return fixed(scaled[0], digits) + (unit === "fraction" || unit === "ratio" ? sign(unit) : "");
}

/** 64 × 56 × 56. @param {number[] | null} sizes */
export const sizes = (sizes) => (sizes && sizes.length ? sizes.map(count).join(`${NBSP}×${NBSP}`) : "–");

/** A pair of lengths in y and x, as one number where they are equal. @param {number[]} pair */
export const lengths = (pair) => (pair.every((n) => n === pair[0]) ? number(pair[0]) : sizes(pair));

/** A time stamp as a day, and the hour in UTC. @param {string} stamp */
export function day(stamp) {
  const at = new Date(stamp);
  if (Number.isNaN(at.getTime())) return stamp;
  const hour = { hour: "2-digit", minute: "2-digit", timeZone: "UTC" };
  const options = { day: "numeric", month: "long", year: "numeric", ...hour };
  return `${new Intl.DateTimeFormat("en-GB", options).format(at)} UTC`;
}
