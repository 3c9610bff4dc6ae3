import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeCbor, encodeCbor, type Cbor } from '../bytes/cbor.ts';
import { concatBytes, equalBytes, fromHex, toHex } from '../bytes/hex.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { verifySignature } from '../crypto/ed25519.ts';
import { hashTagged } from '../crypto/hash.ts';
import { ED25519, SIGNATURE_BYTES_MAX } from '../crypto/signature.ts';
import { verifySignature as verifyAny } from '../crypto/verify.ts';
import { anyAddress, anySignature } from '../testing/arbitraries.ts';
import { signedPayload, world } from '../testing/chain.ts';
import { installNativeSha256, keyPair, verifyQuickly } from '../testing/keys.ts';
import { schemeKeyPair } from '../testing/schemes.ts';
import { unlessVectors, vectorJson } from '../testing/vectors.ts';
import { LIMITS } from './limits.ts';
import {
  encodePayload,
  isAttested,
  laneKey,
  parsePayload,
  payloadAccount,
  payloadId,
  payloadSigningBytes,
  sigStructure,
  type ContentType,
  type UnsignedPayload,
} from './payload.ts';

installNativeSha256();

const { chain } = world();
const device = keyPair(40);
const gateway = keyPair(41);

const anyUnsigned: fc.Arbitrary<UnsignedPayload> = fc
  .tuple(
    fc.constantFrom<ContentType>('senml+json', 'senml+cbor', 'command', 'ack'),
    fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    fc.uint8Array({ maxLength: 60 }),
    anyAddress,
    fc.boolean(),
  )
  .map(([contentType, sequence, content, other, forOther]) => {
    const named = contentType === 'command' || (contentType !== 'ack' && forOther);
    return {
      signer: device.key,
      device: named ? other : device.address,
      sequence,
      contentType,
      content: new Uint8Array(content),
    };
  });

/** A COSE_Sign1 put together freely. */
function sign1(o: {
  readonly header?: readonly (readonly [Cbor, Cbor])[];
  readonly parts?: readonly Cbor[];
  readonly tag?: number | undefined;
}): Uint8Array {
  const header = o.header ?? [
    [1, -8],
    [3, 112],
    [4, device.key.bytes],
    [-70001, 5],
  ];
  const array = o.parts ?? [
    encodeCbor({ kind: 'map', entries: header }),
    { kind: 'map', entries: [] },
    Uint8Array.of(1),
    new Uint8Array(64),
  ];
  return encodeCbor(o.tag === undefined ? array : { kind: 'tag', tag: o.tag, value: array });
}

const parses = (bytes: Uint8Array): boolean => parsePayload(chain, bytes).ok;

test('WIRE-5.1: what was encoded parses to the same fields, and its signature covers the Sig_structure', () => {
  fc.assert(
    fc.property(anyUnsigned, (unsigned) => {
      const signature = device.sign(payloadSigningBytes(chain, unsigned));
      const bytes = encodePayload(unsigned, signature);
      const parsed = parsePayload(chain, bytes);
      assert.ok(parsed.ok, parsed.ok ? '' : parsed.message);
      const { value } = parsed;
      assert.deepEqual(
        { ...unsigned, signature },
        {
          signer: value.signer,
          device: value.device,
          sequence: value.sequence,
          contentType: value.contentType,
          content: value.content,
          signature: value.signature,
        },
      );
      assert.ok(equalBytes(value.signedBytes, payloadSigningBytes(chain, unsigned)));
      assert.ok(verifyQuickly(value.signer, value.signedBytes, value.signature));
    }),
    { numRuns: 100 },
  );
});

test('WIRE-5.1: a payload is tagged 18 or untagged, under no other tag', () => {
  assert.ok(parses(sign1({})));
  assert.ok(parses(sign1({ tag: 18 })));
  assert.ok(!parses(sign1({ tag: 17 })));
  assert.ok(!parses(sign1({ tag: 98 })));
});

