/**
 * A lamp's life through the SDK, from the factory to its end: what maker, sponsor, owners, guests and renters do, in the order in
 * which they do it. `docs/guide/lamp-story.md` explains the blocks between the marks; `itc story lamp` runs these very functions.
 */
import { addressOf, formatAddress, type Address } from '@itc/core/ledger/address.js';
import { ACTIONS_ALL } from '@itc/core/ledger/bodies/access.js';
import { batchId } from '@itc/core/ledger/bodies/device.js';
import type { Body } from '@itc/core/ledger/body.js';
import type { Action } from '@itc/core/ledger/command.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, height, millis, type Amount } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { RentalTerms } from '@itc/core/ledger/rental.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Reading } from '../api.ts';
import { buildBatchTree, type LeafKeys, type NodeStore } from '../batch-tree.ts';
import type { Client } from '../client.ts';
import { buildCommand } from '../commands.ts';
import {
  acceptDevice,
  confirmPresence,
  deviceRecord,
  markDevice,
  offerDevice,
  recoverDevice,
  setDeviceRecovery,
} from '../devices.ts';
import type { Signer } from '../keys.ts';
import { offerRental, rent, rentalOffer, rentalStatus, type RentalStatus } from '../rentals.ts';
import { openSponsorship, sponsorshipId, sponsorshipTerms } from '../sponsors.ts';
import { statement, type Statement } from '../statement.ts';
import { buildTransaction, claim, grant, registerBatch, registerMaker } from '../transactions.ts';
import { parseVoucher, type Voucher } from '../voucher.ts';

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;
/** A machine with much else to do makes a block now and then. */
const PATIENCE_MS = 60_000;
const ANSWER_MS = 20_000;
const POLL_MS = 200;

/// block: person
/** Somebody with a key: what he sends, and what a device answers him. */
export class Person {
  readonly client: Client;
  readonly chain: Hash;
  readonly signer: Signer;
  /** The sponsorship that pays his fees; he pays them himself without one. */
  sponsor: Hash | undefined;
  #lastSequence = 0;

  constructor(o: { readonly client: Client; readonly chain: Hash; readonly signer: Signer }) {
    this.client = o.client;
    this.chain = o.chain;
    this.signer = o.signer;
  }

  get address(): Address {
    return this.signer.address;
  }

  get name(): string {
    return formatAddress(this.address);
  }

  /** Resolves with the block when it is final and devices can be shown it; throws with the ledger's code when it is refused. */
  async send(body: Body): Promise<number> {
    const { client, chain, signer, sponsor } = this;
    const [status, { feePerByte }, nonce] = await Promise.all([
      client.status(),
      client.parameters(),
      client.nextNonce(signer.address),
    ]);
    const transaction = await buildTransaction(
      {
        chain,
        signer,
        nonce,
        feePerByte,
        validUntil: height(status.height + 1_000),
        ...(sponsor && { sponsor }),
      },
      body,
    );
    const { status: final } = await client.submitAndWait(transaction, { timeoutMs: PATIENCE_MS });
    const { receipt, height: at = 0 } = final;
    if (receipt?.ok !== true)
      throw new LedgerError(receipt?.code ?? 'internal', receipt?.message ?? 'refused without a reason');
    // Headers commit the state a few blocks below them: before that a lamp would be shown the state as it was.
    await until('the next blocks', async () => (await client.status()).height >= at + LIMITS.pipelineDepth);
    return at;
  }

  /** `done`, or why the device refused: its own signed word. */
  async tell(device: Address, action: Action): Promise<string> {
    const now = Date.now();
    this.#lastSequence = Math.max(this.#lastSequence + 1, now);
    const command = await buildCommand({
      chain: this.chain,
      signer: this.signer,
      device,
      action,
      sequence: this.#lastSequence,
      notAfter: millis(now + ANSWER_MS),
    });
    const { outcome, waiting } = await this.client.commandAndWait(command, { timeoutMs: ANSWER_MS });
    if (outcome === undefined)
      throw new LedgerError('peer.timeout', waiting ?? 'the device has not answered');
    return outcome.kind === 'done' ? 'done' : outcome.reason;
  }

