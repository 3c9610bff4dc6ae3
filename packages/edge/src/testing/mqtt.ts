/** An open broker for tests, and clients for it: mqtt.js for behaviour, a raw socket for what no library would send. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { generate, parser, type Packet } from 'mqtt-packet';
import { MqttBroker, type BrokerEvent } from '../1-connection/mqtt/broker.ts';
import type { Access, Principal } from '../1-connection/mqtt/login.ts';
import type { Publish, PublishHandler } from '../1-connection/mqtt/publish.ts';
import type { Log } from '../log.ts';

const WAIT_MS_MAX = 30_000;

export interface TestBroker extends AsyncDisposable {
  readonly broker: MqttBroker<Principal>;
  readonly port: number;
  readonly published: Publish<Principal>[];
  readonly events: BrokerEvent<Principal>[];
  /** Errors the broker logged: a test that expects none says so. */
  readonly errors: string[];
  /** Moves the broker's clock and lets it look at it. */
  advance(ms: number): void;
  client(options?: IClientOptions): Promise<MqttClient>;
  raw(): Promise<RawClient>;
}

const everybody: Access<Principal> = {
  login: (login) => ({ kind: 'accept', principal: { id: login.username ?? 'anyone' } }),
  mayPublish: (_, topic) => !topic.startsWith('forbidden'),
  maySubscribe: (_, filter) => !filter.startsWith('forbidden'),
};

export async function openBroker(
  o: { access?: Access<Principal>; onPublish?: PublishHandler<Principal> } = {},
): Promise<TestBroker> {
  const published: Publish<Principal>[] = [];
  const events: BrokerEvent<Principal>[] = [];
  const errors: string[] = [];
  const clients: MqttClient[] = [];
  const sockets: RawClient[] = [];
  const log: Log = {
    info: () => {},
    warn: () => {},
    error: (message, fields) => void errors.push(`${message} ${JSON.stringify(fields)}`),
  };
  let offset = 0;
  const broker = new MqttBroker<Principal>({
    host: '127.0.0.1',
    port: 0,
    access: o.access ?? everybody,
    onPublish: async (publish) => {
      published.push(publish);
      return (await o.onPublish?.(publish)) ?? { code: 0, route: true };
    },
    onEvent: (event) => void events.push(event),
    now: () => Date.now() + offset,
    log,
  });
  const { port } = await broker.start();
  return {
    broker,
    port,
    published,
    events,
    errors,
    advance: (ms) => {
      offset += ms;
      broker.tick();
    },
    client: async (options = {}) => {
      const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
        reconnectPeriod: 0,
        protocolVersion: 5,
        ...options,
      });
      clients.push(client);
      return client;
    },
    raw: async () => {
      const raw = await RawClient.open(port);
      sockets.push(raw);
      return raw;
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.end(true);
      for (const socket of sockets) socket.destroy();
      await broker.stop();
    },
  };
}

/** Packets and bytes as the test writes them. */
export class RawClient {
  readonly #socket: Socket;
  readonly #parser = parser({ protocolVersion: 5 });
  readonly #packets: Packet[] = [];
  readonly closed: Promise<unknown>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#parser.on('packet', (packet) => void this.#packets.push(packet));
    this.#parser.on('error', () => {});
    socket.on('data', (chunk) => void this.#parser.parse(chunk));
    socket.on('error', () => {});
    this.closed = once(socket, 'close');
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** The options the broker's packets are read with. */
  speak(version: 4 | 5): void {
    (this.#parser as unknown as { settings: object }).settings = { protocolVersion: version };
  }

  bytes(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  send(packet: Packet, version: 4 | 5 = 5): void {
    this.bytes(generate(packet, { protocolVersion: version }));
  }

  async connect(o: Partial<Extract<Packet, { cmd: 'connect' }>> = {}): Promise<Packet> {
    this.speak((o.protocolVersion ?? 5) as 4 | 5);
    this.send(
      {
        cmd: 'connect',
        clientId: 'raw',
        protocolVersion: 5,
        protocolId: 'MQTT',
        clean: true,
        keepalive: 60,
        ...o,
      },
      (o.protocolVersion ?? 5) as 4 | 5,
    );
    return await this.receive();
  }

  /** The next packet. */
  async receive(): Promise<Packet> {
    await until(() => this.#packets.length > 0, 'a packet');
    return this.#packets.shift() as Packet;
  }

  get waiting(): number {
    return this.#packets.length;
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Waits until something holds; a machine with much else to do keeps one waiting for seconds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const end = Date.now() + WAIT_MS_MAX;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
