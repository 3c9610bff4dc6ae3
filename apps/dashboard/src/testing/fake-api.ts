/** The fake devnet behind node:http, with the routes the dashboard uses, server-sent events included. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createReadStream, existsSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import type { Device, DeviceDetail, LiveEvent, Series } from '../wire.ts';
import { acceptCommand, pairKey } from './fake-commands.ts';
import type { FakeDevice } from './fake-devices.ts';
import { fakeStatus } from './fake-status.ts';
import { FakeWorld, summaryOf } from './fake-world.ts';

export interface FakeApi {
  readonly url: string;
  readonly world: FakeWorld;
  /** Cuts every event stream, as a restarted node would. */
  readonly cutStreams: () => void;
  /** While true, every request is answered with 503. */
  down: boolean;
  readonly close: () => Promise<void>;
}

const EVENTS_KEPT = 500;
const HISTORY_MS = 90_000;
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
  '.map': 'application/json',
};

class Problem extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

const missing = (what: string): Problem => new Problem(404, 'not-found', `no ${what} is known here`);

export async function startFakeApi(options: {
  readonly seed: number;
  readonly port: number;
  readonly www: string;
}): Promise<FakeApi> {
  const world = new FakeWorld(options.seed, Date.now() - HISTORY_MS);
  world.step(Date.now());
  const streams = new Set<ServerResponse>();
  const kept: { id: number; text: string }[] = [];
  let eventId = 0;
  world.emit = (event) => {
    eventId += 1;
    const text = `id: ${eventId}\nevent: ${event.kind}\ndata: ${JSON.stringify(bodyOf(event))}\n\n`;
    kept.push({ id: eventId, text });
    if (kept.length > EVENTS_KEPT) kept.shift();
    for (const response of streams) response.write(text);
  };
  const ticking = setInterval(() => world.step(Date.now()), 20);
  const beating = setInterval(() => world.emit({ kind: 'status', status: fakeStatus(world) }), 5_000);

  const api = { down: false };
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    void handle(request, response, url).catch((error: unknown) => {
      const problem = error instanceof Problem ? error : new Problem(500, 'internal', String(error));
      response.writeHead(problem.status, { 'content-type': 'application/problem+json' });
      response.end(
        JSON.stringify({
          type: 'about:blank',
          status: problem.status,
          code: problem.code,
          title: 'Request refused',
          detail: problem.message,
        }),
      );
    });
  });

  async function handle(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    if (!url.pathname.startsWith('/api/v1')) {
      serveFile(options.www, url.pathname, response);
      return;
    }
    if (api.down) throw new Problem(503, 'not-ready', 'the fake devnet plays dead');
    const path = url.pathname.slice('/api/v1'.length);
    if (path === '/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      const after = Number(request.headers['last-event-id'] ?? Number.NaN);
      response.write(': hello\n\n');
      for (const event of kept) if (event.id > after) response.write(event.text);
      streams.add(response);
      request.on('close', () => streams.delete(response));
      return;
    }
    const body = request.method === 'POST' ? ((await readJson(request)) as Record<string, unknown>) : {};
    const [status, answer] = respond(world, request.method ?? 'GET', path, url.searchParams, body);
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify(answer));
  }

  await new Promise<void>((resolve) => {
    server.listen(options.port, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.port;
  const cutStreams = (): void => {
    for (const response of streams) response.destroy();
    streams.clear();
  };
  return Object.assign(api, {
    url: `http://127.0.0.1:${port}`,
    world,
    cutStreams,
    close: async (): Promise<void> => {
      clearInterval(ticking);
      clearInterval(beating);
      cutStreams();
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  });
}

/** The `data` of an event, as API documents say it. */
function bodyOf(event: LiveEvent): unknown {
  switch (event.kind) {
    case 'block':
      return event.block;
    case 'envelope':
      return { subnet: event.subnet, ...event.vertex };
    case 'weight':
      return { subnet: event.subnet, accepted: event.accepted };
    case 'checkpoint':
      return { ...event.checkpoint, subnet: event.subnet, sequence: event.sequence, final: event.final };
    case 'reading':
      return event.reading;
    case 'command':
      return event.command;
    case 'device':
      return event.device;
    case 'status':
      return event.status;
  }
}

function respond(
  world: FakeWorld,
  method: string,
  path: string,
  query: URLSearchParams,
  body: Record<string, unknown>,
): [number, unknown] {
  const parts = path.split('/').slice(1).map(decodeURIComponent);
  const [head, first, second, third] = parts;
  const limit = Math.max(1, Math.min(500, Number(query.get('limit') ?? 20)));
  const route = `${method} ${head ?? ''}${parts.length > 1 ? `/${head === 'subnets' || head === 'devices' ? `:id${second === undefined ? '' : `/${second}`}` : ':'}` : ''}`;
  switch (route) {
    case 'GET status':
      return [200, fakeStatus(world)];
    // Nothing is proved here: what the page then says is part of what is tested.
    case 'GET genesis':
      return [200, {}];
    case 'GET blocks': {
      const before = Number(query.get('before') ?? Number.POSITIVE_INFINITY);
      const list = world.blocks
        .filter((block) => block.height < before)
        .slice(-limit)
        .reverse();
      return [200, { blocks: list.map(summaryOf) }];
    }
    case 'GET blocks/:': {
      const block = world.blocks.find((candidate) => candidate.height === Number(first));
      if (block === undefined) throw missing(`block ${first}`);
      return [200, block];
    }
    case 'GET transactions/:': {
      const block = world.blocks.find((candidate) => candidate.items.some((item) => item.id === first));
      const index = block?.items.findIndex((item) => item.id === first) ?? -1;
      const item = block?.items[index];
      if (block === undefined || item === undefined) return [200, { id: first, status: 'unknown' }];
      return [
        200,
        {
          id: first,
          status: 'final',
          kind: item.kind,
          sender: item.sender,
          height: block.height,
          index,
          receipt: { ok: true, fee: item.fee },
        },
      ];
    }
    case 'GET accounts/:':
      if (first !== world.owner && !world.validators.some((v) => v.address === first))
        throw new Problem(404, 'account.unknown', 'no such account');
      return [
        200,
        {
          address: first,
          balance: first === world.owner ? '99987654321000000000' : '1250000000',
          nonces: { 0: 412 },
        },
      ];
    case 'GET devices':
      return [200, { devices: world.devices.map((device) => deviceOf(world, device)) }];
    case 'GET devices/:id':
      return [200, detailOf(world, find(world, first))];
    case 'GET devices/:id/readings': {
      const device = find(world, first);
      const before = Number(query.get('before') ?? Number.POSITIVE_INFINITY);
      const name = query.get('name');
      const list = world.readings.filter(
        (reading) =>
          reading.device === device.address &&
          reading.time < before &&
          (name === null || reading.name === name),
      );
      return [200, { readings: list.slice(-limit).reverse() }];
    }
    case 'GET devices/:id/series':
      return [
        200,
        seriesOf(world, find(world, first), query.get('name') ?? '', Number(query.get('points') ?? 120)),
      ];
    case 'POST payloads/:': {
      const ids = Array.isArray(body['ids']) ? (body['ids'] as string[]) : [];
      return [
        200,
        {
          statuses: Object.fromEntries(ids.map((id) => [id, world.payloads.get(id)?.status ?? 'unknown'])),
          final: {},
        },
      ];
    }
    case 'GET payloads/:': {
      const payload = world.payloads.get(first ?? '');
      if (payload === undefined) throw missing('payload');
      const device = find(world, payload.device);
      return [
        200,
        {
          ...payload,
          readings: payload.readings.length,
          signer: device.attested ? world.members[0]?.address : device.address,
          attested: device.attested,
          contentType: 'senml+cbor',
        },
      ];
    }
    case 'GET proofs/:':
      if (first !== 'reading' || world.payloads.get(second ?? '')?.status !== 'final')
        throw new Problem(409, 'not-ready', 'the reading is not final yet');
      return [
        200,
        { proof: Buffer.from(`fake proof of ${second ?? ''}`).toString('base64url'), genesis: world.chain },
      ];
    case 'GET commands': {
      const device = query.get('device');
      return [
        200,
        {
          commands: world.commands
            .filter((command) => device === null || command.device === device)
            .slice(-limit)
            .reverse(),
        },
      ];
    }
    case 'GET commands/:': {
      const command = world.commands.find((candidate) => candidate.id === first);
      if (command === undefined) throw missing('command');
      return [200, command];
    }
    case 'POST commands': {
      const answer = acceptCommand(world, textOf(body['payload']));
      if (answer.kind === 'refused') throw new Problem(400, answer.code, answer.detail);
      return [202, answer.command];
    }
    case 'GET subnets/:id/graph':
      return [200, { vertices: world.vertices.slice(-limit) }];
    case 'GET subnets/:id/checkpoints':
      return [200, { checkpoints: world.checkpoints.slice(-limit).reverse() }];
    case 'POST devnet/:': {
      if (first === 'pair') {
        const pairing = pairKey(world, textOf(body['publicKey']));
        if (pairing === undefined)
          throw new Problem(400, 'request.malformed', 'expected a public key of 32 bytes');
        return [200, pairing];
      }
      const name = second ?? '';
      const state =
        third === 'stop' || third === 'start' || third === 'kill' ? world.setProcess(name, third) : undefined;
      if (state === undefined) throw missing(`process ${name}`);
      return [200, { name, state }];
    }
    default:
      throw missing(`route ${route}`);
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function find(world: FakeWorld, wanted: string | undefined): FakeDevice {
  const device = world.devices.find((candidate) => candidate.address === wanted || candidate.name === wanted);
  if (device === undefined) throw new Problem(404, 'device.unknown', `no device ${wanted ?? ''} here`);
  return device;
}

function deviceOf(world: FakeWorld, device: FakeDevice): Device {
  const own = world.readings.filter((reading) => reading.device === device.address);
  const latest = device.quantities.flatMap(({ name, unit }) => {
    const last = own.filter((reading) => reading.name === name).pop();
    return last === undefined ? [] : [{ name, unit, value: last.value, time: last.time }];
  });
  return {
    address: device.address,
    name: device.name,
    kind: device.kind,
    owner: world.owner,
    registered: !device.attested,
    attested: device.attested,
    online: device.online,
    lastSeen: device.lastSeen,
    ...(device.state === undefined ? {} : { state: device.state }),
    latest,
  };
}

function detailOf(world: FakeWorld, device: FakeDevice): DeviceDetail {
  return {
    ...deviceOf(world, device),
    maker: 'Example Works',
    claimedAt: device.claimedAt,
    batch: world.chain,
    model: world.subnet,
    grants: device.grants,
  };
}

function seriesOf(world: FakeWorld, device: FakeDevice, name: string, points: number): Series {
  const own = world.readings
    .filter((reading) => reading.device === device.address && reading.name === name)
    .slice(-points);
  const unit = device.quantities.find((quantity) => quantity.name === name)?.unit;
  return {
    name,
    ...(unit === undefined ? {} : { unit }),
    times: own.map((reading) => reading.time),
    values: own.map((reading) => Number(reading.value)),
  };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const piece of request) {
    text += String(piece);
    if (text.length > 1_000_000) throw new Problem(413, 'request.malformed', 'the body is too large');
  }
  try {
    return JSON.parse(text === '' ? '{}' : text);
  } catch {
    throw new Problem(400, 'request.malformed', 'the body is not JSON');
  }
}

function serveFile(www: string, pathname: string, response: ServerResponse): void {
  const file = join(www, normalize(pathname === '/' ? '/index.html' : pathname));
  if (!file.startsWith(www) || !existsSync(file)) {
    response.writeHead(404, { 'content-type': 'text/plain' });
    response.end('not found');
    return;
  }
  response.writeHead(200, {
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
    'cache-control': 'no-store',
  });
  createReadStream(file).pipe(response);
}
