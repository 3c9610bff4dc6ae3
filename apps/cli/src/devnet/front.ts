/**
 * The devnet's one address: dashboard, the API of the first living node, and control over the processes.
 * It holds no state of the chain, so that any node may die behind it.
 */
import { createReadStream, existsSync, statSync } from 'node:fs';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { basename, extname, join, normalize } from 'node:path';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { ProcessStatus, Supervisor } from './supervisor.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.png': 'image/png',
  '.map': 'application/json',
};
const BODY_BYTES_MAX = 1_048_576;
const DROPPED_BYTES_MAX = 16 * BODY_BYTES_MAX;
const CONNECT_MS_MAX = 1_500;
/** Of roles, in the order in which processes are asked. */
const RANKS = 4;
/** The status while no node answers: the same form, and nothing in it. */
const NO_ANSWER = {
  ready: false,
  reason: 'no node answers',
  chain: '',
  chainName: '',
  name: 'devnet',
  version: '0.1.0',
  role: 'front',
  address: '',
  time: 0,
  height: 0,
  finalisedHeight: 0,
  view: 0,
  epoch: 0,
  blockTime: 0,
  blocksPerMinute: 0,
  transactions: 0,
  peers: [],
  validators: [],
  quorum: { total: 0, strong: 0, connected: 0 },
  subnets: [],
};

export interface FrontOptions {
  readonly host: string;
  readonly port: number;
  readonly www: string;
  readonly supervisor: Supervisor;
  /** A further validator, or one that leaves; what the ledger knows of it is not the front's business. */
  readonly validators: Readonly<Record<'add' | 'remove', (name: string) => Promise<ProcessStatus>>>;
  /** Grants a browser's key the right to switch the simulated lamps. */
  readonly pair: (publicKey: string) => Promise<unknown>;
}

export class Front {
  readonly #options: FrontOptions;
  #server: Server | undefined;

  constructor(options: FrontOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => problem(response, error));
    });
    server.headersTimeout = 10_000;
    server.requestTimeout = 30_000;
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#options.port, this.#options.host, () => resolve());
    });
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    if (path === '/api/v1/devnet' || path.startsWith('/api/v1/devnet/'))
      return this.#devnet(request, response, path);
    if (path === '/api/v1/status' && request.method === 'GET') return this.#status(response);
    if (path.startsWith('/api/') || path === '/metrics' || path === '/livez' || path === '/readyz') {
      return this.#proxy(request, response, await readBody(request), this.#targets(subnetIn(path)));
    }
    return this.#file(path, response);
  }

  /**
   * Gateways first: they know devices; a validator answers for the chain when no gateway lives. About a subnet only its
   * members can say something.
   */
  #targets(subnet?: string): ProcessStatus[] {
    const rank = { gateway: 0, validator: 1, member: 2, home: 3 };
    const order = ({ role, subnet: its }: ProcessStatus): number =>
      rank[role] + (subnet === undefined || its === subnet ? 0 : RANKS);
    return this.#options.supervisor
      .statuses()
      .filter((status) => status.state === 'running' && status.url !== undefined)
      .sort((a, b) => order(a) - order(b));
  }

  async #status(response: ServerResponse): Promise<void> {
    const processes = this.#options.supervisor.statuses();
    let answer: object = NO_ANSWER;
    for (const target of this.#targets()) {
      const reply = await fetch(`${target.url}/api/v1/status`, {
        signal: AbortSignal.timeout(CONNECT_MS_MAX),
      }).catch(() => undefined);
      if (reply?.ok === true) {
        answer = (await reply.json()) as object;
        break;
      }
    }
    send(response, 200, { ...answer, processes });
  }

  async #devnet(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const { supervisor } = this.#options;
    if (request.method === 'GET' && path === '/api/v1/devnet')
      return send(response, 200, { processes: supervisor.statuses() });
    if (request.method !== 'POST')
      throw new LedgerError('not-found', `${request.method ?? ''} ${path} is not part of the devnet API`);
    refuseForeign(request);
    const control = /^\/api\/v1\/devnet\/processes\/([a-z0-9-]{1,64})\/(start|stop|kill)$/.exec(path);
    if (control !== null) {
      const [, name, verb] = control as unknown as [string, string, 'start' | 'stop' | 'kill'];
      return send(response, 200, await supervisor[verb](name));
    }
    const membership = /^\/api\/v1\/devnet\/validators\/([a-z0-9-]{1,64})\/(add|remove)$/.exec(path);
    if (membership !== null) {
      const [, name, verb] = membership as unknown as [string, string, 'add' | 'remove'];
      return send(response, 200, await this.#options.validators[verb](name));
    }
    if (path === '/api/v1/devnet/pair') {
      const body = (await readJson(request)) as { publicKey?: unknown };
      if (typeof body.publicKey !== 'string' || !/^[0-9a-f]{64}$/.test(body.publicKey)) {
        throw new LedgerError('request.malformed', 'expected {"publicKey": 64 hex digits}');
      }
      return send(response, 200, await this.#options.pair(body.publicKey));
    }
    throw new LedgerError('not-found', `POST ${path} is not part of the devnet API`);
  }

  /** Tries the targets in turn; a request is repeated only while no byte of an answer has come. */
  async #proxy(
    request: IncomingMessage,
    response: ServerResponse,
    body: Buffer,
    targets: readonly ProcessStatus[],
  ): Promise<void> {
    for (const target of targets) {
      const passed = await pass(request, response, body, target.url as string);
      if (passed || response.headersSent) return;
    }
    throw new LedgerError('not-ready', 'no node answers; see itc status');
  }

  #file(path: string, response: ServerResponse): void {
    const { www } = this.#options;
    const wanted = normalize(join(www, path === '/' ? 'index.html' : decodePath(path)));
    const file =
      wanted.startsWith(www) && existsSync(wanted) && statSync(wanted).isFile() ? wanted : undefined;
    if (file === undefined) throw new LedgerError('not-found', `${path} does not exist`);
    response.writeHead(200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'cache-control': 'no-cache',
      // The worker believes nobody, so it may ask gateways of other origins; the page itself may not.
      'content-security-policy':
        basename(file) === 'light-worker.js'
          ? "default-src 'self'; connect-src 'self' http: https:"
          : "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    createReadStream(file).pipe(response);
  }
}

