/** Stands between a browser and a node, and changes single fields of its JSON answers and events. Everything else passes as it is. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Record_ = Record<string, unknown>;

export interface LyingProxy {
  readonly url: string;
  /** Called with every object in an answer; what it changes is what the browser is told. */
  lie: ((object: Record_) => void) | undefined;
  readonly close: () => Promise<void>;
}

export async function startLyingProxy(target: string): Promise<LyingProxy> {
  const proxy = { lie: undefined as LyingProxy['lie'] };
  const server = createServer((request, response) => {
    const { host: _host, 'accept-encoding': _coding, ...headers } = request.headers;
    const onward = httpRequest(
      new URL(request.url ?? '/', target),
      { method: request.method, headers },
      (reply) => pass(reply, response, proxy.lie),
    );
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async (): Promise<void> => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  });
}

function pass(reply: IncomingMessage, response: ServerResponse, lie: LyingProxy['lie']): void {
  const { 'content-length': _length, ...headers } = reply.headers;
  const type = headers['content-type'] ?? '';
  const isJson = type.startsWith('application/json');
  const isEvents = type.startsWith('text/event-stream');
  if (lie === undefined || (!isJson && !isEvents)) {
    response.writeHead(reply.statusCode ?? 502, reply.headers);
    reply.pipe(response);
    return;
  }
  response.writeHead(reply.statusCode ?? 502, headers);
  let rest = '';
  reply.setEncoding('utf8');
  reply.on('data', (text: string) => {
    rest += text;
    if (!isEvents) return;
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines)
      response.write(`${line.startsWith('data: ') ? `data: ${changed(line.slice(6), lie)}` : line}\n`);
  });
  reply.on('end', () => response.end(isJson ? changed(rest, lie) : rest));
  reply.on('error', () => response.destroy());
}

function changed(json: string, lie: (object: Record_) => void): string {
  const value: unknown = JSON.parse(json);
  visit(value, lie);
  return JSON.stringify(value);
}

function visit(value: unknown, lie: (object: Record_) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) lie(value as Record_);
  for (const part of Object.values(value)) visit(part, lie);
}
