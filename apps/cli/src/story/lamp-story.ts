/** The life of a lamp, played with real processes: the functions of the SDK's example, and what is expected of each. */
import { randomBytes } from 'node:crypto';
import { toHex } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { amount } from '@itc/core/ledger/ids.js';
import { MINUTE_MS, rentalEscrow } from '@itc/core/ledger/rental.js';
import { LEVEL_MAX } from '@itc/core/ledger/terms.js';
import { MemoryNodes } from '@itc/client/batch-tree.js';
import { createClient } from '@itc/client/client.js';
import { deviceLog } from '@itc/client/devices.js';
import {
  accountOf,
  allowRecovery,
  beginRenting,
  buy,
  claimFromBox,
  enrolBatch,
  finishRecovery,
  letIn,
  offerForRent,
  offerForSale,
  openRecovery,
  ownReadings,
  reportStolen,
  retire,
  sponsorOwners,
  sponsorRenters,
  until,
  type Person,
} from '@itc/client/examples/lamp-story.js';
import { transfer } from '@itc/client/transactions.js';
import { formatVoucher } from '@itc/client/voucher.js';
import { KeyPair } from '@itc/node/crypto/keypair.js';
import { Factory } from '../batch-files.ts';
import { settledRental } from '../renting.ts';
import { formatCount, type Progress } from '../terminal/output.ts';
import type { Wallet } from '../wallet.ts';
import { Cast, itc, MONEY, RENT_MINUTES, rentalTerms, type Role } from './cast.ts';
import { factoryLeaves } from './factory-leaves.ts';
import { refusalOf, type Script } from './script.ts';
import type { Stage } from './stage.ts';

export interface LampStoryOptions {
  readonly stage: Stage;
  readonly script: Script;
  /** Has the ITC that maker, buyer and renter begin with. */
  readonly purse: Wallet;
  readonly devices: number;
  /** Three minutes are waited for, and every device of the batch has keys. */
  readonly full: boolean;
  readonly progress: (total: number) => Progress;
}

interface Scene {
  readonly script: Script;
  readonly cast: Cast;
  readonly full: boolean;
}

/** Of the one lamp that is plugged in. */
interface Product {
  readonly device: Address;
  /** On the box. */
  readonly qrText: string;
  /** What signs when the button of the lamp is pressed. */
  readonly button: KeyPair;
}

/** 60 %. */
const GUEST_LEVEL = 152;
const GUEST_MS = 8_000;
const GUEST_FULL_MS = 60_000;
/** The least there is. */
const RECOVERY_MS = 10_000;
/** Of how long one transaction took, what a guest or an owner in a hurry needs at most: a machine may have much else to do. */
const PACES = 6;
const DAY_MS = 86_400_000;
const REPORT_MS = 1_000;
const SETTLED_MS_MAX = (RENT_MINUTES + 2) * MINUTE_MS;

/** Rejects at the first difference; the script has what was told until then. */
export async function playLampStory(o: LampStoryOptions): Promise<void> {
  const { stage, script, full } = o;
  const client = createClient({ url: stage.gateway, fetch });
  const { chain } = await client.genesis();
  const scene: Scene = { script, cast: new Cast({ client, chain }), full };
  await handOutMoney(scene, o);
  const factory = new Factory(new Uint8Array(randomBytes(32)));
  const index = Math.floor(o.devices / 2);
  const qrText = await enrolMany(scene, o, { factory, index });
  const device = await claimOne(scene, { qrText, index });
  const seed = factory.deviceSeed(index);
  const product: Product = { device, qrText, button: KeyPair.fromSeed(seed) };
  await stage.plugIn({ name: 'story-lamp', seed, reportMs: REPORT_MS });
  await switchIt(scene, product);
  const paceMs = await shareIt(scene, product);
  await sellIt(scene, product);
  await loseIt(scene, product, paceMs);
  await rentIt(scene, product);
  await retireIt(scene, product);
  await settleUp(scene);
}

const escrow = (full: boolean): ReturnType<typeof amount> =>
  amount(rentalEscrow(rentalTerms(full), RENT_MINUTES));

