import { test } from 'node:test';
import assert from 'node:assert/strict';
import { equalBytes, toHex } from '../bytes/hex.ts';
import { ZERO_HASH, type Hash } from '../crypto/hash.ts';
import { merkleLeaf, merkleNode } from '../crypto/merkle.ts';
import { StateTree } from '../crypto/state-tree.ts';
import { height, millis } from '../ledger/ids.ts';
import { encodeGenesis } from '../ledger/genesis.ts';
import { LIMITS } from '../ledger/limits.ts';
import { subnetId } from '../ledger/bodies/subnet.ts';
import { bitmapOf } from '../ledger/validators.ts';
import { stateKeyHash, subnetKey } from '../state/keys.ts';
import { NO_DEPOSIT } from '../state/record-deposit.ts';
import { decodeRecord, encodeRecord, type RecordTypes } from '../state/records.ts';
import {
  ChainBuilder,
  certify,
  group,
  signedCheckpoint,
  signedPayload,
  signedTransaction,
  world,
  type Group,
  type World,
} from '../testing/chain.ts';
import {
  countingVerifier,
  installNativeSha256,
  keyPair,
  rememberingVerifier,
  verifyQuickly,
} from '../testing/keys.ts';
import {
  decodeReadingProof,
  encodeReadingProof,
  proveReading,
  verifyReading,
  verifyReadingBytes,
  type ReadingCheck,
  type ReadingProof,
} from './reading-proof.ts';

installNativeSha256();

const device = keyPair(50);
const gateway = keyPair(51);
const home = world();

interface Scene {
  readonly world?: World;
  /** Validators that sign the block. */
  readonly signers?: readonly number[];
  /** Members that sign the checkpoint. */
  readonly memberSigners?: readonly number[];
  readonly subnet?: Hash;
  readonly members?: Group;
  readonly stateRoot?: Hash;
  readonly validators?: Group;
}

/** Block 3 holds three transactions, the second of them a checkpoint of five payloads; the proof is for payload 2. */
function scene(o: Scene = {}): ReadingProof {
  const at = o.world ?? home;
  const payloads = [1, 2, 3, 4, 5].map((sequence) =>
    signedPayload(at.chain, device, { sequence, content: Uint8Array.of(sequence) }),
  );
  const certificate = signedCheckpoint(
    at,
    payloads.map(({ id }) => id),
    {
      ...(o.memberSigners && { signers: o.memberSigners }),
      ...(o.subnet && { subnet: o.subnet }),
      ...(o.members && { members: o.members }),
    },
  );
  const noise = [7, 8].map((nonce) =>
    signedTransaction(at.chain, at.treasury, { kind: 'register-maker', name: 'm' }, { nonce }),
  );
  const checkpoint = signedTransaction(at.chain, gateway, { kind: 'checkpoint', certificate });
  const chain = new ChainBuilder(at);
  chain.append();
  chain.append();
  const { block, certificate: votes } = chain.append(
    [noise[0] as Uint8Array, checkpoint, noise[1] as Uint8Array],
    {
      ...(o.signers && { signers: o.signers }),
      ...(o.stateRoot && { stateRoot: o.stateRoot }),
      ...(o.validators && { validators: o.validators }),
      view: 3,
    },
  );
  return proveReading({
    genesis: encodeGenesis(at.genesis),
    block,
    certificate: votes,
    transactionIndex: 1,
    payloadIds: payloads.map(({ id }) => id),
    payloadIndex: 2,
    payload: (payloads[2] as (typeof payloads)[0]).bytes,
  });
}

function checkOf(proof: ReadingProof, chain: Hash = home.chain): ReadingCheck | 'valid' {
  const verdict = verifyReading({ genesisHash: chain, proof, verify: verifyQuickly });
  return verdict.valid ? 'valid' : verdict.check;
}

