/** Commands and pairing of the fake devnet: the payload is really parsed and its signature really checked. */
import { createPublicKey, verify } from 'node:crypto';
import { equalBytes, fromHex, toHex } from '@itc/core/bytes/hex.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import { addressOf, formatAddress } from '@itc/core/ledger/address.js';
import { decodeCommand } from '@itc/core/ledger/command.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import type { CommandState, Pairing } from '../wire.ts';
import type { FakeDevice } from './fake-devices.ts';
import type { FakeWorld } from './fake-world.ts';

/** DER of an Ed25519 SubjectPublicKeyInfo up to the key itself (RFC 8410 §4). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export type CommandAnswer =
  | { readonly kind: 'accepted'; readonly command: CommandState }
  | { readonly kind: 'refused'; readonly code: string; readonly detail: string };

export function acceptCommand(world: FakeWorld, payloadHex: string): CommandAnswer {
  const bytes = fromHex(payloadHex);
  if (!bytes.ok) return { kind: 'refused', code: bytes.code, detail: bytes.message };
  const chain = fromHex(world.chain);
  if (!chain.ok) throw new Error(chain.message);
  const parsed = parsePayload(asHash(chain.value), bytes.value);
  if (!parsed.ok) return { kind: 'refused', code: parsed.code, detail: parsed.message };
  const payload = parsed.value;
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, payload.signer.bytes]),
    format: 'der',
    type: 'spki',
  });
  if (!verify(null, payload.signedBytes, key, payload.signature))
    return {
      kind: 'refused',
      code: 'payload.signature',
      detail: 'the signature does not verify under the key in the header',
    };
  const command = decodeCommand(payload.content);
  if (!command.ok) return { kind: 'refused', code: command.code, detail: command.message };
  const device = world.devices.find((candidate) => candidate.address === formatAddress(command.value.device));
  if (device === undefined || !equalBytes(command.value.device, payload.device))
    return { kind: 'refused', code: 'payload.unknown-device', detail: 'no such device at this gateway' };
  const state: CommandState = {
    id: toHex(payload.id),
    device: device.address,
    signer: formatAddress(addressOf(payload.signer)),
    action: command.value.action,
    stages: device.online ? { sent: world.time } : {},
    ...(device.online
      ? {}
      : {
          waiting: `${device.name} is asleep or offline; last seen ${new Date(device.lastSeen).toISOString()}`,
        }),
  };
  play(world, device, state);
  return { kind: 'accepted', command: state };
}

/** The life of a command: the lamp answers within tens of milliseconds, the subnet and the chain follow. */
function play(world: FakeWorld, device: FakeDevice, first: CommandState): void {
  let current = first;
  const update = (change: Partial<CommandState>): void => {
    current = { ...current, ...change, stages: { ...current.stages, ...change.stages } };
    const at = world.commands.findIndex((command) => command.id === current.id);
    if (at === -1) world.commands.push(current);
    else world.commands[at] = current;
    world.emit({ kind: 'command', command: current });
  };
  update({});
  if (world.commands.length > 200) world.commands.shift();
  const sent = world.time;
  if (device.online)
    world.at(sent + 38 + Math.floor(world.random.next() * 20), (time) =>
      update({ ...answer(device, current), stages: { ...current.stages, acknowledged: time } }),
    );
  world.at(sent + 320 + Math.floor(world.random.next() * 160), (time) =>
    update({ stages: { ...current.stages, inDag: time } }),
  );
  world.at(sent + 1_450 + Math.floor(world.random.next() * 500), (time) =>
    update({ stages: { ...current.stages, final: time }, height: world.height }),
  );
}

function answer(device: FakeDevice, command: CommandState): Partial<CommandState> {
  const grant = device.grants.find((candidate) => candidate.subject === command.signer);
  const state = device.state ?? { on: false, level: 0 };
  const { action } = command;
  if (grant === undefined) return { outcome: { kind: 'refused', reason: 'not-granted' }, state };
  if (action.kind === 'level' && (action.level ?? 0) > grant.levelMax)
    return { outcome: { kind: 'refused', reason: 'not-allowed' }, state };
  if (action.kind === 'level') device.state = { on: (action.level ?? 0) > 0, level: action.level ?? 0 };
  else
    device.state = {
      on: action.kind === 'on',
      level: action.kind === 'on' && state.level === 0 ? 254 : state.level,
    };
  return { outcome: { kind: 'done' }, state: device.state };
}

/** The devnet's owner grants the key; on the chain after about a block. */
export function pairKey(world: FakeWorld, publicKey: string): Pairing | undefined {
  const bytes = fromHex(publicKey);
  if (!bytes.ok || bytes.value.length !== 32) return undefined;
  const subject = formatAddress(addressOf({ algorithm: ED25519, bytes: bytes.value }));
  const lamps = world.devices.filter((device) => device.kind === 'lamp');
  const now = world.time;
  for (const lamp of lamps) {
    world.submit('grant', world.owner);
    world.at(now + 1_300, () => {
      if (lamp.grants.some((grant) => grant.subject === subject)) return;
      lamp.grants.push({
        subject,
        actions: ['onOff', 'level', 'colour', 'read'],
        levelMax: lamp.levelMax,
        notBefore: now,
        expiresAt: now + 30 * 86_400_000,
      });
    });
  }
  return { owner: world.owner, granted: lamps.map((lamp) => lamp.name) };
}
