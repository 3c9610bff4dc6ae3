/** How a validator comes to decide in a devnet, and how it leaves: bond, votes, and the next epoch. */
import { setTimeout as sleep } from 'node:timers/promises';
import { toHex } from '@itc/core/bytes/hex.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, formatItc, UNITS_PER_ITC } from '@itc/core/ledger/ids.js';
import type { BondedValidator, ValidatorsAnswer } from '@itc/client/api.js';
import { coSign } from '@itc/client/co-signing.js';
import { requestJson } from '@itc/client/http.js';
import { bond, transfer, weightVote } from '@itc/client/transactions.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { coSigningKeyOf } from '../co-signing-keys.ts';
import { keyNamed } from '../keys.ts';
import { UsageError, type Call } from '../terminal/command.ts';
import { openClient, Wallet } from '../wallet.ts';
import { freeValidatorName } from './added-validator.ts';
import { layoutOf, readDevnet, type Devnet, type DevnetProcess, type Layout } from './layout.ts';

/** Lane of the owner's account for what a devnet does by itself. */
const LANE = 2;
/** For the fees of the newcomer's first transactions. */
const PURSE = UNITS_PER_ITC;
const POLL_MS = 250;

export interface Membership {
  readonly name: string;
  readonly weight: number;
  readonly timeoutMs: number;
}

interface Scene {
  readonly call: Call;
  readonly layout: Layout;
  readonly network: Devnet;
  readonly o: Membership;
  readonly keys: KeyPair;
  readonly deadline: number;
}

async function open(call: Call, o: Membership): Promise<Scene> {
  const layout = layoutOf(call.dataDir);
  const network = readDevnet(layout);
  if (network === undefined)
    throw new LedgerError('not-ready', `there is no devnet in ${layout.root}; start one with: itc devnet`);
  const keys = await keyNamed(layout, o.name);
  return { call, layout, network, o, keys, deadline: performance.now() + o.timeoutMs };
}

export function nameFor(call: Call, given: string | undefined): string {
  if (given !== undefined) return given;
  const network = readDevnet(layoutOf(call.dataDir));
  if (network === undefined) throw new UsageError('expected a name');
  return freeValidatorName(network);
}

/** Bonds, registers what it co-signs with, starts, waits until it has caught up, has the others vote, waits for its epoch. Done again, it goes on where it was. */
export async function addValidator(call: Call, o: Membership): Promise<ValidatorsAnswer> {
  const scene = await open(call, o);
  await bondFor(scene);
  await coSignFor(scene);
  const process = (await control(call, o.name, 'add')) as DevnetProcess;
  call.output.note(`${o.name} runs and fetches the chain …`);
  await caughtUp(scene, process.url ?? '');
  await voteFor(scene, o.weight);
  const answer = await untilInOffice(scene, o.weight);
  await until(scene, `${o.name} votes`, async () => {
    const { seat } = await openClient(process.url ?? '').status();
    return seat?.role === 'validator';
  });
  return answer;
}

/** The others vote it out; once it decides no longer, its process ends. Its bond stays until it is asked back. */
export async function removeValidator(call: Call, o: Omit<Membership, 'weight'>): Promise<ValidatorsAnswer> {
  const scene = await open(call, { ...o, weight: 0 });
  await voteFor(scene, 0);
  const answer = await untilInOffice(scene, 0);
  await control(call, o.name, 'remove');
  call.output.note(
    `${o.name} has left and is stopped; its bond: itc validator unbond AMOUNT --key ${o.name}`,
  );
  return answer;
}

function control(call: Call, name: string, verb: 'add' | 'remove'): Promise<unknown> {
  const url = `${call.api}/api/v1/devnet/validators/${encodeURIComponent(name)}/${verb}`;
  return requestJson(fetch, url, { method: 'POST', headers: {}, body: '' });
}

