/** `itc group`: groups and rooms of an owner; what is granted for one is granted for every device in it. */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { groupsOf, removeGroup, setGroup, type GroupAnswer } from '@itc/client/grants.js';
import { openKey } from '../keys.ts';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { Wallet } from '../wallet.ts';

export const group: Command = {
  name: 'group',
  help: `itc group create NAME [DEVICE …] [--room]
itc group add NAME DEVICE …
itc group remove NAME [DEVICE …]      the devices; without devices the group itself
itc group list

A device that is sold is in no group of its old owner any more. Grants: itc grant --group NAME --to SUBJECT

Options:
  --room             a room or another place
  --key NAME         the owner's key (default owner)`,
  options: { key: { type: 'string' }, room: { type: 'boolean' } },
  run: async (call) => {
    const [verb, name, ...words] = call.arguments;
    const wallet = await Wallet.open(
      call.api,
      await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'),
    );
    const groups = await groupsOf(wallet.client, wallet.signer.address);
    if (verb === 'list' && name === undefined) return list(call, groups);
    if (name === undefined || !['create', 'add', 'remove'].includes(verb ?? ''))
      throw new UsageError('expected: create NAME, add NAME DEVICE, remove NAME or list');
    const known = groups.find((found) => found.name === name);
    if (verb === 'create' && known !== undefined)
      throw new LedgerError('request.malformed', `there is a group called ${name}; add devices to it`);
    if (verb !== 'create' && known === undefined)
      throw new LedgerError('group.unknown', `no group is called ${name}`);
    const named = await Promise.all(words.map((word) => wallet.device(word)));
    if (verb === 'add' && named.length === 0) throw new UsageError('expected at least one device to add');
    if (verb === 'remove' && named.length === 0) {
      const sent = await wallet.sendProvable(removeGroup(name));
      call.output.result({ ok: true, ...sent, group: name }, [`${name} is gone since block ${sent.height}`]);
      return 0;
    }
    const devices = verb === 'remove' ? without(devicesOf(known), named) : united(devicesOf(known), named);
    const place = known?.place ?? call.options['room'] === true;
    const sent = await wallet.sendProvable(setGroup({ name, place, devices }));
    call.output.result({ ok: true, ...sent, group: name, devices: devices.map(formatAddress) }, [
      `${name} has ${devices.length} ${devices.length === 1 ? 'device' : 'devices'} since block ${sent.height}`,
    ]);
    return 0;
  },
};

function list(call: Call, groups: readonly GroupAnswer[]): number {
  const rows = groups.map(({ name, place, devices }) => [
    name,
    place ? 'room' : 'group',
    `${devices.filter(({ counts }) => counts).length} of ${devices.length} devices`,
  ]);
  call.output.result({ groups }, rows.length === 0 ? ['no groups yet'] : table(rows));
  return 0;
}

/** Those that are still in: the ledger takes only what the owner has. */
function devicesOf(known: GroupAnswer | undefined): readonly Address[] {
  return (known?.devices ?? []).flatMap(({ device, counts }) => {
    const parsed = parseAddress(device);
    return counts && parsed.ok ? [parsed.value] : [];
  });
}

function without(devices: readonly Address[], gone: readonly Address[]): readonly Address[] {
  return devices.filter((device) => !gone.some((one) => equalBytes(one, device)));
}

function united(devices: readonly Address[], more: readonly Address[]): readonly Address[] {
  return [...without(devices, more), ...more];
}
