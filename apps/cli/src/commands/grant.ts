/** `itc grant` and `itc revoke`: who else may command a device or what is in a group, on the ledger. */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Body } from '@itc/core/ledger/body.js';
import type { Terms } from '@itc/core/ledger/terms.js';
import { deviceRecord, limitsOf, type DeviceRecordAnswer } from '@itc/client/devices.js';
import { accessTo, delegate, deviceScope, grantGroup, groupScope, revokeAccess } from '@itc/client/grants.js';
import { grant as grantBody, revoke as revokeBody } from '@itc/client/transactions.js';
import { TERMS_HELP, TERMS_OPTIONS, termsOption, toValues } from '../grant-terms.ts';
import { openKey } from '../keys.ts';
import { namedAccount } from '../names.ts';
import { accountOf } from '../options.ts';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { Wallet } from '../wallet.ts';

const COMMON = {
  to: { type: 'string', multiple: true },
  key: { type: 'string' },
  group: { type: 'string' },
} as const;

export const grant: Command = {
  name: 'grant',
  help: `itc grant DEVICE --to SUBJECT [OPTIONS]
itc grant --group NAME --to SUBJECT [OPTIONS]     every device in a group or room of yours

Writes a grant to the ledger; granting again replaces it. SUBJECT is an address or the name of a key on this machine.
Who is not the owner but holds a grant that may be passed on gives away a part of it, never more.

Options:
  --to SUBJECT       who may command the device
${TERMS_HELP}
  --key NAME         the owner's key, or that of who passes on (default owner)

Examples:
  itc grant lamp-1 --to guest --for 2d --actions on-off,level --level-max 60%
  itc grant lamp-1 --to cleaner --days mon-fri --from 8:00 --to 12:00 --uses 50
  itc grant --group kitchen --to flatmate --delegable`,
  options: { ...COMMON, ...TERMS_OPTIONS },
  run: async (call) => {
    const target = await open(call);
    const { wallet, subject, name } = target;
    const record = target.device && (await deviceRecord(wallet.client, target.device));
    const terms = termsOption(call, Date.now(), record && limitsOf(record));
    const { body, delegated } = await grantFor(target, record, terms);
    const sent = await wallet.sendProvable(body);
    const { expiresAt } = terms;
    call.output.result({ ok: true, ...sent, ...shown(target), delegated, expiresAt }, [
      `${namedAccount(textOption(call, 'to'), subject)} may command ${name} until ${new Date(expiresAt).toISOString()}`,
      `final in block ${sent.height}`,
    ]);
    return 0;
  },
};

export const revoke: Command = {
  name: 'revoke',
  help: `itc revoke DEVICE --to SUBJECT [--granter WHO] [--key NAME]
itc revoke --group NAME --to SUBJECT [--granter WHO] [--key NAME]

Removes a grant from the ledger, and with it whatever was passed on from it. From the next certified state on, its absence
can be proved, and the device refuses.

Options:
  --granter WHO      what WHO has passed on to SUBJECT, instead of what the owner granted
  --key NAME         the owner's key, or that of who passed on (default owner)`,
  options: { ...COMMON, granter: { type: 'string' } },
  run: async (call) => {
    const target = await open(call);
    const { wallet, subject, name } = target;
    const sent = await wallet.sendProvable(await revocation(call, target));
    call.output.result({ ok: true, ...sent, ...shown(target) }, [
      `${namedAccount(textOption(call, 'to'), subject)} may no longer command ${name} by that grant`,
      `final in block ${sent.height}`,
    ]);
    return 0;
  },
};

interface Target {
  readonly wallet: Wallet;
  /** Absent: a group of the owner. */
  readonly device: Address | undefined;
  readonly subject: Address;
  /** Of device or group. */
  readonly name: string;
}

function shown({ device, subject, name }: Target): Record<string, string> {
  const where: Record<string, string> =
    device === undefined ? { group: name } : { device: formatAddress(device) };
  return { ...where, subject: formatAddress(subject) };
}

async function open(call: Call): Promise<Target> {
  const [word, ...rest] = call.arguments;
  const group = textOption(call, 'group');
  const to = toValues(call).subject;
  if (rest.length > 0 || to === undefined || (word === undefined) === (group === undefined))
    throw new UsageError('expected: DEVICE --to SUBJECT, or --group NAME --to SUBJECT');
  const wallet = await Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'));
  const device = word === undefined ? undefined : await wallet.device(word);
  return { wallet, device, subject: accountOf(call, to), name: word ?? group ?? '' };
}

async function grantFor(
  { wallet, device, subject, name }: Target,
  record: DeviceRecordAnswer | undefined,
  terms: Terms,
): Promise<{ readonly body: Body; readonly delegated: boolean }> {
  const owner = wallet.signer.address;
  if (device === undefined || record === undefined)
    return { body: grantGroup({ owner, name, subject, terms }), delegated: false };
  if (record.owner === formatAddress(owner))
    return { body: grantBody({ device, subject, ...terms }), delegated: false };
  const own = (await accessTo(wallet.client, device)).find(
    (access) =>
      access.counts && (access.delegable ?? 0) > 0 && access.subject === formatAddress(wallet.signer.address),
  );
  if (own === undefined)
    throw new LedgerError('grant.unknown', 'this key neither owns the device nor holds a grant to pass on');
  const ownerOf = parseAddress(record.owner);
  const scope =
    own.group === undefined || !ownerOf.ok ? deviceScope(device) : groupScope(ownerOf.value, own.group.name);
  const via = own.delegated ? parseAddress(own.granter) : undefined;
  const body = delegate({ scope, subject, terms, ...(via?.ok === true && { via: via.value }) });
  return { body, delegated: true };
}

async function revocation(call: Call, { wallet, device, subject, name }: Target): Promise<Body> {
  const named = textOption(call, 'granter');
  const sender = wallet.signer.address;
  const scope = device === undefined ? groupScope(sender, name) : deviceScope(device);
  if (named !== undefined) return revokeAccess({ scope, subject, granter: accountOf(call, named) });
  if (device === undefined) return revokeAccess({ scope, subject });
  const record = await deviceRecord(wallet.client, device);
  const owner = parseAddress(record.owner);
  const isOwner = owner.ok && equalBytes(owner.value, sender);
  // Who is not the owner takes back what he has passed on himself.
  return isOwner ? revokeBody({ device, subject }) : revokeAccess({ scope, subject, granter: sender });
}