test('WIRE-5.2: what is not a COSE_Sign1 of the known form is refused', () => {
  const header = encodeCbor({
    kind: 'map',
    entries: [
      [1, -8],
      [3, 112],
      [4, device.key.bytes],
      [-70001, 5],
    ],
  });
  const empty: Cbor = { kind: 'map', entries: [] };
  const content = Uint8Array.of(1);
  const signature = new Uint8Array(64);
  const wrong: Uint8Array[] = [
    sign1({ parts: [header, empty, content] }),
    sign1({ parts: [header, empty, content, signature, 0] }),
    sign1({ parts: ['x', empty, content, signature] }),
    sign1({ parts: [header, { kind: 'map', entries: [[4, content]] }, content, signature] }),
    sign1({ parts: [header, [], content, signature] }),
    sign1({ parts: [header, empty, 'text', signature] }),
    sign1({ parts: [header, empty, content, new Uint8Array(63)] }),
    sign1({ parts: [new Uint8Array(0), empty, content, signature] }),
    sign1({ parts: [encodeCbor([]), empty, content, signature] }),
    encodeCbor('not an array'),
    new Uint8Array(0),
  ];
  for (const bytes of wrong) assert.ok(!parses(bytes), toHex(bytes));
});

test('WIRE-5.3: each protected label must be there, of its type, and no other', () => {
  const good: [Cbor, Cbor][] = [
    [1, -8],
    [3, 112],
    [4, device.key.bytes],
    [-70001, 5],
  ];
  assert.ok(parses(sign1({ header: good })));
  for (let i = 0; i < good.length; i += 1)
    assert.ok(!parses(sign1({ header: good.toSpliced(i, 1) })), `without ${i}`);
  const withLabel = (label: Cbor, value: Cbor): boolean =>
    parses(sign1({ header: [...good.filter(([key]) => key !== label), [label, value]] }));
  assert.ok(withLabel(3, 110));
  assert.ok(withLabel(3, 'application/vnd.itc.ack'));
  assert.ok(withLabel(-70001, Number.MAX_SAFE_INTEGER));
  assert.ok(withLabel(-70002, gateway.address));
  const refusedOnes: [Cbor, Cbor][] = [
    [1, -7],
    [1, -19],
    [3, 111],
    [3, 'application/json'],
    [4, new Uint8Array(31)],
    [4, 'kid'],
    [-70001, 0],
    [-70001, -1],
    [-70001, 'one'],
    [-70002, new Uint8Array(31)],
    [-70002, device.address],
    [2, [4]],
    [5, Uint8Array.of(1)],
    ['extra', 1],
  ];
  for (const [label, value] of refusedOnes)
    assert.ok(!withLabel(label, value), toHex(encodeCbor([label, value])));
});

test('WIRE-5.3: a command names its device, an acknowledgement does not', () => {
  const command = 'application/vnd.itc.command';
  const header = (type: Cbor, named: boolean): [Cbor, Cbor][] => [
    [1, -8],
    [3, type],
    [4, device.key.bytes],
    [-70001, 5],
    ...(named ? [[-70002, gateway.address] as [Cbor, Cbor]] : []),
  ];
  assert.ok(parses(sign1({ header: header(command, true) })));
  assert.ok(!parses(sign1({ header: header(command, false) })));
  assert.ok(parses(sign1({ header: header('application/vnd.itc.ack', false) })));
  assert.ok(!parses(sign1({ header: header('application/vnd.itc.ack', true) })));
});

test('WIRE-5.4: attack: the id cannot be changed by anybody but the signer', () => {
  const payload = signedPayload(chain, device, { content: Uint8Array.of(1, 2, 3) });
  assert.equal(toHex(payload.id), toHex(hashTagged('payload', device.key.bytes, payload.signedBytes)));
  // Another signature and another wrapping leave the id as it is.
  const untagged = parsePayload(chain, payload.bytes.slice(1));
  const resigned = parsePayload(chain, concatBytes(payload.bytes.slice(0, -1), Uint8Array.of(0)));
  for (const same of [untagged, resigned]) {
    assert.ok(same.ok);
    assert.equal(toHex(same.value.id), toHex(payload.id));
  }
  // Every other byte belongs to it: it is refused, or another payload.
  for (let at = 0; at < payload.bytes.length - 64; at += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      const changed = parsePayload(chain, payload.bytes.with(at, (payload.bytes[at] as number) ^ (1 << bit)));
      if (changed.ok) assert.notEqual(toHex(changed.value.id), toHex(payload.id), `byte ${at}`);
    }
  }
});

