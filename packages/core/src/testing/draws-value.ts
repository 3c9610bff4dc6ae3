/** One transaction of each kind about value, keys, validators, subnets, sponsors and streams, as chance has it (see `whole-ledger.ts`). */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { idText } from '../bytes/id-text.ts';
import { asHash, type Hash } from '../crypto/hash.ts';
import { KEY_BYTES, ML_DSA_44 } from '../crypto/signature.ts';
import { MerkleTree } from '../crypto/merkle.ts';
import { keySetHash, keySetOf, type KeySet } from '../ledger/account-keys.ts';
import { addressOf, asAddress, type Address } from '../ledger/address.ts';
import type { KeysBody } from '../ledger/bodies/keys.ts';
import {
  memberPossessionBytes,
  type MembershipBody,
  type MembershipTerms,
  type MemberStake,
} from '../ledger/bodies/membership.ts';
import { PARAMETER_NAMES, type ParameterName, type ParametersBody } from '../ledger/bodies/parameters.ts';
import type { SponsorBody, SponsorshipTerms } from '../ledger/bodies/sponsor.ts';
import type { StreamBody } from '../ledger/bodies/stream.ts';
import { subnetId, type SubnetBody } from '../ledger/bodies/subnet.ts';
import type { TransferBody } from '../ledger/bodies/transfer.ts';
import { possessionSigningBytes, type ValidatorBody } from '../ledger/bodies/validator.ts';
import { coSignerOf, coSignKeySigningBytes, mlDsaKey } from '../ledger/co-signers.ts';
import { BODY_CODES, KINDS } from '../ledger/body.ts';
import { checkpointSigningBytes, type SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { VALUE_MIN, withdrawalLeaf, type CheckpointValue } from '../ledger/escrow.ts';
import { amount, AMOUNT_MAX, height, millis, type Amount } from '../ledger/ids.ts';
import { membersAt } from '../ledger/member-turns.ts';
import { bitmapOf } from '../ledger/validators.ts';
import type { Draws } from './draws-devices.ts';
import { keyPair } from './keys.ts';
import { equivocation, forgery } from './member-faults.ts';
import { fakeSign, memberSet, noWithdrawals, person, type Person } from './state-world.ts';
import { consensusOf, contradiction } from './validator-world.ts';
import { ITC, PER_WEIGHT, type Chance, type WholeLedger } from './whole-ledger.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;

const value = (c: Chance): Amount =>
  amount(c.isOneIn(12) ? AMOUNT_MAX : BigInt(1 + c.below(1_000_000)) * 1_000n);

const ofTransfer: Draws<TransferBody['kind']> = {
  transfer: (w, c) => {
    const to = c.isOneIn(3) ? person(`fresh ${c.below(9)}`) : w.anyone(c);
    return { sender: w.anyone(c), body: { kind: 'transfer', to: to.address, amount: value(c) } };
  },
  transfers: (w, c) => ({
    sender: w.anyone(c),
    body: {
      kind: 'transfers',
      outputs: Array.from({ length: 1 + c.below(3) }, () => ({
        to: w.anyone(c).address,
        amount: value(c),
      })),
    },
  }),
};

/** Points of the curve, as a rotation asks for them. */
const keyOf = (who: Person, n: number): Person['key'] =>
  keyPair(20 + 8 * ((who.address[0] as number) % 16) + n).key;

function someKeys(c: Chance, who: Person): KeySet {
  switch (c.below(5)) {
    case 0:
      return keySetOf([who.key]);
    case 1:
      return keySetOf([keyOf(who, 1), keyOf(who, 2), keyOf(who, 3)], 2);
    case 2:
      return keySetOf([{ key: keyOf(who, 1), weight: 2 }, keyOf(who, 2)], 2);
    default:
      return keySetOf([keyOf(who, c.below(2))]);
  }
}

/** What guardians want: the same, or they would never agree. */
const rescued = (who: Person): KeySet => keySetOf([keyOf(who, 4)]);

const ofKeys: Draws<KeysBody['kind']> = {
  'rotate-keys': (w, c) => {
    const sender = w.anyone(c);
    return { sender, body: { kind: 'rotate-keys', keys: someKeys(c, sender) } };
  },
  'set-guardians': (w, c) => {
    const sender = w.anyone(c);
    const others = w.people.filter((one) => one !== sender || c.isOneIn(20)).slice(0, 4);
    const guardians = others.map(({ address }) => address).sort(compareBytes);
    const body = { kind: 'set-guardians', guardians, threshold: 2, delay: millis(10_000) } as const;
    return { sender, body: c.isOneIn(8) ? { ...body, guardians: [], threshold: 0, delay: millis(0) } : body };
  },
  recover: (w, c) => {
    const [id, { guardians }] = w.one(c, 'guardians') ?? [person('alice').address, { guardians: [] }];
    const account = asAddress(id);
    const keys = c.isOneIn(8) ? someKeys(c, w.at(account)) : rescued(w.at(account));
    const sender = w.mostly(c, c.pick(guardians) ?? person('bob').address);
    return { sender, body: { kind: 'recover', account, keys } };
  },
  'veto-recovery': (w, c) => {
    const guarded = w.one(c, 'guardians', ({ votes }) => votes.length > 0) ?? w.one(c, 'guardians');
    const account = asAddress(guarded?.[0] ?? person('alice').address);
    return { sender: w.mostly(c, account), body: { kind: 'veto-recovery', account } };
  },
  'finish-recovery': (w, c) => {
    const ready = w.one(c, 'guardians', ({ pending }) => pending !== undefined) ?? w.one(c, 'guardians');
    const account = asAddress(ready?.[0] ?? person('alice').address);
    const agreed = rescued(w.at(account));
    const wanted = ready?.[1].pending?.keys;
    const isIt = wanted !== undefined && equalBytes(wanted, keySetHash(agreed)) && !c.isOneIn(8);
    const keys = isIt ? agreed : someKeys(c, w.at(account));
    return { sender: w.anyone(c), body: { kind: 'finish-recovery', account, keys } };
  },
};

/** Any bytes are a key where signatures are made up; which one is written in its first byte. */
const coSigningKey = (n: number): Uint8Array => new Uint8Array(KEY_BYTES[ML_DSA_44]).fill(n);

const ofValidators: Draws<ValidatorBody['kind'] | ParametersBody['kind'] | 'co-sign'> = {
  'co-sign': (w, c) => {
    const sender = c.isOneIn(8) ? w.anyone(c) : w.validator(c);
    const before = w.state.record('co-signing-key', idText(sender.address));
    const former = [1, 2]
      .map(coSigningKey)
      .find((bytes) => before && equalBytes(coSignerOf(bytes), before.key));
    const key = coSigningKey(1 + c.below(2));
    const account = c.isOneIn(8) ? w.anyone(c).address : sender.address;
    const since = before?.since ?? height(0);
    const signed = coSignKeySigningBytes({ chain: w.chain, account, key: coSignerOf(key), since });
    return {
      sender,
      body: {
        kind: 'co-sign',
        key,
        possession: fakeSign(mlDsaKey(key), signed),
        ...(former && { former: { key: former, consent: fakeSign(mlDsaKey(former), signed) } }),
      },
    };
  },
  bond: (w, c) => {
    const sender = c.isOneIn(2) ? w.validator(c) : w.anyone(c);
    const { key } = w.state.validator(sender.address) ?? consensusOf(sender);
    const owner = c.isOneIn(8) ? w.anyone(c) : sender;
    return {
      sender,
      body: {
        kind: 'bond',
        key,
        amount: amount((BigInt(c.below(6)) * PER_WEIGHT) / 2n),
        possession: fakeSign(key, possessionSigningBytes(w.chain, owner.address)),
      },
    };
  },
  unbond: (w, c) => {
    const bonded = w.one(c, 'validator', ({ bond }) => bond > 0n) ?? w.one(c, 'validator');
    if (bonded === undefined) return undefined;
    return {
      sender: w.mostly(c, asAddress(bonded[0])),
      body: { kind: 'unbond', amount: amount((BigInt(c.below(4)) * PER_WEIGHT) / 2n) },
    };
  },
  'weight-vote': (w, c) => {
    const bonded = w.one(c, 'validator');
    if (bonded === undefined) return undefined;
    const sender = c.isOneIn(8) ? w.anyone(c) : w.validator(c);
    return {
      sender,
      body: { kind: 'weight-vote', validator: asAddress(bonded[0]), weight: 1 + c.below(4) },
    };
  },
  evidence: (w, c) => {
    const bonded = w.one(c, 'validator', ({ jailed }) => !jailed) ?? w.one(c, 'validator');
    if (bonded === undefined) return undefined;
    const { epoch } = w.state.epoch;
    // Seldom true: who decides is needed for everything else, too.
    const hashes = ['this', c.isOneIn(6) && w.all('validator').length > 3 ? 'that' : 'this'] as const;
    const culprit = { name: 'culprit', key: bonded[1].key, address: addressOf(bonded[1].key) };
    const kind = (c.pick(['pre-prepare', 'prepare', 'commit', 'checkpoint'] as const) ??
      'prepare') as 'prepare';
    return {
      sender: w.anyone(c),
      body: {
        kind: 'evidence',
        evidence: contradiction(w, culprit, kind, { hashes, epoch, height: w.height + 1 }),
      },
    };
  },
  restart: (w, c) => ({ sender: c.isOneIn(8) ? w.anyone(c) : w.validator(c), body: { kind: 'restart' } }),
  'parameter-vote': (w, c) => {
    const parameter = c.pick(PARAMETER_NAMES) as ParameterName;
    // Deposits must go on costing something, or the model could not tell whether one was taken.
    const votes: Record<ParameterName, bigint> = {
      feePerByte: 10n + BigInt(c.below(2)),
      rewardPerCheckpoint: 1_000n,
      depositPerByte: 90n + BigInt(c.below(2)),
      accountPrice: 5_000n * BigInt(c.below(2)),
      burnShare: c.isOneIn(4) ? 10_001n : 100n,
    };
    return {
      sender: c.isOneIn(8) ? w.anyone(c) : w.validator(c),
      body: { kind: 'parameter-vote', parameter, value: votes[parameter] },
    };
  },
};

/** By members as they stand in the state, signed by all of them or too few. */
function checkpointOf(w: WholeLedger, c: Chance, subnet: Hash): SubnetCheckpoint {
  const escrow = w.state.escrow(subnet);
  if (escrow === undefined || escrow.deposits === 0) return w.nextCheckpoint(subnet);
  const credited = c.isOneIn(12) ? escrow.deposits + 1 : escrow.deposits;
  return w.nextCheckpoint(subnet, { value: leavingWith(w, c, subnet, credited) });
}

function leavingWith(w: WholeLedger, c: Chance, subnet: Hash, credited: number): CheckpointValue {
  const {
    held,
    claimable,
    withdrawals: before,
  } = w.state.escrow(subnet) ?? {
    held: 0n,
    claimable: 0n,
    withdrawals: 0,
  };
  const available = held - claimable;
  const count = 1 + c.below(3);
  const each = c.isOneIn(12) ? available : available / BigInt(2 * count);
  if (each < VALUE_MIN || c.isOneIn(3)) return noWithdrawals(credited);
  const withdrawals = Array.from({ length: count }, (_, i) => ({
    number: before + 1 + i,
    to: c.isOneIn(4) ? person(`fresh ${c.below(9)}`).address : w.anyone(c).address,
    amount: amount(each),
  }));
  const tree = new MerkleTree(withdrawals.map((withdrawal) => withdrawalLeaf(subnet, withdrawal)));
  w.leaving.push({ subnet, root: tree.root, withdrawals, paths: withdrawals.map((_, i) => tree.path(i)) });
  return {
    deposits: credited,
    withdrawalRoot: tree.root,
    withdrawalCount: count,
    withdrawn: amount(each * BigInt(count)),
  };
}

const ofSubnets: Draws<SubnetBody['kind']> = {
  'create-subnet': (w, c) => {
    const name = c.isOneIn(8) ? '' : `subnet ${c.below(3)}`;
    return { sender: w.anyone(c), body: { kind: 'create-subnet', name, members: memberSet, powBits: 4 } };
  },
  checkpoint: (w, c) => {
    const found = w.one(c, 'subnet');
    if (found === undefined) return undefined;
    const subnet = asHash(found[0]);
    const checkpoint = checkpointOf(w, c, subnet);
    const members = membersAt(found[1], checkpoint.sequence);
    const indices = members.map((_, i) => i);
    const signers = c.isOneIn(8) ? indices.slice(0, 1) : indices;
    const message = checkpointSigningBytes(w.chain, checkpoint);
    const key = c.isOneIn(12) ? w.anyone(c).key : (c.pick(members)?.key ?? w.anyone(c).key);
    return {
      sender: { name: 'member', key, address: addressOf(key) },
      body: {
        kind: 'checkpoint',
        certificate: {
          checkpoint,
          signers: bitmapOf(signers, members.length),
          signatures: signers.map((i) => fakeSign((members[i] as (typeof members)[number]).key, message)),
        },
      },
    };
  },
  deposit: (w, c) => {
    const found = w.one(c, 'subnet');
    if (found === undefined) return undefined;
    const sum = c.isOneIn(8) ? VALUE_MIN - 1n : VALUE_MIN * BigInt(1 + c.below(5_000));
    return {
      sender: w.anyone(c),
      body: { kind: 'deposit', subnet: asHash(found[0]), to: w.anyone(c).address, amount: amount(sum) },
    };
  },
  withdraw: (w, c) => {
    const open = w.one(c, 'withdrawals');
    if (open === undefined) return undefined;
    const subnet = asHash(open[0].slice(0, 32));
    const left = w.leaving.find(
      (one) => equalBytes(one.subnet, subnet) && equalBytes(one.root, open[1].root),
    );
    if (left === undefined) return undefined;
    const index = c.below(left.withdrawals.length);
    const checkpoint = Number(new DataView(open[0].buffer, open[0].byteOffset + 32, 8).getBigUint64(0));
    const withdrawal = left.withdrawals[index] as (typeof left.withdrawals)[number];
    const path = left.paths[c.isOneIn(8) ? 0 : index] as readonly Hash[];
    return { sender: w.anyone(c), body: { kind: 'withdraw', subnet, checkpoint, withdrawal, path } };
  },
};

function staked(w: WholeLedger, owner: Person, member: Person, sum: bigint, subnet: Hash): MemberStake {
  return {
    key: member.key,
    amount: amount(sum),
    possession: fakeSign(member.key, memberPossessionBytes(w.chain, owner.address, subnet)),
  };
}

const ofMembership: Draws<MembershipBody['kind']> = {
  'found-subnet': (w, c) => {
    const sender = w.anyone(c);
    const name = `staked ${c.below(2)}`;
    const terms: MembershipTerms = {
      stakePerWeight: amount(ITC),
      stakeMin: amount(5n * ITC),
      delayBlocks: c.isOneIn(12) ? 0 : 20,
      isByInvitation: c.isOneIn(2),
    };
    const founders = ['a', 'b', 'c', 'd'].map((letter) => person(`${sender.name} ${name} ${letter}`));
    founders.sort((a, b) => compareBytes(a.key.bytes, b.key.bytes));
    const id = subnetId(sender.address, name);
    const members = founders.map((member) => staked(w, sender, member, 10n * ITC, id));
    return { sender, body: { kind: 'found-subnet', name, powBits: 0, terms, members } };
  },
  'join-subnet': (w, c) => {
    const found = w.one(c, 'membership');
    if (found === undefined) return undefined;
    const subnet = asHash(found[0]);
    const sender = w.anyone(c);
    const own = w.one(c, 'stake', ({ owner }, id) => isIn(id, subnet) && equalBytes(owner, sender.address));
    const member = own === undefined || c.isOneIn(2) ? person(`${sender.name} late`) : asPerson(own[1].key);
    const sum = c.isOneIn(8) ? 0n : 6n * ITC;
    return { sender, body: { kind: 'join-subnet', subnet, ...staked(w, sender, member, sum, subnet) } };
  },
  'leave-subnet': (w, c) => {
    const found = w.one(c, 'stake', ({ stake }) => stake > 0n) ?? w.one(c, 'stake');
    if (found === undefined) return undefined;
    const [id, { owner, stake }] = found;
    const sum = amount(c.isOneIn(3) ? stake : c.isOneIn(2) ? stake / 3n : 1n);
    return { sender: w.mostly(c, owner), body: { kind: 'leave-subnet', ...placeOf(id), amount: sum } };
  },
  'admit-member': (w, c) => {
    const candidate = w.one(c, 'stake', ({ isAdmitted }) => !isAdmitted) ?? w.one(c, 'stake');
    if (candidate === undefined) return undefined;
    const { subnet, member } = placeOf(candidate[0]);
    const voter = w.one(c, 'stake', ({ isAdmitted }, id) => isIn(id, subnet) && isAdmitted) ?? candidate;
    return {
      sender: w.mostly(c, voter[1].owner),
      body: { kind: 'admit-member', subnet, voter: placeOf(voter[0]).member, candidate: member },
    };
  },
  'collect-stake': (w, c) => {
    const found = w.one(c, 'stake', ({ leaving }) => leaving.length > 0) ?? w.one(c, 'stake');
    if (found === undefined) return undefined;
    return { sender: w.anyone(c), body: { kind: 'collect-stake', ...placeOf(found[0]) } };
  },
  'accuse-member': (w, c) => {
    const found = w.one(c, 'stake');
    if (found === undefined || !c.isOneIn(3)) return undefined;
    const of = { chain: w.chain, subnet: placeOf(found[0]).subnet, issuer: asPerson(found[1].key) };
    // Now and then it is a device's own signature that is shown, which is no fault.
    const fault = c.isOneIn(2) ? equivocation(of) : forgery(of, c.isOneIn(4) ? person('a lamp') : undefined);
    return { sender: w.anyone(c), body: { kind: 'accuse-member', fault } };
  },
};

const asPerson = (key: Person['key']): Person => ({ name: 'member', key, address: addressOf(key) });
const isIn = (id: Uint8Array, subnet: Hash): boolean => equalBytes(id.slice(0, 32), subnet);
const placeOf = (id: Uint8Array): { readonly subnet: Hash; readonly member: Address } => ({
  subnet: asHash(id.slice(0, 32)),
  member: asAddress(id.slice(32)),
});

const PAID_FOR = KINDS.filter((kind) => kind !== 'checkpoint' && kind !== 'restart').map(
  (kind) => BODY_CODES[kind],
);

function sponsorTerms(w: WholeLedger, c: Chance): SponsorshipTerms {
  const perDevicePerDay = amount(BigInt(c.below(3)) * 2_000_000n);
  const batch = w.one(c, 'batch')?.[0];
  const scopes: readonly SponsorshipTerms['scope'][] = [
    { kind: 'maker', maker: person('maker').address },
    {
      kind: 'accounts',
      accounts: w.people
        .slice(0, 5)
        .map(({ address }) => address)
        .sort(compareBytes),
    },
    ...(batch === undefined ? [] : [{ kind: 'batch' as const, batch: asHash(batch) }]),
  ];
  return {
    kinds: PAID_FOR,
    scope: c.pick(scopes) as SponsorshipTerms['scope'],
    perDevicePerDay,
    perDay: amount(4n * perDevicePerDay),
    expiresAt: millis(w.now + c.below(5) * DAY),
    paysState: !c.isOneIn(4),
  };
}

const ofSponsors: Draws<SponsorBody['kind']> = {
  'open-sponsorship': (w, c) => ({
    sender: w.anyone(c),
    body: {
      kind: 'open-sponsorship',
      name: `fees ${c.below(2)}`,
      terms: sponsorTerms(w, c),
      amount: amount(BigInt(1 + c.below(9)) * 5_000_000n),
    },
  }),
  'fund-sponsorship': (w, c) => {
    const id = w.one(c, 'sponsorship')?.[0];
    return (
      id && {
        sender: w.anyone(c),
        body: { kind: 'fund-sponsorship', sponsorship: asHash(id), amount: value(c) },
      }
    );
  },
  'change-sponsorship': (w, c) => {
    const found = w.one(c, 'sponsorship');
    if (found === undefined) return undefined;
    const [id, { sponsor }] = found;
    return {
      sender: w.mostly(c, sponsor),
      body: { kind: 'change-sponsorship', sponsorship: asHash(id), terms: sponsorTerms(w, c) },
    };
  },
  'close-sponsorship': (w, c) => {
    const found = w.one(c, 'sponsorship');
    if (found === undefined) return undefined;
    const sender = c.isOneIn(2) ? w.anyone(c) : w.at(found[1].sponsor);
    return { sender, body: { kind: 'close-sponsorship', sponsorship: asHash(found[0]) } };
  },
};

const ofStreams: Draws<StreamBody['kind']> = {
  'open-stream': (w, c) => ({
    sender: w.anyone(c),
    body: {
      kind: 'open-stream',
      number: c.below(2),
      payee: c.isOneIn(4) ? person(`fresh ${c.below(9)}`).address : w.anyone(c).address,
      rate: amount(BigInt(1 + c.below(1000))),
      period: 1 + c.below(60),
      amount: amount(BigInt(1 + c.below(1_000_000))),
      start: millis(0),
      end: millis(w.now + c.below(9) * MINUTE),
      notice: c.below(3) * 2000,
      device: c.isOneIn(3) ? person('lamp').address : undefined,
    },
  }),
  'fund-stream': (w, c) => {
    const id = w.one(c, 'stream')?.[0];
    return id && { sender: w.anyone(c), body: { kind: 'fund-stream', stream: asHash(id), amount: value(c) } };
  },
  'settle-stream': (w, c) => {
    const found = w.one(c, 'stream');
    if (found === undefined) return undefined;
    const [id, { payer, payee }] = found;
    const sender = w.mostly(c, c.isOneIn(2) ? payer : payee);
    return { sender, body: { kind: 'settle-stream', stream: asHash(id) } };
  },
  'close-stream': (w, c) => {
    const found = w.one(c, 'stream');
    if (found === undefined) return undefined;
    const [id, { payer, payee }] = found;
    const sender = w.mostly(c, c.isOneIn(2) ? payer : payee);
    return { sender, body: { kind: 'close-stream', stream: asHash(id) } };
  },
};

export const VALUE_DRAWS: Draws<
  | TransferBody['kind']
  | KeysBody['kind']
  | ValidatorBody['kind']
  | 'co-sign'
  | ParametersBody['kind']
  | SubnetBody['kind']
  | MembershipBody['kind']
  | SponsorBody['kind']
  | StreamBody['kind']
> = {
  ...ofTransfer,
  ...ofKeys,
  ...ofValidators,
  ...ofSubnets,
  ...ofMembership,
  ...ofSponsors,
  ...ofStreams,
};
