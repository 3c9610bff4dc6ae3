import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { equalBytes, toHex } from '../bytes/hex.ts';
import { decode } from '../bytes/reader.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { asHash, hashTagged, TAGS } from '../crypto/hash.ts';
import { merkleRoot } from '../crypto/merkle.ts';
import {
  compareKeys,
  ED25519,
  FIXED_SIGNATURE_BYTES,
  KEY_BYTES,
  ML_DSA_44,
  P256,
  SIGNATURE_BYTES_MAX,
  SIGNATURE_DOMAINS,
  WEBAUTHN,
  type PublicKey,
} from '../crypto/signature.ts';
import { addressOf, asAddress } from './address.ts';
import {
  anyAcknowledgement,
  anyBlock,
  anyCertificate,
  anyCheckpoint,
  anyCheckpointCertificate,
  anyCommand,
  anyGenesis,
  anyHash,
  anyHeader,
  anyTransaction,
  anyValidatorSet,
  assertStrict,
} from '../testing/arbitraries.ts';
import { signedTransaction, world } from '../testing/chain.ts';
import { installNativeSha256, keyPair } from '../testing/keys.ts';
import {
  decodeBlock,
  decodeCertificate,
  encodeBlock,
  encodeCertificate,
  encodeHeader,
  HEADER_FLAGS,
  headerHash,
  readHeader,
  transactionsRoot,
  voteSigningBytes,
  type Header,
} from './block.ts';
import {
  checkpointHash,
  checkpointSigningBytes,
  decodeCheckpoint,
  encodeCheckpoint,
  readCheckpointCertificate,
  writeCheckpointCertificate,
} from './checkpoint.ts';
import {
  commandSigningBytes,
  decodeAcknowledgement,
  decodeCommand,
  encodeAcknowledgement,
  encodeCommand,
  REFUSALS,
} from './command.ts';
import { decodeGenesis, encodeGenesis, genesisHash } from './genesis.ts';
import { amount, epoch, height, millis, SUPPLY, view } from './ids.ts';
import {
  decodeTransaction,
  encodeTransaction,
  transactionId,
  transactionSigningBytes,
  unsignedTail,
  type Transaction,
} from './transaction.ts';
import { readValidatorSet, writeValidatorSet } from './validators.ts';

installNativeSha256();

test('WIRE-1.4, WIRE-2.1: validator sets have one encoding', () => {
  const encode = (set: Parameters<typeof writeValidatorSet>[1]): Uint8Array => {
    const writer = new Writer();
    writeValidatorSet(writer, set);
    return writer.finish();
  };
  assertStrict(anyValidatorSet, { encode, decode: (bytes) => decode(readValidatorSet, bytes) });
});

test('WIRE-1.4, WIRE-2.3: a genesis has one encoding', () => {
  assertStrict(anyGenesis, { encode: encodeGenesis, decode: decodeGenesis });
});

test('WIRE-1.4, WIRE-3.1: transactions of every kind have one encoding', () => {
  assertStrict(anyTransaction, { encode: encodeTransaction, decode: decodeTransaction }, 400);
});

test('WIRE-1.4, WIRE-4.1: headers have one encoding, of 215 bytes', () => {
  assertStrict(anyHeader, { encode: encodeHeader, decode: (bytes) => decode(readHeader, bytes) });
  assert.equal(encodeHeader(fc.sample(anyHeader, 1)[0] as Header).length, 215);
});

test('WIRE-1.4, WIRE-4.3: blocks have one encoding', () => {
  assertStrict(anyBlock, { encode: encodeBlock, decode: decodeBlock });
});

test('WIRE-1.4, WIRE-4.4: certificates have one encoding', () => {
  assertStrict(anyCertificate, { encode: encodeCertificate, decode: decodeCertificate });
});

test('WIRE-1.4, WIRE-6.1: commands have one encoding', () => {
  assertStrict(anyCommand, { encode: encodeCommand, decode: decodeCommand }, 150);
});

test('WIRE-6.1: a command of one key has the bytes it always had', () => {
  const device = keyPair(1).address;
  const plain = encodeCommand({ device, action: { kind: 'level', level: 7 }, notAfter: millis(0x1234) });
  assert.equal(toHex(plain), `01${toHex(device)}02070000000000001234`);
});

