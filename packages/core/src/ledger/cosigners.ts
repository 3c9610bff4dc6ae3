/** Further signers of what the keys of one account sign together (spec STATE-15.3, WIRE-6.3): their keys and signatures. */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import {
  compareKeys,
  readAccountKey,
  readSignature,
  signatureLength,
  writePublicKey,
  writeSignature,
  type PublicKey,
} from '../crypto/signature.ts';
import { LIMITS } from './limits.ts';

export interface Cosigner {
  readonly key: PublicKey;
  readonly signature: Uint8Array;
}

const COUNT_BYTES = 2;

/** [ algorithm u8 ‖ key ‖ signature ] (u16 count). */
export function writeCosigners(writer: Writer, cosigners: readonly Cosigner[]): void {
  writer.list(cosigners, (w, { key, signature }) => {
    writePublicKey(w, key);
    writeSignature(w, key.algorithm, signature);
  });
}

/** Bytes that `writeCosigners` writes. */
export function cosignersLength(cosigners: readonly Cosigner[]): number {
  return cosigners.reduce(
    (sum, { key, signature }) => sum + 1 + key.bytes.length + signatureLength(key.algorithm, signature),
    COUNT_BYTES,
  );
}

/** 1 to `signersMax` − 1, ascending by key, none of them the `first` signer where that is known. */
export function readCosigners(reader: Reader, first: PublicKey | undefined): readonly Cosigner[] {
  const cosigners = reader.list(LIMITS.signersMax - 1, (r) => {
    const key = readAccountKey(r, true);
    return { key, signature: readSignature(r, key.algorithm) };
  });
  if (cosigners.length === 0) reader.refuse('decode.out-of-range', 'expected at least one further signer');
  for (const [i, { key }] of cosigners.entries()) {
    const before = cosigners[i - 1];
    if (before !== undefined && compareKeys(before.key, key) >= 0)
      reader.refuse('decode.not-canonical', 'expected further signers ascending by key');
    if (first !== undefined && compareKeys(first, key) === 0)
      reader.refuse('decode.not-canonical', 'the first signer signs once');
  }
  return cosigners;
}