test('LIGHT-2.1: a reading is proven with nothing but the genesis hash, and the verdict says who, when and by whom', () => {
  const bytes = encodeReadingProof(scene());
  const verdict = verifyReadingBytes({ genesisHash: home.chain, bytes, verify: verifyQuickly });
  assert.ok(verdict.valid, verdict.valid ? '' : `${verdict.check}: ${verdict.reason}`);
  assert.ok(equalBytes(verdict.device, device.address));
  assert.ok(equalBytes(verdict.signer.bytes, device.key.bytes));
  assert.equal(verdict.attested, false);
  assert.equal(verdict.payload.sequence, 3);
  assert.equal(verdict.height, 3);
  assert.equal(verdict.time, home.genesis.time + 3000);
  assert.equal(verdict.checkpoint.sequence, 1);
  assert.deepEqual(
    verdict.signers.map(({ index, weight }) => [index, weight]),
    [
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 1],
    ],
  );
  assert.deepEqual([verdict.weight, verdict.total], [4, 4]);
});

test('LIGHT-2.1: a proof for four validators takes less than three thousand bytes', () => {
  assert.ok(encodeReadingProof(scene()).length < 3000);
});

test('LIGHT-2.2, WIRE-9.1: a proof has one encoding', () => {
  const proof = scene();
  const bytes = encodeReadingProof(proof);
  const back = decodeReadingProof(bytes);
  assert.ok(back.ok);
  assert.deepEqual(back.value, proof);
  assert.ok(!decodeReadingProof(Uint8Array.of(...bytes, 0)).ok);
});

test('LIGHT-2.3: any byte changed, anywhere in the proof, refuses it', () => {
  const bytes = encodeReadingProof(scene());
  const verify = rememberingVerifier(verifyQuickly);
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = bytes.with(at, (bytes[at] as number) ^ (1 << (at % 8)));
    const verdict = verifyReadingBytes({ genesisHash: home.chain, bytes: changed, verify });
    assert.ok(!verdict.valid, `byte ${at} of ${bytes.length}`);
  }
});

test('LIGHT-2.3: attack truncated stream: no beginning of a proof is valid, none throws', () => {
  const bytes = encodeReadingProof(scene());
  for (let length = 0; length < bytes.length; length += 1) {
    const verdict = verifyReadingBytes({
      genesisHash: home.chain,
      bytes: bytes.slice(0, length),
      verify: verifyQuickly,
    });
    assert.ok(!verdict.valid && verdict.check === 'format');
  }
});

test('LIGHT-2.4: a proof above its size limit is refused unread', () => {
  const verdict = verifyReadingBytes({
    genesisHash: home.chain,
    bytes: new Uint8Array(LIMITS.proofBytesMax + 1),
    verify: verifyQuickly,
  });
  assert.ok(!verdict.valid && verdict.check === 'format');
});

test('LIGHT-3.1: attack forged genesis: another genesis is refused, also one with the same validators', () => {
  assert.equal(checkOf(scene()), 'valid');
  const elsewhere = world({ name: 'elsewhere' });
  assert.equal(checkOf(scene({ world: elsewhere })), 'genesis');
  assert.equal(checkOf({ ...scene(), genesis: encodeGenesis(elsewhere.genesis) }), 'genesis');
  assert.equal(checkOf({ ...scene(), genesis: new Uint8Array(0) }), 'genesis');
  assert.equal(
    checkOf({ ...scene(), genesis: encodeGenesis({ ...home.genesis, time: millis(home.genesis.time + 1) }) }),
    'genesis',
  );
});

test('LIGHT-3.1: attack replay from another chain: its certificates do not hold here', () => {
  const foreign = scene({ world: world({ name: 'elsewhere' }) });
  assert.equal(checkOf({ ...foreign, genesis: encodeGenesis(home.genesis) }), 'certificate-signature');
});

