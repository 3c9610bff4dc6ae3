import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asHash, sha256, type Hash } from '@itc/core/crypto/hash.js';
import { encodeAccusation, readAccusation } from '@itc/core/ledger/accusation.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { decode } from '@itc/core/bytes/reader.js';
import type { VerifiedEnvelope } from '@itc/core/dag/verify.js';
import { payloadRootOf, sealedEnvelope, type EnvelopeBody } from '@itc/core/ledger/envelope.js';
import { millis } from '@itc/core/ledger/ids.js';
import { readMemberFault, signedByIssuer } from '@itc/core/ledger/member-fault.js';
import { encodePayload, payloadSigningBytes } from '@itc/core/ledger/payload.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto } from '../crypto/native.ts';
import { SubnetWorld, type Member } from '../testing/subnet-world.ts';
import type { Charge } from './accuser.ts';
import { MemberFaults } from './member-faults.ts';

installNativeCrypto();

const hash = (byte: number): Hash => asHash(new Uint8Array(32).fill(byte));

/** Signed by its issuer; verified, as those that come out of the graph are. */
function issued(
  chain: Hash,
  subnet: Hash,
  issuer: KeyPair,
  changes: Partial<EnvelopeBody>,
): VerifiedEnvelope {
  const body: EnvelopeBody = {
    subnet,
    issuer: issuer.publicKey,
    lane: 0,
    sequence: 1,
    previous: subnet,
    parents: [subnet],
    time: millis(1),
    anchor: sha256(Uint8Array.of(11)),
    payloadRoot: payloadRootOf([]),
    payloadCount: 0,
    ...changes,
  };
  const signature = issuer.sign(signedByIssuer(chain, sealedEnvelope(body, 1, new Uint8Array(64))));
  return { envelope: sealedEnvelope(body, 1, signature), payloads: [] } as unknown as VerifiedEnvelope;
}

test('SUBNET-11.1: what a member finds against another is brought before the main chain, which takes half of its stake and its place', async () => {
  const world = await SubnetWorld.open({ members: 4, staked: true, timing: { cadenceMs: 200 } });
  const [cheat, forger] = world.members as [Member, Member];
  const { faults } = world.of(2).subnet;
  const twice = [1, 2].map((time) => issued(world.id, world.subnet, cheat.keys, { time: millis(time) }));
  const [first, second] = twice as [VerifiedEnvelope, VerifiedEnvelope];
  for (let n = 0; n < 3; n += 1) faults.equivocated({ first, second });
  // A payload in the name of a lamp that has never seen it.
  const lamp = KeyPair.fromSeed(new Uint8Array(32).fill(77));
  const unsigned = {
    signer: lamp.publicKey,
    device: addressOf(lamp.publicKey),
    sequence: 1,
    contentType: 'senml+json' as const,
    content: Uint8Array.of(1),
  };
  const forged = encodePayload(unsigned, forger.keys.sign(payloadSigningBytes(world.id, unsigned)));
  const { envelope } = issued(world.id, world.subnet, forger.keys, {
    payloadRoot: payloadRootOf([forged]),
    payloadCount: 1,
  });
  const content = encodeAccusation(envelope, [forged], 0);
  const members = world.of(2).subnet.members;
  const accusation = readAccusation({ chain: world.id, subnet: world.subnet, members }, content);
  assert.ok(accusation.ok);
  const payloads = [{ content }] as unknown as VerifiedEnvelope['payloads'];
  faults.joined({ accusation: accusation.value, payloads });
  assert.equal(faults.open.length, 2, 'whoever asks is told, until they are punished');
  await world.run(3_000);
  for (const { keys } of [cheat, forger]) {
    const record = world.chain.state.stake(world.subnet, keys.address);
    assert.equal(record?.isPunished, true);
    assert.equal(record.stake, 5_000_000_000n);
  }
  assert.deepEqual(faults.open, []);
  await world.close();
});

test('SUBNET-11.2: one charge for each culprit; two envelopes under two anchors are none, nor is anything where members are listed', () => {
  const [chain, subnet] = [hash(1), hash(2)];
  const culprit = KeyPair.fromSeed(new Uint8Array(32).fill(3));
  const charges: Charge[] = [];
  const faultsOf = (isStaked: boolean): MemberFaults =>
    new MemberFaults({
      chain: {
        state: {
          membership: () => (isStaked ? {} : undefined),
          stake: () => (isStaked ? { isPunished: false } : undefined),
        } as never,
      },
      subnet,
      turn: () => 0,
      bring: (charge) => charges.push(charge),
    });
  const at = (time: number, anchor = sha256(Uint8Array.of(11))): VerifiedEnvelope =>
    issued(chain, subnet, culprit, { time: millis(time), anchor });
  const staked = faultsOf(true);
  staked.equivocated({ first: at(1), second: at(2, hash(9)) });
  assert.equal(charges.length, 0);
  staked.equivocated({ first: at(1), second: at(2) });
  staked.equivocated({ first: at(1), second: at(3) });
  assert.equal(charges.length, 1);
  const [told] = staked.open;
  const read = decode(readMemberFault, told as Uint8Array);
  assert.equal(read.ok && read.value.kind, 'equivocation');
  faultsOf(false).equivocated({ first: at(1), second: at(2) });
  assert.equal(charges.length, 1);
  assert.ok(LIMITS.subnetMembersMax * 2 >= staked.open.length);
});
