/** `itc firmware`: product lines, releases, rollouts (spec STATE-23), and what a device would make of them (LIGHT-11). */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '@itc/core/bytes/hex.js';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import {
  channelId,
  formatVersion,
  parseVersion,
  roleOf,
  SHARE_ALL,
  type ChannelForm,
  type ReleaseForm,
  type Role,
  type Version,
} from '@itc/core/ledger/firmware.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import { encodeManifest, manifestHash } from '@itc/core/ledger/suit-manifest.js';
import { trustGenesis } from '@itc/core/light/trust.js';
import { decideFirmware } from '@itc/core/state/firmware-decision.js';
import type { ProvenFirmware } from '@itc/core/light/firmware-proof.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { parseHash } from '@itc/client/client.js';
import {
  approveRelease,
  createChannel,
  firmwareChannel,
  firmwareChannels,
  provenFirmware,
  releaseFirmware,
  rollOut,
  rotateChannel,
  type NamedRelease,
} from '@itc/client/firmware.js';
import type { Signer } from '@itc/client/keys.js';
import { DEVNET_MODEL } from '../devnet/home.ts';
import { layoutOf } from '../devnet/layout.ts';
import { openKey } from '../keys.ts';
import { duration } from '../options.ts';
import {
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

export const firmware: Command = {
  name: 'firmware',
  help: `itc firmware channel open --model MODEL --board NAME --root KEYS --release KEYS [OPTIONS]
itc firmware channel rotate CHANNEL [--root KEYS] [--release KEYS] --sign KEYS [--accept KEYS]
itc firmware channel list
itc firmware release CHANNEL --version V --image FILE --sign KEYS [OPTIONS]
itc firmware approve CHANNEL NUMBER --sign KEYS
itc firmware rollout CHANNEL NUMBER --share PERCENT --sign KEYS    also resumes what was halted
itc firmware halt CHANNEL NUMBER --sign KEY                        one key of the release role is enough
itc firmware status CHANNEL
itc firmware verify CHANNEL --version V [OPTIONS]                  what a device would install, and why not, proved from genesis

The lamps of a devnet are of the maker's product line for the model itc:model:devnet (--model devnet) and the board
devnet-lamp: they install what is released there when they are dark.

KEYS are names of keys on this machine, separated by commas. Whoever sends it (--key) only pays the fee.

Options:
  --model MODEL          hash in hex, the file of the Thing Model, or devnet
  --board NAME           what the image runs on
  --root-threshold N     of the root keys (default: more than half)
  --release-threshold N  of the release keys (default: more than half)
  --for DURATION         from then on devices install nothing until the root keys sign again (default 365d)
  --version V            as 1.4.0: of the release, or what the device runs
  --image FILE           the image; its hash and size are released
  --manifest FILE        a SUIT manifest of your own (default: one is made from the image)
  --counter N            security counter (default: that of the channel)
  --minimum V            least version to install over (default 0.0.0)
  --share PERCENT        of all devices, as 10 or 0.5
  --device DEVICE        an address or name; its place in the rollout depends on it (default: the maker's address)
  --device-counter N     security counter of the device (default 0)
  --key NAME             who pays (default maker)`,
  options: {
    key: { type: 'string' },
    sign: { type: 'string' },
    accept: { type: 'string' },
    model: { type: 'string' },
    board: { type: 'string' },
    root: { type: 'string' },
    release: { type: 'string' },
    'root-threshold': { type: 'string' },
    'release-threshold': { type: 'string' },
    for: { type: 'string' },
    version: { type: 'string' },
    image: { type: 'string' },
    manifest: { type: 'string' },
    counter: { type: 'string' },
    minimum: { type: 'string' },
    share: { type: 'string' },
    device: { type: 'string' },
    'device-counter': { type: 'string' },
  },
  run: (call) => runVerb(call, VERBS),
};

const VERBS: Readonly<Record<string, Verb>> = {
  channel,
  release,
  approve,
  rollout: (call, words) => step(call, words, false),
  halt: (call, words) => step(call, words, true),
  status,
  verify,
};

const COUNTER = { min: 0, max: 0xffff_ffff };

async function walletOf(call: Call): Promise<Wallet> {
  return Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'maker'));
}