  async balance(): Promise<Amount> {
    return (await this.client.account(this.address)).balance;
  }
}
/// end

/** Asks now and then; a question that fails counts as no. */
export async function until(
  what: string,
  ask: () => Promise<boolean>,
  timeoutMs: number = PATIENCE_MS,
): Promise<void> {
  for (const end = performance.now() + timeoutMs; performance.now() < end;) {
    if (await ask().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new LedgerError('peer.timeout', `${what}: not within ${timeoutMs} ms`);
}

/// block: enrol
/** One transaction for all of them: the ledger keeps the root of their tree and how many there are. */
export async function enrolBatch(
  maker: Person,
  o: {
    readonly name: string;
    readonly model: Hash;
    readonly leaves: AsyncIterable<LeafKeys> | Iterable<LeafKeys>;
    readonly nodes: NodeStore;
    /** What each device brings along, to pay its way. */
    readonly builtIn: Amount;
  },
): Promise<{ readonly batch: Hash; readonly count: number }> {
  const { model, leaves, nodes, builtIn: depositPerDevice } = o;
  await maker.send(registerMaker(o.name));
  const { root, count } = await buildBatchTree(leaves, nodes);
  await maker.send(registerBatch({ root, count, model, depositPerDevice }));
  return { batch: batchId(maker.address, root), count };
}
/// end

/// block: sponsor
/** For whatever owners do with devices of the batch, until they retire them. */
export async function sponsorOwners(maker: Person, batch: Hash, itc: Amount): Promise<Hash> {
  const terms = sponsorshipTerms({
    kinds: [
      'claim',
      'grant',
      'offer-device',
      'accept-device',
      'mark-device',
      'recover-device',
      'set-device-recovery',
      'offer-rental',
    ],
    scope: { kind: 'batch', batch },
    // The device's first day has most of what ever happens to it.
    perDevicePerDay: amount(itc / 10n),
    perDay: itc,
    expiresAt: millis(Date.now() + YEAR_MS),
    paysState: true,
  });
  await maker.send(openSponsorship({ name: 'owners', terms, amount: itc }));
  return sponsorshipId(maker.address, 'owners');
}

/** A platform for renting pays for its customers by their accounts. */
export async function sponsorRenters(
  platform: Person,
  renters: readonly Address[],
  itc: Amount,
): Promise<Hash> {
  const terms = sponsorshipTerms({
    kinds: ['rent', 'end-rental'],
    scope: { kind: 'accounts', accounts: renters },
    perDevicePerDay: itc,
    perDay: itc,
    expiresAt: millis(Date.now() + YEAR_MS),
    paysState: true,
  });
  await platform.send(openSponsorship({ name: 'renters', terms, amount: itc }));
  return sponsorshipId(platform.address, 'renters');
}
/// end

/// block: claim
/** What the camera of a phone reads from the box. */
export async function claimFromBox(owner: Person, qrText: string): Promise<Address> {
  const voucher = voucherIn(qrText);
  await owner.send(claim({ chain: owner.chain, voucher, owner: owner.address }));
  return addressOf(voucher.device);
}

function voucherIn(qrText: string): Voucher {
  const voucher = parseVoucher(qrText);
  if (!voucher.ok) throw new LedgerError(voucher.code, voucher.message);
  return voucher.value;
}
/// end

/// block: grant
/** Until a time, and only so bright: 0 to 254. */
export function letIn(
  owner: Person,
  o: {
    readonly device: Address;
    readonly guest: Address;
    readonly untilMs: number;
    readonly levelMax: number;
  },
): Promise<number> {
  const { device, guest: subject, levelMax } = o;
  const notBefore = millis(Date.now() - DAY_MS);
  return owner.send(
    grant({ device, subject, actions: ACTIONS_ALL, levelMax, notBefore, expiresAt: millis(o.untilMs) }),
  );
}
/// end

/// block: sale
/** Nothing changes hands yet. */
export function offerForSale(
  owner: Person,
  o: { readonly device: Address; readonly to: Address; readonly price: Amount },
): Promise<number> {
  return owner.send(offerDevice({ ...o, expiresAt: millis(Date.now() + DAY_MS) }));
}

/** Price and lamp change hands in one step, or neither does. */
export async function buy(buyer: Person, device: Address): Promise<number> {
  const { offer, transfers } = await deviceRecord(buyer.client, device);
  if (offer === undefined) throw new LedgerError('offer.unknown', 'nobody offers it');
  return buyer.send(acceptDevice({ device, price: amount(BigInt(offer.price)), transfers }));
}
/// end

/// block: history
/** A question that is signed is answered with what is the signer's: the readings of the time in which the lamp was his. */
export function ownReadings(person: Person, device: Address): Promise<readonly Reading[]> {
  return person.client.readings(formatAddress(device), { signedBy: person, name: 'power', limit: 1_000 });
}
/// end

/// block: theft
export function allowRecovery(owner: Person, device: Address, delayMs: number): Promise<number> {
  return owner.send(setDeviceRecovery(device, delayMs));
}

export function reportStolen(owner: Person, device: Address): Promise<number> {
  return owner.send(markDevice(device, 'stolen'));
}

/** By who has the lamp in hand and the code of its box; `lamp` signs when its button is pressed. Gives when it may be finished. */
export async function openRecovery(
  claimant: Person,
  o: { readonly qrText: string; readonly lamp: Pick<Signer, 'sign'> },
): Promise<number> {
  const { client, chain, address } = claimant;
  const voucher = voucherIn(o.qrText);
  const device = addressOf(voucher.device);
  const { transfers } = await deviceRecord(client, device);
  const about = { chain, device, claimant: address, transfers };
  const presence = await confirmPresence(o.lamp, about);
  await claimant.send(recoverDevice({ ...about, voucher, presence }));
  return (await deviceRecord(client, device)).recovery?.readyAt ?? 0;
}

/** When the owner has let the delay pass. */
export function finishRecovery(claimant: Person, device: Address): Promise<number> {
  return claimant.send(markDevice(device, 'recovered'));
}
/// end

/// block: rent
export function offerForRent(owner: Person, device: Address, terms: RentalTerms): Promise<number> {
  return owner.send(offerRental({ device, terms, expiresAt: millis(Date.now() + DAY_MS) }));
}

/** Puts everything up, then tells the lamp to begin; resolves when the chain has the lamp's word. */
export async function beginRenting(renter: Person, device: Address, minutes: number): Promise<RentalStatus> {
  const { client } = renter;
  const { terms } = await rentalOffer(client, device);
  await renter.send(rent({ device, terms, maximum: minutes }));
  const answer = await renter.tell(device, { kind: 'begin' });
  if (answer !== 'done') throw new LedgerError('rental.state', `the lamp refused: ${answer}`);
  await until('the start', async () => (await rentalStatus(client, device)).state === 'running');
  return rentalStatus(client, device);
}
/// end

/// block: retire
export function retire(owner: Person, device: Address): Promise<number> {
  return owner.send(markDevice(device, 'retired'));
}
/// end

/// block: statement
/** All that ever came to an account and left it, from the log of events. */
export async function accountOf(person: Person): Promise<Statement> {
  const entries = [];
  for await (const entry of person.client.history(person.address)) entries.push(entry);
  return statement({
    account: person.name,
    from: 0,
    to: Number.MAX_SAFE_INTEGER,
    balance: await person.balance(),
    entries,
  });
}
/// end
