/** What a person or a script sees: one JSON object on standard output, or text; progress goes to standard error. */

export interface Output {
  /** True when `--json` was given. */
  readonly json: boolean;
  /** The command's one result: the object for scripts, the lines for people. */
  result(value: unknown, lines: readonly string[]): void;
  /** A remark on standard error; never part of the result. */
  note(line: string): void;
  progress(label: string, total: number): Progress;
}

export interface Progress {
  update(done: number, remark?: string): void;
  end(): void;
}

const FRAME_MS = 100;
const BAR_WIDTH = 28;

export function createOutput(options: { readonly json: boolean; readonly quiet: boolean }): Output {
  const terminal = process.stderr.isTTY === true;
  return {
    json: options.json,
    result(value, lines) {
      process.stdout.write(
        options.json ? `${JSON.stringify(value)}\n` : lines.length > 0 ? `${lines.join('\n')}\n` : '',
      );
    },
    note(line) {
      if (!options.quiet) process.stderr.write(`${line}\n`);
    },
    progress(label, total) {
      if (options.quiet) return { update: () => {}, end: () => {} };
      return createProgress(label, total, terminal);
    },
  };
}

/** A bar that redraws itself on a terminal, and a line every few seconds elsewhere. */
function createProgress(label: string, total: number, terminal: boolean): Progress {
  let drawnAt = 0;
  let last = '';
  const draw = (done: number, remark: string, force: boolean): void => {
    const now = performance.now();
    if (!force && now - drawnAt < (terminal ? FRAME_MS : 5_000)) return;
    drawnAt = now;
    const share = total === 0 ? 1 : Math.min(1, done / total);
    const filled = Math.round(share * BAR_WIDTH);
    const percent = `${Math.floor(share * 100)}`.padStart(3);
    const line = `${label} ${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ${percent} %  ${formatCount(done)} of ${formatCount(total)}${remark === '' ? '' : `  ${remark}`}`;
    if (line === last) return;
    last = line;
    process.stderr.write(terminal ? `\r\u001b[2K${line}` : `${line}\n`);
  };
  let shown: [number, string] = [0, ''];
  return {
    update(done, remark = '') {
      shown = [done, remark];
      draw(done, remark, false);
    },
    end() {
      draw(shown[0], shown[1], true);
      if (terminal) process.stderr.write('\n');
    },
  };
}

/** 285954 → "285 954" */
export function formatCount(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Left-aligned columns, as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
