/** Routes about who decides: validators and candidates, epochs, and the newest header with the hops that lead to it. */
import { Type, type Static } from 'typebox';
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { idText } from '@itc/core/bytes/id-text.js';
import { addressOf, formatAddress, type Address } from '@itc/core/ledger/address.js';
import { epoch, height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { quorumOf, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { encodeLinkedHeader } from '@itc/core/light/certified.js';
import { weightIn } from '@itc/core/state/election.js';
import { coSignersDue } from '@itc/core/state/co-signing.js';
import { electable } from '@itc/core/state/end-of-block.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { targetWeight, type ValidatorRecord } from '@itc/core/state/validator-record.js';
import type { Chain } from '../runtime/chain.ts';
import { readable, type Hops } from '../runtime/hops.ts';
import { Problem } from './schemas.ts';
import { refuse, type Routes } from './server.ts';
import {
  EpochSummary,
  LinkedHeaderAnswer,
  ValidatorsAnswer,
  type BondedValidator,
  type Seat,
} from './validator-schemas.ts';

export interface ValidatorPort {
  readonly chain: Chain;
  readonly hops: Hops;
  /** What a peer with this ledger key is called in the configuration, and whether it is connected now. */
  peer(key: string): { readonly name?: string; readonly connected: boolean };
}

const EPOCHS_MAX = 100;

export function validatorRoutes(port: ValidatorPort): Routes {
  const { chain, hops } = port;
  return (api) => {
    api.get(
      '/api/v1/validators',
      {
        schema: {
          summary: 'Who decides, who has bonded, and what the next epoch will change',
          response: { 200: ValidatorsAnswer },
        },
      },
      () => validatorsOf(port),
    );

    api.get(
      '/api/v1/epochs',
      {
        schema: {
          summary: 'Epochs with their validators, newest first',
          querystring: Type.Object({
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: EPOCHS_MAX })),
            before: Type.Optional(Type.Integer({ minimum: 1, description: 'only epochs below this one' })),
          }),
          response: { 200: Type.Object({ epochs: Type.Array(EpochSummary) }) },
        },
      },
      (request) => {
        const { limit = 20, before = chain.epoch.epoch + 1 } = request.query;
        const epochs: Static<typeof EpochSummary>[] = [];
        for (let at = Math.min(before - 1, chain.epoch.epoch); at >= 0 && epochs.length < limit; at -= 1)
          epochs.push(epochOf(chain, at));
        return { epochs };
      },
    );

    api.get(
      '/api/v1/proofs/head',
      {
        schema: {
          summary: 'The newest header, with the hops that lead to its validators from genesis',
          description: 'Moves the trust of a light client (spec LIGHT-7.9); proves nothing else.',
          response: { 200: LinkedHeaderAnswer, 404: Problem },
        },
      },
      () => {
        const { tip } = chain;
        const certificate = tip === undefined ? undefined : chain.blockAt(tip.height)?.certificate;
        if (tip === undefined || certificate === undefined)
          return refuse('not-ready', 'the first block has not been committed yet');
        const linked = { header: tip, certificate, hops: hops.to({ header: tip, certificate }) };
        return {
          genesis: toHex(chain.id),
          epoch: tip.epoch,
          height: tip.height,
          hops: linked.hops.length,
          linked: Buffer.from(readable(encodeLinkedHeader(linked))).toString('base64url'),
        };
      },
    );
  };
}

function epochOf(chain: Chain, of: number): Static<typeof EpochSummary> {
  const start = chain.epochStart(epoch(of));
  if (start === undefined) throw new RangeError(`epoch ${of} has not begun`);
  const closes = chain.closingHeight(start.epoch);
  const { total, strong } = quorumOf(start.validators.map(({ weight }) => weight));
  return {
    epoch: of,
    since: start.since,
    ...(closes === undefined ? {} : { closes }),
    total,
    strong,
    validators: seatsOf(start.validators),
  };
}

/** By consensus key; the account that bonded it may be another one. */
function seatsOf(set: ValidatorSet): Static<typeof Seat>[] {
  return set.map(({ key, weight }) => ({
    key: toHex(key.bytes),
    address: formatAddress(addressOf(key)),
    weight,
  }));
}

function validatorsOf(port: ValidatorPort): Static<typeof ValidatorsAnswer> {
  const { state, height: at } = port.chain;
  const { epoch: record } = state;
  const { bondPerWeight } = state.parameters;
  const bonded = [...state.validators()];
  const { total, strong } = quorumOf(record.validators.map(({ weight }) => weight));
  const { next } = record;
  return {
    height: at,
    epoch: record.epoch,
    since: record.since,
    total,
    strong,
    bondPerWeight: String(bondPerWeight),
    checkpointInterval: LIMITS.checkpointInterval,
    changeDue:
      next !== undefined ||
      electable(record, bonded, bondPerWeight) !== undefined ||
      coSignersDue(state, bonded),
    ...(next === undefined
      ? {}
      : {
          next: {
            epoch: record.epoch + 1,
            closes: height(next.closes),
            validators: seatsOf(next.validators),
          },
        }),
    validators: bonded.map(({ address, validator }) => bondedOf(port, address, validator)),
  };
}

function bondedOf(
  port: ValidatorPort,
  address: Address,
  validator: ValidatorRecord,
): Static<typeof BondedValidator> {
  const { state } = port.chain;
  const key = toHex(validator.key.bytes);
  const { name, connected } = port.peer(key);
  const weight = weightIn(state.epoch.validators, validator.key);
  const target = targetWeight(validator, state.parameters.bondPerWeight);
  return {
    address: formatAddress(address),
    key,
    ...(name === undefined ? {} : { name }),
    connected,
    state: stateOf({ weight, target, jailed: validator.jailed }),
    weight,
    target,
    granted: validator.weight,
    bond: String(validator.bond),
    unbonding: validator.unbonding.map(({ amount, releaseAt }) => ({ amount: String(amount), releaseAt })),
    votes: validator.votes.map(({ voter, weight: wanted, castAt }) => ({
      voter: formatAddress(voter),
      weight: wanted,
      castAt,
    })),
    jailed: validator.jailed,
    ...(validator.restartAt === 0 ? {} : { restartAt: validator.restartAt }),
    ...coSigningOf(state, address),
  };
}

function coSigningOf(
  state: LedgerState,
  address: Address,
): Pick<Static<typeof BondedValidator>, 'coSigning'> {
  const record = state.record('co-signing-key', idText(address));
  if (record === undefined) return {};
  const { key, since } = record;
  const isInForce = state.coSigners?.members.some((member) => equalBytes(member.key, key)) === true;
  return { coSigning: { key: formatAddress(key), since, isInForce } };
}

function stateOf(o: {
  readonly weight: number;
  readonly target: number;
  readonly jailed: boolean;
}): Static<typeof BondedValidator>['state'] {
  if (o.jailed) return 'jailed';
  if (o.weight > 0) return o.target === 0 ? 'leaving' : 'active';
  return o.target > 0 ? 'joining' : 'candidate';
}
