/** What each kind of body has: its one canonical encoding (spec WIRE-3). The kind's code is not part of it. */
import type { Reader } from '../../bytes/reader.ts';
import type { Writer } from '../../bytes/writer.ts';

export interface BodyCodec<B> {
  readonly write: (writer: Writer, body: B) => void;
  /** Strict: what it accepts is written to the same bytes again. */
  readonly read: (reader: Reader) => B;
}

/** Codecs of a group of kinds, by kind. */
export type BodyCodecs<B extends { readonly kind: string }> = {
  readonly [K in B['kind']]: BodyCodec<Extract<B, { readonly kind: K }>>;
};
