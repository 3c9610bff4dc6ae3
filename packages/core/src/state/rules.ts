/** What each kind of body needs and does: one entry per kind, all found here (spec STATE-2). */
import type { Result } from '../bytes/result.ts';
import type { Address } from '../ledger/address.ts';
import type { Body, BodyKind, BodyOf } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { ACCESS_RULES } from './apply-access.ts';
import { ACCOUNT_RULES } from './apply-account.ts';
import { CO_SIGN_RULES } from './apply-co-sign.ts';
import { DEVICE_LIFE_RULES } from './apply-device-life.ts';
import { DEVICE_RULES } from './apply-device.ts';
import { ESCROW_RULES } from './apply-escrow.ts';
import { EVIDENCE_RULES } from './apply-evidence.ts';
import { FIRMWARE_RULES } from './apply-firmware.ts';
import { GRANT_RULES } from './apply-grant.ts';
import { KEYS_RULES } from './apply-keys.ts';
import { MEMBER_FAULT_RULES } from './apply-member-fault.ts';
import { MEMBERSHIP_RULES } from './apply-membership.ts';
import { RENTAL_RULES } from './apply-rental.ts';
import { PARAMETERS_RULES } from './apply-parameters.ts';
import { SPONSOR_RULES } from './apply-sponsor.ts';
import { STREAM_RULES } from './apply-stream.ts';
import { MAKER_RULES } from './apply-maker.ts';
import { SUBNET_RULES } from './apply-subnet.ts';
import { VALIDATOR_RULES } from './apply-validator.ts';
import type { BlockContext, Flaw, PoolContext } from './block-context.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import type { LedgerState } from './ledger-state.ts';
import { CLAIM_RULES } from './rental-settlement.ts';
import type { OpenedTransaction, VerifiedTransaction } from './verified-transaction.ts';

export interface Rule<B extends Body> {
  /** What no state could accept: asked by a pool, and before `apply` in any case. */
  readonly flaw?: (sender: Address, body: B) => Flaw;
  /**
   * What else a pool asks: signatures inside the body, and whatever would fill it for free. `apply` must come to the
   * same, because nobody else asks this. A kind with signatures inside must say so with `signs`.
   */
  readonly proved?: (
    state: LedgerState,
    context: PoolContext,
    transaction: OpenedTransaction,
    body: B,
  ) => Flaw;
  /** The body holds signatures that `proved` verifies, so that asking it is not cheap. */
  readonly signs?: true;
  /** Fee and nonce are taken already. A refusal must leave the draft as it was. */
  readonly apply: (
    draft: Draft,
    context: BlockContext,
    transaction: VerifiedTransaction,
    body: B,
  ) => Result<LedgerEventBody, ErrorCode>;
}

/** Rules of a group of kinds, by kind. */
export type Rules<K extends BodyKind> = { readonly [P in K]: Rule<BodyOf<P>> };

const RULES: Rules<BodyKind> = {
  ...ACCOUNT_RULES,
  ...MAKER_RULES,
  ...DEVICE_RULES,
  ...DEVICE_LIFE_RULES,
  ...GRANT_RULES,
  ...ACCESS_RULES,
  ...SUBNET_RULES,
  ...ESCROW_RULES,
  ...VALIDATOR_RULES,
  ...CO_SIGN_RULES,
  ...EVIDENCE_RULES,
  ...SPONSOR_RULES,
  ...STREAM_RULES,
  ...PARAMETERS_RULES,
  ...KEYS_RULES,
  ...MEMBERSHIP_RULES,
  ...MEMBER_FAULT_RULES,
  ...RENTAL_RULES,
  ...CLAIM_RULES,
  ...FIRMWARE_RULES,
};

/** The rule of a body's own kind. */
export function ruleOf<B extends Body>(body: B): Rule<B> {
  // The table has the rule of each kind under that kind, which the type of one lookup cannot say.
  return RULES[body.kind] as unknown as Rule<B>;
}