test('LIGHT-1.1: a header of another validator set is refused before any signature is looked at', () => {
  const others = group(3000, [1, 1, 1, 1]);
  const { verify, calls } = countingVerifier(verifyQuickly);
  const verdict = verifyReading({ genesisHash: home.chain, proof: scene({ validators: others }), verify });
  assert.ok(!verdict.valid && verdict.check === 'validators');
  assert.equal(calls(), 0);
});

test('LIGHT-1.2: a certificate for another header, height or epoch is refused', () => {
  const proof = scene();
  const { certificate } = proof;
  const other = { ...proof.header, time: millis(proof.header.time + 1) };
  assert.equal(checkOf({ ...proof, header: other }), 'certificate-header');
  assert.equal(
    checkOf({
      ...proof,
      certificate: { ...certificate, height: (certificate.height + 1) as typeof certificate.height },
    }),
    'certificate-header',
  );
  assert.equal(
    checkOf({ ...proof, certificate: { ...certificate, epoch: 1 as typeof certificate.epoch } }),
    'certificate-header',
  );
  assert.equal(checkOf({ ...proof, certificate: { ...certificate, hash: ZERO_HASH } }), 'certificate-header');
});

test('LIGHT-1.2: attack: signatures of another view, or of PREPARE votes, do not make a certificate', () => {
  const proof = scene();
  const { certificate } = proof;
  assert.equal(
    checkOf({ ...proof, certificate: { ...certificate, view: 4 as typeof certificate.view } }),
    'certificate-signature',
  );
});

test('LIGHT-1.3: below a strong quorum is refused, exactly a strong quorum is enough', () => {
  assert.equal(checkOf(scene({ signers: [0, 1] })), 'certificate-weight');
  assert.equal(checkOf(scene({ signers: [] })), 'certificate-weight');
  assert.equal(checkOf(scene({ signers: [0, 2, 3] })), 'valid');
  // Weights count, not heads: W = 33, F = 10, Q = 23.
  const weighted = world({ validatorWeights: [10, 10, 9, 4] });
  const heavy = [0, 1, 2, 3].map((i) => (weighted.validators.set[i] as { weight: number }).weight);
  for (let mask = 0; mask < 16; mask += 1) {
    const signers = [0, 1, 2, 3].filter((i) => (mask >> i) & 1);
    const weight = signers.reduce((sum, i) => sum + (heavy[i] as number), 0);
    assert.equal(
      checkOf(scene({ world: weighted, signers }), weighted.chain),
      weight >= 23 ? 'valid' : 'certificate-weight',
    );
  }
});

test('LIGHT-1.3: attack: too little weight costs no signature check', () => {
  const { verify, calls } = countingVerifier(verifyQuickly);
  verifyReading({ genesisHash: home.chain, proof: scene({ signers: [1, 2] }), verify });
  assert.equal(calls(), 0);
});

test('LIGHT-1.4: attack duplicate signer: one vote listed twice counts once', () => {
  const proof = scene({ signers: [0, 1] });
  const [first, second] = proof.certificate.signatures as [Uint8Array, Uint8Array];
  // The bitmap cannot name a member twice, so the copy has either no bit or another member's.
  const twice = [first, second, second];
  assert.equal(
    checkOf({ ...proof, certificate: { ...proof.certificate, signatures: twice } }),
    'certificate-signers',
  );
  const claimed = bitmapOf([0, 1, 2], 4);
  assert.equal(
    checkOf({ ...proof, certificate: { ...proof.certificate, signers: claimed, signatures: twice } }),
    'certificate-signature',
  );
});

test('LIGHT-1.4: attack unknown bits: a bitmap with a bit beyond the set, too long or too short is refused', () => {
  const proof = scene();
  for (const signers of [
    Uint8Array.of(0x1f),
    Uint8Array.of(0x0f, 0),
    new Uint8Array(0),
    Uint8Array.of(0x8f),
  ]) {
    assert.equal(
      checkOf({ ...proof, certificate: { ...proof.certificate, signers } }),
      'certificate-signers',
    );
  }
});

