/** What a device sent: by the MQTT 5 content type where it is given, else by the first byte (spec EDGE-3). */
export type UpFormat = 'senml+json' | 'senml+cbor' | 'cose' | 'upload';

const BY_CONTENT_TYPE: Readonly<Record<string, UpFormat>> = {
  'application/senml+json': 'senml+json',
  'application/senml+cbor': 'senml+cbor',
  'application/cose': 'cose',
  'application/vnd.itc.upload': 'upload',
};

/** Undefined: a content type is given and is none of ours. */
export function detectFormat(bytes: Uint8Array, contentType?: string): UpFormat | undefined {
  if (contentType !== undefined && contentType !== '') {
    const media = (contentType.split(';')[0] as string).trim().toLowerCase();
    return Object.hasOwn(BY_CONTENT_TYPE, media) ? BY_CONTENT_TYPE[media] : undefined;
  }
  switch (bytes[0]) {
    case 0x01: // Version of an upload frame; in CBOR a number, which no pack is.
      return 'upload';
    case 0xd2: // Tag 18: COSE_Sign1.
      return 'cose';
    case 0x5b: // "["
    case 0x20: // White space before it.
    case 0x09:
    case 0x0a:
    case 0x0d:
      return 'senml+json';
    case 0x84:
      // An array of four is a COSE_Sign1 without its tag, or a pack of four records: the next item tells.
      return ((bytes[1] ?? 0) & 0xe0) === 0x40 ? 'cose' : 'senml+cbor';
    case undefined:
    default:
      return 'senml+cbor';
  }
}
