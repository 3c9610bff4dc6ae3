/** Routes about firmware: product lines, their releases and how they went, and the proof devices decide from (spec STATE-23). */
import { Type, type Static } from 'typebox';
import { toHex } from '@itc/core/bytes/hex.js';
import { idBytes, idText } from '@itc/core/bytes/id-text.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { formatVersion, type Role } from '@itc/core/ledger/firmware.js';
import { encodeFirmwareProof, proveFirmware } from '@itc/core/light/firmware-proof.js';
import { isApproved, type Channel, type Release } from '@itc/core/state/firmware-record.js';
import { countedId } from '@itc/core/state/keys.js';
import type { Chain } from '../runtime/chain.ts';
import { readable, type Hops } from '../runtime/hops.ts';
import { addressParam, hash32 } from './chain-routes.ts';
import { ChannelDetail, ChannelForm, FirmwareProofForm, ReleaseForm } from './market-schemas.ts';
import { AddressText, Hex32, Problem } from './schemas.ts';
import { refuse, type Api, type Routes } from './server.ts';

export interface FirmwarePort {
  readonly chain: Chain;
  readonly hops: Hops;
}

const CHANNELS_MAX = 200;
/** Reports of one release that are added up: one of each member of each subnet. */
const REPORTS_MAX = 10_000;

export function firmwareRoutes(port: FirmwarePort): Routes {
  const { chain } = port;
  return (api: Api): void => {
    api.get(
      '/api/v1/firmware/channels',
      {
        schema: {
          summary: 'Product lines with firmware on the ledger',
          querystring: Type.Object({
            maker: Type.Optional(AddressText),
            after: Type.Optional(Hex32),
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: CHANNELS_MAX })),
          }),
          response: { 200: Type.Object({ channels: Type.Array(ChannelForm) }), '4xx': Problem },
        },
      },
      (request) => {
        const { maker, after, limit = 50 } = request.query;
        const first = after === undefined ? '' : idText(hash32(after));
        const by = maker === undefined ? undefined : formatAddress(addressParam(maker));
        const channels: ChannelForm[] = [];
        for (const [id, channel] of chain.state.records.walk('channel')) {
          if (id <= first || (by !== undefined && formatAddress(channel.maker) !== by)) continue;
          if (channels.length >= limit) break;
          channels.push(channelOf(asHash(idBytes(id)), channel));
        }
        return { channels };
      },
    );

    api.get(
      '/api/v1/firmware/channels/:channel',
      {
        schema: {
          summary: 'A product line and its releases',
          params: Type.Object({ channel: Hex32 }),
          response: { 200: ChannelDetail, 404: Problem },
        },
      },
      (request) => {
        const id = hash32(request.params.channel);
        const channel = known(chain, id);
        const releases: ReleaseForm[] = [];
        for (let number = channel.newest; number >= channel.oldest; number -= 1) {
          const release = chain.state.record('release', idText(countedId(id, number)));
          if (release !== undefined) releases.push(releaseOf(chain, id, channel, number, release));
        }
        return { ...channelOf(id, channel), releases };
      },
    );

    api.get(
      '/api/v1/firmware/channels/:channel/proof',
      {
        schema: {
          summary: 'What shows a device the releases of its line',
          params: Type.Object({ channel: Hex32 }),
          response: { 200: FirmwareProofForm, 404: Problem, 503: Problem },
        },
      },
      (request) => proofOf(port, hash32(request.params.channel)),
    );
  };
}

function proofOf({ chain, hops }: FirmwarePort, channel: Hash): Static<typeof FirmwareProofForm> {
  const { tip } = chain;
  const certificate = tip === undefined ? undefined : chain.blockAt(tip.height)?.certificate;
  const state = tip === undefined ? undefined : chain.stateUnder(tip.height);
  if (tip === undefined || certificate === undefined || state === undefined)
    return refuse('not-ready', 'the first block has not been committed yet');
  const linked = { header: tip, certificate, hops: hops.to({ header: tip, certificate }) };
  const proof = proveFirmware({ ...linked, tree: state.tree, channel });
  if (proof === undefined) return refuse('firmware.unknown', 'no maker has opened this channel');
  return {
    channel: toHex(channel),
    height: tip.height,
    proof: Buffer.from(readable(encodeFirmwareProof(proof))).toString('base64url'),
  };
}

function known(chain: Chain, id: Hash): Channel {
  return (
    chain.state.record('channel', idText(id)) ??
    refuse('firmware.unknown', 'no maker has opened this channel')
  );
}

function channelOf(id: Hash, channel: Channel): ChannelForm {
  const { maker, model, board, form, newest, oldest, counter } = channel;
  return {
    channel: toHex(id),
    maker: formatAddress(maker),
    model: toHex(model),
    board,
    version: form.version,
    root: roleForm(form.root),
    release: roleForm(form.release),
    expiresAt: form.expiresAt,
    newest,
    oldest,
    counter,
  };
}

function roleForm({ keys, threshold }: Role): ChannelForm['root'] {
  return { keys: keys.map(({ algorithm, bytes }) => ({ algorithm, key: toHex(bytes) })), threshold };
}

function releaseOf(chain: Chain, id: Hash, channel: Channel, number: number, release: Release): ReleaseForm {
  const { form, approvals, approvedAt, rollout } = release;
  return {
    number,
    version: formatVersion(form.version),
    manifest: toHex(form.manifest),
    image: toHex(form.image),
    size: form.size,
    counter: form.counter,
    minimum: formatVersion(form.minimum),
    dependencies: form.dependencies.map((needed) => ({
      channel: toHex(needed.channel),
      minimum: formatVersion(needed.minimum),
    })),
    signed: [0, 1, 2, 3, 4, 5, 6, 7].filter((place) => ((approvals >> place) & 1) === 1),
    approved: isApproved(channel, release),
    ...(approvedAt > 0 && { approvedAt }),
    ...rollout,
    installs: installsOf(chain, id, number),
  };
}

function installsOf(chain: Chain, id: Hash, number: number): ReleaseForm['installs'] {
  const sum = { count: 0, failures: 0, reports: 0 };
  for (const [, report] of chain.state.records.walk('installs', idText(countedId(id, number)))) {
    if (sum.reports >= REPORTS_MAX) break;
    sum.count += report.count;
    sum.failures += report.failures;
    sum.reports += 1;
  }
  return sum;
}
