/** `itc sponsor`: paying the fees of others, within budgets (spec STATE-19). */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { KINDS, type BodyKind } from '@itc/core/ledger/body.js';
import type { SponsorScope, SponsorshipTerms } from '@itc/core/ledger/bodies/sponsor.js';
import { formatItc, millis } from '@itc/core/ledger/ids.js';
import type { SponsorshipStatus } from '@itc/client/api.js';
import { parseHash } from '@itc/client/client.js';
import {
  changeSponsorship,
  closeSponsorship,
  fundSponsorship,
  openSponsorship,
  sponsorshipId,
  sponsorshipTerms,
} from '@itc/client/sponsors.js';
import { openKey } from '../keys.ts';
import { accountOf, amountOption, duration } from '../options.ts';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { openClient, Wallet } from '../wallet.ts';

/** What owners do, from the claim to the end. */
const DEFAULT_KINDS: readonly BodyKind[] = [
  'claim',
  'grant',
  'revoke',
  'delegate',
  'revoke-access',
  'offer-device',
  'accept-device',
  'withdraw-device',
  'mark-device',
  'recover-device',
  'set-device-recovery',
];

export const sponsor: Command = {
  name: 'sponsor',
  help: `itc sponsor open NAME --funds ITC SCOPE [OPTIONS]
itc sponsor fund ID --funds ITC
itc sponsor change ID SCOPE [OPTIONS]
itc sponsor show [ID | ACCOUNT]
itc sponsor close ID

open    pays AMOUNT into a budget that pays for what others send; prints its ID
fund    adds to it
change  other terms from now on; what is paid in stays
show    terms, what is left, what was used today; of an account all its sponsorships
close   what is left returns

SCOPE is one of
  --batch ID           devices of a batch
  --model ID           devices of a model
  --maker ACCOUNT      devices of a maker
  --devices LIST       devices by address, separated by commas
  --accounts LIST      whatever these accounts send, by address or key name

Options:
  --funds ITC          what is paid in
  --kinds LIST         kinds of transactions (default: all that owners do with a device)
  --per-device ITC     for one device and day (default 0.1)
  --per-day ITC        for all together and day (default 10)
  --for DURATION       until when (default 365d)
  --fees-only          deposits of records and new accounts are not paid for
  --key NAME           the sponsor's key (default maker)

Whoever uses it names it: ITC_SPONSOR=ID itc grant …`,
  options: {
    key: { type: 'string' },
    funds: { type: 'string' },
    kinds: { type: 'string' },
    batch: { type: 'string' },
    model: { type: 'string' },
    maker: { type: 'string' },
    devices: { type: 'string' },
    accounts: { type: 'string' },
    'per-device': { type: 'string' },
    'per-day': { type: 'string' },
    for: { type: 'string' },
    'fees-only': { type: 'boolean' },
  },
  run: async (call) => {
    const [verb, subject, ...rest] = call.arguments;
    if (rest.length > 0) throw new UsageError('expected one NAME or ID');
    if (verb === 'show') return show(call, subject);
    if (subject === undefined)
      throw new UsageError('expected: open NAME, fund ID, change ID, show or close ID');
    const wallet = await Wallet.open(
      call.api,
      await openKey(call.dataDir, textOption(call, 'key') ?? 'maker'),
    );
    if (verb === 'open') return open(call, wallet, subject);
    const id = parseHash(subject);
    if (verb === 'fund') {
      const sent = await wallet.send(fundSponsorship(id, amountOption(call, 'funds')));
      call.output.result({ ok: true, ...sent }, [`funded, final in block ${sent.height}`]);
      return 0;
    }
    if (verb === 'change') {
      const sent = await wallet.send(changeSponsorship(id, await termsOf(call)));
      call.output.result({ ok: true, ...sent }, [`other terms since block ${sent.height}`]);
      return 0;
    }
    if (verb !== 'close') throw new UsageError('expected: open, fund, change, show or close');
    const sent = await wallet.send(closeSponsorship(id));
    call.output.result({ ok: true, ...sent }, [`closed in block ${sent.height}; what was left has returned`]);
    return 0;
  },
};