async function signersOption(call: Call, name: string): Promise<readonly Signer[]> {
  const text = textOption(call, name);
  if (text === undefined) throw new UsageError(`--${name} takes names of keys`);
  return Promise.all(text.split(',').map((key) => openKey(call.dataDir, key.trim())));
}

/** A role of the keys that are named. */
async function roleOption(
  call: Call,
  name: 'root' | 'release',
): Promise<{ readonly role: Role; readonly signers: readonly Signer[] }> {
  const signers = await signersOption(call, name);
  const most = { min: 1, max: signers.length };
  const threshold = integerOption(call, `${name}-threshold`, Math.floor(signers.length / 2) + 1, most);
  const keys = signers.map(({ publicKey }) => publicKey);
  return { role: roleOf(keys, threshold), signers };
}

function versionOption(call: Call, name: string, fallback?: string): Version {
  const text = textOption(call, name) ?? fallback;
  const version = text === undefined ? undefined : parseVersion(text);
  if (version === undefined)
    throw new UsageError(`--${name} takes a version such as 1.4.0, got ${String(text)}`);
  return version;
}

function expiryOption(call: Call): Millis {
  return millis(Date.now() + duration(textOption(call, 'for') ?? '365d', '--for'));
}

function modelOption(call: Call): Hash {
  const text = textOption(call, 'model');
  if (text === undefined) throw new UsageError('--model takes a hash in hex, or a file');
  if (text === 'devnet') return DEVNET_MODEL;
  return /^[0-9a-f]{64}$/.test(text) ? parseHash(text) : sha256(new Uint8Array(readFileSync(text)));
}

function required(call: Call, name: string): string {
  const text = textOption(call, name);
  if (text === undefined) throw new UsageError(`--${name} is needed`);
  return text;
}

async function channel(call: Call, words: readonly string[]): Promise<number> {
  const [verb, id, ...rest] = words;
  if (verb === 'list' && id === undefined) return listChannels(call);
  if (verb === 'open' && id === undefined) return openChannel(call);
  if (verb === 'rotate' && id !== undefined && rest.length === 0) return rotate(call, parseHash(id));
  throw new UsageError('expected: channel open, channel rotate CHANNEL or channel list');
}

async function openChannel(call: Call): Promise<number> {
  const wallet = await walletOf(call);
  const maker = wallet.signer.address;
  const model = modelOption(call);
  const board = required(call, 'board');
  const root = await roleOption(call, 'root');
  const { role: releasing } = await roleOption(call, 'release');
  const form: ChannelForm = {
    version: 1,
    root: root.role,
    release: releasing,
    expiresAt: expiryOption(call),
  };
  const { chain } = wallet;
  const sent = await wallet.send(
    await createChannel({ chain, maker, model, board, form, signers: root.signers }),
  );
  const id = toHex(channelId({ maker, model, board }));
  call.output.result({ ok: true, ...sent, channel: id }, [id, `final in block ${sent.height}`]);
  return 0;
}

async function rotate(call: Call, id: Hash): Promise<number> {
  const wallet = await walletOf(call);
  const { head } = await proven(wallet, id);
  const before = head.form;
  const root = textOption(call, 'root') === undefined ? undefined : await roleOption(call, 'root');
  const releasing = textOption(call, 'release') === undefined ? undefined : await roleOption(call, 'release');
  const form: ChannelForm = {
    version: before.version + 1,
    root: root?.role ?? before.root,
    release: releasing?.role ?? before.release,
    expiresAt: expiryOption(call),
  };
  const signers = await signersOption(call, 'sign');
  const accepting =
    textOption(call, 'accept') === undefined
      ? (root?.signers ?? signers)
      : await signersOption(call, 'accept');
  const { chain } = wallet;
  const sent = await wallet.sendProvable(
    await rotateChannel({ chain, channel: id, root: before.root, form, signers, accepting }),
  );
  call.output.result({ ok: true, ...sent, version: form.version }, [
    `version ${form.version} of the keys, until ${new Date(form.expiresAt).toISOString()}`,
    `final in block ${sent.height}`,
  ]);
  return 0;
}