test('WIRE-6.3: what further signers sign is the command with its place, under a domain of its own', () => {
  const { chain } = world();
  const [signer, account, device] = [keyPair(1), keyPair(2).address, keyPair(3).address];
  const command = { device, action: { kind: 'on' as const }, notAfter: millis(9) };
  const place = { signer: signer.key, account, sequence: 5 };
  const bytes = commandSigningBytes(chain, place, command);
  const text = toHex(utf8Encode('ITC1:sign-command'));
  assert.equal(
    toHex(bytes),
    `${text}00${toHex(chain)}01${toHex(signer.key.bytes)}${toHex(account)}0000000000000005${toHex(encodeCommand(command))}`,
  );
  const cosigners = [{ key: keyPair(4).key, signature: new Uint8Array(64) }];
  assert.deepEqual(commandSigningBytes(chain, place, { ...command, cosigners }), bytes);
  const shared = encodeCommand({ ...command, cosigners });
  assert.equal(shared.length, 43 + 2 + 97);
  assert.deepEqual(shared.subarray(1, 43), encodeCommand(command).subarray(1), 'only the version differs');
});

test('WIRE-1.4, WIRE-6.2: acknowledgements have one encoding', () => {
  assertStrict(anyAcknowledgement, { encode: encodeAcknowledgement, decode: decodeAcknowledgement }, 150);
});

test('WIRE-1.4, WIRE-8.1: checkpoints and their certificates have one encoding', () => {
  assertStrict(anyCheckpoint, { encode: encodeCheckpoint, decode: decodeCheckpoint }, 150);
  const encode = (certificate: Parameters<typeof writeCheckpointCertificate>[1]): Uint8Array => {
    const writer = new Writer();
    writeCheckpointCertificate(writer, certificate);
    return writer.finish();
  };
  assertStrict(anyCheckpointCertificate, {
    encode,
    decode: (bytes) => decode(readCheckpointCertificate, bytes),
  });
});

test('WIRE-8.1: a checkpoint names one anchor or more, in ascending order, each once', () => {
  fc.assert(
    fc.property(anyCheckpoint, (checkpoint) => {
      const again = [...checkpoint.anchors, checkpoint.anchors[0] as (typeof checkpoint.anchors)[0]];
      assert.ok(!decodeCheckpoint(encodeCheckpoint({ ...checkpoint, anchors: [] })).ok);
      assert.ok(!decodeCheckpoint(encodeCheckpoint({ ...checkpoint, anchors: again })).ok);
      assert.ok(!decodeCheckpoint(encodeCheckpoint({ ...checkpoint, powBits: 25 })).ok);
    }),
    { numRuns: 20 },
  );
});

test('WIRE-2.3: a genesis whose balances do not add up to the supply, or are out of order, is refused', () => {
  const { genesis } = world({ balances: [{ address: keyPair(7).address, balance: 5n }] });
  const accepts = (changed: Partial<typeof genesis>): boolean =>
    decodeGenesis(encodeGenesis({ ...genesis, ...changed })).ok;
  assert.ok(accepts({}));
  const [first, second] = genesis.accounts;
  assert.ok(first && second);
  assert.ok(!accepts({ accounts: [second, first] }));
  assert.ok(!accepts({ accounts: [first] }));
  assert.ok(
    !accepts({
      accounts: [
        { ...first, balance: SUPPLY },
        { ...second, balance: amount(1n) },
      ],
    }),
  );
  assert.ok(!accepts({ accounts: [first, first, second] }));
  const [subnet] = genesis.subnets;
  assert.ok(subnet);
  assert.ok(!accepts({ subnets: [subnet, subnet] }));
  assert.ok(!accepts({ subnets: [{ ...subnet, powBits: 25 }] }));
});

