import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asHash } from '@itc/core/crypto/hash.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { keySetOf } from '@itc/core/ledger/account-keys.js';
import { asAddress } from '@itc/core/ledger/address.js';
import { commandSigningBytes, decodeCommand } from '@itc/core/ledger/command.js';
import { millis } from '@itc/core/ledger/ids.js';
import { parsePayload, payloadAccount } from '@itc/core/ledger/payload.js';
import { buildCommand } from './commands.ts';
import { secretSigner } from './keys-secret.ts';
import type { Signer } from './keys.ts';
import {
  assembleCommand,
  commandStanding,
  formatCommandDraft,
  formatCommandFile,
  parseCommandDraft,
  parseCommandFile,
  signCommandDraft,
  type CommandDraft,
  type CommandFile,
} from './shared-command.ts';
import { withSignature } from './shares.ts';

const chain = asHash(new Uint8Array(32).fill(3));
const signerNumber = (n: number, algorithm: 1 | 2 | 3 = 1): Signer =>
  secretSigner({ algorithm, secret: new Uint8Array(32).fill(n) });
const [alice, bob, carol] = [signerNumber(1, 1), signerNumber(2, 2), signerNumber(3, 3)];
const account = signerNumber(9).address;
const device = signerNumber(8).address;
const set = keySetOf([{ key: alice.publicKey, weight: 2 }, bob.publicKey, carol.publicKey], 3);

const draft: CommandDraft = {
  chain,
  sender: bob.publicKey,
  account,
  device,
  action: { kind: 'level', level: 120 },
  sequence: 7,
  notAfter: millis(5_000),
};

const assembled = (
  o: Partial<Parameters<typeof assembleCommand>[0]> = {},
): ReturnType<typeof assembleCommand> =>
  assembleCommand({ draft, shares: [], sender: bob, verify: verifySignature, ...o });

async function codeOf(o: Partial<Parameters<typeof assembleCommand>[0]>): Promise<string> {
  const built = await assembled(o);
  return built.ok ? 'ok' : built.code;
}

test('CLIENT-3.6: a draft reads back to itself and is what the others sign; anything else is refused', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat(),
      fc.nat(254),
      fc.constantFrom(alice, bob, carol),
      (sequence, time, level, by) => {
        const made: CommandDraft = {
          ...draft,
          sender: by.publicKey,
          sequence,
          notAfter: millis(time),
          action: { kind: 'level', level },
        };
        const parsed = parseCommandDraft(formatCommandDraft(made));
        assert.ok(parsed.ok);
        assert.deepEqual(parsed.value, made);
      },
    ),
    { numRuns: 30 },
  );
  const text = formatCommandDraft(draft);
  const { sender: signer, sequence, ...command } = draft;
  const signed = commandSigningBytes(chain, { signer, account, sequence }, command);
  assert.equal(Buffer.from(text, 'base64url').compare(signed), 0);
  const other = Buffer.from(signed);
  other[0] = 0;
  for (const bad of ['', 'AAAA', text.slice(0, -4), `${text}AAAA`, other.toString('base64url')])
    assert.equal(parseCommandDraft(bad).ok, false, bad);
});

test('CLIENT-3.6: assembled it is a payload of the sender for the account, with the others inside, ascending, each once', async () => {
  const shares = [await signCommandDraft(draft, carol), await signCommandDraft(draft, alice)];
  const built = await assembled({ shares: [...shares, ...shares, await signCommandDraft(draft, bob)] });
  assert.ok(built.ok, built.ok ? '' : built.message);
  const payload = parsePayload(chain, built.value.bytes);
  assert.ok(payload.ok);
  assert.deepEqual(payload.value.id, built.value.id);
  assert.deepEqual(payload.value.signer, bob.publicKey);
  assert.deepEqual([payloadAccount(payload.value), payload.value.sequence], [account, 7]);
  const command = decodeCommand(payload.value.content, bob.publicKey);
  assert.ok(command.ok);
  assert.deepEqual(
    command.value.cosigners?.map(({ key }) => key.algorithm),
    [1, 3],
  );
  assert.ok(verifySignature(bob.publicKey, payload.value.signedBytes, payload.value.signature));
});

