import assert from 'node:assert/strict';
import { test } from 'node:test';
import { integerOption, textOption, UsageError, type Call } from './command.ts';
import { createOutput } from './output.ts';

function call(options: Call['options']): Call {
  return {
    arguments: [],
    options,
    output: createOutput({ json: false, quiet: true }),
    dataDir: '.itc',
    api: 'http://127.0.0.1:1',
  };
}

test('a whole number option is within its bounds, or the call is refused naming both', () => {
  const bounds = { min: 1, max: 128 };
  assert.equal(integerOption(call({}), 'chunk', 32, bounds), 32);
  assert.equal(integerOption(call({ chunk: '1' }), 'chunk', 32, bounds), 1);
  assert.equal(integerOption(call({ chunk: '128' }), 'chunk', 32, bounds), 128);
  for (const given of ['0', '129', '1.5', 'x', '-1', 'Infinity', 'NaN', '']) {
    assert.throws(
      () => integerOption(call({ chunk: given }), 'chunk', 32, bounds),
      (error) => error instanceof UsageError && /1 to 128/.test(error.message),
      JSON.stringify(given),
    );
  }
});

test('a text option is a text or nothing', () => {
  assert.equal(textOption(call({ key: 'guest' }), 'key'), 'guest');
  assert.equal(textOption(call({}), 'key'), undefined);
  assert.equal(textOption(call({ key: true }), 'key'), undefined);
});
