/** A gateway that shows a made chain to light clients, honestly or not: for tests. */
import { toHex } from '@itc/core/bytes/hex.js';
import { MmrLog } from '@itc/core/crypto/mmr.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { headerHash } from '@itc/core/ledger/block.js';
import { encodeGenesis } from '@itc/core/ledger/genesis.js';
import { height, millis } from '@itc/core/ledger/ids.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { encodeReadingProof, proveReading } from '@itc/core/light/reading-proof.js';
import { encodeLightStream, freshnessSigningBytes, type LightItem } from '@itc/core/light/stream.js';
import {
  signedCheckpoint,
  signedPayload,
  signedTransaction,
  type CertifiedBlock,
} from '@itc/core/testing/chain.js';
import { keyPair } from '@itc/core/testing/keys.js';
import { streamFrom, streamWorld, type StreamWorld } from '@itc/core/testing/light-streams.js';
import type { Group } from '@itc/core/testing/chain.js';
import { toBase64Url } from '../base64url.ts';
import type { Fetch, FetchResponse } from '../http.ts';

export interface LightScene extends StreamWorld {
  /** Final in the block below the tip. */
  readonly payload: Payload;
  readonly readingProof: Uint8Array;
}

/** The items of `streamWorld`, and above them a block with a checkpoint and an empty one, which is the tip. */
export function lightScene(
  later: readonly Group[] = [],
  content: string | Uint8Array = '[{"n":"t","v":21.5}]',
): LightScene {
  const of = streamWorld(later);
  const { home, chain } = of;
  const device = keyPair(50);
  const payloads = [11, 12, 13].map((sequence) =>
    signedPayload(home.chain, device, {
      sequence,
      contentType: typeof content === 'string' ? 'senml+json' : 'senml+cbor',
      content: typeof content === 'string' ? new TextEncoder().encode(content) : content,
    }),
  );
  const ids = payloads.map(({ id }) => id);
  const certificate = signedCheckpoint(home, ids);
  const { stateRoot } = of.tip.block.header;
  const checkpoint = signedTransaction(home.chain, keyPair(51), { kind: 'checkpoint', certificate });
  const holding = chain.append([checkpoint], { stateRoot });
  const tip = chain.append([], { stateRoot });
  const payload = payloads[1] as Payload;
  const proof = proveReading({
    genesis: encodeGenesis(home.genesis),
    hops: chain.hopsTo(holding),
    ...holding,
    transactionIndex: 0,
    payloadIds: ids,
    payloadIndex: 1,
    payload: payload.bytes,
  });
  return { ...of, tip, payload, readingProof: encodeReadingProof(proof) };
}

export interface FakeGateway {
  readonly scene: LightScene;
  /** What it says is the newest block; the tip when left out. */
  newest?: CertifiedBlock;
  /** Whoever trusts an earlier epoch is led here, and no further in one answer. */
  stopsAt?: CertifiedBlock;
  /** Items it leaves out although they were asked for. */
  omits?: boolean;
  isGone?: boolean;
  /** Has its way with each answer. */
  spoil?: (bytes: Uint8Array) => Uint8Array;
  /** The readings of a batch it shows. */
  batch?: readonly Uint8Array[];
  /** A proof it shows instead. */
  readingProof?: Uint8Array;
  /** Requests it got. */
  readonly asked: string[];
  /** Evidence it was told, hex. */
  readonly told: string[];
}

export function fakeGateway(
  scene: LightScene,
  o: Partial<Omit<FakeGateway, 'scene' | 'asked' | 'told'>> = {},
): FakeGateway {
  return { scene, ...o, asked: [], told: [] };
}