async function handOutMoney({ script, cast, full }: Scene, o: LampStoryOptions): Promise<void> {
  await script.step('Money for those who spend some: the maker, who buys, who rents', async (expect) => {
    const { builtIn, ownersBudget, rentersBudget, makerSpare, salePrice } = MONEY;
    const needed = BigInt(o.devices) * builtIn + ownersBudget + rentersBudget + makerSpare;
    await o.purse.sendAll([
      transfer(cast.the('the maker').address, amount(needed)),
      transfer(cast.the('the second owner').address, salePrice),
      transfer(cast.the('the renter').address, escrow(full)),
    ]);
    await cast.balanceIs(expect, 'the first owner', 0n);
    await cast.balanceIs(expect, 'the second owner', salePrice);
    await cast.balanceIs(expect, 'the renter', escrow(full));
  });
}

/** Gives what is printed on the box of one of them. */
async function enrolMany(
  { script, cast, full }: Scene,
  { devices, progress }: LampStoryOptions,
  { factory, index }: { readonly factory: Factory; readonly index: number },
): Promise<string> {
  let qrText = '';
  await script.step(`A maker enrols ${formatCount(devices)} devices in one transaction`, async (expect) => {
    const maker = cast.the('the maker');
    const nodes = new MemoryNodes();
    const bar = progress(devices);
    const leaves = factoryLeaves(factory, { count: devices, index, every: full }, (done) => bar.update(done));
    const model = sha256(utf8Encode('itc:model:story-lamp'));
    const { builtIn } = MONEY;
    const { batch, count } = await enrolBatch(maker, { name: 'Story Lamps', model, leaves, nodes, builtIn });
    bar.end();
    const told = await cast.client.get<{ count: number; maker: string }>(`/ledger/batches/${toHex(batch)}`);
    expect('devices of the batch on the ledger', formatCount(devices), formatCount(told.count));
    expect('who made them', 'the maker', cast.roleOf(told.maker));
    qrText = formatVoucher(factory.voucher(batch, nodes, { count, index }).voucher);
    await sponsorAll(cast, batch, expect);
  });
  return qrText;
}

async function sponsorAll(
  cast: Cast,
  batch: Parameters<typeof sponsorOwners>[1],
  expect: Parameters<Cast['budgetIs']>[0],
): Promise<void> {
  const maker = cast.the('the maker');
  const renter = cast.the('the renter');
  const forOwners = await sponsorOwners(maker, batch, MONEY.ownersBudget);
  const owners: readonly Role[] = [
    'the first owner',
    'the second owner',
    'the second owner on a new phone',
    'a stranger',
  ];
  for (const role of owners) cast.the(role).sponsor = forOwners;
  // Who lets devices pays for those who rent, by their accounts; here it is the maker, too.
  renter.sponsor = await sponsorRenters(maker, [renter.address], MONEY.rentersBudget);
  await cast.budgetIs(expect, forOwners, MONEY.ownersBudget);
  await cast.budgetIs(expect, renter.sponsor, MONEY.rentersBudget);
}

async function claimOne(
  { script, cast }: Scene,
  { qrText, index }: { readonly qrText: string; readonly index: number },
): Promise<Address> {
  const owner = cast.the('the first owner');
  let device = owner.address;
  await script.step(
    `A user claims number ${formatCount(index)} with the code from its QR`,
    async (expect) => {
      device = await claimFromBox(owner, qrText);
      await cast.ownerIs(expect, device, 'the first owner');
      await cast.balanceIs(expect, 'the first owner', 0n);
      const copy = claimFromBox(cast.the('a stranger'), qrText);
      expect('a copy of the code', 'device.claimed', await refusalOf(copy));
    },
  );
  return device;
}

async function switchIt({ script, cast }: Scene, { device }: Product): Promise<void> {
  await script.step('The owner plugs it in and switches it', async (expect) => {
    const owner = cast.the('the first owner');
    await until('the lamp', async () => (await cast.client.device(formatAddress(device))).online);
    expect('on', 'done', await owner.tell(device, { kind: 'on' }));
    expect('full brightness', 'done', await owner.tell(device, { kind: 'level', level: LEVEL_MAX }));
    expect('a stranger', 'not-granted', await cast.the('a stranger').tell(device, { kind: 'off' }));
  });
}

