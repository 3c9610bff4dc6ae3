/** The production reader of light streams with one of its rules taken out. */
import type { LightReader } from '@itc/core/light/light-reader.js';
import { nativeSha256 } from '@itc/core/testing/keys.js';
import { mutatedModule, type TextChange } from '../mutated-module.ts';
import type { MakeReader } from './watch.ts';

export interface LightMutation {
  readonly changes: readonly TextChange[];
  /** Everybody hashes leaves as nodes. */
  readonly undivided?: true;
}

export async function mutantReader({ changes }: LightMutation): Promise<MakeReader> {
  const mutant = await mutatedModule('@itc/core/light/light-reader.js', changes);
  const { LightReader: Mutant } = mutant as { readonly LightReader: typeof LightReader };
  return (options) => new Mutant(options);
}

/** Leaves and nodes of all trees begin with the same byte. */
export function undividedSha256(bytes: Uint8Array): Uint8Array {
  const isLeaf = bytes[0] === 0 && (bytes.length === 33 || bytes.length === 65);
  return nativeSha256(isLeaf ? bytes.with(0, 1) : bytes);
}

export const LIGHT_MUTATIONS: Readonly<Record<string, LightMutation & { readonly what: string }>> = {
  'light-quorum-two-thirds': {
    what: 'exactly two thirds of a set certify a header (LIGHT-1.3)',
    changes: [
      [
        'light/engine/sets',
        'return signed >= total - Math.floor((total - 1) / 3);',
        'return signed * 3 >= total * 2;',
      ],
    ],
  },
  'light-no-quorum': {
    what: 'how much weight has signed is not asked (LIGHT-1.3)',
    changes: [['light/engine/believe', 'isQuorum(m, set) ? signers : BAD_CERTIFICATE_WEIGHT', 'signers']],
  },
  'light-known-at-threshold': {
    what: 'exactly two thirds of the trusted weight vouch for a set (LIGHT-9.6)',
    changes: [['light/engine/sets', 'signed * 3 > total * thirds', 'signed * 3 >= total * thirds']],
  },
  'light-signer-twice': {
    what: 'a member may stand in a set twice, and counts as often (LIGHT-1.4)',
    changes: [
      ['light/engine/sets', 'FIELD, KEY_BYTES) >= 0', 'FIELD, KEY_BYTES) > 0'],
      ['light/engine/sets', 'if (difference === 0)\n', 'if (difference > 0)\n'],
    ],
  },
  'light-hop-unvouched': {
    what: 'nobody that is trusted need vouch for the set of a later epoch (LIGHT-7.4)',
    changes: [['light/engine/believe', '!isKnown(m, isWithinTrustingPeriod(m) ? 1 : 2)', 'false']],
  },
  'light-any-first-set': {
    what: 'any set passes for the one that is trusted (LIGHT-9.1)',
    changes: [['light/engine/machine', '!isEqual(m, NODE, TRUST_SET, HASH_BYTES)', 'false']],
  },
  'light-views-mixed': {
    what: 'votes of different views make one certificate (LIGHT-1.2)',
    changes: [
      [
        'light/engine/machine',
        '!hostVerify(m, key, MESSAGE, VOTE_BYTES, FIELD)',
        '![0, 1, 2, 3, 4, 5, 6, 7].some((v) => { m.bytes[MESSAGE + 60] = v; return hostVerify(m, key, MESSAGE, VOTE_BYTES, FIELD); })',
      ],
    ],
  },
  'light-unsigned': {
    what: 'signatures are not verified (LIGHT-1.5)',
    changes: [['light/engine/machine', '!hostVerify(m, key, MESSAGE, VOTE_BYTES, FIELD)', 'false']],
  },
  'light-goes-back': {
    what: 'an older header is believed again (LIGHT-4.2)',
    changes: [['light/engine/believe', 'if (height < last)', 'if (false)']],
  },
  'light-history-unheld': {
    what: 'an earlier header need not be in the history of the newest (LIGHT-9.4)',
    changes: [
      [
        'light/engine/items',
        'if (isEqual(m, DIGEST, isHistory ?',
        'if (isHistory || isEqual(m, DIGEST, isHistory ?',
      ],
    ],
  },
  'light-leaf-as-node': {
    what: 'leaves are hashed as nodes, by everybody (CRYPTO-7)',
    changes: [['light/engine/paths', 'const LEAF = 0;', 'const LEAF = 1;']],
    undivided: true,
  },
  'light-absent-though-there': {
    what: 'the record itself passes for another one in its place (LIGHT-9.4)',
    changes: [['light/engine/items', 'if (isEqual(m, OTHER_KEY, KEY_HASH, HASH_BYTES))', 'if (false)']],
  },
};
