/** Results as a table for people. */
import type { Result } from './result.ts';

const HEADINGS = ['metric', 'median', 'p10 – p90', 'unit', 'peer', 'peer median', 'ratio'] as const;
/** Columns of figures are aligned to the right. */
const RIGHT = new Set([1, 2, 5, 6]);

/** Three significant digits, or all digits before the point. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en').replaceAll(',', '\u202f');
  return size >= 10 ? value.toFixed(1) : value.toFixed(size >= 1 ? 2 : 3);
}

export function formatTable(results: readonly Result[]): string {
  const rows = results.map((result) => [
    result.metric,
    formatNumber(result.value),
    `${formatNumber(result.p10)} – ${formatNumber(result.p90)}`,
    result.unit,
    result.peer ?? '',
    result.peerValue === undefined ? '' : formatNumber(result.peerValue),
    result.ratio === undefined ? '' : `${result.ratio.toFixed(2)} ×`,
  ]);
  const widths = HEADINGS.map((heading, i) =>
    Math.max(heading.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (RIGHT.has(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(HEADINGS), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)].join('\n');
}
