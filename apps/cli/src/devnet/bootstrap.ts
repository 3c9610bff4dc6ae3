/** What makes a fresh devnet a home: a maker, a batch of devices, their owner's claims, their names at the gateways. */
import { randomBytes } from 'node:crypto';
import { fromHex } from '@itc/core/bytes/hex.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import { addressOf, formatAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, millis, UNITS_PER_ITC } from '@itc/core/ledger/ids.js';
import { ACTIONS_ALL } from '@itc/core/ledger/bodies/access.js';
import { claim, grant, registerBatch, registerMaker } from '@itc/client/transactions.js';
import { buildBatch } from '@itc/client/voucher.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { Wallet } from '../wallet.ts';
import { DEVNET_MODEL, SIMULATED } from './home.ts';
import type { Devnet, Layout } from './layout.ts';
import { keyNamed } from '../keys.ts';

const DEPOSIT = amount(UNITS_PER_ITC / 10n);
const YEAR_MS = 365 * 86_400_000;
/** Lanes of the owner's account: the devnet's own doings stay out of the way of what a person sends. */
const LANE = 1;

export interface Wanted {
  readonly name: string;
  readonly kind: string;
  readonly keys: KeyPair;
}

/** Idempotent: a second start finds everything done and only tells the gateways the names again. */
export async function bootstrap(
  layout: Layout,
  network: Devnet,
  note: (line: string) => void,
): Promise<void> {
  const wanted: Wanted[] = [];
  for (const { name, kind } of SIMULATED) wanted.push({ name, kind, keys: await keyNamed(layout, name) });
  await ownDevices(layout, network, wanted, note);
}

/** Registers what the ledger does not know in one batch, claims it for the owner, names it at every gateway. */
export async function ownDevices(
  layout: Layout,
  network: Devnet,
  wanted: readonly Wanted[],
  note: (line: string) => void,
): Promise<void> {
  const owner = await Wallet.open(network.api, await keyNamed(layout, 'owner'));
  const fresh: Wanted[] = [];
  for (const device of wanted) if (!(await isRegistered(owner, device.keys.address))) fresh.push(device);
  if (fresh.length > 0) {
    note(`Registering ${fresh.length} devices: maker, batch, claims …`);
    const maker = await Wallet.open(network.api, await keyNamed(layout, 'maker'));
    await ensureMaker(maker);
    const { batch, vouchers } = await buildBatch({
      maker: maker.signer.address,
      devices: fresh.map(({ keys }) => ({ key: keys.publicKey, endorse: keys.sign })),
      model: DEVNET_MODEL,
      depositPerDevice: DEPOSIT,
      random: (length) => new Uint8Array(randomBytes(length)),
    });
    await maker.send(registerBatch(batch), LANE);
    await owner.sendAll(
      vouchers.map((voucher) => claim({ chain: owner.chain, voucher, owner: owner.signer.address })),
      LANE,
    );
  }
  for (const { role, url } of network.processes) {
    if (role !== 'gateway' || url === undefined) continue;
    const there = await Wallet.open(url, owner.signer);
    for (const { name, kind, keys } of wanted)
      await enrolPatiently(there, { name, kind, device: keys.address });
  }
}

/** A gateway may be a block behind the one that reported the claim final. */
async function enrolPatiently(
  wallet: Wallet,
  enrolment: { readonly name: string; readonly kind: string; readonly device: Address },
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await wallet.enrol(enrolment);
      return;
    } catch (error) {
      if (!(error instanceof LedgerError) || error.code !== 'request.malformed' || tries >= 25) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** Registers the account as a maker unless it is one. */
export async function ensureMaker(wallet: Wallet): Promise<void> {
  try {
    await wallet.send(registerMaker('Devnet Lamps'), LANE);
  } catch (error) {
    if (!(error instanceof LedgerError) || error.code !== 'maker.exists') throw error;
  }
}

async function isRegistered(wallet: Wallet, device: Address): Promise<boolean> {
  try {
    return (await wallet.client.device(formatAddress(device))).owner !== undefined;
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'not-found') return false;
    throw error;
  }
}

/** The devnet's owner grants a browser's key the simulated lamps. Its secret stays in the browser. */
export async function pairBrowser(
  layout: Layout,
  network: Devnet,
  publicKey: string,
): Promise<{ readonly owner: string; readonly granted: readonly string[] }> {
  const bytes = fromHex(publicKey);
  if (!bytes.ok || bytes.value.length !== 32)
    throw new LedgerError('request.malformed', 'expected 64 hex digits');
  const subject = addressOf({ algorithm: ED25519, bytes: bytes.value });
  const owner = await Wallet.open(network.api, await keyNamed(layout, 'owner'));
  const lamps = SIMULATED.filter(({ kind }) => kind === 'lamp');
  const now = Date.now();
  const bodies = [];
  for (const { name } of lamps) {
    const { address } = await keyNamed(layout, name);
    bodies.push(
      grant({
        device: address,
        subject,
        actions: ACTIONS_ALL,
        levelMax: 254,
        notBefore: millis(now - 60_000),
        expiresAt: millis(now + YEAR_MS),
      }),
    );
  }
  await owner.sendAll(bodies, LANE);
  return { owner: formatAddress(owner.signer.address), granted: lamps.map(({ name }) => name) };
}