async function open(call: Call, wallet: Wallet, name: string): Promise<number> {
  const amount = amountOption(call, 'funds');
  const terms = await termsOf(call);
  const sent = await wallet.send(openSponsorship({ name, terms, amount }));
  const id = toHex(sponsorshipId(wallet.signer.address, name));
  call.output.result({ ok: true, ...sent, sponsorship: id, name, amount: String(amount) }, [
    id,
    `${formatItc(amount)} ITC paid in, final in block ${sent.height}`,
  ]);
  return 0;
}

async function termsOf(call: Call): Promise<SponsorshipTerms> {
  return sponsorshipTerms({
    kinds: kindsOption(call),
    scope: await scopeOption(call),
    perDevicePerDay: amountOption(withDefault(call, 'per-device', '0.1'), 'per-device'),
    perDay: amountOption(withDefault(call, 'per-day', '10'), 'per-day'),
    expiresAt: millis(Date.now() + duration(textOption(call, 'for') ?? '365d', '--for')),
    paysState: call.options['fees-only'] !== true,
  });
}

function withDefault(call: Call, name: string, value: string): Call {
  return { ...call, options: { [name]: value, ...defined(call.options) } };
}

function defined(options: Call['options']): Call['options'] {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function kindsOption(call: Call): readonly BodyKind[] {
  const text = textOption(call, 'kinds');
  if (text === undefined) return DEFAULT_KINDS;
  return text.split(',').map((word) => {
    const kind = KINDS.find((one) => one === word.trim());
    if (kind === undefined) throw new UsageError(`--kinds: there is no kind of transaction called ${word}`);
    return kind;
  });
}

async function scopeOption(call: Call): Promise<SponsorScope> {
  const given = (['batch', 'model', 'maker', 'devices', 'accounts'] as const).filter(
    (name) => textOption(call, name) !== undefined,
  );
  const [kind] = given;
  if (kind === undefined || given.length > 1)
    throw new UsageError('expected one of --batch, --model, --maker, --devices, --accounts');
  const text = textOption(call, kind) as string;
  switch (kind) {
    case 'batch':
      return { kind, batch: parseHash(text) };
    case 'model':
      return { kind, model: parseHash(text) };
    case 'maker':
      return { kind, maker: accountOf(call, text) };
    case 'devices': {
      const wallet = await Wallet.open(
        call.api,
        await openKey(call.dataDir, textOption(call, 'key') ?? 'maker'),
      );
      return { kind, devices: await Promise.all(text.split(',').map((name) => wallet.device(name.trim()))) };
    }
    case 'accounts':
      return {
        kind,
        accounts: text.split(',').map((name) => accountOf(call, name.trim())),
      };
  }
}

async function show(call: Call, subject: string | undefined): Promise<number> {
  const client = openClient(call.api);
  const id =
    subject !== undefined && /^[0-9a-f]{64}$/.test(subject) ? (parseHash(subject) satisfies Hash) : undefined;
  if (id !== undefined) {
    const found = await client.sponsorship(id);
    call.output.result(found, described(found));
    return 0;
  }
  const of = accountOf(call, subject ?? 'maker');
  const sponsorships = await client.sponsorships(of);
  call.output.result(
    { sponsorships },
    sponsorships.length === 0
      ? [`${formatAddress(of)} sponsors nothing`]
      : sponsorships.flatMap((one) => ['', ...described(one)]).slice(1),
  );
  return 0;
}

function described(one: SponsorshipStatus): string[] {
  const itc = (text: string): string => `${formatItc(BigInt(text))} ITC`;
  return table([
    ['sponsorship', one.sponsorship],
    ['name', one.name],
    ['sponsor', one.sponsor],
    ['pays for', `${one.kinds.join(', ')}; ${one.scope.kind} ${one.scope.of.join(', ')}`],
    ['and', one.paysState ? 'deposits of records, new accounts' : 'fees alone'],
    ['left', itc(one.balance)],
    [
      'used today',
      `${itc(one.spentToday)} of ${itc(one.perDay)}, at most ${itc(one.perDevicePerDay)} per device`,
    ],
    ['until', new Date(one.expiresAt).toISOString()],
  ]);
}
