import type { VNode } from 'preact';
import { sparkPath } from '../spark-path.ts';

/** A line without axes: the shape of the last values, nothing more. The value itself stands beside it. */
export function Spark({
  values,
  width = 120,
  height = 32,
}: {
  readonly values: readonly number[];
  readonly width?: number;
  readonly height?: number;
}): VNode {
  const path = sparkPath(values, width, height);
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false"
    >
      {path === undefined ? (
        <line x1="0" x2={width} y1={height - 2} y2={height - 2} class="spark-none" />
      ) : (
        <>
          <path d={`${path.line}L${path.endX} ${height}L${path.startX} ${height}Z`} class="spark-area" />
          <path d={path.line} class="spark-line" />
        </>
      )}
    </svg>
  );
}

/** Bars of one width from the right, for counts and intervals. */
export function Bars({
  values,
  height = 40,
  label,
}: {
  readonly values: readonly { readonly value: number; readonly title: string }[];
  readonly height?: number;
  readonly label: string;
}): VNode {
  const top = Math.max(1, ...values.map((entry) => entry.value));
  return (
    <svg
      class="bars"
      viewBox={`0 0 ${Math.max(1, values.length) * 8} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {values.map((entry, i) => {
        const size = Math.max(2, (entry.value / top) * height);
        return (
          <rect key={i} x={i * 8 + 1} y={height - size} width="6" height={size} rx="1">
            <title>{entry.title}</title>
          </rect>
        );
      })}
    </svg>
  );
}
