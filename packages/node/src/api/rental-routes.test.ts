/** What routes tell of offers: those by which somebody could rent now, and no others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress } from '@itc/core/ledger/address.js';
import { amount, height, millis } from '@itc/core/ledger/ids.js';
import { lamp, Market, mallory, otherLamp, owner } from '@itc/core/testing/market.js';
import { pino } from 'pino';
import type { Chain } from '../runtime/chain.ts';
import { freePorts } from '../testing/ports.ts';
import { rentalRoutes } from './rental-routes.ts';
import { ApiServer } from './server.ts';

interface Offers {
  readonly offers: readonly { readonly device: string }[];
}

test('NODE-6.23: an offer whose device was sold, stolen or retired is not told, though its record stays', async () => {
  const w = new Market();
  const chain = {
    get state() {
      return w.state;
    },
    get height() {
      return height(w.height);
    },
  } as unknown as Chain;
  const [port] = await freePorts(1);
  const routes = [rentalRoutes(chain)];
  const server = new ApiServer({
    host: '127.0.0.1',
    port: port as number,
    version: '0',
    logger: pino({ level: 'silent' }),
    routes,
  });
  await server.start();
  const answer = async (path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/api/v1/rentals/offers${path}`);
  const told = async (): Promise<string[]> =>
    ((await (await answer('')).json()) as Offers).offers.map(({ device }) => device).sort();
  const [first, second] = [formatAddress(lamp.address), formatAddress(otherLamp.address)];
  try {
    w.accept(owner, w.offer());
    w.accept(owner, w.offer(undefined, otherLamp));
    assert.deepEqual(await told(), [first, second].sort());
    w.accept(owner, { kind: 'mark-device', device: lamp.address, mark: 'stolen' });
    assert.deepEqual(await told(), [second]);
    w.accept(owner, { kind: 'mark-device', device: lamp.address, mark: 'found' });
    assert.equal((await answer(`/${first}`)).status, 200);
    w.accept(owner, { kind: 'mark-device', device: lamp.address, mark: 'retired' });
    const refused = (await (await answer(`/${first}`)).json()) as { code?: string };
    assert.equal(refused.code, 'rental-offer.unknown');
    const expiresAt = millis(w.now + 60_000);
    const sale = { device: otherLamp.address, to: mallory.address, price: amount(0n), expiresAt };
    w.accept(owner, { kind: 'offer-device', ...sale });
    w.accept(mallory, { kind: 'accept-device', device: otherLamp.address, price: amount(0n), transfers: 0 });
    assert.deepEqual(await told(), []);
    assert.equal(w.state.count('rental-offer'), 2);
  } finally {
    await server.stop();
  }
});
