/** Which state to take over: what peers offer, what of it is proved, and what most of them can deliver (spec SNAPSHOT-5). */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { refused, ok, type Result } from '@itc/core/bytes/result.js';
import { closesEpoch, headerHash } from '@itc/core/ledger/block.js';
import { epoch, type Epoch } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { validatorsHash, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { verifyCertificate, verifyStableCertificate, type VerifyContext } from '@itc/core/pbft/verify.js';
import { manifestFlaw, type SnapshotManifest } from '@itc/core/state/snapshot.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import type { PeerId } from '../ports.ts';
import type { EpochTurn } from './state-sync-messages.ts';

export interface PeerOffer {
  readonly peer: PeerId;
  readonly manifest: SnapshotManifest;
}

/** One state cut one way, from everybody who offers it. Certificates of one block may differ: each peer shows its own. */
export type Offer = readonly [PeerOffer, ...PeerOffer[]];

/** Validator sets by epoch: the trusted one, and those it leads to. */
export type Sets = ReadonlyMap<Epoch, ValidatorSet>;

type Trusted = Pick<VerifyContext, 'chain' | 'verify'>;

/**
 * Offers above a height, the best first: what more peers offer, then what is newer. How a state is cut is its sender's
 * word, and a liar's cut stands alone.
 */
export function rankOffers(offers: readonly PeerOffer[], above: number): Offer[] {
  const byState = new Map<string, [PeerOffer, ...PeerOffer[]]>();
  for (const offer of offers) {
    const { anchor, depths } = offer.manifest;
    if (anchor.height <= above) continue;
    const name = `${toHex(anchor.hash)} ${toHex(anchor.stateRoot)} ${toHex(sha256(depths))}`;
    const known = byState.get(name);
    if (known === undefined) byState.set(name, [offer]);
    else if (known.every(({ peer }) => peer !== offer.peer)) known.push(offer);
  }
  return [...byState.values()].sort(
    (a, b) => b.length - a.length || b[0].manifest.anchor.height - a[0].manifest.anchor.height,
  );
}

/** Last epoch whose set is needed: that of the block above the anchor. */
export function epochAbove(manifest: SnapshotManifest): Epoch {
  const { header } = manifest;
  return closesEpoch(header) ? epoch(header.epoch + 1) : header.epoch;
}

/** Follows turns from a trusted set on; refused at the first that does not hold. Returns the sets of all epochs reached. */
export function followTurns(
  trusted: Trusted,
  sets: Sets,
  turns: readonly EpochTurn[],
): Result<Sets, 'peer.message'> {
  const known = new Map(sets);
  for (const { closing, validators } of turns) {
    const { header, certificate } = closing;
    const set = known.get(header.epoch);
    if (set === undefined || known.has(epoch(header.epoch + 1)))
      return refused('peer.message', `the end of epoch ${header.epoch} is not the next to be shown`);
    const context = { ...trusted, epoch: header.epoch, validators: set };
    const isSound =
      closesEpoch(header) &&
      header.height % LIMITS.checkpointInterval === 0 &&
      equalBytes(header.validatorsHash, validatorsHash(set)) &&
      equalBytes(header.nextValidatorsHash, validatorsHash(validators)) &&
      certificate.height === header.height &&
      equalBytes(certificate.hash, headerHash(header)) &&
      verifyCertificate(context, certificate);
    if (!isSound) return refused('peer.message', `the end of epoch ${header.epoch} is not proved`);
    known.set(epoch(header.epoch + 1), validators);
  }
  return ok(known);
}

/** Why an anchor is not one, or undefined: its parts, and the signatures of both certificates. */
export function offerFlaw(trusted: Trusted, sets: Sets, manifest: SnapshotManifest): string | undefined {
  const flaw = manifestFlaw(manifest);
  if (flaw !== undefined) return flaw;
  const { anchor, header, certificate } = manifest;
  const own = sets.get(header.epoch);
  const signers = sets.get(anchor.epoch);
  if (own === undefined || signers === undefined)
    return `the validators of epoch ${anchor.epoch} are not known`;
  if (!equalBytes(header.validatorsHash, validatorsHash(own)))
    return 'the header names other validators than those of its epoch';
  if (!verifyCertificate({ ...trusted, epoch: header.epoch, validators: own }, certificate))
    return 'the certificate of the header does not verify';
  if (!verifyStableCertificate({ ...trusted, epoch: anchor.epoch, validators: signers }, anchor))
    return 'the certificate of the anchor does not verify';
  return undefined;
}
