// What does a row of values look like as SVG paths?  Lines and bands that stop where a value is missing.

const round = (x) => Math.round(x * 100) / 100;

/** Stretches of indices whose values are all there. @param {(number | null)[][]} rows */
function stretches(rows) {
  const found = [];
  let open = null;
  for (let i = 0; i < rows[0].length; i++) {
    if (rows.some((row) => row[i] === null)) {
      open = null;
    } else if (open) {
      open.push(i);
    } else {
      open = [i];
      found.push(open);
    }
  }
  return found;
}

/**
 * A line through the values.
 * @param {(number | null)[]} values
 * @param {(i: number) => number} x
 * @param {(value: number) => number} y
 */
export function line(values, x, y) {
  const part = (is) => is.map((i, k) => `${k ? "L" : "M"}${round(x(i))},${round(y(values[i]))}`).join("");
  return stretches([values]).map(part).join("");
}

/** The area between two rows of values. */
export function band(low, high, x, y) {
  const part = (is) => {
    const there = is.map((i) => `${round(x(i))},${round(y(high[i]))}`);
    const back = [...is].reverse().map((i) => `${round(x(i))},${round(y(low[i]))}`);
    return `M${[...there, ...back].join("L")}Z`;
  };
  return stretches([low, high]).map(part).join("");
}

/** The indices of values without a neighbor, which a line would not show. @param {(number | null)[]} values */
export const lonely = (values) => stretches([values]).filter((is) => is.length === 1).map((is) => is[0]);