test('WIRE-5.4: attack replay on another chain: the signature does not hold there, and the id differs', () => {
  const payload = signedPayload(chain, device);
  const elsewhere = parsePayload(world({ name: 'elsewhere' }).chain, payload.bytes);
  assert.ok(elsewhere.ok);
  assert.ok(verifySignature(payload.signer, payload.signedBytes, payload.signature));
  assert.ok(!verifySignature(elsewhere.value.signer, elsewhere.value.signedBytes, elsewhere.value.signature));
  assert.notEqual(toHex(elsewhere.value.id), toHex(payload.id));
});

test('WIRE-5.5: readings signed by another than the device are attested, nothing else is', () => {
  assert.ok(!isAttested(signedPayload(chain, device)));
  assert.ok(isAttested(signedPayload(chain, gateway, { device: device.address })));
  assert.ok(isAttested(signedPayload(chain, gateway, { device: device.address, contentType: 'senml+json' })));
  assert.ok(!isAttested(signedPayload(chain, gateway, { device: device.address, contentType: 'command' })));
  assert.ok(!isAttested(signedPayload(chain, device, { contentType: 'ack' })));
});

test('WIRE-5.6: a lane is one signer and one device', () => {
  const keys = [
    laneKey({ signer: device.key, device: device.address }),
    laneKey({ signer: gateway.key, device: device.address }),
    laneKey({ signer: gateway.key, device: gateway.address }),
  ];
  assert.equal(new Set(keys.map(toHex)).size, 3);
});

test('WIRE-5.7: a payload above its size limit is refused before it is parsed', () => {
  const large = parsePayload(chain, new Uint8Array(LIMITS.payloadBytesMax + 1));
  assert.ok(!large.ok);
  assert.equal(large.code, 'payload.too-large');
  const fits = parsePayload(chain, new Uint8Array(LIMITS.payloadBytesMax));
  assert.ok(!fits.ok);
  assert.equal(fits.code, 'payload.malformed');
});

test('WIRE-5.8: what was parsed does not change when the input buffer is used again', () => {
  const { bytes, content } = signedPayload(chain, device, { content: Uint8Array.of(7, 7) });
  const buffer = Buffer.from(bytes);
  const parsed = parsePayload(chain, buffer);
  assert.ok(parsed.ok);
  buffer.fill(0);
  assert.deepEqual(parsed.value.content, content);
  assert.ok(equalBytes(parsed.value.bytes, bytes));
});

test('WIRE-5.2: random bytes never throw', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 80 }),
      anySignature,
      (bytes, tail) => void parsePayload(chain, concatBytes(bytes, tail)),
    ),
  );
});

interface CoseVector {
  readonly input: {
    readonly plaintext: string;
    readonly sign0: {
      readonly key: { readonly x_hex: string; readonly crv: string };
      readonly external?: string;
    };
  };
  readonly intermediates: { readonly ToBeSign_hex: string };
  readonly output: { readonly cbor: string };
}

function hex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (!bytes.ok) throw new Error(bytes.message);
  return bytes.value;
}

