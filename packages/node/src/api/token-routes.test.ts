/** What routes tell of parameters, sponsorships and streams, of a state that has some. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { sponsorshipId } from '@itc/core/ledger/bodies/sponsor.js';
import { streamId } from '@itc/core/ledger/bodies/stream.js';
import { BODY_CODES } from '@itc/core/ledger/body.js';
import { amount, height, millis } from '@itc/core/ledger/ids.js';
import { makeBatch, person, type Person } from '@itc/core/testing/state-world.js';
import { ValidatorWorld } from '@itc/core/testing/validator-world.js';
import { pino } from 'pino';
import type { Chain } from '../runtime/chain.ts';
import { freePorts } from '../testing/ports.ts';
import { ApiServer } from './server.ts';
import { tokenRoutes } from './token-routes.ts';

const [maker, owner] = ['maker', 'owner'].map(person) as [Person, Person];
const batch = makeBatch(maker, 'lamp', 1);
const lamp = batch.devices[0]?.device as Person;
const sponsorship = sponsorshipId(maker.address, 's');

function world(): ValidatorWorld {
  const w = new ValidatorWorld({ weights: [1, 1, 1], others: ['maker', 'owner'], feePerByte: 2n });
  const [validator] = w.validators;
  assert.ok(validator);
  for (const body of [
    { kind: 'register-maker', name: 'maker' } as const,
    w.registerBatch(maker, batch, 0n),
    {
      kind: 'open-sponsorship',
      name: 's',
      amount: amount(1_000_000n),
      terms: {
        kinds: [BODY_CODES.claim],
        scope: { kind: 'maker', maker: maker.address },
        perDevicePerDay: amount(5000n),
        perDay: amount(9000n),
        expiresAt: millis(9_000_000_000),
        paysState: true,
      },
    } as const,
    {
      kind: 'open-stream',
      number: 5,
      payee: owner.address,
      rate: amount(10n),
      period: 1,
      amount: amount(1000n),
      start: millis(0),
      end: millis(9_000_000_000),
      notice: 0,
      device: undefined,
    } as const,
  ])
    assert.equal(w.send(maker, body), 'ok');
  assert.equal(
    w.send(owner, { kind: 'claim', claim: w.claim(batch, 0, owner) }, { sponsor: sponsorship }),
    'ok',
  );
  assert.equal(w.send(validator, { kind: 'parameter-vote', parameter: 'burnShare', value: 7n }), 'ok');
  return w;
}

test('NODE-6.20: parameters in force with their votes, sponsorships with what was used, streams with what is due', async () => {
  const w = world();
  const { state } = w;
  const chain = { state, height: height(w.height), time: millis(w.context.time - 1000) } as unknown as Chain;
  const [port] = await freePorts(1);
  const server = new ApiServer({
    host: '127.0.0.1',
    port: port as number,
    version: '0',
    logger: pino({ level: 'silent' }),
    routes: [tokenRoutes(chain)],
  });
  await server.start();
  const get = async (path: string): Promise<{ status: number; answer: Record<string, unknown> }> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`);
    return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
  };
  try {
    const { answer: parameters } = await get('/parameters');
    assert.deepEqual(parameters['values'], {
      feePerByte: '2',
      rewardPerCheckpoint: '0',
      depositPerByte: '0',
      accountPrice: '0',
      burnShare: '0',
    });
    const [votes] = parameters['votes'] as { parameter: string; votes: { value: string }[] }[];
    assert.deepEqual([votes?.parameter, votes?.votes.map(({ value }) => value)], ['burnShare', ['7']]);

    const { answer: sponsored } = await get(`/sponsorships/${toHex(sponsorship)}`);
    assert.deepEqual(
      [sponsored['name'], sponsored['kinds'], sponsored['sponsor'], sponsored['scope']],
      ['s', ['claim'], formatAddress(maker.address), { kind: 'maker', of: [formatAddress(maker.address)] }],
    );
    const spent = String(1_000_000n - BigInt(sponsored['balance'] as string));
    assert.equal(sponsored['spentToday'], spent);
    assert.deepEqual(sponsored['devices'], [{ subject: formatAddress(lamp.address), spent }]);
    const { answer: listed } = await get(`/sponsorships?sponsor=${formatAddress(maker.address)}`);
    assert.deepEqual(listed, { sponsorships: [sponsored] });
    const { answer: none } = await get(`/sponsorships?sponsor=${formatAddress(owner.address)}`);
    assert.deepEqual(none, { sponsorships: [] });

    const id = toHex(streamId(maker.address, 5));
    const { answer: stream } = await get(`/streams/${id}`);
    // Two blocks, a second apart, since it was opened.
    assert.deepEqual([stream['due'], stream['paid'], stream['funded']], ['20', '0', '1000']);
    for (const account of [maker, owner])
      assert.deepEqual((await get(`/streams?account=${formatAddress(account.address)}`)).answer, {
        streams: [stream],
      });
    for (const path of [`/streams/${'0'.repeat(64)}`, `/sponsorships/${'0'.repeat(64)}`])
      assert.equal((await get(path)).status, 404, path);
  } finally {
    await server.stop();
  }
});