function subnetIn(path: string): string | undefined {
  return /^\/api\/v1\/subnets\/([0-9a-f]{64})\//.exec(path)?.[1];
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    throw new LedgerError('not-found', `${path} is not a path`, {}, error);
  }
}

function pass(
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
  base: string,
): Promise<boolean> {
  return new Promise((resolve) => {
    const target = new URL(request.url ?? '/', base);
    const { host: _host, connection: _connection, ...headers } = request.headers;
    const onward = httpRequest(
      target,
      { method: request.method, headers: { ...headers, 'content-length': body.length } },
      (reply) => {
        clearTimeout(timer);
        response.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(response);
        reply.once('error', () => response.destroy());
        resolve(true);
      },
    );
    // An event stream stays open; only the first byte has to come in time.
    const timer = setTimeout(() => onward.destroy(new Error('no answer')), 10_000);
    onward.once('error', () => {
      clearTimeout(timer);
      resolve(false);
    });
    response.once('close', () => onward.destroy());
    onward.end(body);
  });
}

/** A page of another site must not reach through a browser to the devnet's controls. */
function refuseForeign(request: IncomingMessage): void {
  const { origin, host } = request.headers;
  if (origin !== undefined && origin !== `http://${host ?? ''}`) {
    throw new LedgerError(
      'request.unauthorised',
      'the devnet is controlled from its own page or from the command line',
    );
  }
  if (!/^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(host ?? '')) {
    throw new LedgerError('request.unauthorised', 'the devnet is controlled over the loopback address only');
  }
}

/** Of a body that is too long the rest is read and dropped, within reason: who hangs up on a sender is not heard by it. */
async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += (chunk as Buffer).length;
    if (length <= BODY_BYTES_MAX) chunks.push(chunk as Buffer);
    else chunks.length = 0;
    if (length > DROPPED_BYTES_MAX) break;
  }
  if (length > BODY_BYTES_MAX)
    throw new LedgerError('request.malformed', `expected a body of at most ${BODY_BYTES_MAX} bytes`);
  return Buffer.concat(chunks);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readBody(request);
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new LedgerError('request.malformed', 'expected a JSON body', {}, error);
  }
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(value));
}

function problem(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const code = error instanceof LedgerError ? error.code : 'internal';
  const status =
    code === 'not-found'
      ? 404
      : code === 'request.unauthorised'
        ? 403
        : code === 'request.malformed'
          ? 400
          : code === 'not-ready'
            ? 503
            : 500;
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(
    JSON.stringify({ type: 'about:blank', status, code, title: code, detail: (error as Error).message }),
  );
}
