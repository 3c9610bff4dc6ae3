/** A line over time with axes and a cursor. The only file that imports uPlot. */
import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { formatAbsolute, formatValue, quantityLabel, unitLabel } from '../format.ts';
import { appearance } from '../theme.ts';
import type { Series } from '../wire.ts';

const HEIGHT = 220;

export function Chart({ series }: { readonly series: Series }): VNode {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const look = appearance.value;
  const label = quantityLabel(series.name);
  const { unit } = series;
  // uPlot counts in seconds.
  const points: uPlot.AlignedData = [series.times.map((time) => time / 1000), [...series.values]];
  const latest = useRef(points);
  latest.current = points;

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
        scales: { x: { time: true } },
        axes: [
          {
            ...axis,
            space: 70,
            size: 30,
            values: (_, times) => times.map((time) => formatAbsolute(time * 1000).slice(11, 19)),
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
                    ? ''
                    : `${formatValue(value, unit)} at ${formatAbsolute(time * 1000).slice(11, 19)}`;
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
  }, [label, unit, look]);

  useEffect(() => {
    plot.current?.setData(points);
  }, [series]);

  const low = series.values.length === 0 ? undefined : Math.min(...series.values);
  const high = series.values.length === 0 ? undefined : Math.max(...series.values);
  const range =
    low === undefined || high === undefined
      ? 'no values yet'
      : `from ${formatValue(low, unit)} to ${formatValue(high, unit)}`;
  return (
    <figure class="chart">
      <div
        ref={holder}
        role="img"
        aria-label={`${label}${unitLabel(unit) === '' ? '' : ` in ${unitLabel(unit)}`}, ${series.values.length} values, ${range}`}
      />
      <figcaption class="chart-read" />
    </figure>
  );
}