test('LIGHT-1.5: one bad signature refuses the proof, even with a quorum of good ones beside it', () => {
  const proof = scene();
  for (let i = 0; i < 4; i += 1) {
    const signatures = proof.certificate.signatures.map((signature, j) =>
      i === j ? signature.with(0, (signature[0] as number) ^ 1) : signature,
    );
    assert.equal(
      checkOf({ ...proof, certificate: { ...proof.certificate, signatures } }),
      'certificate-signature',
    );
  }
  const [first, second, ...rest] = proof.certificate.signatures as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  assert.equal(
    checkOf({ ...proof, certificate: { ...proof.certificate, signatures: [second, first, ...rest] } }),
    'certificate-signature',
  );
});

test('LIGHT-3.2: attack wrong transaction path: another position, count or sibling is refused', () => {
  const proof = scene();
  assert.equal(checkOf({ ...proof, transactionIndex: 0 }), 'transaction');
  assert.equal(checkOf({ ...proof, transactionCount: 4 }), 'transaction');
  assert.equal(checkOf({ ...proof, transactionPath: proof.transactionPath.toReversed() }), 'transaction');
  assert.equal(checkOf({ ...proof, transactionPath: [] }), 'transaction');
});

test('LIGHT-3.3: a transaction of another kind proves no reading', () => {
  const chain = new ChainBuilder(home);
  const maker = signedTransaction(home.chain, home.treasury, { kind: 'register-maker', name: 'm' });
  const { block, certificate } = chain.append([maker]);
  const good = scene();
  const proof: ReadingProof = {
    ...good,
    header: block.header,
    certificate,
    transaction: maker,
    transactionIndex: 0,
    transactionCount: 1,
    transactionPath: [],
  };
  assert.equal(checkOf(proof), 'checkpoint');
});

test('LIGHT-3.4: attack: a checkpoint in a block that its subnet’s quorum did not sign proves nothing', () => {
  assert.equal(checkOf(scene({ memberSigners: [0, 3] })), 'checkpoint-weight');
  assert.equal(checkOf(scene({ memberSigners: [0, 1, 3] })), 'valid');
  const impostors = group(4000, [1, 1, 1, 1]);
  assert.equal(checkOf(scene({ members: impostors })), 'checkpoint-signature');
  const many = group(4000, [1, 1, 1, 1, 1, 1, 1, 1, 1]);
  assert.equal(checkOf(scene({ members: many })), 'checkpoint-signers');
});

test('LIGHT-3.5, STATE-24.5: members of a later subnet are proven by its record in the certified state', () => {
  const id = subnetId(gateway.address, 'later');
  const members = group(5000, [1, 1, 1, 1]);
  const record = encodeRecord('subnet', {
    name: 'later',
    members: members.set,
    powBits: 4,
    lastSequence: 0,
    lastHash: id,
    lastTime: home.genesis.time,
    lastHeight: height(0),
    envelopes: 0,
    payloads: 0,
    deposit: NO_DEPOSIT,
  });
  const key = stateKeyHash(subnetKey(id));
  const tree = StateTree.empty.update([
    { key, value: record },
    { key: ZERO_HASH, value: Uint8Array.of(1) },
  ]);
  const shown = { record, proof: tree.prove(key) };
  const bare = scene({ subnet: id, members, stateRoot: tree.root });
  assert.equal(checkOf(bare), 'subnet');
  assert.equal(checkOf({ ...bare, subnet: shown }), 'valid');
  const bytes = encodeReadingProof({ ...bare, subnet: shown });
  assert.ok(verifyReadingBytes({ genesisHash: home.chain, bytes, verify: verifyQuickly }).valid);
  // A record the prover made up, and one that nobody would look at.
  const forged = encodeRecord('subnet', {
    name: 'later',
    members: group(6000, [1]).set,
    powBits: 4,
    lastSequence: 0,
    lastHash: id,
    lastTime: home.genesis.time,
    lastHeight: height(0),
    envelopes: 0,
    payloads: 0,
    deposit: NO_DEPOSIT,
  });
  assert.equal(checkOf({ ...bare, subnet: { ...shown, record: forged } }), 'subnet');
  assert.equal(checkOf({ ...scene({ stateRoot: tree.root }), subnet: shown }), 'subnet');
  // A record from behind the checkpoint, or from long before it: the members may have been others.
  const next = group(6000, [1, 1, 1, 1]).set;
  for (const lastSequence of [1, 40]) {
    const other = encodeRecord('subnet', { ...decodedSubnet(record), lastSequence, next });
    const later = StateTree.empty.update([{ key, value: other }]);
    const moved = scene({ subnet: id, members, stateRoot: later.root });
    assert.equal(checkOf({ ...moved, subnet: { record: other, proof: later.prove(key) } }), 'subnet');
  }
});

