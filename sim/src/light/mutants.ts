/**
 * The production reader with one of its rules taken out, by text: the light engine has no places to put another rule, because a chip
 * has no use for them.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import type { LightReader } from '@itc/core/light/light-reader.js';
import { nativeSha256 } from '@itc/core/testing/keys.js';
import type { MakeReader } from './watch.ts';

export interface LightMutation {
  /** File of the engine, what stands there, and what is put in its place. */
  readonly changes: readonly (readonly [file: string, from: string, to: string])[];
  /** Everybody hashes leaves as nodes. */
  readonly undivided?: true;
}

const ENGINE = /[\\/]light[\\/]engine[\\/]([\w-]+)\.js$/;

/** Throws when a place is gone: the mutation is to be put where the rule has moved to. */
export async function mutantReader({ changes }: LightMutation): Promise<MakeReader> {
  const left = new Set(changes);
  const plugin: Plugin = {
    name: 'mutation',
    setup(bundling) {
      bundling.onLoad({ filter: ENGINE }, async ({ path }) => {
        const file = ENGINE.exec(path)?.[1];
        let contents = await readFile(path, 'utf8');
        for (const change of changes) {
          const [of, from, to] = change;
          if (of !== file || contents.split(from).length !== 2) continue;
          contents = contents.replace(from, () => to);
          left.delete(change);
        }
        return { contents, loader: 'js' };
      });
    },
  };
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(import.meta.resolve('@itc/core/light/light-reader.js'))],
    bundle: true,
    write: false,
    format: 'esm',
    plugins: [plugin],
  });
  for (const [file, from] of left) throw new Error(`the place of a mutation is gone from ${file}: ${from}`);
  const source = Buffer.from(outputFiles[0]?.contents ?? []).toString('base64');
  const mutant = (await import(`data:text/javascript;base64,${source}`)) as {
    LightReader: typeof LightReader;
  };
  return (options) => new mutant.LightReader(options);
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
      ['sets', 'return signed >= total - Math.floor((total - 1) / 3);', 'return signed * 3 >= total * 2;'],
    ],
  },
  'light-no-quorum': {
    what: 'how much weight has signed is not asked (LIGHT-1.3)',
    changes: [['believe', 'isQuorum(m, set) ? signers : BAD_CERTIFICATE_WEIGHT', 'signers']],
  },
  'light-known-at-threshold': {
    what: 'exactly two thirds of the trusted weight vouch for a set (LIGHT-9.6)',
    changes: [['sets', 'signed * 3 > total * thirds', 'signed * 3 >= total * thirds']],
  },
  'light-signer-twice': {
    what: 'a member may stand in a set twice, and counts as often (LIGHT-1.4)',
    changes: [
      ['sets', 'FIELD, KEY_BYTES) >= 0', 'FIELD, KEY_BYTES) > 0'],
      ['sets', 'if (difference === 0)\n', 'if (difference > 0)\n'],
    ],
  },
  'light-hop-unvouched': {
    what: 'nobody that is trusted need vouch for the set of a later epoch (LIGHT-7.4)',
    changes: [['believe', '!isKnown(m, isWithinTrustingPeriod(m) ? 1 : 2)', 'false']],
  },
  'light-any-first-set': {
    what: 'any set passes for the one that is trusted (LIGHT-9.1)',
    changes: [['machine', '!isEqual(m, NODE, TRUST_SET, HASH_BYTES)', 'false']],
  },
  'light-views-mixed': {
    what: 'votes of different views make one certificate (LIGHT-1.2)',
    changes: [
      [
        'machine',
        '!hostVerify(m, key, MESSAGE, VOTE_BYTES, FIELD)',
        '![0, 1, 2, 3, 4, 5, 6, 7].some((v) => { m.bytes[MESSAGE + 60] = v; return hostVerify(m, key, MESSAGE, VOTE_BYTES, FIELD); })',
      ],
    ],
  },
  'light-unsigned': {
    what: 'signatures are not verified (LIGHT-1.5)',
    changes: [['machine', '!hostVerify(m, key, MESSAGE, VOTE_BYTES, FIELD)', 'false']],
  },
  'light-goes-back': {
    what: 'an older header is believed again (LIGHT-4.2)',
    changes: [['believe', 'if (height < last)', 'if (false)']],
  },
  'light-history-unheld': {
    what: 'an earlier header need not be in the history of the newest (LIGHT-9.4)',
    changes: [
      ['items', 'if (isEqual(m, DIGEST, isHistory ?', 'if (isHistory || isEqual(m, DIGEST, isHistory ?'],
    ],
  },
  'light-leaf-as-node': {
    what: 'leaves are hashed as nodes, by everybody (CRYPTO-7)',
    changes: [['paths', 'const LEAF = 0;', 'const LEAF = 1;']],
    undivided: true,
  },
  'light-absent-though-there': {
    what: 'the record itself passes for another one in its place (LIGHT-9.4)',
    changes: [['items', 'if (isEqual(m, OTHER_KEY, KEY_HASH, HASH_BYTES))', 'if (false)']],
  },
};