async function listChannels(call: Call): Promise<number> {
  const channels = await firmwareChannels(openClient(call.api));
  const rows = channels.map((one) => [one.channel, one.board, `newest ${one.newest}`, one.maker]);
  call.output.result({ channels }, rows.length === 0 ? ['no channels'] : table(rows));
  return 0;
}

/** What validators certified: nobody signs for what a node only says. */
function proven(wallet: Wallet, id: Hash): Promise<ProvenFirmware> {
  const trust = trustGenesis(wallet.genesis);
  return provenFirmware(wallet.client, { trust, channel: id, verify: verifySignature });
}

async function release(call: Call, words: readonly string[]): Promise<number> {
  const [text, ...rest] = words;
  if (text === undefined || rest.length > 0) throw new UsageError('expected a channel');
  const wallet = await walletOf(call);
  const id = parseHash(text);
  const { head, releases } = await proven(wallet, id);
  const newest = releases[0];
  const number = newest?.release.approvedAt === 0 ? newest.number : head.newest + 1;
  const form = releaseForm(call, head);
  const named = await namedRelease(call, wallet, { id, number, role: head.form.release });
  const sent = await wallet.sendProvable(await releaseFirmware({ ...named, form }));
  call.output.result({ ok: true, ...sent, channel: text, number, version: formatVersion(form.version) }, [
    `release ${number}, version ${formatVersion(form.version)}`,
    `final in block ${sent.height}`,
  ]);
  return 0;
}

/** For the lamps of a devnet in this data folder; a maker's devices find images wherever the maker puts them. */
function keepImage(call: Call, bytes: Uint8Array, image: Hash): void {
  const { images } = layoutOf(call.dataDir);
  mkdirSync(images, { recursive: true });
  writeFileSync(join(images, toHex(image)), bytes);
}

function releaseForm(call: Call, head: ProvenFirmware['head']): ReleaseForm {
  const path = required(call, 'image');
  const bytes = new Uint8Array(readFileSync(path));
  const image = sha256(bytes);
  const size = bytes.length;
  keepImage(call, bytes, image);
  const counter = integerOption(call, 'counter', head.counter, COUNTER);
  const { maker, model, board } = head;
  const own = textOption(call, 'manifest');
  const manifest =
    own === undefined
      ? encodeManifest({ sequence: counter, maker, model, board, image, size })
      : new Uint8Array(readFileSync(own));
  return {
    version: versionOption(call, 'version'),
    manifest: manifestHash(manifest),
    image,
    size,
    counter,
    minimum: versionOption(call, 'minimum', '0.0.0'),
    dependencies: [],
  };
}

async function namedRelease(
  call: Call,
  wallet: Wallet,
  o: { readonly id: Hash; readonly number: number; readonly role: Role },
): Promise<NamedRelease> {
  const signers = await signersOption(call, 'sign');
  return { chain: wallet.chain, channel: o.id, role: o.role, number: o.number, signers };
}

interface Named {
  readonly wallet: Wallet;
  readonly shown: ProvenFirmware;
  readonly named: NamedRelease;
  readonly release: ProvenFirmware['releases'][number]['release'];
}

async function knownRelease(call: Call, words: readonly string[]): Promise<Named> {
  const [text, place, ...rest] = words;
  const number = Number(place);
  if (text === undefined || !Number.isInteger(number) || rest.length > 0)
    throw new UsageError('expected: CHANNEL NUMBER');
  const wallet = await walletOf(call);
  const id = parseHash(text);
  const shown = await proven(wallet, id);
  const found = shown.releases.find((entry) => entry.number === number);
  if (found === undefined) throw new UsageError(`the channel has no release ${number}`);
  const named = await namedRelease(call, wallet, { id, number, role: shown.head.form.release });
  return { wallet, shown, named, release: found.release };
}

