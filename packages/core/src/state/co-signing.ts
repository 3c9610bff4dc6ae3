/**
 * Who may co-sign in which epoch (spec QUANTUM-1). The list of an epoch is made from what is registered when it begins and stays as it
 * is until it ends, so that a checkpoint's state names those who co-sign the next ones.
 */
import { equalBytes } from '../bytes/hex.ts';
import { idText } from '../bytes/id-text.ts';
import { addressOf, asAddress, type Address } from '../ledger/address.ts';
import { hasCoSigner, NO_CO_SIGNER, type CoSigner, type CoSigners } from '../ledger/co-signers.ts';
import type { EpochRecord } from '../ledger/epoch.ts';
import type { Genesis } from '../ledger/genesis.ts';
import { epoch, height } from '../ledger/ids.ts';
import type { Draft } from './draft.ts';
import type { EndEvent } from './events.ts';
import { idBytes } from './record-map.ts';
import { NO_DEPOSIT, releaseDeposit } from './record-deposit.ts';
import type { ChangedRecords } from './record-store.ts';
import type { RecordTypes } from './records.ts';
import type { ValidatorRecord } from './validator-record.ts';

/** A state, or a block in the making. */
interface Source {
  readonly epoch: EpochRecord;
  readonly coSigners: CoSigners | undefined;
  record(kind: 'co-signing-key', id: string): RecordTypes['co-signing-key'] | undefined;
}

type Bonded = Iterable<{ readonly address: Address; readonly validator: ValidatorRecord }>;

function sourceOf(draft: Draft): Source {
  return {
    epoch: draft.epoch,
    coSigners: draft.get('co-signers', ''),
    record: (kind, id) => draft.get(kind, id),
  };
}

function registered(source: Source, bonded: Bonded): CoSigner[] {
  const accounts = new Map(
    Array.from(bonded, ({ address, validator }) => [idText(validator.key.bytes), idText(address)]),
  );
  return source.epoch.validators.map(({ key, weight }) => {
    const account = accounts.get(idText(key.bytes));
    const record = account === undefined ? undefined : source.record('co-signing-key', account);
    return { weight, key: record?.key ?? NO_CO_SIGNER };
  });
}

/** Whether a validator of the epoch has registered another key than the one in force. */
export function coSignersDue(of: Draft | Source, bonded: Bonded): boolean {
  const source = 'changed' in of ? sourceOf(of) : of;
  const inForce = source.coSigners?.members;
  return registered(source, bonded).some(({ key }, i) => !equalBytes(key, inForce?.[i]?.key ?? NO_CO_SIGNER));
}

/** The caller has just begun an epoch. */
export function renewCoSigners(draft: Draft): void {
  const bonded = draft
    .validators()
    .map(([id, validator]) => ({ address: asAddress(idBytes(id)), validator }));
  const members = registered(sourceOf(draft), bonded);
  const isAny = members.some(hasCoSigner);
  if (!isAny && draft.get('co-signers', '') === undefined) return;
  draft.set('co-signers', '', isAny ? { epoch: draft.epoch.epoch, members } : undefined);
}

/** With the bond it belonged to. */
export function dropCoSigningKey(draft: Draft, id: string): readonly EndEvent[] {
  const record = draft.get('co-signing-key', id);
  if (record === undefined) return [];
  releaseDeposit(draft, record.deposit);
  draft.set('co-signing-key', id, undefined);
  const { moves } = draft;
  draft.moves = [];
  return [
    { kind: 'co-signing-key-dropped', validator: asAddress(idBytes(id)), ...(moves.length > 0 && { moves }) },
  ];
}

export function setGenesisCoSigners(changed: ChangedRecords, genesis: Genesis): void {
  const { coSigners, validators } = genesis;
  if (coSigners === undefined) return;
  const members = validators.map(({ weight }, i) => ({ weight, key: coSigners[i] ?? NO_CO_SIGNER }));
  changed['co-signers'].set('', { epoch: epoch(0), members });
  for (const [i, member] of members.entries()) {
    const validator = validators[i];
    if (validator === undefined || !hasCoSigner(member)) continue;
    const record = { key: member.key, since: height(0), deposit: NO_DEPOSIT };
    changed['co-signing-key'].set(idText(addressOf(validator.key)), record);
  }
}
