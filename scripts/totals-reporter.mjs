// Test reporter: prints failures as they happen and closes with `N passed, N failed, N skipped`.
import { relative } from 'node:path';

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

// node:test takes its reporter from the default export.
// oxlint-disable-next-line import/no-default-export
export default async function* totals(source) {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for await (const { type, data } of source) {
    if (type === 'test:diagnostic' && data.message.startsWith('note: ')) yield `${data.message}\n`;
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details?.type === 'suite') continue;
    const file = data.file ? relative(process.cwd(), data.file) : '';
    if (data.skip !== undefined || data.todo !== undefined) {
      skipped += 1;
      yield `skipped ${file} ${data.name}: ${data.skip === true || data.skip === '' ? 'no reason given' : data.skip}\n`;
    } else if (type === 'test:pass') {
      passed += 1;
      if (data.details.duration_ms > 5000)
        yield `slow ${file} ${data.name} (${seconds(data.details.duration_ms)})\n`;
    } else {
      failed += 1;
      const cause = data.details.error?.cause;
      yield `not ok ${file} ${data.name}\n${cause?.stack ?? cause ?? data.details.error?.message}\n`;
    }
  }
  yield `${passed} passed, ${failed} failed, ${skipped} skipped\n`;
}
