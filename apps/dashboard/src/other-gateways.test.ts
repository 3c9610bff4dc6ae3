import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OTHERS_MAX } from './light-protocol.ts';
import { originOf, readOthers } from './other-gateways.ts';

test('CLIENT-15.5: what was typed is an origin of the web or nothing, and what is kept is read without believing it', () => {
  assert.equal(originOf(' https://gate.example:8443/path?x '), 'https://gate.example:8443');
  for (const wrong of ['', 'gate.example', 'javascript:alert(1)', 'ftp://gate.example', 'http://'])
    assert.equal(originOf(wrong), undefined, wrong);
  for (const wrong of [null, '', '{', '{}', '[1,null]', '["file:///etc"]'])
    assert.deepEqual(readOthers(wrong), []);
  const many = Array.from({ length: 20 }, (_, i) => `http://gate-${i >> 1}.example/`);
  const read = readOthers(JSON.stringify(many));
  assert.equal(read.length, OTHERS_MAX);
  assert.equal(new Set(read).size, OTHERS_MAX);
});