test(
  'WIRE-5.1: the EdDSA examples of the COSE working group: same Sig_structure, signature holds',
  { skip: unlessVectors('cose/eddsa-examples') },
  () => {
    // The one example that is COSE_Sign1 with Ed25519; the others use Ed448 or COSE_Sign.
    const vector = vectorJson('cose/eddsa-examples/eddsa-sig-01.json') as CoseVector;
    const decoded = decodeCbor(hex(vector.output.cbor));
    assert.ok(decoded.ok);
    const { value } = decoded.value as { readonly value: readonly Cbor[] };
    const [header, , content, signature] = value as [Uint8Array, Cbor, Uint8Array, Uint8Array];
    assert.ok(equalBytes(content, utf8Encode(vector.input.plaintext)));
    const structure = sigStructure(header, new Uint8Array(0), content);
    assert.equal(toHex(structure), vector.intermediates.ToBeSign_hex.toLowerCase());
    const key = { algorithm: ED25519, bytes: hex(vector.input.sign0.key.x_hex) };
    assert.ok(verifySignature(key, structure, signature));
    assert.ok(!verifySignature(key, sigStructure(header, Uint8Array.of(1), content), signature));
  },
);

test('WIRE-5.3: a command is signed with a key of any scheme, and names the account where that has other keys; nothing else is', () => {
  const account = keyPair(47).address;
  for (const algorithm of [1, 2, 3, 4] as const) {
    const signer = schemeKeyPair(algorithm, 1);
    for (const named of [undefined, account]) {
      const unsigned: UnsignedPayload = {
        signer: signer.key,
        ...(named && { account: named }),
        device: device.address,
        sequence: 7,
        contentType: 'command',
        content: Uint8Array.of(1),
      };
      const signed = payloadSigningBytes(chain, unsigned);
      const bytes = encodePayload(unsigned, signer.sign(signed));
      const parsed = parsePayload(chain, bytes);
      assert.ok(parsed.ok, parsed.ok ? '' : parsed.message);
      const { value } = parsed;
      assert.deepEqual([value.signer, value.account], [signer.key, named]);
      assert.deepEqual(payloadAccount(value), named ?? signer.address);
      assert.deepEqual(encodePayload(value, value.signature), bytes);
      assert.deepEqual(value.id, payloadId(signer.key, signed));
      assert.ok(verifyAny(value.signer, value.signedBytes, value.signature));
      const reading = { ...unsigned, device: signer.address, contentType: 'senml+cbor' as const };
      const isPlain = algorithm === 1 && named === undefined;
      assert.equal(parses(encodePayload(reading, signer.sign(payloadSigningBytes(chain, reading)))), isPlain);
      assert.ok(bytes.length <= 4096, 'a chip has room for it');
    }
  }
});

test('WIRE-5.3: a key or signature of another length than its algorithm has, and an account that is the key’s own, are refused', () => {
  const signer = schemeKeyPair(2, 1);
  const header = (entries: readonly (readonly [Cbor, Cbor])[], signature = new Uint8Array(64)): boolean =>
    parses(
      sign1({
        parts: [
          encodeCbor({ kind: 'map', entries }),
          { kind: 'map', entries: [] },
          Uint8Array.of(1),
          signature,
        ],
      }),
    );
  const known: readonly (readonly [Cbor, Cbor])[] = [
    [1, -7],
    [3, 'application/vnd.itc.command'],
    [4, signer.key.bytes],
    [-70001, 5],
    [-70002, device.address],
  ];
  assert.ok(header(known));
  const changed = (label: number, value: Cbor): (readonly [Cbor, Cbor])[] =>
    known.map(([key, old]) => [key, key === label ? value : old]);
  assert.ok(!header(changed(1, -8)));
  assert.ok(!header(changed(1, -9)));
  assert.ok(!header(changed(4, device.key.bytes)));
  assert.ok(!header(known, new Uint8Array(65)));
  assert.ok(!header([...known, [-70003, signer.address]]));
  assert.ok(!header([...known, [-70003, new Uint8Array(31)]]));
  assert.ok(header([...known, [-70003, device.address]]));
  const passkey = schemeKeyPair(4, 1).key.bytes;
  const asserted = changed(1, -70004).map(([key, old]) => [key, key === 4 ? passkey : old] as const);
  assert.ok(header(asserted, new Uint8Array(SIGNATURE_BYTES_MAX)));
  assert.ok(!header(asserted, new Uint8Array(SIGNATURE_BYTES_MAX + 1)));
});
