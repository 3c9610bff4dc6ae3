import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256, type Hash } from '../crypto/hash.ts';
import { utf8Encode } from '../bytes/writer.ts';
import {
  attestationKeySigningBytes,
  attestationSigningBytes,
  type Model,
} from '../ledger/bodies/device-life.ts';
import type { Body } from '../ledger/body.ts';
import { fakeSign, makeBatch, person, World, type Batch, type Person } from '../testing/state-world.ts';

const maker = person('maker');
const mallory = person('mallory');
const factory = person('factory key');
const nextFactory = person('next factory key');
const thing: Hash = sha256(utf8Encode('thing model of a lamp'));

const model: Model = {
  hash: thing,
  name: 'Lamp 3',
  actions: 7,
  levelMax: 254,
  colour: { min: 2200, max: 6500 },
};

/** A maker with an attestation key and a model. */
function factoryWorld(): World {
  const w = new World(['maker', 'mallory']);
  assert.equal(w.send(maker, { kind: 'register-maker', name: 'Lumen', attestation: factory.key }), 'ok');
  return w;
}

function batchBody(w: World, batch: Batch, by: Person | undefined, changes: { model?: Hash } = {}): Body {
  const form = { root: batch.root, count: batch.devices.length, model: changes.model ?? thing };
  const depositPerDevice = 1n as never;
  if (by === undefined) return { kind: 'register-batch', batch: { ...form, depositPerDevice } };
  const attestation = fakeSign(by.key, attestationSigningBytes(w.chain, maker.address, form));
  return { kind: 'register-batch', batch: { ...form, depositPerDevice, attestation } };
}

test('STATE-16.1: a maker with an attestation key registers only what that key has signed, of models it has registered', () => {
  const w = factoryWorld();
  const batch = makeBatch(maker, 'lamp', 3);
  assert.equal(w.send(maker, batchBody(w, batch, factory)), 'model.unknown');
  assert.equal(w.send(maker, { kind: 'register-model', model }), 'ok');
  assert.equal(w.send(maker, batchBody(w, batch, undefined)), 'maker.attestation');
  assert.equal(w.send(maker, batchBody(w, batch, maker)), 'maker.attestation');
  assert.equal(w.send(maker, batchBody(w, batch, factory)), 'ok');
  assert.deepEqual(w.state.batch(batch.id)?.attestation, factory.key);
});

test('STATE-16.1: attack: an attestation of another batch, maker, model or chain serves nothing', () => {
  const w = factoryWorld();
  assert.equal(w.send(maker, { kind: 'register-model', model }), 'ok');
  const [one, other] = [makeBatch(maker, 'lamp', 3), makeBatch(maker, 'fake', 3)];
  const signed = batchBody(w, one, factory);
  assert.ok(signed.kind === 'register-batch');
  const attestation = signed.batch.attestation as Uint8Array;
  const elsewhere = new World(['maker'], 11n);
  const wrong: Body[] = [
    { ...signed, batch: { ...signed.batch, root: other.root } },
    { ...signed, batch: { ...signed.batch, count: 4 } },
    batchBody(elsewhere, one, factory),
  ];
  for (const body of wrong) assert.equal(w.send(maker, body), 'maker.attestation');
  assert.equal(w.send(mallory, { kind: 'register-maker', name: 'Lumen', attestation: factory.key }), 'ok');
  assert.equal(w.send(mallory, { kind: 'register-model', model }), 'ok');
  assert.equal(w.send(mallory, { ...signed, batch: { ...signed.batch, attestation } }), 'maker.attestation');
});

test('STATE-16.1: without an attestation key the account vouches alone, and a batch that claims more is refused', () => {
  const w = new World(['maker']);
  assert.equal(w.send(maker, { kind: 'register-maker', name: 'Lumen' }), 'ok');
  const batch = makeBatch(maker, 'lamp', 3);
  assert.equal(w.send(maker, batchBody(w, batch, factory)), 'maker.attestation');
  assert.equal(w.send(maker, batchBody(w, batch, undefined)), 'ok');
  assert.equal(w.state.batch(batch.id)?.attestation, undefined);
});

test('STATE-16.2: the key so far signs for the next one: whoever stole the account alone changes nothing', () => {
  const w = factoryWorld();
  const set = (key: Person, by: Person): Body => ({
    kind: 'set-attestation',
    key: key.key,
    proof: fakeSign(by.key, attestationKeySigningBytes(w.chain, maker.address, key.key)),
  });
  assert.equal(w.send(mallory, set(mallory, mallory)), 'maker.unknown');
  assert.equal(w.send(maker, set(nextFactory, nextFactory)), 'maker.attestation');
  assert.equal(w.send(maker, set(nextFactory, maker)), 'maker.attestation');
  assert.equal(w.send(maker, set(nextFactory, factory)), 'ok');
  assert.deepEqual(w.state.maker(maker.address)?.attestation, nextFactory.key);
  assert.equal(w.send(maker, { kind: 'register-model', model }), 'ok');
  const batch = makeBatch(maker, 'lamp', 3);
  assert.equal(w.send(maker, batchBody(w, batch, factory)), 'maker.attestation');
  assert.equal(w.send(maker, batchBody(w, batch, nextFactory)), 'ok');
});

test('STATE-16.2: the first key of a maker signs for itself', () => {
  const w = new World(['maker']);
  assert.equal(w.send(maker, { kind: 'register-maker', name: 'Lumen' }), 'ok');
  const bytes = attestationKeySigningBytes(w.chain, maker.address, factory.key);
  const body = (by: Person): Body => ({
    kind: 'set-attestation',
    key: factory.key,
    proof: fakeSign(by.key, bytes),
  });
  assert.equal(w.send(maker, body(maker)), 'maker.attestation');
  assert.equal(w.send(maker, body(factory)), 'ok');
});

test('STATE-16.3: a model is registered once by its maker, with a name and limits that can be', () => {
  const w = factoryWorld();
  assert.equal(w.send(mallory, { kind: 'register-model', model }), 'maker.unknown');
  const wrong: Partial<Model>[] = [{ name: '' }, { actions: 16 }, { levelMax: 255 }];
  for (const changes of wrong)
    assert.equal(
      w.send(maker, { kind: 'register-model', model: { ...model, ...changes } }),
      'model.malformed',
    );
  assert.equal(w.send(maker, { kind: 'register-model', model }), 'ok');
  assert.equal(w.send(maker, { kind: 'register-model', model: { ...model, name: 'Other' } }), 'model.exists');
  assert.equal(w.state.count('model'), 1);
  // The same Thing Model of another maker is that maker's.
  assert.equal(w.send(mallory, { kind: 'register-maker', name: 'Copy' }), 'ok');
  assert.equal(w.send(mallory, { kind: 'register-model', model }), 'ok');
});