/** What is missing for the weight comes from the devnet's treasury. */
async function bondFor({ call, layout, keys, o }: Scene): Promise<void> {
  const owner = await Wallet.open(call.api, await keyNamed(layout, 'owner'));
  const before = await owner.client.validators();
  const has = BigInt(find(before, keys)?.bond ?? '0');
  const needed = BigInt(before.bondPerWeight) * BigInt(o.weight);
  // A chain without bonds wants the record all the same.
  const missing = has > 0n || needed > 0n ? needed - has : 1n;
  if (missing <= 0n) return;
  const { balance } = await owner.client.account(keys.address);
  if (balance < missing + PURSE)
    await owner.send(transfer(keys.address, amount(missing + PURSE - balance)), LANE);
  const wallet = await Wallet.open(call.api, keys);
  const { height } = await wallet.send(
    await bond({
      chain: wallet.chain,
      account: keys.address,
      consensus: keys,
      amount: amount(missing),
    }),
  );
  call.output.note(
    `${o.name} has bonded ${formatItc(missing)} ITC from the treasury, final in block ${height}`,
  );
}

/**
 * As those a devnet begins with have it, so that co-signed checkpoints keep their share of the weight. Before it starts, because a node
 * reads its keys then; one that comes back has its own.
 */
async function coSignFor({ call, layout, keys, o }: Scene): Promise<void> {
  const wallet = await Wallet.open(call.api, keys);
  const { chain, client } = wallet;
  if (find(await client.validators(), keys)?.coSigning !== undefined) return;
  const key = await coSigningKeyOf(layout, o.name);
  const { height } = await wallet.send(await coSign({ chain, account: keys.address, key }));
  call.output.note(
    `${o.name} co-signs with ${formatAddress(key.address)} once it is in office, final in block ${height}`,
  );
}

/** One after the other, until the weight is granted: later votes would only cost fees. */
async function voteFor(scene: Scene, weight: number): Promise<void> {
  const { call, layout, network, keys, o } = scene;
  for (const { name, role } of network.processes) {
    if (role !== 'validator') continue;
    const before = await openClient(call.api).validators();
    const candidate = find(before, keys);
    if (candidate === undefined)
      throw new LedgerError('validator.unknown', `${o.name} has bonded nothing on this chain`);
    if (candidate.granted === weight) return;
    const voter = await keyNamed(layout, name);
    if ((find(before, voter)?.weight ?? 0) === 0) continue;
    const wallet = await Wallet.open(call.api, voter);
    await wallet.send(weightVote({ validator: keys.address, weight }));
    call.output.note(`${name} votes for weight ${weight} of ${o.name}`);
  }
  const { granted = 0 } = find(await openClient(call.api).validators(), keys) ?? {};
  if (granted !== weight)
    throw new LedgerError(
      'not-ready',
      `the votes of this devnet's validators are no quorum; see itc validator list`,
    );
}

/** Until the epoch in which it has the weight: the set changes at heights that are multiples of the checkpoint interval. */
async function untilInOffice(scene: Scene, weight: number): Promise<ValidatorsAnswer> {
  const { call, keys, o } = scene;
  let told = '';
  let answer = await openClient(call.api).validators();
  await until(scene, `${o.name} has weight ${weight}`, async () => {
    answer = await openClient(call.api).validators();
    const { epoch, height, checkpointInterval: interval } = answer;
    if ((find(answer, keys)?.weight ?? 0) === weight) return true;
    const boundary = answer.next?.closes ?? Math.ceil((height + 1) / interval) * interval;
    const line = `epoch ${epoch}: the validators change after block ${boundary}${answer.next === undefined ? ' at the earliest' : ''}`;
    if (line !== told) call.output.note(`${line}, now at ${height}`);
    told = line;
    return false;
  });
  call.output.note(`epoch ${answer.epoch} has begun with block ${answer.since}`);
  return answer;
}

async function caughtUp(scene: Scene, url: string): Promise<void> {
  const goal = (await openClient(scene.call.api).status()).height;
  await until(scene, `${scene.o.name} at height ${goal}`, async () => {
    const { height } = await openClient(url).status();
    return height >= goal;
  });
}

/** A question that fails counts as no. */
async function until(scene: Scene, what: string, ask: () => Promise<boolean>): Promise<void> {
  let last: unknown;
  while (performance.now() < scene.deadline) {
    try {
      if (await ask()) return;
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      last = error;
    }
    await sleep(POLL_MS);
  }
  throw new LedgerError(
    'peer.timeout',
    `waited for this in vain: ${what}; see itc validator list and itc status --why`,
    {},
    last,
  );
}

export function find(answer: ValidatorsAnswer, keys: KeyPair): BondedValidator | undefined {
  const key = toHex(keys.publicKey.bytes);
  const address = formatAddress(keys.address);
  return answer.validators.find((one) => one.key === key || one.address === address);
}