/** Answers in pieces of 100 bytes, as a slow line would. */
export function fetchFrom(gateways: Readonly<Record<string, FakeGateway>>): Fetch {
  return (url, init) => {
    const { origin, pathname, searchParams } = new URL(url);
    const gateway = gateways[origin];
    if (gateway === undefined || gateway.isGone === true)
      return Promise.reject(new TypeError('fetch failed'));
    gateway.asked.push(url);
    if (pathname === '/api/v1/evidence') {
      gateway.told.push((JSON.parse(init.body ?? '{}') as { evidence: string }).evidence);
      return Promise.resolve(response(200, new TextEncoder().encode('{"taken":true}')));
    }
    if (pathname === '/api/v1/genesis') {
      const { genesis, chain } = gateway.scene.home;
      const answer = { hash: toHex(chain), bytes: toHex(encodeGenesis(genesis)) };
      return Promise.resolve(response(200, new TextEncoder().encode(JSON.stringify(answer))));
    }
    if (pathname.startsWith('/api/v1/proofs/reading/')) {
      const proof = toBase64Url(gateway.readingProof ?? gateway.scene.readingProof);
      return Promise.resolve(response(200, new TextEncoder().encode(JSON.stringify({ proof }))));
    }
    if (pathname.endsWith('/batch')) {
      const readings = (gateway.batch ?? []).map(toBase64Url);
      return Promise.resolve(response(200, new TextEncoder().encode(JSON.stringify({ readings }))));
    }
    const answer = answerOf(gateway, searchParams);
    if (typeof answer === 'string') {
      const status = answer === 'not-found' ? 404 : 503;
      return Promise.resolve(response(status, new TextEncoder().encode(JSON.stringify({ code: answer }))));
    }
    return Promise.resolve(response(200, gateway.spoil?.(answer) ?? answer));
  };
}

function answerOf(gateway: FakeGateway, query: URLSearchParams): Uint8Array | string {
  const { scene } = gateway;
  const { chain, home } = scene;
  const { blocks } = chain.builder;
  const to = gateway.newest ?? scene.tip;
  const { header } = to.block;
  const { stopsAt } = gateway;
  const from = Number(query.get('epoch'));
  if (stopsAt !== undefined && from < stopsAt.block.header.epoch)
    return encodeLightStream(streamFrom(scene, from, { to: stopsAt, items: [] }));
  if (header.height < Number(query.get('height') ?? 0)) return 'not-ready';
  const items: LightItem[] = [];
  for (const key of query.getAll('state')) {
    const item = scene.items.find((one) => one.kind === 'state' && toHex(one.key) === key);
    if (item === undefined) return 'not-found';
    items.push(item);
  }
  const nonce = query.get('nonce');
  if (nonce !== null) {
    const signed = freshnessSigningBytes({
      chain: home.chain,
      nonce: Buffer.from(nonce, 'hex'),
      hash: headerHash(header),
      time: millis(header.time),
    });
    const by = keyPair(70);
    items.push({ kind: 'fresh', gateway: by.key, time: millis(header.time), signature: by.sign(signed) });
  }
  const history = (at: number): LightItem => {
    const log = new MmrLog();
    for (const { block } of blocks) log.append(headerHash(block.header));
    const { siblings } = log.path(at - 1, header.height - 1);
    return { kind: 'history', header: (blocks[at - 1] as CertifiedBlock).block.header, siblings };
  };
  for (const at of query.getAll('header').map(Number)) {
    if (at >= header.height) return 'not-found';
    items.push(history(height(at)));
  }
  for (const id of query.getAll('transaction')) {
    const item = scene.items.find((one) => one.kind === 'transaction' && toHex(one.id) === id);
    const holding = scene.items.find((one) => one.kind === 'history');
    if (item === undefined || holding?.kind !== 'history') return 'not-found';
    items.push(history(holding.header.height), item);
  }
  for (const id of query.getAll('payload')) {
    const item = scene.items.find((one) => one.kind === 'applied' && toHex(one.id) === id);
    if (item === undefined) return 'not-found';
    items.push(item);
  }
  const thirds = query.get('thirds') === '1' ? 1 : 2;
  const shown = gateway.omits === true ? [] : items;
  return encodeLightStream(streamFrom(scene, Number(query.get('epoch')), { to, thirds, items: shown }));
}

function response(status: number, bytes: Uint8Array): FetchResponse {
  let at = 0;
  return {
    ok: status === 200,
    status,
    headers: { get: () => null },
    text: () => Promise.resolve(new TextDecoder().decode(bytes)),
    body: {
      getReader: () => ({
        read: () => {
          const value = bytes.slice(at, at + 100);
          at += value.length;
          return Promise.resolve(value.length === 0 ? { done: true } : { done: false, value });
        },
        cancel: () => Promise.resolve(),
      }),
    },
  };
}

/** Of a payload in the scene. */
export const someHash = (fill: number): ReturnType<typeof asHash> => asHash(new Uint8Array(32).fill(fill));
