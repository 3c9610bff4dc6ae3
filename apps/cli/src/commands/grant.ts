/** `itc grant` and `itc revoke`: who else may command a device, on the ledger. */
import { formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { millis } from '@itc/core/ledger/ids.js';
import { ACTIONS, ACTIONS_ALL } from '@itc/core/ledger/bodies/access.js';
import { grant as grantBody, revoke as revokeBody } from '@itc/client/transactions.js';
import { integerOption, textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { Wallet } from '../wallet.ts';
import { openKey } from '../keys.ts';

const DAY_MS = 86_400_000;
const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: DAY_MS };

const COMMON = { to: { type: 'string' }, key: { type: 'string' } } as const;

export const grant: Command = {
  name: 'grant',
  help: `itc grant DEVICE --to SUBJECT [OPTIONS]

Writes a grant to the ledger; granting again replaces it. SUBJECT is an address or the name of a key on this machine.

Options:
  --to SUBJECT       who may command the device
  --for DURATION     how long, as 90s, 30m, 12h or 7d (default 1d)
  --actions LIST     of on-off, level, colour, read, separated by commas (default all)
  --level-max N      greatest level, 0 to 254 (default 254)
  --key NAME         the owner's key (default owner)

Example:
  itc grant lamp-1 --to guest --for 2d --actions on-off,level --level-max 120`,
  options: {
    ...COMMON,
    for: { type: 'string' },
    actions: { type: 'string' },
    'level-max': { type: 'string' },
  },
  run: async (call) => {
    const { wallet, device, subject, name } = await open(call);
    const now = Date.now();
    const terms = {
      device,
      subject,
      actions: actionsOption(call),
      levelMax: integerOption(call, 'level-max', 254, { min: 0, max: 254 }),
      // A little before now: clocks of validators and lamps differ.
      notBefore: millis(now - 60_000),
      expiresAt: millis(now + durationOption(call)),
    };
    const sent = await wallet.sendProvable(grantBody(terms));
    call.output.result(
      {
        ok: true,
        ...sent,
        device: formatAddress(device),
        subject: formatAddress(subject),
        expiresAt: terms.expiresAt,
      },
      [
        `${formatAddress(subject)} may command ${name} until ${new Date(terms.expiresAt).toISOString()}`,
        `final in block ${sent.height}`,
      ],
    );
    return 0;
  },
};

export const revoke: Command = {
  name: 'revoke',
  help: `itc revoke DEVICE --to SUBJECT [--key NAME]

Removes the grant from the ledger. From the next certified state on, its absence can be proved, and the device refuses.`,
  options: COMMON,
  run: async (call) => {
    const { wallet, device, subject, name } = await open(call);
    const sent = await wallet.sendProvable(revokeBody({ device, subject }));
    call.output.result(
      { ok: true, ...sent, device: formatAddress(device), subject: formatAddress(subject) },
      [`${formatAddress(subject)} may no longer command ${name}`, `final in block ${sent.height}`],
    );
    return 0;
  },
};

async function open(call: Call): Promise<{
  readonly wallet: Wallet;
  readonly device: Address;
  readonly subject: Address;
  readonly name: string;
}> {
  const [name, ...rest] = call.arguments;
  const to = textOption(call, 'to');
  if (name === undefined || rest.length > 0 || to === undefined)
    throw new UsageError('expected: DEVICE --to SUBJECT');
  const wallet = await Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'));
  const parsed = parseAddress(to);
  const subject = parsed.ok ? parsed.value : (await openKey(call.dataDir, to)).address;
  return { wallet, device: await wallet.device(name), subject, name };
}

function durationOption(call: Call): number {
  const text = textOption(call, 'for') ?? '1d';
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  if (match === null) throw new UsageError(`--for takes a duration such as 90s, 30m, 12h or 7d, got ${text}`);
  return Number(match[1]) * (UNITS[match[2] as string] as number);
}

function actionsOption(call: Call): number {
  const text = textOption(call, 'actions');
  if (text === undefined) return ACTIONS_ALL;
  const bits: Readonly<Record<string, number>> = {
    'on-off': ACTIONS.onOff,
    level: ACTIONS.level,
    colour: ACTIONS.colour,
    read: ACTIONS.read,
  };
  let actions = 0;
  for (const word of text.split(',')) {
    const bit = bits[word.trim()];
    if (bit === undefined)
      throw new UsageError(`--actions takes ${Object.keys(bits).join(', ')}, got ${word}`);
    actions |= bit;
  }
  return actions;
}
