/** The HTTP server of a process: limits, errors and the OpenAPI document are set here, once for all routes. */
import swagger from '@fastify/swagger';
import { TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import {
  fastify,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify';
import { ERROR_CODES, LedgerError, type ErrorCode } from '@itc/core/ledger/errors.js';
import type { Socket } from 'node:net';
import type { Logger } from '../runtime/logger.ts';
import { ConnectionGate } from './connection-gate.ts';

export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression<RawServerDefault>,
  RawReplyDefaultExpression<RawServerDefault>,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** A set of routes: chain, subnet, gateway, … Order does not matter. */
export type Routes = (api: Api) => void;

export interface ApiServerOptions {
  readonly host: string;
  readonly port: number;
  readonly version: string;
  readonly logger: Logger;
  readonly routes: readonly Routes[];
}

const BODY_BYTES_MAX = 262_144;
const CONNECTIONS_MAX = 512;
const DETAIL_MAX = 200;

const STATUS: Partial<Record<ErrorCode, number>> = {
  'not-found': 404,
  'not-ready': 503,
  'block.pruned': 410,
  'pool.full': 429,
  'request.too-many': 429,
  'request.unauthorised': 403,
  'transaction.duplicate': 409,
  'payload.duplicate': 409,
  internal: 500,
  'storage.full': 507,
};

export function statusOf(code: ErrorCode): number {
  return STATUS[code] ?? 400;
}

/** Answers a refusal in the one form of errors. */
export function refuse(code: ErrorCode, message: string): never {
  throw new LedgerError(code, message);
}

export class ApiServer {
  readonly #options: ApiServerOptions;
  #api: Api | undefined;

  constructor(options: ApiServerOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { routes, version, logger, host, port } = this.#options;
    const api: Api = fastify({
      logger: false,
      bodyLimit: BODY_BYTES_MAX,
      requestTimeout: 30_000,
      keepAliveTimeout: 10_000,
      return503OnClosing: true,
      forceCloseConnections: true,
      routerOptions: { maxParamLength: 200 },
      // What is not HTTP, or has no end of headers: the one form, and the connection ends.
      clientErrorHandler: (error, socket) => {
        if (!socket.writable) return;
        const tooLong = (error as NodeJS.ErrnoException).code === 'HPE_HEADER_OVERFLOW';
        const body = JSON.stringify(
          problemOf(
            'request.malformed',
            tooLong ? 'the headers are too long' : 'this is not an HTTP request',
          ),
        );
        socket.end(
          `HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
        );
      },
      // What never reaches a route, in the same form: a path that cannot be decoded, a name that is too long.
      frameworkErrors: (error, _request, reply) => {
        // The generic reply of this hook has no route, so its types admit nothing.
        void (reply as unknown as FastifyReply)
          .code(400)
          .type('application/problem+json')
          .send(problemOf('request.malformed', error.message.slice(0, DETAIL_MAX)));
      },
    }).withTypeProvider<TypeBoxTypeProvider>();
    api.setValidatorCompiler(TypeBoxValidatorCompiler);
    // Answers are built from typed values; checking them again would only cost time.
    api.setSerializerCompiler(() => (value) => JSON.stringify(value));
    const gate = new ConnectionGate(CONNECTIONS_MAX);
    api.server.on('connection', (socket: Socket) => gate.admit(socket));
    api.setErrorHandler((error: unknown, _request, reply) => {
      const { code, message, retryAfterS } = describe(error);
      const status = statusOf(code);
      if (status >= 500 && code !== 'not-ready') logger.error({ err: error }, message);
      if (code === 'request.too-many')
        // What else is on its way over this connection is not read.
        void reply.header('retry-after', String(retryAfterS)).header('connection', 'close');
      return reply.code(status).type('application/problem+json').send(problemOf(code, message));
    });
    api.setNotFoundHandler((request) =>
      refuse(
        'not-found',
        `${request.method} ${request.url.split('?', 1)[0] ?? ''} is not part of the API; see /api/v1/openapi.json`,
      ),
    );
    await api.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'IoT Chain',
          version,
          description: 'The HTTP API of a node. Errors are RFC 9457 problem details.',
          license: { name: 'Apache-2.0' },
        },
      },
    });
    await api.register(async (scope) => {
      for (const add of routes) add(scope as unknown as Api);
    });
    api.get('/api/v1/openapi.json', { schema: { hide: true } }, () => api.swagger());
    await api.ready();
    try {
      await api.listen({ host, port });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE')
        throw new LedgerError(
          'port.taken',
          `port ${port} on ${host} is taken by another program`,
          { port },
          error,
        );
      throw error;
    }
    this.#api = api;
  }

  async stop(): Promise<void> {
    await this.#api?.close();
  }
}

/** RFC 9457. */
function problemOf(code: ErrorCode, detail: string): object {
  return { type: 'about:blank', status: statusOf(code), code, title: ERROR_CODES[code], detail };
}

interface Description {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterS?: number;
}

function describe(error: unknown): Description {
  if (error instanceof LedgerError) {
    const { code, message, fields } = error;
    const { retryAfterS } = fields;
    return { code, message, ...(typeof retryAfterS === 'number' ? { retryAfterS } : {}) };
  }
  const status = (error as { statusCode?: unknown }).statusCode;
  if (typeof status === 'number' && status >= 400 && status < 500)
    return { code: 'request.malformed', message: (error as Error).message };
  return { code: 'internal', message: 'an error inside the node; its log has the details' };
}
