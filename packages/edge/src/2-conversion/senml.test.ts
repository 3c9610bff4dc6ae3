import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { encode } from 'cborg';
import { detectFormat } from './detect.ts';
import { encodeSenml, parseSenml, type SenmlFormat, type SenmlRecord } from './senml.ts';

const vectors = new URL('../../../../../shared/vectors/senml/', import.meta.url);
const present = existsSync(vectors);
const NOW = 1_700_000_000_000;

const json = (text: string): Uint8Array => new TextEncoder().encode(text);

function records(format: SenmlFormat, bytes: Uint8Array): SenmlRecord[] {
  const parsed = parseSenml(format, bytes, NOW);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.message);
  return parsed.value;
}

function assertRefused(format: SenmlFormat, bytes: Uint8Array, why: RegExp): void {
  const parsed = parseSenml(format, bytes, NOW);
  assert.ok(!parsed.ok, 'expected a refusal');
  assert.equal(parsed.code, 'payload.not-senml');
  assert.match(parsed.message, why);
}

test(
  'EDGE-2.1: the RFC 8428 examples in JSON and CBOR resolve to the published forms',
  { skip: present ? false : '../shared/vectors is absent' },
  () => {
    let compared = 0;
    for (const file of readdirSync(vectors).filter((name) => name.endsWith('.gen.resolved.json'))) {
      const example = file.slice(0, -'.gen.resolved.json'.length);
      const expected = JSON.parse(readFileSync(new URL(file, vectors), 'utf8')) as Record<string, unknown>[];
      const sources = [`${example}.json`, `${example}.gen.json`, `${example}.gen.cbor`].filter((name) =>
        existsSync(new URL(name, vectors)),
      );
      for (const source of sources) {
        const resolved = records(
          source.endsWith('.cbor') ? 'senml+cbor' : 'senml+json',
          new Uint8Array(readFileSync(new URL(source, vectors))),
        )
          // The published resolver leaves out binary records.
          .filter((record) => !(record.value instanceof Uint8Array));
        assert.equal(resolved.length, expected.length, source);
        resolved.forEach((record, i) => {
          const want = expected[i] as Record<string, unknown>;
          assert.equal(record.name, want['n'], source);
          assert.equal(record.unit, want['u'], source);
          assert.equal(record.value, want['v'] ?? want['vs'] ?? want['vb'], source);
          // Examples with relative time were resolved at a moment the vectors do not name.
          const relative = record.time >= NOW - 3_600_000;
          if (!relative) assert.equal(record.time, Math.round((want['t'] as number) * 1000), source);
        });
        compared += 1;
      }
    }
    assert.ok(compared >= 15, `only ${compared} compared`);
  },
);

test('EDGE-2.2: base name, time, unit, value, sum and version apply to all records that follow', () => {
  const pack =
    '[{"bver":10,"bn":"lamp/","bt":1700000000,"bu":"W","bv":100,"bs":5,"n":"power","v":1.5},{"n":"energy","u":"J","s":2,"t":-1},{"bn":"x","vb":true}]';
  assert.deepEqual(records('senml+json', json(pack)), [
    { name: 'lamp/power', unit: 'W', time: 1_700_000_000_000, value: 101.5 },
    { name: 'lamp/energy', unit: 'J', time: 1_699_999_999_000, sum: 7 },
    { name: 'x', unit: 'W', time: 1_700_000_000_000, value: true },
  ]);
});

test('EDGE-2.3: a time below 2^28 counts from now, also when negative; none means now', () => {
  const pack = records(
    'senml+json',
    json('[{"n":"a","v":1},{"n":"b","v":1,"t":-2.5},{"n":"c","v":1,"t":268435456}]'),
  );
  assert.deepEqual(
    pack.map((record) => record.time),
    [NOW, NOW - 2500, 268_435_456_000],
  );
});

test('EDGE-2.4: unknown labels are ignored, but one ending in _ refuses the pack', () => {
  assert.equal(records('senml+json', json('[{"n":"a","v":1,"hint":{"x":[1]}}]')).length, 1);
  assertRefused(
    'senml+json',
    json('[{"n":"a","v":1},{"n":"b","v":2,"must_":1}]'),
    /must_ must be understood/,
  );
  assertRefused(
    'senml+cbor',
    encode([
      new Map<unknown, unknown>([
        [0, 'a'],
        [2, 1],
        ['must_', 1],
      ]),
    ]),
    /must_ must be understood/,
  );
  assertRefused(
    'senml+cbor',
    encode([
      new Map<unknown, unknown>([
        [0, 'a'],
        [2, 1],
        ['v', 2],
      ]),
    ]),
    /integer in CBOR/,
  );
});

