/** SVG path of a sparkline. Pure. */
export interface SparkPath {
  readonly line: string;
  readonly startX: number;
  readonly endX: number;
}

/** Undefined below two values. A flat series lies in the middle: no false drama from noise-free data. */
export function sparkPath(values: readonly number[], width: number, height: number): SparkPath | undefined {
  const points = values.filter((value) => Number.isFinite(value));
  if (points.length < 2) return undefined;
  const low = Math.min(...points);
  const high = Math.max(...points);
  const inset = 2;
  const room = height - 2 * inset;
  const round = (value: number): number => Math.round(value * 10) / 10;
  const x = (i: number): number => round((i / (points.length - 1)) * width);
  const y = (value: number): number =>
    round(high === low ? height / 2 : inset + room * (1 - (value - low) / (high - low)));
  const line = points.map((value, i) => `${i === 0 ? 'M' : 'L'}${x(i)} ${y(value)}`).join('');
  return { line, startX: 0, endX: x(points.length - 1) };
}
