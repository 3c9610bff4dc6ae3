/** `itc rent`: devices for rent (spec STATE-22): offers, starts and stops, deposits. */
import { toHex } from '@itc/core/bytes/hex.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, formatItc, millis } from '@itc/core/ledger/ids.js';
import { LEVEL_MAX, type ModelLimits } from '@itc/core/ledger/terms.js';
import { deviceRecord, limitsOf } from '@itc/client/devices.js';
import type { RentalTerms, RentalUnit } from '@itc/core/ledger/rental.js';
import { parseHash } from '@itc/client/client.js';
import {
  answerClaim,
  claimDamage,
  endRental,
  offerRental,
  rent as rentBody,
  rentalOffer,
  rentalOffers,
  rentalStatus,
  settlementStatus,
  withdrawOffer,
} from '@itc/client/rentals.js';
import { openKey } from '../keys.ts';
import { accountOf, amountOption, duration } from '../options.ts';
import { beginRental, bringWords, settledRental, stopRental } from '../renting.ts';
import { localNames } from '../names.ts';
import {
  noMore,
  integerOption,
  textOption,
  UsageError,
  type Call,
  type Command,
  runVerb,
  type Verb,
} from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { openClient, Wallet } from '../wallet.ts';
import { actionsOption, levelOption, within } from '../grant-terms.ts';

export const rent: Command = {
  name: 'rent',
  help: `itc rent offer DEVICE --price ITC [OPTIONS]     as an owner: the device can be rented from now on
itc rent withdraw DEVICE                        as an owner
itc rent list                                   what is offered
itc rent start DEVICE [--max N]                 as a renter: rents it unless you do already, and begins
itc rent stop DEVICE                            as a renter: ends it; the device's word settles it
itc rent give-back DEVICE                       as a renter, when the device does not answer
itc rent settle DEVICE                          by anyone: brings to the chain what the device said last
itc rent status DEVICE | RENTAL                 who has it, since when, what is owed; the deposit of a RENTAL
itc rent dispute claim RENTAL --amount ITC      as the owner, of the deposit
itc rent dispute answer RENTAL --amount ITC     as the renter: concede; as the arbiter: decide

A rental begins and ends by the device's own signed word. What is put up and not owed returns at once; never started, all
of it returns by itself. A minute that has begun counts.

Options of offer:
  --price ITC            for a minute, or for a use with --by use
  --by minute|use        default minute
  --min N, --max N       minutes or uses (default 1 and 60)
  --length DURATION      how long a rental by use lasts at most (default 1d)
  --deposit ITC          held back against damage (default 0)
  --window DURATION      to claim and answer, and for late words (default 10m)
  --start-within DURATION  or everything returns (default 10m)
  --carriage ITC         for bringing start and stop to the chain, each (default 0.001)
  --arbiter WHO          decides what you two do not agree on
  --actions LIST         of on-off, level, colour, read (default all)
  --level-max N          greatest level (default 254)
  --for DURATION         how long the offer stands (default 30d)

Other options:
  --max N                most minutes or uses to pay for (default what is offered)
  --amount ITC           of a claim or an answer
  --timeout MS           how long to wait for the device (default 15000)
  --key NAME             who signs (default owner for offers and claims, renter otherwise)

Example:
  itc rent offer lamp-1 --price 0.1 --max 30 --deposit 5
  itc rent start lamp-1 --max 3 --key guest`,
  options: {
    key: { type: 'string' },
    price: { type: 'string' },
    by: { type: 'string' },
    min: { type: 'string' },
    max: { type: 'string' },
    length: { type: 'string' },
    deposit: { type: 'string' },
    window: { type: 'string' },
    'start-within': { type: 'string' },
    carriage: { type: 'string' },
    arbiter: { type: 'string' },
    actions: { type: 'string' },
    'level-max': { type: 'string' },
    for: { type: 'string' },
    amount: { type: 'string' },
    timeout: { type: 'string' },
  },
  run: (call) => runVerb(call, VERBS),
};

const VERBS: Readonly<Record<string, Verb>> = {
  offer,
  withdraw,
  list,
  start,
  stop,
  'give-back': giveBack,
  settle,
  status,
  dispute,
};

const DAY = '30d';
const ACTION_TIMEOUT_MS = 15_000;

function one(words: readonly string[], what: string): string {
  const [word, ...rest] = words;
  if (word === undefined || rest.length > 0) throw new UsageError(`expected ${what}`);
  return word;
}

async function walletOf(call: Call, fallback: string): Promise<Wallet> {
  return Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? fallback));
}