/** Gives how long a grant took, until the lamp could be shown it. */
async function shareIt({ script, cast, full }: Scene, { device }: Product): Promise<number> {
  let paceMs = 0;
  const owner = cast.the('the first owner');
  const [friend, guest] = [cast.the('the friend'), cast.the('the guest')];
  await script.step(
    'A friend may switch it until next week, a guest for a while, to 60 %',
    async (expect) => {
      const nextWeek = Date.now() + 7 * DAY_MS;
      const began = performance.now();
      await letIn(owner, { device, guest: friend.address, untilMs: nextWeek, levelMax: LEVEL_MAX });
      paceMs = Math.ceil(performance.now() - began);
      expect('the friend, off', 'done', await friend.tell(device, { kind: 'off' }));
      const untilMs = Date.now() + (full ? GUEST_FULL_MS : GUEST_MS) + PACES * paceMs;
      await letIn(owner, { device, guest: guest.address, untilMs, levelMax: GUEST_LEVEL });
      expect('the guest, 60 %', 'done', await guest.tell(device, { kind: 'level', level: GUEST_LEVEL }));
      const tooBright = await guest.tell(device, { kind: 'level', level: LEVEL_MAX });
      expect('the guest, 100 %', 'not-allowed', tooBright);
      await cast.untilTime(untilMs);
      expect('the guest, when the time is over', 'not-granted', await guest.tell(device, { kind: 'on' }));
    },
  );
  return paceMs;
}

async function powerOf(person: Person, device: Address): Promise<readonly string[]> {
  return (await ownReadings(person, device)).map(({ id }) => id);
}

async function sellIt({ script, cast }: Scene, { device }: Product): Promise<void> {
  const [seller, buyer] = [cast.the('the first owner'), cast.the('the second owner')];
  let had: readonly string[] = [];
  await script.step('It is sold: offered first, paid when the buyer accepts', async (expect) => {
    await until('a reading', async () => (await powerOf(seller, device)).length > 0);
    had = await powerOf(seller, device);
    await offerForSale(seller, { device, to: buyer.address, price: MONEY.salePrice });
    await cast.ownerIs(expect, device, 'the first owner');
    await cast.balanceIs(expect, 'the second owner', MONEY.salePrice);
    await buy(buyer, device);
    await cast.ownerIs(expect, device, 'the second owner');
    await cast.balanceIs(expect, 'the second owner', 0n);
    await cast.balanceIs(expect, 'the first owner', MONEY.salePrice);
  });
  await script.step(
    'The lamp refuses the old owner and her guests; her history stays hers',
    async (expect) => {
      expect('the first owner', 'not-granted', await seller.tell(device, { kind: 'on' }));
      expect('the friend', 'not-granted', await cast.the('the friend').tell(device, { kind: 'on' }));
      expect('the second owner', 'done', await buyer.tell(device, { kind: 'on' }));
      await until('a reading of the new owner', async () => (await powerOf(buyer, device)).length > 0);
      const [old, young] = await Promise.all([powerOf(seller, device), powerOf(buyer, device)]);
      const kept = had.filter((id) => old.includes(id)).length;
      expect('of her readings the gateway shows her', String(had.length), String(kept));
      expect('and shows the new owner', '0', String(young.filter((id) => old.includes(id)).length));
    },
  );
}

async function loseIt(
  { script, cast }: Scene,
  { device, qrText, button: lamp }: Product,
  paceMs: number,
): Promise<void> {
  const [owner, again] = [cast.the('the second owner'), cast.the('the second owner on a new phone')];
  await script.step('It is stolen, with the phone: reported, frozen', async (expect) => {
    await allowRecovery(owner, device, Math.max(RECOVERY_MS, PACES * paceMs));
    await reportStolen(owner, device);
    expect('state on the ledger', 'stolen', (await cast.device(device)).state);
    expect('the lamp, even to its owner', 'stolen', await owner.tell(device, { kind: 'on' }));
    const { address: to } = cast.the('a stranger');
    const sale = offerForSale(owner, { device, to, price: amount(0n) });
    expect('a sale', 'device.stolen', await refusalOf(sale));
  });
  await script.step('It is recovered: the lamp in hand, the code of its box, a new phone', async (expect) => {
    const readyAt = await openRecovery(again, { qrText, lamp });
    const early = await refusalOf(finishRecovery(again, device));
    expect('before the delay is over', 'device-recovery.early', early);
    await cast.untilTime(readyAt);
    await finishRecovery(again, device);
    await cast.ownerIs(expect, device, 'the second owner on a new phone');
    expect('state on the ledger', 'owned', (await cast.device(device)).state);
    expect('the stolen phone', 'not-granted', await owner.tell(device, { kind: 'on' }));
    expect('the new phone', 'done', await again.tell(device, { kind: 'off' }));
  });
}

