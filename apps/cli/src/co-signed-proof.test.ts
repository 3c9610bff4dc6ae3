import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asHash } from '@itc/core/crypto/hash.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { encodeGenesis } from '@itc/core/ledger/genesis.js';
import { encodeCoSignedStream, type CoSignedStream } from '@itc/core/light/co-signed-stream.js';
import { encodeReadingProof, proveReading } from '@itc/core/light/reading-proof.js';
import {
  signedCheckpoint,
  signedPayload,
  signedTransaction,
  type CertifiedBlock,
} from '@itc/core/testing/chain.js';
import { CoSignedWorld, slidingMembers } from '@itc/core/testing/co-signed-world.js';
import { keyPair } from '@itc/core/testing/keys.js';
import { parseSenml } from '@itc/edge/2-conversion/senml.js';
import { checkProofText } from './commands/verify.ts';
import { formatProofFile, readingText, type ProofFile } from './proof-file.ts';

const world = new CoSignedWorld([slidingMembers(0)]);
const { chain } = world;
const genesis = encodeGenesis(world.genesis);
const device = keyPair(50);
const content = utf8Encode('[{"n":"temperature","u":"Cel","v":21.5}]');
const payload = signedPayload(chain, device, { contentType: 'senml+json', content });
const transaction = signedTransaction(chain, keyPair(2000), {
  kind: 'checkpoint',
  certificate: signedCheckpoint(world.world, [payload.id]),
});
const block = world.append(0, false, [transaction]);
const newest = world.append(0);

function proofFile(stream: CoSignedStream | undefined, of: CertifiedBlock = block): string {
  const proof = proveReading({
    genesis,
    block: of.block,
    certificate: of.certificate,
    transactionIndex: 0,
    payloadIds: [payload.id],
    payload: payload.bytes,
    payloadIndex: 0,
  });
  const records = parseSenml('senml+json', content, 1_700_000_000_500);
  assert.ok(records.ok && records.value[0]);
  const file: ProofFile = {
    format: 'itc-proof-1',
    genesis: toHex(chain),
    reading: readingText({
      payload: toHex(payload.id),
      index: 0,
      device: formatAddress(device.address),
      record: records.value[0],
    }),
    proof: Buffer.from(encodeReadingProof(proof)).toString('base64url'),
    ...(stream && { coSigned: Buffer.from(encodeCoSignedStream(stream)).toString('base64url') }),
  };
  return formatProofFile(file);
}

const { header } = newest.block;
const stream: CoSignedStream = {
  trusted: world.start.coSigners,
  hops: [],
  checkpoint: world.checkpoint(newest),
  items: [
    {
      kind: 'history',
      header: block.block.header,
      path: world.history.path(block.block.header.height - 1, header.height - 1),
    },
  ],
};

function verdict(text: string, demandsCoSignatures: boolean): string {
  const checked = checkProofText(text, asHash(chain), { demandsCoSignatures });
  return checked.valid ? 'valid' : checked.check;
}

test('QUANTUM-4.5: a proof with co-signatures is valid for those who demand them, and for those who do not', () => {
  const text = proofFile(stream);
  assert.equal(verdict(text, true), 'valid');
  assert.equal(verdict(text, false), 'valid');
  assert.equal(verdict(proofFile(undefined), false), 'valid');
  assert.equal(verdict(proofFile(undefined), true), 'co-signed');
});

test('QUANTUM-4.5: with every Ed25519 key broken a forged proof is valid for those who do not demand co-signatures, and for nobody else', () => {
  // A block that never was: certified by all validators, in the name of the device, the members and the gateway.
  const forged = new CoSignedWorld([slidingMembers(0)]);
  assert.deepEqual(forged.chain, chain);
  const made = forged.append(0, false, [transaction, signedTransaction(chain, device, { kind: 'restart' })]);
  const text = (with_: CoSignedStream | undefined): string => proofFile(with_, made);
  assert.equal(verdict(text(undefined), false), 'valid');
  assert.equal(verdict(text(undefined), true), 'co-signed');
  // The true co-signatures, beside the forged block.
  assert.equal(verdict(text(stream), true), 'co-signed-history');
  // And made-up ones, under keys of the attacker.
  const tip = forged.append(0).block.header;
  const checkpoint = forged.checkpoint(
    { block: { header: tip, transactions: [] }, certificate: newest.certificate },
    { seeds: [60, 61, 62] },
  );
  const own = checkpoint.coSignatures.map((one, i) => ({
    ...one,
    signer: world.start.coSigners.members[i]?.key as typeof one.signer,
  }));
  const items = [
    {
      kind: 'history' as const,
      header: made.block.header,
      path: forged.history.path(made.block.header.height - 1, tip.height - 1),
    },
  ];
  assert.equal(
    verdict(text({ ...stream, checkpoint: { ...checkpoint, coSignatures: own }, items }), true),
    'co-signed-key',
  );
});