test('WIRE-2.3: bonds and reserve are part of the supply, and a bond carries its validator’s weight', () => {
  const { genesis } = world({ validatorWeights: [3, 3, 2, 2] });
  const [treasury] = genesis.accounts;
  assert.ok(treasury);
  const accepts = (o: { bond: bigint; perWeight: bigint; reserve: bigint; balance: bigint }): boolean =>
    decodeGenesis(
      encodeGenesis({
        ...genesis,
        accounts: [{ ...treasury, balance: amount(o.balance) }],
        validatorBond: amount(o.bond),
        bondPerWeight: amount(o.perWeight),
        reserve: amount(o.reserve),
      }),
    ).ok;
  const good = { bond: 30n, perWeight: 10n, reserve: 7n, balance: SUPPLY - 4n * 30n - 7n };
  assert.ok(accepts(good));
  assert.ok(!accepts({ ...good, balance: SUPPLY }), 'created out of nothing');
  assert.ok(!accepts({ ...good, reserve: 8n }));
  assert.ok(!accepts({ ...good, bond: 31n }));
  // Otherwise the first election would take weight from those whom genesis chose.
  assert.ok(!accepts({ ...good, perWeight: 11n }));
});

test('WIRE-3.2: the id of a transaction covers its signature', () => {
  const bytes = signedTransaction(world().chain, keyPair(1), { kind: 'register-maker', name: 'x' });
  const other = bytes.with(bytes.length - 1, (bytes[bytes.length - 1] as number) ^ 1);
  assert.notEqual(toHex(transactionId(bytes)), toHex(transactionId(other)));
  assert.equal(toHex(transactionId(bytes)), toHex(hashTagged('transaction', bytes)));
});

test('WIRE-3.3: attack algorithm downgrade: an unknown algorithm, kind or lane is refused', () => {
  const bytes = signedTransaction(world().chain, keyPair(1), { kind: 'register-maker', name: 'x' });
  assert.ok(decodeTransaction(bytes).ok);
  const codeWith = (at: number, byte: number): string => {
    const result = decodeTransaction(bytes.with(at, byte));
    return result.ok ? 'ok' : result.code;
  };
  assert.equal(codeWith(1, 0), 'decode.unknown-kind');
  assert.equal(codeWith(1, 5), 'decode.unknown-kind');
  assert.equal(codeWith(34, 16), 'decode.out-of-range');
  // form 1, key 33, lane 1, nonce 8, fee 8, validUntil 8: the kind is byte 59.
  assert.equal(codeWith(59, 0), 'decode.unknown-kind');
  assert.equal(codeWith(59, 255), 'decode.unknown-kind');
});

test('CRYPTO-2.3 and WIRE-3.5: keys of all schemes, other accounts, sponsors and further signers come back as they were', () => {
  const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
    fc.uint8Array({ minLength: length, maxLength: length });
  const signer = fc.constantFrom(ED25519, P256, ML_DSA_44, WEBAUTHN).chain((algorithm) =>
    fc.record({
      key: bytes(KEY_BYTES[algorithm]).map((key) => ({ algorithm, bytes: key })),
      signature: fc
        .integer({ min: 0, max: SIGNATURE_BYTES_MAX })
        .chain((length) => bytes(FIXED_SIGNATURE_BYTES[algorithm] ?? length)),
    }),
  );
  const shape = fc.record({
    signers: fc.uniqueArray(signer, {
      minLength: 1,
      maxLength: 4,
      comparator: (a, b) => compareKeys(a.key, b.key) === 0,
    }),
    account: fc.option(bytes(32)),
    sponsor: fc.option(bytes(32)),
  });
  fc.assert(
    fc.property(shape, ({ signers: [first, ...rest], account, sponsor }) => {
      assert.ok(first);
      const cosigners = rest.map((one) => ({ ...one })).sort((a, b) => compareKeys(a.key, b.key));
      const tx: Transaction = {
        ...first,
        ...(account !== null && { account: asAddress(account) }),
        lane: 1,
        nonce: 2,
        fee: amount(3n),
        validUntil: height(4),
        ...(sponsor !== null && { sponsor: asHash(sponsor) }),
        ...(cosigners.length > 0 && { shared: true as const, cosigners }),
        body: { kind: 'restart' },
      };
      const encoded = encodeTransaction(tx);
      const decoded = decodeTransaction(encoded);
      assert.deepEqual(decoded, { ok: true, value: tx });
      const signed = transactionSigningBytes(world().chain, tx);
      assert.ok(toHex(signed).endsWith(toHex(encoded.subarray(0, encoded.length - unsignedTail(tx)))));
    }),
    { numRuns: 60 },
  );
});

