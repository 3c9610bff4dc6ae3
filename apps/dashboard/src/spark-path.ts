/** SVG path of a sparkline. Pure. */
export interface SparkPath {
  readonly line: string;
  readonly startX: number;
  readonly endX: number;
}

/** Below this share of its own size a change is noise; it is not blown up to the full height. */
const RANGE_MIN = 0.04;

/** Undefined below two values. A flat series lies in the middle. */
export function sparkPath(values: readonly number[], width: number, height: number): SparkPath | undefined {
  const points = values.filter((value) => Number.isFinite(value));
  if (points.length < 2) return undefined;
  const [least, most] = [Math.min(...points), Math.max(...points)];
  const middle = (least + most) / 2;
  const half = Math.max((most - least) / 2, (RANGE_MIN / 2) * Math.abs(middle));
  const [low, high] = [middle - half, middle + half];
  const inset = 2;
  const room = height - 2 * inset;
  const round = (value: number): number => Math.round(value * 10) / 10;
  const x = (i: number): number => round((i / (points.length - 1)) * width);
  const y = (value: number): number =>
    round(high === low ? height / 2 : inset + room * (1 - (value - low) / (high - low)));
  const line = points.map((value, i) => `${i === 0 ? 'M' : 'L'}${x(i)} ${y(value)}`).join('');
  return { line, startX: 0, endX: x(points.length - 1) };
}
