import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { classifyQuery, href, parseRoute, sectionOf } from './route.ts';

test('every address the page writes leads back to its route', () => {
  assert.deepEqual(parseRoute(href.overview), { kind: 'overview' });
  assert.deepEqual(parseRoute(''), { kind: 'overview' });
  assert.deepEqual(parseRoute(href.gateways), { kind: 'gateways' });
  assert.deepEqual(parseRoute(href.block(18_300)), { kind: 'block', height: 18_300 });
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 40 }), (text) => {
      const query = text.trim();
      fc.pre(query !== '' && !/\/+$/.test(query) && !/\p{Surrogate}/u.test(query));
      assert.deepEqual(parseRoute(href.search(query)), { kind: 'search', query });
      assert.deepEqual(parseRoute(href.device(query)), { kind: 'device', device: query });
    }),
  );
});

test('nonsense is a missing page, not an exception', () => {
  assert.equal(parseRoute('#/blocks/minus-one').kind, 'missing');
  assert.equal(parseRoute('#/nowhere').kind, 'missing');
  assert.deepEqual(parseRoute('#/devices/%E0%A4%A'), { kind: 'device', device: '%E0%A4%A' });
  fc.assert(fc.property(fc.string(), (text) => typeof sectionOf(parseRoute(`#/${text}`)) === 'string'));
});

test('search tells heights, addresses, hashes and names apart', () => {
  assert.deepEqual(classifyQuery(' 18,332 '), { kind: 'height', height: 18_332 });
  assert.deepEqual(classifyQuery('#12'), { kind: 'height', height: 12 });
  assert.deepEqual(classifyQuery(`0x${'AB'.repeat(32)}`), { kind: 'hash', hash: 'ab'.repeat(32) });
  assert.equal(classifyQuery(`itc1${'q'.repeat(58)}`).kind, 'address');
  assert.deepEqual(classifyQuery('lamp-hall'), { kind: 'name', name: 'lamp-hall' });
  assert.deepEqual(classifyQuery('  '), { kind: 'empty' });
});