function decodedSubnet(bytes: Uint8Array): RecordTypes['subnet'] {
  const read = decodeRecord('subnet', bytes);
  assert.ok(read.ok);
  return read.value;
}

test('LIGHT-3.6: attack leaf-as-node: an inner node of the applied tree does not pass as a payload, nor a payload at another place', () => {
  const proof = scene();
  assert.equal(checkOf({ ...proof, payloadIndex: 3 }), 'payload-path');
  assert.equal(checkOf({ ...proof, payloadPath: proof.payloadPath.slice(1) }), 'payload-path');
  const [sibling] = proof.payloadPath;
  assert.ok(sibling);
  const inner = merkleNode(merkleLeaf(sibling), sibling);
  assert.equal(checkOf({ ...proof, payloadPath: [inner, ...proof.payloadPath.slice(1)] }), 'payload-path');
  const other = signedPayload(home.chain, device, { sequence: 9 });
  assert.equal(checkOf({ ...proof, payload: other.bytes }), 'payload-path');
});

test('LIGHT-3.7: a payload whose own signature does not hold is refused, although a quorum applied it', () => {
  const proof = scene();
  const last = proof.payload.length - 1;
  assert.equal(
    checkOf({ ...proof, payload: proof.payload.with(last, (proof.payload[last] as number) ^ 1) }),
    'payload-signature',
  );
  assert.equal(checkOf({ ...proof, payload: new Uint8Array(3) }), 'payload');
});

test('LIGHT-3.8: the verdict tells a gateway’s word from the device’s own', () => {
  const payload = signedPayload(home.chain, gateway, { device: device.address });
  const certificate = signedCheckpoint(home, [payload.id]);
  const transaction = signedTransaction(home.chain, gateway, { kind: 'checkpoint', certificate });
  const { block, certificate: votes } = new ChainBuilder(home).append([transaction]);
  const genesis = encodeGenesis(home.genesis);
  const proof = proveReading({
    genesis,
    block,
    certificate: votes,
    transactionIndex: 0,
    payloadIds: [payload.id],
    payloadIndex: 0,
    payload: payload.bytes,
  });
  const verdict = verifyReading({ genesisHash: home.chain, proof, verify: verifyQuickly });
  assert.ok(verdict.valid && verdict.attested);
  assert.equal(toHex(verdict.device), toHex(device.address));
  assert.equal(toHex(verdict.signer.bytes), toHex(gateway.key.bytes));
});

test('LIGHT-1.6: attack conflicting certificates: both blocks of a fork need a quorum, so a correct majority of weight prevents it', () => {
  // With all four equivocating a light client can be fooled: this is the stated bound, shown rather than hidden.
  const proof = scene();
  const header = { ...proof.header, time: millis(proof.header.time + 1) };
  const forked = certify({ chain: home.chain, validators: home.validators, header, signers: [0, 1, 2] });
  assert.equal(checkOf({ ...proof, header, certificate: forked }), 'valid');
  const minority = certify({ chain: home.chain, validators: home.validators, header, signers: [0, 1] });
  assert.equal(checkOf({ ...proof, header, certificate: minority }), 'certificate-weight');
});
