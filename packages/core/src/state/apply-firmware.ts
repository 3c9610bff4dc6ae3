/**
 * Firmware on the ledger (spec STATE-23): who may release for a product line, what was released, how far it may go, and how it
 * went. Whoever sends a transaction only pays for it; what counts are the roles' signatures inside.
 */
import { concatBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { asHash, type Hash } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import {
  channelId,
  channelSigningBytes,
  compareVersions,
  releaseSigningBytes,
  rolloutSigningBytes,
  sameRole,
  type ChannelForm,
  type ReleaseForm,
  type Role,
  type RoleSignature,
  type RolloutStep,
} from '../ledger/firmware.ts';
import { millis, type Millis } from '../ledger/ids.ts';
import { senderFlaw } from './apply-subnet.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Expiry } from './collect-expired.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { dropExpiring, setExpiring } from './expiry.ts';
import { isApproved, type Channel, type Installs, type Release } from './firmware-record.ts';
import { countedId } from './keys.ts';
import { STATE_LIMITS } from './limits.ts';
import { exchangeDeposit, holdDeposit, NO_DEPOSIT, releaseDeposit } from './record-deposit.ts';
import { idBytes, idText } from './record-map.ts';
import { recordBytes } from './records.ts';
import type { Rules } from './rules.ts';

type Outcome = Result<LedgerEventBody, ErrorCode>;
type Verify = Pick<BlockContext, 'verify'>;

/** Why so many keys of a role have not signed these bytes, or undefined. Each key counts once: the decoder saw to that. */
function roleFlaw(
  { verify }: Verify,
  o: {
    readonly role: Role;
    readonly signatures: readonly RoleSignature[];
    readonly signed: Uint8Array;
    readonly needed: number;
  },
): Flaw {
  const { role, signatures, signed, needed } = o;
  if (signatures.length < needed)
    return refused(
      'firmware.threshold',
      `expected ${needed} signatures of the role, got ${signatures.length}`,
    );
  for (const { index, signature } of signatures) {
    const key = role.keys[index];
    if (key === undefined) return refused('firmware.signature', `the role has no key ${index}`);
    if (!verify(key, signed, signature))
      return refused('firmware.signature', `key ${index} of the role did not sign this`);
  }
  return undefined;
}

function createFlaw(
  sender: Address,
  context: Pick<BlockContext, 'chain' | 'verify'>,
  body: BodyOf<'create-channel'>,
): Flaw {
  const { form, signatures } = body;
  const id = channelId({ maker: sender, model: body.model, board: body.board });
  const signed = channelSigningBytes(context.chain, id, form);
  return roleFlaw(context, { role: form.root, signatures, signed, needed: form.root.threshold });
}

function applyCreate(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'create-channel'>,
): Outcome {
  const { model, board, form } = body;
  if (draft.get('maker', idText(sender)) === undefined)
    return refused('maker.unknown', 'only a maker opens a channel of firmware');
  const channel = channelId({ maker: sender, model, board });
  if (draft.get('channel', idText(channel)) !== undefined)
    return refused('firmware.exists', 'the maker has a channel for this model and board');
  if (form.version !== 1) return refused('firmware.version', `expected version 1, got ${form.version}`);
  const flaw = freshFlaw(context, form) ?? createFlaw(sender, context, body);
  if (flaw !== undefined) return flaw;
  const record: Channel = {
    maker: sender,
    model,
    board,
    form,
    releaseSince: 1,
    newest: 0,
    oldest: 1,
    counter: 0,
    deposit: NO_DEPOSIT,
  };
  const deposit = holdDeposit(draft, sender, recordBytes('channel', record));
  if (!deposit.ok) return deposit;
  draft.set('channel', idText(channel), { ...record, deposit: deposit.value });
  return ok({
    kind: 'channel-created',
    channel,
    maker: sender,
    model,
    board,
    version: 1,
    expiresAt: form.expiresAt,
  });
}

function freshFlaw(context: Pick<BlockContext, 'time'>, { expiresAt }: ChannelForm): Flaw {
  if (expiresAt > context.time) return undefined;
  return refused('firmware.expired', 'expected keys that expire later');
}

/** Both the role that goes and the role that comes agree: nobody hands the line to keys that nobody holds. */
function applyRotate(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'rotate-channel'>,
): Outcome {
  const { channel, form } = body;
  const before = draft.get('channel', idText(channel));
  if (before === undefined) return unknownChannel();
  if (form.version !== before.form.version + 1)
    return refused('firmware.version', `expected version ${before.form.version + 1}, got ${form.version}`);
  const signed = channelSigningBytes(context.chain, channel, form);
  const old = before.form.root;
  const flaw =
    freshFlaw(context, form) ??
    roleFlaw(context, { role: old, signatures: body.signatures, signed, needed: old.threshold }) ??
    roleFlaw(context, { role: form.root, signatures: body.accepted, signed, needed: form.root.threshold });
  if (flaw !== undefined) return flaw;
  const releaseSince = sameRole(form.release, before.form.release) ? before.releaseSince : form.version;
  const record: Channel = { ...before, form, releaseSince };
  const deposit = exchangeDeposit(draft, before.deposit, sender, recordBytes('channel', record));
  if (!deposit.ok) return deposit;
  draft.set('channel', idText(channel), { ...record, deposit: deposit.value });
  const { maker, model, board } = record;
  const { version, expiresAt } = form;
  return ok({ kind: 'channel-rotated', channel, maker, model, board, version, expiresAt });
}

function releaseFlaw({ form }: BodyOf<'release-firmware'>): Flaw {
  if (form.size < 1 || form.size > STATE_LIMITS.firmwareBytesMax)
    return refused(
      'release.malformed',
      `expected 1 to ${STATE_LIMITS.firmwareBytesMax} bytes, got ${form.size}`,
    );
  if (compareVersions(form.minimum, form.version) > 0)
    return refused('release.malformed', 'the least version to install over is above its own');
  return undefined;
}

/**
 * What too few keys have approved is a proposal: the next one takes its place. So a single key that signs for nonsense neither
 * pushes out what was approved nor sets versions and counters that nobody can go above.
 */
function applyRelease(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'release-firmware'>,
): Outcome {
  const { channel: id, number, form, signatures } = body;
  const channel = draft.get('channel', idText(id));
  if (channel === undefined) return unknownChannel();
  const newest = draft.get('release', releaseId(id, channel.newest));
  const proposal = newest?.approvedAt === 0 ? newest : undefined;
  const approved = channel.newest - (proposal === undefined ? 0 : 1);
  if (number !== approved + 1)
    return refused('release.number', `expected number ${approved + 1}, got ${number}`);
  const last = draft.get('release', releaseId(id, approved));
  if (last !== undefined && compareVersions(form.version, last.form.version) <= 0)
    return refused('release.version', 'expected a version above that of the last release');
  const role = channel.form.release;
  const signed = releaseSigningBytes(context.chain, id, number, form);
  const flaw =
    rollbackFlaw(channel, form) ??
    staleFlaw(context, channel) ??
    roleFlaw(context, { role, signatures, signed, needed: 1 });
  if (flaw !== undefined) return flaw;
  const release = withApprovals(context, channel, signatures, {
    form,
    approvals: 0,
    approvedUnder: channel.releaseSince,
    approvedAt: millis(0),
    // Proposed again, a release must not take the same steps by the same words.
    rollout: { ...NO_ROLLOUT, step: proposal?.rollout.step ?? 0 },
    deposit: NO_DEPOSIT,
  });
  const deposit = exchangeDeposit(draft, proposal?.deposit, sender, recordBytes('release', release));
  if (!deposit.ok) return deposit;
  draft.set('release', releaseId(id, number), { ...release, deposit: deposit.value });
  draft.set(
    'channel',
    idText(id),
    dropOldest(draft, id, approvedIn({ ...channel, newest: number }, release)),
  );
  return ok({
    kind: 'firmware-released',
    ...subjectOf(id, channel),
    number,
    version: form.version,
    approved: release.approvedAt > 0,
  });
}

const NO_ROLLOUT: RolloutStep = { step: 0, share: 0, halted: false };

function rollbackFlaw({ counter }: Channel, form: ReleaseForm): Flaw {
  if (form.counter >= counter) return undefined;
  return refused('release.rollback', `expected a security counter from ${counter}, got ${form.counter}`);
}

/** A device that is further behind than this many releases installs one of those that are left. */
function dropOldest(draft: Draft, id: Hash, channel: Channel): Channel {
  if (channel.newest - channel.oldest < STATE_LIMITS.releasesKeptMax) return channel;
  const key = releaseId(id, channel.oldest);
  const release = draft.get('release', key);
  draft.set('release', key, undefined);
  if (release !== undefined) releaseDeposit(draft, release.deposit);
  return { ...channel, oldest: channel.oldest + 1 };
}

function applyApprove(draft: Draft, context: BlockContext, body: BodyOf<'approve-release'>): Outcome {
  const { channel: id, number, signatures } = body;
  const known = knownRelease(draft, id, number);
  if (!known.ok) return known;
  const { channel, release, key } = known.value;
  if (isApproved(channel, release)) return refused('release.approved', 'the release is approved already');
  const signed = releaseSigningBytes(context.chain, id, number, release.form);
  const flaw =
    rollbackFlaw(channel, release.form) ??
    staleFlaw(context, channel) ??
    roleFlaw(context, { role: channel.form.release, signatures, signed, needed: 1 });
  if (flaw !== undefined) return flaw;
  const next = withApprovals(context, channel, signatures, release);
  if (next.approvals === release.approvals && next.approvedUnder === release.approvedUnder)
    return refused('release.approved', 'these keys have signed for the release already');
  draft.set('release', key, next);
  draft.set('channel', idText(id), approvedIn(channel, next));
  const approved = isApproved(channel, next);
  return ok({
    kind: 'release-approved',
    ...subjectOf(id, channel),
    number,
    approvals: bitsIn(next.approvals),
    approved,
  });
}

/** What keys that are no longer of the role had signed and rolled out is forgotten with the first signature of one that is. */
function withApprovals(
  context: Pick<BlockContext, 'time'>,
  channel: Channel,
  signatures: readonly RoleSignature[],
  release: Release,
): Release {
  const isSame = release.approvedUnder === channel.releaseSince;
  let approvals = isSame ? release.approvals : 0;
  for (const { index } of signatures) approvals |= 1 << index;
  const isReached = bitsIn(approvals) >= channel.form.release.threshold;
  return {
    ...release,
    approvals,
    approvedUnder: channel.releaseSince,
    approvedAt: isReached ? context.time : millis(0),
    rollout: isSame ? release.rollout : { ...NO_ROLLOUT, step: release.rollout.step },
  };
}

function approvedIn(channel: Channel, release: Release): Channel {
  if (!isApproved(channel, release)) return channel;
  return { ...channel, counter: Math.max(channel.counter, release.form.counter) };
}

function bitsIn(bits: number): number {
  let count = 0;
  for (let left = bits; left !== 0; left &= left - 1) count += 1;
  return count;
}

/** Going further or on needs the threshold and an approved release; to stop it, one key of the role is enough. */
function applyRollOut(draft: Draft, context: BlockContext, body: BodyOf<'roll-out'>): Outcome {
  const { channel: id, number, step, signatures } = body;
  const known = knownRelease(draft, id, number);
  if (!known.ok) return known;
  const { channel, release, key } = known.value;
  const before = release.rollout;
  if (step.step !== before.step + 1)
    return refused('rollout.step', `expected step ${before.step + 1}, got ${step.step}`);
  if (step.share < before.share)
    return refused(
      'rollout.share',
      `expected a share from ${before.share}, got ${step.share}; halt it instead`,
    );
  const isHalt = step.halted && step.share === before.share;
  const role = channel.form.release;
  if (!isHalt) {
    if (!isApproved(channel, release))
      return refused('release.unapproved', 'too few keys have approved the release');
    const stale = staleFlaw(context, channel);
    if (stale !== undefined) return stale;
  }
  const signed = rolloutSigningBytes(context.chain, id, { number, form: release.form }, step);
  const flaw = roleFlaw(context, { role, signatures, signed, needed: isHalt ? 1 : role.threshold });
  if (flaw !== undefined) return flaw;
  draft.set('release', key, { ...release, rollout: step });
  return ok({
    kind: 'rollout-changed',
    ...subjectOf(id, channel),
    number,
    share: step.share,
    halted: step.halted,
  });
}

function applyReport(
  draft: Draft,
  context: BlockContext,
  reporter: PublicKey,
  sender: Address,
  body: BodyOf<'report-installs'>,
): Outcome {
  const { channel: id, number, subnet, count, failures, root } = body;
  const known = knownRelease(draft, id, number);
  if (!known.ok) return known;
  const members = draft.get('subnet', idText(subnet));
  if (members === undefined)
    return refused('subnet.unknown', 'the report names a subnet that does not exist');
  const flaw = senderFlaw(members, reporter, members.lastSequence + 1);
  if (flaw !== undefined) return flaw;
  const member = addressOf(reporter);
  const key = idText(installsId({ channel: id, number, subnet, member }));
  const before = draft.get('installs', key);
  // A report covers all that came before it: the tree only grows.
  if (count < 1 || failures > count || count < (before?.count ?? 0) || failures < (before?.failures ?? 0))
    return refused('installs.malformed', 'expected no fewer installs and failures than reported before');
  const record: Installs = { count, failures, root, at: context.time, deposit: NO_DEPOSIT };
  const deposit = exchangeDeposit(draft, before?.deposit, sender, recordBytes('installs', record));
  if (!deposit.ok) return deposit;
  setExpiring(draft, 'installs', key, { ...record, deposit: deposit.value });
  return ok({
    kind: 'installs-reported',
    ...subjectOf(id, known.value.channel),
    number,
    subnet,
    member,
    count,
    failures,
    root,
  });
}

type Known = Result<
  { readonly channel: Channel; readonly release: Release; readonly key: string },
  ErrorCode
>;

function knownRelease(draft: Draft, id: Hash, number: number): Known {
  const channel = draft.get('channel', idText(id));
  if (channel === undefined) return unknownChannel();
  const key = releaseId(id, number);
  const release = draft.get('release', key);
  if (release === undefined) return refused('release.unknown', `the channel has no release ${number}`);
  return ok({ channel, release, key });
}

function unknownChannel(): Result<never, ErrorCode> {
  return refused('firmware.unknown', 'no maker has opened this channel');
}

/** Keys that nobody has confirmed in time sign for nothing. */
function staleFlaw({ time }: { readonly time: Millis }, { form }: Channel): Flaw {
  if (time < form.expiresAt) return undefined;
  return refused('firmware.expired', 'the keys of the channel have expired; the root role signs again first');
}

/** A maker's devices of one model are concerned: the event log finds it by maker. */
function subjectOf(channel: Hash, { maker, model }: Channel): { channel: Hash; maker: Address; model: Hash } {
  return { channel, maker, model };
}

function releaseId(channel: Hash, number: number): string {
  return idText(countedId(channel, number));
}

function installsId(o: {
  readonly channel: Hash;
  readonly number: number;
  readonly subnet: Hash;
  readonly member: Address;
}): Uint8Array {
  return concatBytes(countedId(o.channel, o.number), o.subnet, o.member);
}

type FirmwareKind =
  | 'create-channel'
  | 'rotate-channel'
  | 'release-firmware'
  | 'approve-release'
  | 'roll-out'
  | 'report-installs';

export const FIRMWARE_RULES: Rules<FirmwareKind> = {
  'create-channel': {
    apply: (draft, context, { sender }, body) => applyCreate(draft, context, sender, body),
  },
  'rotate-channel': {
    apply: (draft, context, { sender }, body) => applyRotate(draft, context, sender, body),
  },
  'release-firmware': {
    flaw: (_, body) => releaseFlaw(body),
    apply: (draft, context, { sender }, body) => applyRelease(draft, context, sender, body),
  },
  'approve-release': { apply: (draft, context, _, body) => applyApprove(draft, context, body) },
  'roll-out': { apply: (draft, context, _, body) => applyRollOut(draft, context, body) },
  'report-installs': {
    apply: (draft, context, { sender, tx }, body) => applyReport(draft, context, tx.key, sender, body),
  },
};

export const FIRMWARE_EXPIRY: Expiry<'installs'> = {
  installs: (draft, _, id, installs) => {
    dropExpiring(draft, 'installs', id, installs);
    const bytes = idBytes(id);
    return {
      kind: 'installs-expired',
      channel: asHash(bytes.slice(0, 32)),
      subnet: asHash(bytes.slice(40, 72)),
    };
  },
};
