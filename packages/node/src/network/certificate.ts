/**
 * A self-signed certificate for one run of one process. TLS asks for one; it proves nothing here: who a peer is
 * follows from its HELLO, which is bound to the connection. Written out in DER (X.690, RFC 5280, RFC 8410)
 * because the whole of it is forty lines, and a library for it takes longer to import than to write.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export interface TlsIdentity {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

/** Ed25519: 1.3.101.112, without parameters. */
const ED25519_ALGORITHM = Buffer.from('300506032b6570', 'hex');
/** Name with the single attribute CN=itc. */
const NAME = sequence(set(sequence(Buffer.from('0603550403', 'hex'), tagged(0x0c, Buffer.from('itc')))));

export function selfSignedIdentity(): TlsIdentity {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const serial = randomBytes(8);
  // Positive and without a leading zero byte, as DER integers are.
  serial[0] = ((serial[0] as number) & 0x3f) | 0x40;
  const body = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))), // version 3
    tagged(0x02, serial),
    ED25519_ALGORITHM,
    NAME,
    // Nobody checks the dates: clocks of peers may be wrong. 99991231235959Z is RFC 5280's "no end".
    sequence(tagged(0x17, Buffer.from('200101000000Z')), tagged(0x18, Buffer.from('99991231235959Z'))),
    NAME,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = tagged(0x03, Buffer.concat([Buffer.from([0]), sign(null, body, privateKey)]));
  return {
    cert: pem('CERTIFICATE', sequence(body, ED25519_ALGORITHM, signature)),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

function tagged(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const contents = Buffer.concat(parts);
  const { length } = contents;
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), contents]);
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x30, ...parts);
}

function set(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x31, ...parts);
}

function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
