/** A line over time with axes and a cursor. The only file that imports uPlot. */
import type { VNode } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import {
  formatDuration,
  formatTick,
  formatValue,
  formatWhen,
  isLevel,
  quantityLabel,
  unitLabel,
} from '../format.ts';
import { nodeNow } from '../store.ts';
import { appearance } from '../theme.ts';
import type { Series } from '../wire.ts';

const HEIGHT = 220;

/** A lamp's level is sent as 0 to 254; people read percent. */
function readable(series: Series): Series {
  if (!isLevel(series.name, series.unit)) return series;
  return { ...series, unit: '%', values: series.values.map((value) => (value / 254) * 100) };
}

export function Chart({ series: given }: { readonly series: Series }): VNode {
  const series = useMemo(() => readable(given), [given]);
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const look = appearance.value;
  const label = quantityLabel(series.name);
  const { unit } = series;
  const percent = isLevel(given.name, given.unit);
  // uPlot counts in seconds.
  const points: uPlot.AlignedData = [series.times.map((time) => time / 1000), [...series.values]];
  const latest = useRef(points);
  latest.current = points;
  const rest = summary(series);
  const resting = useRef(rest);
  resting.current = rest;

  useEffect(() => {
    const element = holder.current;
    if (element === null) return undefined;
    const style = getComputedStyle(element);
    const token = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    const axis = {
      stroke: token('text-muted'),
      font: `11px ${style.fontFamily}`,
      grid: { stroke: token('line'), width: 1 },
      ticks: { show: false },
    };
    const chart = new uPlot(
      {
        width: Math.max(240, element.clientWidth),
        height: HEIGHT,
        padding: [8, 26, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 8 } },
        scales: { x: { time: true }, ...(percent ? { y: { range: [0, 100] } } : {}) },
        axes: [
          {
            ...axis,
            // Dates are wider than times of day.
            space: (_self, _axis, min, max) => (formatTick(0, (max - min) * 1000).length > 8 ? 92 : 70),
            size: 30,
            values: (self, times) => {
              const { min = 0, max = 0 } = self.scales['x'] ?? {};
              return times.map((time) => formatTick(time * 1000, (max - min) * 1000));
            },
          },
          { ...axis, size: 48, values: (_, values) => values.map((value) => formatValue(value)) },
        ],
        series: [
          {},
          {
            label,
            stroke: token('accent'),
            width: 1.75,
            fill: token('accent-wash'),
            points: { show: false },
          },
        ],
        hooks: {
          setCursor: [
            (self) => {
              const index = self.cursor.idx;
              const time = index === null || index === undefined ? undefined : self.data[0][index];
              const value = index === null || index === undefined ? undefined : self.data[1]?.[index];
              const read = element.nextElementSibling;
              if (read !== null)
                read.textContent =
                  time === undefined || value === undefined || value === null
                    ? resting.current
                    : `${formatValue(value, unit)} at ${formatWhen(time * 1000, nodeNow.peek())}`;
            },
          ],
        },
      },
      latest.current,
      element,
    );
    plot.current = chart;
    const observer = new ResizeObserver(() =>
      chart.setSize({ width: Math.max(240, element.clientWidth), height: HEIGHT }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.destroy();
      plot.current = undefined;
    };
  }, [label, unit, percent, look]);

  useEffect(() => {
    plot.current?.setData(points);
  }, [series]);

  return (
    <figure class="chart">
      <div
        ref={holder}
        role="img"
        aria-label={`${label}${unitLabel(unit) === '' ? '' : ` in ${unitLabel(unit)}`}, ${series.values.length} values, ${rest}`}
      />
      <figcaption class="chart-read">{rest}</figcaption>
    </figure>
  );
}

/** Between which values, over how long; what stands under the chart while no pointer is on it. */
function summary({ times, values, unit }: Series): string {
  const first = times[0];
  const last = times[times.length - 1];
  if (first === undefined || last === undefined) return 'No value yet';
  const low = Math.min(...values);
  const high = Math.max(...values);
  const range =
    low === high
      ? `${formatValue(low, unit)} throughout`
      : `${formatValue(low)} to ${formatValue(high, unit)}`;
  const until = formatWhen(last, nodeNow.peek());
  return last === first
    ? `${range}, at ${until}`
    : `${range}, ${formatDuration(last - first)} until ${until}`;
}