async function approve(call: Call, words: readonly string[]): Promise<number> {
  const { wallet, named, release: of } = await knownRelease(call, words);
  const sent = await wallet.sendProvable(await approveRelease({ ...named, form: of.form }));
  call.output.result({ ok: true, ...sent, number: named.number }, [`final in block ${sent.height}`]);
  return 0;
}

async function step(call: Call, words: readonly string[], halted: boolean): Promise<number> {
  const { wallet, named, release: of } = await knownRelease(call, words);
  const { rollout } = of;
  const share = halted ? rollout.share : shareOption(call, rollout.share);
  const next = { step: rollout.step + 1, share, halted };
  const sent = await wallet.sendProvable(await rollOut({ ...named, form: of.form, step: next }));
  call.output.result({ ok: true, ...sent, number: named.number, ...next }, [
    `release ${named.number}: ${halted ? 'halted' : `${share / 100} % of all devices`}`,
    `final in block ${sent.height}`,
  ]);
  return 0;
}

function shareOption(call: Call, fallback: number): number {
  const text = textOption(call, 'share');
  if (text === undefined) return fallback;
  const share = Math.round(Number(text.replace(/%$/, '')) * 100);
  if (!Number.isInteger(share) || share < 0 || share > SHARE_ALL)
    throw new UsageError(`--share takes a percentage from 0 to 100, got ${text}`);
  return share;
}

async function status(call: Call, words: readonly string[]): Promise<number> {
  const [text, ...rest] = words;
  if (text === undefined || rest.length > 0) throw new UsageError('expected a channel');
  const found = await firmwareChannel(openClient(call.api), parseHash(text));
  call.output.result(found, [
    ...table([
      ['board', found.board],
      ['maker', found.maker],
      ['keys', `version ${found.version}, until ${new Date(found.expiresAt).toISOString()}`],
      ['root', `${found.root.threshold} of ${found.root.keys.length}`],
      ['release', `${found.release.threshold} of ${found.release.keys.length}`],
    ]),
    ...table(
      found.releases.map((one) => [
        String(one.number),
        one.version,
        one.approved ? 'approved' : `${one.signed.length} signed`,
        one.halted ? 'halted' : `${one.share / 100} %`,
        `${one.installs.count} installs, ${one.installs.failures} failed`,
      ]),
    ),
  ]);
  return 0;
}

async function verify(call: Call, words: readonly string[]): Promise<number> {
  const [text, ...rest] = words;
  if (text === undefined || rest.length > 0) throw new UsageError('expected a channel');
  const wallet = await walletOf(call);
  const id = parseHash(text);
  const { head, releases, trust } = await proven(wallet, id);
  const who = textOption(call, 'device');
  const device = who === undefined ? head.maker : await wallet.device(who);
  const decision = decideFirmware({
    channel: id,
    head,
    releases,
    installed: {
      device,
      model: head.model,
      board: textOption(call, 'board') ?? head.board,
      version: versionOption(call, 'version'),
      counter: integerOption(call, 'device-counter', 0, COUNTER),
      others: [],
    },
    now: trust.last.time,
  });
  const told =
    decision.kind === 'install'
      ? {
          install: decision.number,
          version: formatVersion(decision.release.form.version),
          image: toHex(decision.release.form.image),
          manifest: toHex(decision.release.form.manifest),
        }
      : { install: null, reason: decision.reason };
  call.output.result({ ok: true, height: trust.last.height, ...told }, [
    decision.kind === 'install'
      ? `install release ${decision.number}, version ${formatVersion(decision.release.form.version)}`
      : `stay: ${decision.reason}`,
    `proved at height ${trust.last.height}, from genesis`,
  ]);
  return 0;
}