test('WIRE-3.5: a transaction has one form: no account that needs no naming, signers in order, each once', () => {
  const key = keyPair(1).key;
  const other = keyPair(2).key;
  const third = keyPair(3).key;
  const signature = new Uint8Array(64);
  const plain = { key, lane: 0, nonce: 0, fee: amount(0n), validUntil: height(1), signature } as const;
  const body = { kind: 'restart' } as const;
  const codeOf = (more: Partial<Transaction>): string => {
    const result = decodeTransaction(encodeTransaction({ ...plain, ...more, body }));
    return result.ok ? 'ok' : result.code;
  };
  const cosign = (...keys: readonly PublicKey[]): Partial<Transaction> => ({
    shared: true,
    cosigners: keys.map((cosigner) => ({ key: cosigner, signature })),
  });
  const [low, high] = [other, third].sort(compareKeys) as [PublicKey, PublicKey];
  assert.equal(codeOf({ account: addressOf(other) }), 'ok');
  assert.equal(codeOf({ account: addressOf(key) }), 'decode.not-canonical');
  assert.equal(codeOf(cosign(low, high)), 'ok');
  assert.equal(codeOf(cosign(high, low)), 'decode.not-canonical');
  assert.equal(codeOf(cosign(low, low)), 'decode.not-canonical');
  assert.equal(codeOf(cosign(key)), 'decode.not-canonical');
  assert.equal(codeOf(cosign()), 'decode.out-of-range');
});

test('WIRE-4.2: the transactions root commits their order and number', () => {
  fc.assert(
    fc.property(fc.uniqueArray(anyHash, { minLength: 2, maxLength: 9, selector: toHex }), (ids) => {
      const root = toHex(transactionsRoot(ids));
      assert.notEqual(toHex(transactionsRoot(ids.toReversed())), root);
      assert.notEqual(toHex(transactionsRoot(ids.slice(1))), root);
      assert.notEqual(toHex(merkleRoot(ids)), root);
    }),
  );
});

test('WIRE-4.1: a header with unknown flags is refused', () => {
  const bytes = encodeHeader({ ...(fc.sample(anyHeader, 1)[0] as Header), flags: HEADER_FLAGS.closes });
  assert.ok(decode(readHeader, bytes).ok);
  // Version u16 comes first.
  for (const flags of [2, 3, 128, 255]) assert.ok(!decode(readHeader, bytes.with(2, flags)).ok, `${flags}`);
});

test('WIRE-4.1: neither view nor certificate is in the hash of a header', () => {
  const header = fc.sample(anyHeader, 1)[0] as Header;
  assert.deepEqual(Object.keys(header).sort(), [
    'epoch',
    'flags',
    'height',
    'historyRoot',
    'nextValidatorsHash',
    'parentHash',
    'stateRoot',
    'time',
    'txRoot',
    'validatorsHash',
    'version',
  ]);
  assert.equal(toHex(headerHash(header)), toHex(hashTagged('header', encodeHeader(header))));
});

test('CRYPTO-1.1: every structure has its own tag, and none can pass as a Merkle leaf or node', () => {
  const tags = Object.values(TAGS);
  assert.equal(new Set(tags).size, tags.length);
  for (const tag of tags) assert.match(tag, /^ITC1:[a-z-]+$/);
  const names = Object.keys(TAGS) as (keyof typeof TAGS)[];
  assert.equal(new Set(names.map((name) => toHex(hashTagged(name)))).size, names.length);
});

test('CRYPTO-2.1: every kind of signature has its own domain, none a prefix of another with its end mark', () => {
  const domains = Object.values(SIGNATURE_DOMAINS).map((domain) => `${domain}\0`);
  for (const a of domains) {
    for (const b of domains) assert.ok(a === b || !b.startsWith(a));
    assert.match(a, /^ITC1:sign-/);
  }
  const shared = Object.values<string>(TAGS).filter((tag) =>
    Object.values<string>(SIGNATURE_DOMAINS).includes(tag),
  );
  assert.deepEqual(shared, []);
});

