import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asHash } from '@itc/core/crypto/hash.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { keySetOf, type KeySet } from '@itc/core/ledger/account-keys.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import { verifyTransaction } from '@itc/core/state/verified-transaction.js';
import { draftShared, signDraft } from './keys-shared.ts';
import { secretSigner } from './keys-secret.ts';
import type { Signer } from './keys.ts';
import { formatSharedFile, parseSharedFile, standingOf, type SharedFile } from './shared-file.ts';
import { sufficientSets, withSignature } from './shares.ts';
import { transfer } from './transactions.ts';

const chain = asHash(new Uint8Array(32).fill(3));
const signerNumber = (n: number, algorithm: 1 | 2 | 3 = 1): Signer =>
  secretSigner({ algorithm, secret: new Uint8Array(32).fill(n) });
const [alice, bob, carol] = [signerNumber(1, 1), signerNumber(2, 2), signerNumber(3, 3)];
const account = signerNumber(9).address;
const set = keySetOf([{ key: alice.publicKey, weight: 2 }, bob.publicKey, carol.publicKey], 3);

function fileBy(first: Signer, of: KeySet = set): SharedFile {
  const place = { chain, account, nonce: 4, feePerByte: amount(10n), validUntil: height(99) };
  const groups = sufficientSets(of, first.publicKey);
  const [signers] = groups.map((group) => group.map(({ key }) => key));
  assert.ok(signers);
  const body = transfer(account, amount(1n));
  return { draft: draftShared({ ...place, signers, body }), signatures: [] };
}

const signedBy = async (file: SharedFile, ...signers: readonly Signer[]): Promise<SharedFile> => {
  let signed = file;
  for (const signer of signers) signed = withSignature(signed, await signDraft(file.draft, signer));
  return signed;
};

test('CLIENT-20.6: the file reads back to itself; anything else is refused with what was expected', async () => {
  const file = await signedBy(fileBy(bob), bob, carol);
  const text = formatSharedFile(file);
  const parsed = parseSharedFile(text);
  assert.ok(parsed.ok);
  assert.equal(formatSharedFile(parsed.value), text);
  for (const bad of [
    '',
    '[]',
    'null',
    '{}',
    text.replace('itc-transaction', 'other'),
    text.replace('"version": 1', '"version": 2'),
    text.replace('"draft": "', '"draft": "A'),
    text.replace(/"signatures": \[[^]*\]/, '"signatures": 1'),
  ]) {
    const refused = parseSharedFile(bad);
    assert.equal(refused.ok || refused.code, 'request.malformed');
  }
});

test('CLIENT-20.6: it goes when the weights suffice and nobody could be left out; before that it says who can help', async () => {
  const file = fileBy(bob);
  const names = (keys: ReturnType<typeof standingOf>['missing']): string[] =>
    keys.map(({ key }) => ({ 1: 'alice', 2: 'bob', 3: 'carol', 4: '' })[key.algorithm]).sort();
  const nobody = standingOf(file, set, verifySignature);
  assert.deepEqual([nobody.weight, nobody.ready, names(nobody.missing)], [0, undefined, ['alice', 'bob']]);
  const one = standingOf(await signedBy(file, bob), set, verifySignature);
  assert.deepEqual([one.weight, one.threshold, names(one.missing)], [1, 3, ['alice']]);
  // Carol's would be one too many: the transaction goes without it.
  const all = standingOf(await signedBy(file, bob, carol, alice), set, verifySignature);
  assert.ok(all.ready);
  assert.equal(all.ready.transaction.cosigners?.length, 1);
  assert.ok(verifyTransaction(chain, all.ready.encoded, verifySignature).ok);
  assert.ok(all.ready.transaction.fee >= 10n * BigInt(all.ready.encoded.length));
});

test('CLIENT-20.6: a signature twice, of a stranger, or of another draft counts for nothing', async () => {
  const file = fileBy(bob);
  const twice = await signedBy(file, bob, bob);
  assert.equal(twice.signatures.length, 1);
  const strange = await signedBy(twice, signerNumber(8));
  const other = { ...file, draft: { ...file.draft, transaction: { ...file.draft.transaction, nonce: 5 } } };
  const foreign = withSignature(strange, await signDraft(other.draft, alice));
  const standing = standingOf(foreign, set, verifySignature);
  assert.deepEqual([standing.weight, standing.useless, standing.ready], [1, 2, undefined]);
  // Keys that were changed meanwhile act no more.
  assert.equal(standingOf(twice, keySetOf([carol.publicKey]), verifySignature).missing.length, 0);
});

test('STATE-15.3: groups that may act together reach the threshold, and without any one of them they do not', () => {
  const weights = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(weights, fc.nat(), (chosen, pick) => {
      const sum = chosen.reduce((a, b) => a + b, 0);
      const keys = chosen.map((weight, i) => ({ key: signerNumber(i + 1).publicKey, weight }));
      const of = keySetOf(keys, 1 + (pick % sum));
      const [{ key: first }] = keys as [(typeof keys)[number]];
      const groups = sufficientSets(of, first);
      for (const group of groups) {
        const total = group.reduce((a, { weight }) => a + weight, 0);
        assert.ok(total >= of.threshold && group.every(({ weight }) => total - weight < of.threshold));
        assert.ok(group.some(({ key }) => key === first));
      }
      // Nobody is left out who could be needed: all together always suffice, so some group of those with the first one does, or he is never needed.
      const others = sum - (chosen[0] as number);
      if (others < of.threshold) assert.ok(groups.length > 0);
    }),
    { numRuns: 60 },
  );
});