async function offer(call: Call, words: readonly string[]): Promise<number> {
  const wallet = await walletOf(call, 'owner');
  const device = await wallet.device(one(words, 'a device'));
  const limits = limitsOf(await deviceRecord(wallet.client, device));
  const terms = await termsOption(call, limits);
  const expiresAt = millis(Date.now() + duration(textOption(call, 'for') ?? DAY, '--for'));
  const sent = await wallet.send(offerRental({ device, terms, expiresAt }));
  call.output.result({ ok: true, ...sent, device: formatAddress(device), expiresAt }, [
    `${formatItc(terms.price)} ITC a ${terms.unit}, ${terms.minimum} to ${terms.maximum}, deposit ${formatItc(terms.deposit)} ITC`,
    `final in block ${sent.height}`,
  ]);
  return 0;
}

async function termsOption(call: Call, limits: ModelLimits | undefined): Promise<RentalTerms> {
  const unit = (textOption(call, 'by') ?? 'minute') as RentalUnit;
  if (unit !== 'minute' && unit !== 'use')
    throw new UsageError(`--by takes minute or use, got ${String(unit)}`);
  const bounds = { min: 0, max: 0xffff_ffff };
  const span = (name: string, fallback: string): ReturnType<typeof millis> =>
    millis(duration(textOption(call, name) ?? fallback, `--${name}`));
  const itc = (name: string, fallback: bigint): RentalTerms['price'] =>
    textOption(call, name) === undefined ? amount(fallback) : amountOption(call, name);
  const arbiter = textOption(call, 'arbiter');
  const actions = actionsOption(call, limits);
  const levelMax = levelOption(textOption(call, 'level-max'), '--level-max') ?? limits?.levelMax ?? LEVEL_MAX;
  if (limits !== undefined) within({ actions, levelMax }, limits);
  return {
    unit,
    price: amountOption(call, 'price'),
    minimum: integerOption(call, 'min', 1, bounds),
    maximum: integerOption(call, 'max', 60, bounds),
    duration: unit === 'use' ? span('length', '1d') : millis(0),
    deposit: itc('deposit', 0n),
    carriage: itc('carriage', 1_000_000n),
    startWithin: span('start-within', '10m'),
    window: span('window', '10m'),
    arbiter: arbiter === undefined ? undefined : accountOf(call, arbiter),
    actions,
    levelMax,
  };
}

async function withdraw(call: Call, words: readonly string[]): Promise<number> {
  const wallet = await walletOf(call, 'owner');
  const device = await wallet.device(one(words, 'a device'));
  const sent = await wallet.send(withdrawOffer(device));
  call.output.result({ ok: true, ...sent, device: formatAddress(device) }, [`final in block ${sent.height}`]);
  return 0;
}

async function list(call: Call, words: readonly string[]): Promise<number> {
  noMore(words);
  const offers = await rentalOffers(openClient(call.api));
  const names = localNames(call.dataDir);
  const rows = offers.map(({ device, terms, rented }) => [
    names.get(device) ?? '',
    device,
    `${formatItc(BigInt(terms.price))} ITC a ${terms.unit}`,
    `${terms.minimum} to ${terms.maximum}`,
    `deposit ${formatItc(BigInt(terms.deposit))} ITC`,
    rented ? 'rented' : 'free',
  ]);
  call.output.result({ offers }, rows.length === 0 ? ['nothing is offered'] : table(rows));
  return 0;
}

async function start(call: Call, words: readonly string[]): Promise<number> {
  const wallet = await walletOf(call, 'renter');
  const device = await wallet.device(one(words, 'a device'));
  const known = await rentalStatus(wallet.client, device).catch(() => undefined);
  if (known?.renter !== formatAddress(wallet.signer.address)) {
    const { terms } = await rentalOffer(wallet.client, device);
    const maximum = integerOption(call, 'max', terms.maximum, { min: 1, max: 0xffff_ffff });
    await wallet.sendProvable(rentBody({ device, terms, maximum }));
  }
  const rental = await beginRental(wallet, device, timeoutOf(call));
  call.output.result({ ok: true, ...rental }, [
    `rental ${rental.rental}`,
    `started ${timeText(rental.startedAt)}, until ${timeText(rental.end)} at most`,
  ]);
  return 0;
}

async function stop(call: Call, words: readonly string[]): Promise<number> {
  const wallet = await walletOf(call, 'renter');
  const device = await wallet.device(one(words, 'a device'));
  const settled = await stopRental(wallet, device, timeoutOf(call));
  call.output.result({ ok: true, ...settled }, [
    `rental ${settled.rental}`,
    `${timeText(settled.startedAt)} to ${timeText(settled.end)}`,
    `paid ${formatItc(BigInt(settled.charge))} ITC, returned ${formatItc(BigInt(settled.returned))} ITC, held back ${formatItc(BigInt(settled.heldBack))} ITC`,
    ...(BigInt(settled.heldBack) === 0n
      ? []
      : [`what is held back returns when the window is over: itc rent status ${settled.rental}`]),
  ]);
  return 0;
}