test('CLIENT-3.6: with nobody else’s signature it is the command of one key', async () => {
  const built = await assembled();
  assert.ok(built.ok);
  const { sender: _, account: __, ...command } = draft;
  const plain = await buildCommand({ ...command, signer: { ...bob, address: account } });
  assert.deepEqual(decodedContent(built.value.bytes), decodedContent(plain.bytes));
});

function decodedContent(bytes: Uint8Array): Uint8Array {
  const payload = parsePayload(chain, bytes);
  assert.ok(payload.ok);
  return payload.value.content;
}

test('CLIENT-3.6: a signature over another draft, by a key it is not, or of too many is refused; so is another sender', async () => {
  const good = await signCommandDraft(draft, alice);
  const changes: Partial<CommandDraft>[] = [
    { sequence: 8 },
    { action: { kind: 'on' } },
    { sender: alice.publicKey },
    { account: asAddress(device) },
    { chain: asHash(new Uint8Array(32)) },
  ];
  for (const change of changes) {
    const foreign = await signCommandDraft({ ...draft, ...change }, alice);
    assert.equal(await codeOf({ shares: [foreign] }), 'signature.invalid', Object.keys(change)[0]);
  }
  assert.equal(await codeOf({ shares: [good, 'AA'] }), 'request.malformed');
  assert.equal(await codeOf({ shares: [good], sender: carol }), 'signature.invalid');
  const crowd = await Promise.all(
    Array.from({ length: 8 }, (_, i) => signCommandDraft(draft, signerNumber(20 + i))),
  );
  assert.equal(await codeOf({ shares: crowd }), 'request.malformed');
  assert.equal(await codeOf({ shares: crowd.slice(1) }), 'ok');
  const long = await Promise.all(
    Array.from({ length: 5 }, (_, i) => signCommandDraft(draft, signerNumber(30 + i, 3))),
  );
  assert.equal(await codeOf({ shares: long }), 'payload.too-large');
  assert.equal(await codeOf({ shares: long.slice(1) }), 'ok');
});

test('CLIENT-3.7: the file reads back to itself, and is no file of a transaction', async () => {
  const file = withSignature({ draft, signatures: [] }, await signCommandDraft(draft, alice));
  const text = formatCommandFile(file);
  const parsed = parseCommandFile(text);
  assert.ok(parsed.ok);
  assert.equal(formatCommandFile(parsed.value), text);
  const signed = Buffer.from(formatCommandDraft(draft), 'base64url').toString('latin1');
  assert.ok(signed.startsWith('ITC1:sign-command\0'));
  for (const bad of [
    text.replace('itc-command', 'itc-transaction'),
    text.replace('"version": 1', '"version": 2'),
  ]) {
    const refused = parseCommandFile(bad);
    assert.equal(refused.ok || refused.code, 'request.malformed');
  }
});

test('CLIENT-3.7: the sender counts from the start; it goes with the fewest of the others that suffice', async () => {
  const file: CommandFile = { draft, signatures: [] };
  const names = (keys: ReturnType<typeof commandStanding>['missing']): string[] =>
    keys.map(({ key }) => ({ 1: 'alice', 2: 'bob', 3: 'carol', 4: '' })[key.algorithm]).sort();
  const nobody = commandStanding(file, set, verifySignature);
  assert.deepEqual(
    [names(nobody.signed), nobody.weight, nobody.threshold, nobody.enough, names(nobody.missing)],
    [['bob'], 1, 3, undefined, ['alice']],
  );
  const some = withSignature(file, await signCommandDraft(draft, carol));
  assert.deepEqual(commandStanding(some, set, verifySignature).enough, undefined);
  const all = commandStanding(
    withSignature(some, await signCommandDraft(draft, alice)),
    set,
    verifySignature,
  );
  assert.deepEqual(
    [all.weight, all.enough?.map(({ key }) => key), all.missing.length, all.useless],
    [4, [alice.publicKey], 0, 0],
  );
  const own = withSignature(file, await signCommandDraft(draft, bob));
  const twice = commandStanding(own, set, verifySignature);
  assert.deepEqual([twice.weight, twice.useless], [1, 1], 'its share counts for nothing: it signs last');
  const rotated = commandStanding(some, keySetOf([alice.publicKey]), verifySignature);
  assert.deepEqual([rotated.weight, rotated.enough, rotated.missing], [0, undefined, []]);
});
