/** Makers, the key that stands for their batches, and their models (spec STATE-4, STATE-16). Checks come before the first write. */
import { concatBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import {
  attestationKeySigningBytes,
  attestationSigningBytes,
  type Model as ModelForm,
} from '../ledger/bodies/device-life.ts';
import type { DeviceBatch } from '../ledger/bodies/device.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { ACTIONS_ALL, LEVEL_MAX } from '../ledger/terms.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { exchangeDeposit, holdDeposit, NO_DEPOSIT } from './record-deposit.ts';
import { idText } from './record-map.ts';
import { recordBytes, type Maker, type Model } from './records.ts';
import type { Rules } from './rules.ts';

type Outcome = Result<LedgerEventBody, ErrorCode>;

/** Maker and hash of the Thing Model: makers do not take each other's models. */
export function modelId(maker: Address, model: Hash): Uint8Array {
  return concatBytes(maker, model);
}

export function makerFlaw(body: BodyOf<'register-maker'>): Flaw {
  if (body.name === '') return refused('maker.malformed', 'expected a name');
  return undefined;
}

function applyRegisterMaker(
  draft: Draft,
  context: Pick<BlockContext, 'height'>,
  sender: Address,
  body: BodyOf<'register-maker'>,
): Outcome {
  const id = idText(sender);
  if (draft.get('maker', id) !== undefined)
    return refused('maker.exists', 'the sender is registered already');
  const { name, attestation } = body;
  const maker: Maker = { name, registeredAt: context.height, attestation, deposit: NO_DEPOSIT };
  const deposit = holdDeposit(draft, sender, recordBytes('maker', maker));
  if (!deposit.ok) return deposit;
  draft.set('maker', id, { ...maker, deposit: deposit.value });
  return ok({ kind: 'maker-registered', maker: sender, name });
}

/**
 * The key so far signs for the next one, so that whoever has stolen the maker's account alone changes nothing. The first key
 * signs for itself.
 */
function applySetAttestation(
  draft: Draft,
  { chain, verify }: Pick<BlockContext, 'chain' | 'verify'>,
  sender: Address,
  { key, proof }: BodyOf<'set-attestation'>,
): Outcome {
  const id = idText(sender);
  const maker = draft.get('maker', id);
  if (maker === undefined) return refused('maker.unknown', 'only a maker has an attestation key');
  if (!verify(maker.attestation ?? key, attestationKeySigningBytes(chain, sender, key), proof))
    return refused('maker.attestation', 'expected the signature of the attestation key so far');
  const next: Maker = { ...maker, attestation: key };
  const deposit = exchangeDeposit(draft, maker.deposit, sender, recordBytes('maker', next));
  if (!deposit.ok) return deposit;
  draft.set('maker', id, { ...next, deposit: deposit.value });
  return ok({ kind: 'attestation-set', maker: sender, key });
}

/**
 * A maker with an attestation key registers only batches the key has signed, of models it has registered. Without one, its account
 * is all that vouches, and the hash of the model is a hash.
 */
export function attestationFlaw(
  draft: Pick<Draft, 'get'>,
  { chain, verify }: Pick<BlockContext, 'chain' | 'verify'>,
  o: { readonly sender: Address; readonly maker: Maker; readonly batch: DeviceBatch },
): Flaw {
  const { sender, maker, batch } = o;
  const key = maker.attestation;
  if (key === undefined) {
    return batch.attestation === undefined
      ? undefined
      : refused('maker.attestation', 'the maker has no attestation key');
  }
  if (draft.get('model', idText(modelId(sender, batch.model))) === undefined)
    return refused('model.unknown', 'the maker has not registered this model');
  const { attestation } = batch;
  if (attestation !== undefined && verify(key, attestationSigningBytes(chain, sender, batch), attestation))
    return undefined;
  return refused('maker.attestation', 'expected the attestation key’s signature of this batch');
}

export function modelFlaw({ name, actions, levelMax }: ModelForm): Flaw {
  if (name === '') return refused('model.malformed', 'expected a name');
  if ((actions & ~ACTIONS_ALL) !== 0)
    return refused('model.malformed', `expected known actions only, got ${actions}`);
  if (levelMax > LEVEL_MAX)
    return refused('model.malformed', `expected a level up to ${LEVEL_MAX}, got ${levelMax}`);
  return undefined;
}

/** For good: the hash is that of one document, and batches rely on what was said of it. */
function applyRegisterModel(
  draft: Draft,
  context: Pick<BlockContext, 'height'>,
  sender: Address,
  model: ModelForm,
): Outcome {
  if (draft.get('maker', idText(sender)) === undefined)
    return refused('maker.unknown', 'only a maker registers models');
  const { hash, ...form } = model;
  const id = idText(modelId(sender, hash));
  if (draft.get('model', id) !== undefined)
    return refused('model.exists', 'the maker has registered this model');
  const record: Model = { ...form, registeredAt: context.height, deposit: NO_DEPOSIT };
  const deposit = holdDeposit(draft, sender, recordBytes('model', record));
  if (!deposit.ok) return deposit;
  draft.set('model', id, { ...record, deposit: deposit.value });
  return ok({ kind: 'model-registered', maker: sender, model: hash, name: form.name });
}

export const MAKER_RULES: Rules<'register-maker' | 'register-model' | 'set-attestation'> = {
  'register-maker': {
    flaw: (_, body) => makerFlaw(body),
    apply: (draft, context, { sender }, body) => applyRegisterMaker(draft, context, sender, body),
  },
  'register-model': {
    flaw: (_, { model }) => modelFlaw(model),
    apply: (draft, context, { sender }, { model }) => applyRegisterModel(draft, context, sender, model),
  },
  'set-attestation': {
    signs: true,
    apply: (draft, context, { sender }, body) => applySetAttestation(draft, context, sender, body),
  },
};