function timeoutOf(call: Call): number {
  return integerOption(call, 'timeout', ACTION_TIMEOUT_MS, { min: 1, max: 600_000 });
}

async function giveBack(call: Call, words: readonly string[]): Promise<number> {
  const wallet = await walletOf(call, 'renter');
  const device = await wallet.device(one(words, 'a device'));
  const sent = await wallet.send(endRental(device));
  const { settlesAt } = await rentalStatus(wallet.client, device);
  call.output.result({ ok: true, ...sent, settlesAt }, [
    `given back in block ${sent.height}; settles by ${timeText(settlesAt)}, earlier by the device's word`,
  ]);
  return 0;
}

async function settle(call: Call, words: readonly string[]): Promise<number> {
  const wallet = await walletOf(call, 'renter');
  const device = await wallet.device(one(words, 'a device'));
  const brought = await bringWords(wallet, device);
  call.output.result({ ok: true, brought }, [
    brought.length === 0
      ? 'the device said nothing that the chain does not know'
      : `brought: ${brought.join(', ')}`,
  ]);
  return 0;
}

const RENTAL = /^[0-9a-f]{64}$/;

async function status(call: Call, words: readonly string[]): Promise<number> {
  const subject = one(words, 'a device or a rental');
  const client = openClient(call.api);
  if (RENTAL.test(subject)) return settlement(call, subject);
  const device = await deviceOf(call, subject);
  const found = await unlessUnknown(rentalStatus(client, device));
  if (found === undefined) {
    const offered = await unlessUnknown(rentalOffer(client, device));
    call.output.result({ rented: false, offer: offered?.offer }, [
      offered === undefined ? 'neither rented nor offered' : 'offered, and free',
    ]);
    return 0;
  }
  call.output.result(
    { rented: true, ...found },
    table([
      ['rental', found.rental],
      ['renter', found.renter],
      ['state', found.state],
      ['put up', `${formatItc(BigInt(found.held))} ITC`],
      ...(found.startedAt === undefined
        ? [['start by', timeText(found.startBy)]]
        : [
            ['started', timeText(found.startedAt)],
            ['owed by now', `${formatItc(BigInt(found.charge ?? 0))} ITC`],
          ]),
      ['settles by', timeText(found.settlesAt)],
    ]),
  );
  return 0;
}

async function settlement(call: Call, rental: string): Promise<number> {
  const client = openClient(call.api);
  const [held, settled] = await Promise.all([
    unlessUnknown(settlementStatus(client, rental)),
    settledRental(client, rental),
  ]);
  if (held === undefined && settled === undefined)
    throw new LedgerError('rental.unknown', 'no rental of this name has ended');
  call.output.result(
    { settled, deposit: held },
    table([
      ...(settled === undefined
        ? []
        : [
            ['paid', `${formatItc(BigInt(settled.charge))} ITC`],
            ['returned', `${formatItc(BigInt(settled.returned))} ITC`],
          ]),
      ...(held === undefined
        ? [['deposit', 'nothing is held']]
        : [
            ['deposit', `${formatItc(BigInt(held.held))} ITC until ${timeText(held.until)}`],
            ...(held.claim === undefined
              ? []
              : [
                  ['claimed', `${formatItc(BigInt(held.claim.amount))} ITC`],
                  ['conceded', `${formatItc(BigInt(held.claim.conceded))} ITC`],
                ]),
          ]),
    ]),
  );
  return 0;
}

/** Undefined where the ledger knows nothing of the kind. */
async function unlessUnknown<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof LedgerError && error.code.endsWith('.unknown')) return undefined;
    throw error;
  }
}

async function deviceOf(call: Call, text: string): Promise<Address> {
  const wallet = await walletOf(call, 'owner');
  return wallet.device(text);
}

async function dispute(call: Call, words: readonly string[]): Promise<number> {
  const [verb, rental, ...rest] = words;
  if ((verb !== 'claim' && verb !== 'answer') || rental === undefined || rest.length > 0)
    throw new UsageError('expected: dispute claim RENTAL or dispute answer RENTAL');
  const wallet = await walletOf(call, verb === 'claim' ? 'owner' : 'renter');
  const named = { rental: parseHash(rental), amount: amountOption(call, 'amount') };
  const sent = await wallet.send(verb === 'claim' ? claimDamage(named) : answerClaim(named));
  call.output.result({ ok: true, ...sent, rental: toHex(named.rental) }, [`final in block ${sent.height}`]);
  return 0;
}

function timeText(time: number): string {
  return new Date(time).toISOString();
}