test('CRYPTO-2.2: attack: a vote of one type, chain, epoch, view, height or block never covers another', () => {
  const chain = genesisHash(world().genesis);
  const vote = { chain, epoch: epoch(1), view: view(2), height: height(3), hash: chain };
  const other = hashTagged('genesis', Uint8Array.of(1));
  const variants = [
    voteSigningBytes('commit', vote),
    voteSigningBytes('prepare', vote),
    voteSigningBytes('prePrepare', vote),
    voteSigningBytes('commit', { ...vote, chain: other }),
    voteSigningBytes('commit', { ...vote, epoch: epoch(2) }),
    voteSigningBytes('commit', { ...vote, view: view(3) }),
    voteSigningBytes('commit', { ...vote, height: height(2) }),
    voteSigningBytes('commit', { ...vote, hash: other }),
  ];
  assert.equal(new Set(variants.map(toHex)).size, variants.length);
});

test('CRYPTO-2.2, WIRE-8.2: attack replay on another chain: what is signed names the chain', () => {
  const here = world().chain;
  const there = world({ name: 'elsewhere' }).chain;
  assert.notEqual(toHex(here), toHex(there));
  fc.assert(
    fc.property(anyTransaction, anyCheckpoint, (tx, checkpoint) => {
      assert.ok(!equalBytes(transactionSigningBytes(here, tx), transactionSigningBytes(there, tx)));
      assert.ok(
        !equalBytes(checkpointSigningBytes(here, checkpoint), checkpointSigningBytes(there, checkpoint)),
      );
      const next = { ...checkpoint, sequence: (checkpoint.sequence + 1) % 2 ** 53 };
      assert.ok(!equalBytes(checkpointHash(checkpoint), checkpointHash(next)));
    }),
    { numRuns: 20 },
  );
});

test('WIRE-6.1: a level beyond 254, an action without meaning and a level where none belongs are refused', () => {
  const good = encodeCommand({
    device: keyPair(1).address,
    action: { kind: 'on' },
    notAfter: world().genesis.time,
  });
  const codeWith = (at: number, byte: number): string => {
    const result = decodeCommand(good.with(at, byte));
    return result.ok ? 'ok' : result.code;
  };
  assert.equal(codeWith(0, 3), 'decode.unknown-kind');
  assert.equal(codeWith(0, 2), 'decode.truncated', 'further signers would follow');
  assert.equal(codeWith(33, 6), 'decode.unknown-kind');
  assert.equal(codeWith(34, 255), 'decode.out-of-range');
  assert.equal(codeWith(34, 1), 'decode.not-canonical');
});

test('WIRE-6.1: a colour temperature from 1 000 to 20 000 kelvin', () => {
  const at = (kelvin: number): string => {
    const action = { kind: 'colour-temperature' as const, kelvin };
    const notAfter = world().genesis.time;
    const result = decodeCommand(encodeCommand({ device: keyPair(1).address, action, notAfter }));
    return result.ok ? 'ok' : result.code;
  };
  assert.deepEqual([1_000, 20_000].map(at), ['ok', 'ok']);
  assert.deepEqual([0, 999, 20_001, 0xffff].map(at), Array(4).fill('decode.out-of-range'));
});

test('WIRE-6.2: every refusal has the number that the specification gives it', () => {
  const acknowledgement = { command: hashTagged('payload'), on: true, level: 1, time: world().genesis.time };
  const numbered = [
    'malformed',
    'wrong-device',
    'signature',
    'expired',
    'replayed',
    'not-granted',
    'not-allowed',
    'proof',
    'stale-proof',
    'stolen',
    'retired',
    'off-schedule',
    'used-up',
    'not-begun',
    'below-threshold',
  ];
  assert.deepEqual([...REFUSALS], numbered);
  for (const [i, reason] of REFUSALS.entries()) {
    assert.equal(
      encodeAcknowledgement({ ...acknowledgement, outcome: { kind: 'refused', reason } })[33],
      i + 1,
    );
  }
  const done = encodeAcknowledgement({ ...acknowledgement, outcome: { kind: 'done' } });
  assert.equal(done[33], 0);
  assert.ok(!decodeAcknowledgement(done.with(33, numbered.length + 1)).ok);
});