async function rentIt({ script, cast, full }: Scene, { device }: Product): Promise<void> {
  const { client } = cast;
  const renter = cast.the('the renter');
  const rent = MONEY.rentPrice * BigInt(RENT_MINUTES);
  const how = full ? 'the lamp ends it' : 'the least that is paid; given back early';
  await script.step(`It is rented for three minutes (${how})`, async (expect) => {
    await offerForRent(cast.the('the second owner on a new phone'), device, rentalTerms(full));
    const { rental } = await beginRenting(renter, device, RENT_MINUTES);
    // With the next command the lamp is shown when the rental ends, and not only until when it might have begun.
    await cast.untilShown();
    expect('the renter, on', 'done', await renter.tell(device, { kind: 'on' }));
    await cast.balanceIs(expect, 'the renter', 0n);
    // In the full form the renter's phone is away from here on: the lamp ends the rental by itself, and says so.
    if (!full) expect('the renter gives it back', 'done', await renter.tell(device, { kind: 'end' }));
    const isSettled = async (): Promise<boolean> => (await settledRental(client, rental)) !== undefined;
    await until('the settlement', isSettled, SETTLED_MS_MAX);
    const settled = await settledRental(client, rental);
    const ranMs = (settled?.end ?? 0) - (settled?.startedAt ?? 0);
    if (full) expect('it ran, by the word of the lamp', `${RENT_MINUTES * MINUTE_MS} ms`, `${ranMs} ms`);
    expect('paid', itc(rent), itc(BigInt(settled?.charge ?? 0)));
    await cast.balanceIs(expect, 'the second owner on a new phone', rent);
    await cast.untilShown();
    expect('the renter, afterwards', 'not-granted', await renter.tell(device, { kind: 'on' }));
  });
}

async function retireIt({ script, cast }: Scene, { device, qrText }: Product): Promise<void> {
  await script.step('It is retired, with the deposit back', async (expect) => {
    const maker = cast.the('the maker');
    const { deposit } = await cast.device(device);
    const before = await maker.balance();
    await retire(cast.the('the second owner on a new phone'), device);
    expect('state on the ledger', 'retired', (await cast.device(device)).state);
    const back = (await maker.balance()) - before;
    expect('the deposit, back with the sponsor who paid it', itc(BigInt(deposit)), itc(back));
    const last = (await deviceLog(cast.client, device)).find(({ event }) => event?.kind === 'device-retired');
    const returned = last?.event?.['returned'];
    expect(
      'the built-in ITC, to the owner',
      itc(MONEY.builtIn),
      itc(typeof returned === 'string' ? BigInt(returned) : 0n),
    );
    const onceMore = claimFromBox(cast.the('a stranger'), qrText);
    expect('the code once more', 'device.retired', await refusalOf(onceMore));
  });
}

/** Exactly what the ledger says came and went: no fee is in it, and no deposit. */
async function settleUp({ script, cast, full }: Scene): Promise<void> {
  const { salePrice, builtIn } = MONEY;
  const rent = MONEY.rentPrice * BigInt(RENT_MINUTES);
  const paid = 0n - escrow(full);
  const sums: readonly (readonly [Role, Readonly<Record<string, bigint>>])[] = [
    ['the first owner', { sale: salePrice }],
    ['the second owner', { transfer: salePrice, sale: 0n - salePrice }],
    ['the second owner on a new phone', { rent, 'built-in ITC': builtIn }],
    ['the renter', { transfer: escrow(full), rent: paid }],
  ];
  await script.step(
    'The sums: from nothing, by sale and rent alone; sponsors paid the fees',
    async (expect) => {
      for (const [role, movements] of sums) {
        const { opening, closing, totals, lines } = await accountOf(cast.the(role));
        const end = Object.values(movements).reduce((sum, value) => sum + value, 0n);
        expect(`${role} began with`, itc(0n), itc(opening));
        expect(`${role}, all that came and went`, sumsText(movements), sumsText(totals));
        expect(`${role} ends with`, itc(end), itc(closing));
        const sent = lines.filter(({ reason }) => reason === 'fee' || reason === 'sponsored');
        const sponsored = sent.filter(({ reason }) => reason === 'sponsored').length;
        expect(
          `${role}, fees that sponsors paid`,
          `${sent.length} of ${sent.length}`,
          `${sponsored} of ${sent.length}`,
        );
      }
    },
  );
}

function sumsText(sums: Readonly<Partial<Record<string, bigint>>>): string {
  return Object.entries(sums)
    .map(([reason, value = 0n]) => `${reason} ${itc(value)}`)
    .toSorted()
    .join(', ');
}
