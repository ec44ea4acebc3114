// Where on an axis does a value lie?  Round bounds, round ticks, linear or logarithmic.

/** The round step that gives about n ticks, rather more than fewer. @param {number} range @param {number} n */
function roundStep(range, n) {
  const rough = range / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((f) => f * power >= rough * 0.8) ?? 10;
  return factor * power;
}

/**
 * An axis that holds all values, and zero unless it is logarithmic.
 * `at` takes a value to 0-1 along the axis; `step` is the distance of its ticks.
 * @param {(number | null)[]} values
 * @param {string} unit
 * @param {{log?: boolean, n?: number}} [options]
 */
export function axis(values, unit, { log = false, n = 4 } = {}) {
  const known = values.filter((x) => x !== null && x !== undefined && Number.isFinite(x));
  return log ? logarithmic(known.filter((x) => x > 0), n) : linear(known, unit, n);
}

/**
 * Where the points of a chart lie from left to right, 0-1 along its axis: names at equal distances, numbers at their values or,
 * with `log`, at the logarithms of these.
 * @param {(string | number)[]} x  numbers grow
 */
export function along(x, log) {
  if (x.length < 2) return x.map(() => 0.5);
  if (typeof x[0] !== "number") return x.map((_, i) => i / (x.length - 1));
  const at = log ? x.map(Math.log) : x;
  return at.map((value) => (value - at[0]) / (at[at.length - 1] - at[0]));
}

function linear(known, unit, n) {
  let low = Math.min(0, ...known);
  let high = Math.max(0, ...known);
  // A share or a correlation that comes near 1 is seen best against 1.
  if (["fraction", "correlation", "index"].includes(unit) && high > 0.5 && high <= 1) high = 1;
  if (low === high) high = low + 1;
  const step = roundStep(high - low, n);
  high = Math.ceil(high / step - 1e-9) * step;
  // A bound a little below zero needs no room for a whole step.
  const first = Math.ceil(low / step - 1e-9);
  const ticks = Array.from({ length: Math.round(high / step) - first + 1 }, (_, i) => (first + i) * step);
  return { low, high, step, ticks, at: (x) => (x - low) / (high - low) };
}

function logarithmic(known, n) {
  const first = Math.floor(Math.log10(known.length ? Math.min(...known) : 1) + 1e-9);
  const last = Math.max(first + 1, Math.ceil(Math.log10(known.length ? Math.max(...known) : 10) - 1e-9));
  const every = Math.ceil((last - first) / n);
  const ticks = [];
  for (let power = first; power <= last; power += every) ticks.push(10 ** power);
  const at = (x) => (x > 0 ? Math.max(0, (Math.log10(x) - first) / (last - first)) : 0);
  return { low: 10 ** first, high: 10 ** last, step: 10 ** first, ticks, at };
}
