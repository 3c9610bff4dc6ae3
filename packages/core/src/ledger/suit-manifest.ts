/**
 * A manifest for firmware of one image: a profile of draft-ietf-suit-manifest-34 (CBOR, integer keys), with the information of RFC 9124
 * that a device needs before it takes a byte of the image. Its hash is what a release names; the release role signs on the ledger.
 */
import { encodeCbor, type Cbor } from '../bytes/cbor.ts';
import { hashTagged, sha256, type Hash } from '../crypto/hash.ts';
import type { Address } from './address.ts';

export interface ManifestParts {
  /** Security counter of the release. */
  readonly sequence: number;
  readonly maker: Address;
  /** Thing Model and board: what the image is for. */
  readonly model: Hash;
  readonly board: string;
  readonly image: Hash;
  readonly size: number;
}

/** Keys of the manifest, of its common part, of parameters, and codes of commands, as the draft has them. */
const MANIFEST = { version: 1, sequence: 2, common: 3, validate: 7, invoke: 9 } as const;
const COMMON = { components: 2, sharedSequence: 4 } as const;
const PARAMETER = { vendor: 1, class: 2, digest: 3, size: 14 } as const;
const COMMAND = { vendor: 1, class: 2, imageMatch: 3, overrideParameters: 20, invoke: 23 } as const;
/** Report every result. */
const REPORT_ALL = 15;
/** SHA-256 in COSE (RFC 9054). */
const SHA_256 = -16;

export function encodeManifest(parts: ManifestParts): Uint8Array {
  const { sequence, maker, model, board, image, size } = parts;
  // UUIDs are sixteen bytes: the first of the hashes that name maker and product.
  const vendorId = maker.slice(0, 16);
  const classId = hashTagged('firmwareChannel', maker, model, encodeCbor(board)).slice(0, 16);
  const digest = encodeCbor([SHA_256, image]);
  const shared: Cbor = [
    COMMAND.overrideParameters,
    map([
      [PARAMETER.vendor, vendorId],
      [PARAMETER.class, classId],
      [PARAMETER.digest, digest],
      [PARAMETER.size, size],
    ]),
    COMMAND.vendor,
    REPORT_ALL,
    COMMAND.class,
    REPORT_ALL,
  ];
  const common = map([
    [COMMON.components, [[Uint8Array.of(0)]]],
    [COMMON.sharedSequence, encodeCbor(shared)],
  ]);
  return encodeCbor(
    map([
      [MANIFEST.version, 1],
      [MANIFEST.sequence, sequence],
      [MANIFEST.common, encodeCbor(common)],
      [MANIFEST.validate, encodeCbor([COMMAND.imageMatch, REPORT_ALL])],
      [MANIFEST.invoke, encodeCbor([COMMAND.invoke, REPORT_ALL])],
    ]),
  );
}

/** What a release names (`ReleaseForm.manifest`): plain SHA-256, as a boot loader computes it. */
export function manifestHash(manifest: Uint8Array): Hash {
  return sha256(manifest);
}

function map(entries: [Cbor, Cbor][]): Cbor {
  return { kind: 'map', entries };
}