test('EDGE-2.5: what is not exactly SenML is refused with its reason', () => {
  const cases: readonly [string, RegExp][] = [
    ['', /not JSON/],
    ['{"n":"a","v":1}', /array/],
    ['[]', /records/],
    ['[1]', /object/],
    ['[{"n":"a"}]', /no record holds a value/],
    ['[{"n":"a","v":1,"vs":"x"}]', /one value/],
    ['[{"n":"a","v":1,"v":2}]', /twice/],
    ['[{"n":"a","v":1e400}]', /finite/],
    ['[{"n":"a","v":"1"}]', /finite/],
    ['[{"n":"a","vb":0}]', /true or false/],
    ['[{"n":"a","vd":"@@"}]', /binary/],
    ['[{"n":"a","vd":"AB"}]', /binary/],
    ['[{"v":1}]', /name/],
    ['[{"n":"_a","v":1}]', /name/],
    ['[{"n":"a b","v":1}]', /name/],
    ['[{"bver":11,"n":"a","v":1}]', /version/],
    ['[{"bver":5,"n":"a","v":1},{"bver":6,"n":"b","v":1}]', /version changes/],
    ['[{"n":"a","v":1,"t":1e300}]', /time/],
    ['[{"n":"a","v":1,"t":-1e12}]', /time/],
    ['[{"n":"a","v":1,"ut":-1}]', /update time/],
    ['[{"bv":1.7e308,"n":"a","v":1.7e308}]', /beyond the range/],
    [`[{"n":"a","v":1,"x":${'['.repeat(5000)}${']'.repeat(5000)}}]`, /deep/],
    [`[${Array.from({ length: 257 }, () => '{"n":"a","v":1}').join(',')}]`, /256/],
    ['\uFEFF[{"n":"a","v":1}]', /not JSON/],
  ];
  for (const [text, why] of cases) assertRefused('senml+json', json(text), why);
  assertRefused('senml+json', Uint8Array.of(0x5b, 0xff, 0xfe), /not JSON/);
  assertRefused(
    'senml+cbor',
    encode([
      new Map<unknown, unknown>([
        [0, 'a'],
        [2, Number.NaN],
      ]),
    ]),
    /not CBOR/,
  );
  assertRefused(
    'senml+cbor',
    encode([
      new Map<unknown, unknown>([
        [0, 'a'],
        [2, Infinity],
      ]),
    ]),
    /not CBOR/,
  );
  assertRefused(
    'senml+cbor',
    encode([
      new Map<unknown, unknown>([
        [0, 'a'],
        [2, 2n ** 60n],
      ]),
    ]),
    /finite/,
  );
  assertRefused('senml+cbor', new Uint8Array(16_000).fill(0x81), /not CBOR|array of records|map/);
  assertRefused('senml+cbor', Uint8Array.of(0x9a, 0xff, 0xff, 0xff, 0xff), /not CBOR/);
});

test('EDGE-2.6: decimal fractions of CBOR tag 4 are numbers', () => {
  // [{0: "a", 2: 4([-1, 215])}]
  const bytes = Uint8Array.of(0x81, 0xa2, 0x00, 0x61, 0x61, 0x02, 0xc4, 0x82, 0x20, 0x18, 0xd7);
  assert.equal(records('senml+cbor', bytes)[0]?.value, 21.5);
});

const value = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0 || 0),
  fc.string({ maxLength: 40 }),
  fc.boolean(),
  fc.uint8Array({ maxLength: 40 }),
);
const record: fc.Arbitrary<SenmlRecord> = fc
  .record({
    name: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9:./_-]{0,20}$/),
    unit: fc.option(fc.constantFrom('Cel', 'lx', '%RH', 'W'), { nil: undefined }),
    time: fc.integer({ min: 2 ** 28 * 1000, max: 4_000_000_000_000 }),
    value,
  })
  .map(({ unit, ...rest }) => (unit === undefined ? rest : { ...rest, unit }));

test('EDGE-2.7: what encodeSenml writes, parseSenml reads back, in both forms', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 12 }), (list) => {
      for (const format of ['senml+json', 'senml+cbor'] as const)
        assert.deepEqual(records(format, encodeSenml(format, list)), list);
    }),
    { numRuns: 200 },
  );
});

test('EDGE-2.8: no bytes whatever make the parser throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const format of ['senml+json', 'senml+cbor'] as const) {
        const parsed = parseSenml(format, bytes, NOW);
        assert.ok(parsed.ok || parsed.code === 'payload.not-senml');
      }
    }),
    { numRuns: 500 },
  );
});

test('EDGE-3.1: the content type decides, and without one the first byte', () => {
  assert.equal(detectFormat(json('[{}]')), 'senml+json');
  assert.equal(detectFormat(json(' [{}]')), 'senml+json');
  assert.equal(detectFormat(Uint8Array.of(0xd2, 0x84)), 'cose');
  assert.equal(detectFormat(Uint8Array.of(0x84, 0x58, 0x30)), 'cose');
  assert.equal(detectFormat(Uint8Array.of(0x84, 0xa2)), 'senml+cbor');
  assert.equal(detectFormat(Uint8Array.of(0x81, 0xa2)), 'senml+cbor');
  assert.equal(detectFormat(Uint8Array.of(0x81), 'application/senml+json; charset=utf-8'), 'senml+json');
  assert.equal(detectFormat(Uint8Array.of(0x5b), 'application/cose'), 'cose');
  assert.equal(detectFormat(Uint8Array.of(0x5b), 'text/plain'), undefined);
});
